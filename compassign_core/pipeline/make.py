"""Making an artifact: run its function, check what it wrote, publish it, record its lineage.

`run` and `publish` are separate so that the orchestrator can put its own events between them;
`make` does both, for the command line.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compassign_core.contracts.checks import CheckOutcome
from compassign_core.pipeline.artifacts import ARTIFACTS, Artifact, FileResult
from compassign_core.pipeline.faults import reads_of, told
from compassign_core.pipeline.lineage import upstream_partitions, write_lineage
from compassign_core.pipeline.loading import load
from compassign_core.pipeline.timing import record_time
from compassign_core.store.atomic import written_aside
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project
from compassign_core.store.steps import StagedStep, stage_step

progress = logging.getLogger("compassign.progress")
"""One line a published artifact, for whoever wants to show it."""


@dataclass(frozen=True)
class Published:
    """What is known of an artifact just published.

    Attributes
    ----------
    path : its file.
    checksum : sha256 of the file.
    seconds : time to make, check and publish it.
    outcomes : outcomes of its checks, for tables.
    """

    path: Path
    checksum: str
    seconds: float
    outcomes: Sequence[CheckOutcome] = ()


def run(
    project: Project, artifact: Artifact, partition: Partition, values: Mapping[str, Any]
) -> StagedStep | FileResult:
    """Run an artifact's function on loaded artifacts; a table is staged and checked.

    Raises
    ------
    CompassignError
        when the step cannot be done. A staged step whose checks failed is returned; publishing it
        is what raises.
    """
    started = time.perf_counter()
    with _told(project, artifact, partition):
        result = artifact.call(project, partition, values)
        if isinstance(result, FileResult):
            return replace(result, seconds=time.perf_counter() - started)
        limits = project.library(partition.lib).prep if partition.lib is not None else None
        staged = stage_step(project.lake, artifact.name, partition, result, limits)
    spent = time.perf_counter() - started
    return replace(staged, report=replace(staged.report, seconds=spent))


def publish(
    project: Project, artifact: Artifact, partition: Partition, made: StagedStep | FileResult
) -> Published:
    """Publish what `run` made and record its lineage.

    Raises
    ------
    CheckFailed
        when a blocking check failed; the last good file stays.
    DiskFullError, DamagedFileError
        see `compassign_core.pipeline.faults.told`.
    """
    with _told(project, artifact, partition):
        return _publish(project, artifact, partition, made)


def _told(
    project: Project, artifact: Artifact, partition: Partition
) -> AbstractContextManager[None]:
    return told(project, f"{artifact.name} for {partition}", reads_of(artifact, partition))


def _publish(
    project: Project, artifact: Artifact, partition: Partition, made: StagedStep | FileResult
) -> Published:
    started = time.perf_counter()
    outcomes: Sequence[CheckOutcome] = ()
    if isinstance(made, StagedStep):
        path, outcomes = made.publish(), made.outcomes
        spent, report = made.report.seconds, made.report
        refused = f", {report.n_rejected:,} refused" if report.n_rejected else ""
        summary = f"{report.rows_in:,} → {report.rows_out:,} rows{refused}"
    else:
        path, spent = project.lake.file(artifact.name, partition, artifact.file), made.seconds
        with written_aside(path) as aside:
            made.write(aside)
        summary = made.summary
    checksum = write_lineage(project, artifact.name, partition)
    seconds = spent + time.perf_counter() - started
    record_time(project, artifact, partition, seconds)
    progress.info("%s · %s · %s · %.1f s", partition, artifact.name, summary, seconds)
    return Published(path, checksum, seconds, outcomes)


def read(project: Project, artifact: Artifact, partition: Partition) -> dict[str, object]:
    """Load what an artifact reads.

    Raises
    ------
    MissingArtifactError
        when something of it has not been made.
    DamagedFileError
        when something of it cannot be read and is not what was published.
    """
    values = {}
    with _told(project, artifact, partition):
        for name, wanted in artifact.reads.items():
            parent = ARTIFACTS[name]
            paths = [
                project.lake.need(name, place, parent.file)
                for place in upstream_partitions(parent, partition)
            ]
            values[name] = load(project.lake, paths, wanted)
    return values


def make(project: Project, name: str, partition: Partition) -> Published:
    """Make one artifact from what is in the lake; see `run` and `publish` for what it raises."""
    artifact = ARTIFACTS[name]
    made = run(project, artifact, partition, read(project, artifact, partition))
    return publish(project, artifact, partition, made)
