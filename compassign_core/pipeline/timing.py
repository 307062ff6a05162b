"""How long artifacts took to make on this machine: noted when published, read for estimates.

Notes lie beside the artifacts in a hidden folder of the lake, since what lies with an artifact is
the same on every machine. A note that is lost or damaged costs an estimate and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from compassign_core.pipeline.artifacts import ARTIFACTS, Artifact
from compassign_core.pipeline.lineage import upstream_partitions
from compassign_core.store.atomic import write_text
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project

FOLDER = ".times"


@dataclass(frozen=True)
class Took:
    """One run: how long it took, and rows of the tables that it read, None where unknown."""

    seconds: float
    rows: int | None


def record_time(project: Project, artifact: Artifact, partition: Partition, seconds: float) -> None:
    """Note how long making an artifact took, in place of the last time."""
    note = {"seconds": round(seconds, 3), "rows": input_rows(project, artifact, partition)}
    write_text(_note(project, artifact.name, partition), json.dumps(note) + "\n")


def times_of(project: Project, name: str) -> list[Took]:
    """What is noted of an artifact, over all its partitions."""
    return read_notes(sorted(_note(project, name, Partition()).parent.rglob("*.json")))


def read_notes(paths: Iterable[Path]) -> list[Took]:
    """Times in JSON files with ``seconds`` and ``rows``; files that say nothing are left out."""
    found = []
    for path in paths:
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            rows = note["rows"]
            found.append(Took(float(note["seconds"]), None if rows is None else int(rows)))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def input_rows(project: Project, artifact: Artifact, partition: Partition) -> int | None:
    """Rows of the tables that an artifact reads; None when it reads none or one is not there."""
    tables = [ARTIFACTS[name] for name in artifact.upstream if ARTIFACTS[name].is_table]
    paths = [
        project.lake.file(table.name, place)
        for table in tables
        for place in upstream_partitions(table, partition)
    ]
    return table_rows(paths)


def table_rows(paths: Iterable[Path]) -> int | None:
    """Rows of Parquet files; None without files, or when one cannot be read."""
    try:
        counts = [pq.read_metadata(path).num_rows for path in paths]
    except (OSError, pa.ArrowInvalid):
        return None
    return sum(counts) if counts else None


def expected_seconds(history: Iterable[Took], rows: int | None) -> float | None:
    """Mean seconds of earlier runs, per row of input where rows are known; None without any."""
    runs = list(history)
    if not runs:
        return None
    read = [run.rows for run in runs if run.rows]
    if rows and len(read) == len(runs):
        return rows * sum(run.seconds for run in runs) / sum(read)
    return sum(run.seconds for run in runs) / len(runs)


def _note(project: Project, name: str, partition: Partition) -> Path:
    return project.lake.root / FOLDER / name / partition.folder() / "time.json"
