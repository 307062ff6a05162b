"""Sensors: a new or changed export is prepared, and a prepared library gets all its caps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from compassign_assets.jobs import (
    chemistry_job,
    prepare_library_job,
    train_and_evaluate_job,
)
from compassign_assets.partitions import read_key, write_key
from compassign_core.contracts.errors import CompassignError
from compassign_core.contracts.identifiers import CAPS
from compassign_core.prep.export import export_files
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

ALL_CAPS_TAG = "compassign/caps"
"""A run of `prepare_library` with this tag is followed by one run per cap."""


def lib_tags(lib: int) -> dict[str, str]:
    """Run tags of a library's preparation that is to be followed by all its caps."""
    return {"compassign/lib": str(lib), ALL_CAPS_TAG: "all"}


def glance(paths: list[Path]) -> str:
    """A cheap fingerprint of files: names, sizes and times, without reading them."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        stat = path.stat()
        digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _seen(cursor: str | None) -> dict[str, str]:
    loaded: dict[str, str] = json.loads(cursor) if cursor else {}
    return loaded


@dg.sensor(
    jobs=[prepare_library_job, chemistry_job],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Looks for new or changed files of every library's export and of the structures, and asks "
        "for their preparation. A library without an export is passed over."
    ),
)
def new_export_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Compare every export with what the cursor remembers of it."""
    libraries = current_project().libraries
    seen = _seen(context.cursor)
    now: dict[str, str] = {}
    requests = []
    sources = [libraries.chemistry.structures, libraries.chemistry.embeddings]
    chemistry = [libraries.path(path) for path in sources if path is not None]
    if all(path.is_file() for path in chemistry):
        now["chemistry"] = glance(chemistry)
        if now["chemistry"] != seen.get("chemistry"):
            requests.append(
                dg.RunRequest(run_key=f"chemistry:{now['chemistry']}", job_name="chemistry")
            )
    absent = []
    for lib in libraries.library:
        try:
            files = [path for _, path in export_files(libraries, lib)]
        except CompassignError:
            absent.append(str(lib))
            continue
        now[str(lib)] = glance(files)
        if now[str(lib)] != seen.get(str(lib)):
            requests.append(
                dg.RunRequest(
                    run_key=f"{lib}:{now[str(lib)]}",
                    job_name="prepare_library",
                    partition_key=str(lib),
                    tags=lib_tags(lib),
                )
            )
    skipped = f"no change; no export for library {', '.join(absent)}" if absent else "no change"
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else skipped,
        cursor=json.dumps(now, sort_keys=True),
    )


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[prepare_library_job],
    request_job=train_and_evaluate_job,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "After a scheduled or sensed preparation of a library, asks for all its caps. Preparations "
        "started by hand are left alone."
    ),
)
def fan_out_caps(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run per cap, the smallest (and so quickest to read) first."""
    run = context.dagster_run
    if ALL_CAPS_TAG not in run.tags:
        yield dg.SkipReason("this preparation was started by hand")
        return
    lib = read_key(run.tags["dagster/partition"]).lib
    for place, cap in enumerate(CAPS):
        yield dg.RunRequest(
            run_key=f"{run.run_id}:{cap}",
            partition_key=write_key(Partition(lib, cap)),
            tags={"compassign/lib": str(lib), "dagster/priority": str(-place)},
        )


SENSORS = [new_export_sensor, fan_out_caps]
