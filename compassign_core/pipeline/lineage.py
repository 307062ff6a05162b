"""What an artifact was made from: code, settings, files and upstream artifacts, by checksum.

Beside each published file lies `lineage.json`. An artifact is current when its lineage equals what
it would be now; `make demo` skips current artifacts. The record holds no time and no machine, so
equal inputs give equal records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import compassign_core
from compassign_core.contracts.errors import DamagedFileError
from compassign_core.contracts.identifiers import CAPS
from compassign_core.pipeline.artifacts import ARTIFACTS, Artifact, upstream_first
from compassign_core.store.atomic import write_text
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project
from compassign_core.store.steps import STEP_FILE, read_step

LINEAGE_FILE = "lineage.json"
_ALWAYS = ("contracts", "pipeline", "store")


@cache
def code_version(packages: tuple[str, ...]) -> str:
    """A hash of the source of some packages of the core, with those that everything uses."""
    root = Path(compassign_core.__file__).parent
    digest = hashlib.sha256()
    for package in sorted({*_ALWAYS, *packages}):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Checksum of a file's content, ``"absent"`` when there is none."""
    if not path.is_file():
        return "absent"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upstream_partitions(artifact: Artifact, partition: Partition) -> list[Partition]:
    """Partitions of an upstream artifact that one partition of a downstream artifact reads."""
    lib = partition.lib if "lib_id" in artifact.dimensions else None
    if "row_cap" not in artifact.dimensions:
        return [Partition(lib)]
    if partition.cap is not None:
        return [Partition(lib, partition.cap)]
    return [Partition(lib, cap) for cap in CAPS]


def checksums(project: Project, names: Iterable[str], partition: Partition) -> dict[str, str]:
    """Checksums of artifacts as they are read for a library and cap; ``absent`` when not made."""
    return {
        f"{name} ({place})": str(_read(project, name, place).get("output", "absent"))
        for name in names
        for place in upstream_partitions(ARTIFACTS[name], partition)
    }


def expected_lineage(project: Project, name: str, partition: Partition) -> dict[str, object]:
    """The lineage that an artifact would have if it were made now, without its output."""
    artifact = ARTIFACTS[name]
    return {
        "artifact": name,
        "partition": str(partition),
        "code": code_version(artifact.packages),
        "inputs": dict(artifact.inputs(project, partition)),
        "upstream": checksums(project, artifact.upstream, partition),
    }


def write_lineage(project: Project, name: str, partition: Partition) -> str:
    """Record what the artifact just published was made from; returns the output's checksum."""
    artifact = ARTIFACTS[name]
    output = file_hash(project.lake.file(name, partition, artifact.file))
    lineage = {**expected_lineage(project, name, partition), "output": output}
    write_text(
        project.lake.file(name, partition, LINEAGE_FILE),
        json.dumps(lineage, indent=1, sort_keys=True) + "\n",
    )
    return output


def is_current(project: Project, name: str, partition: Partition) -> bool:
    """Whether making the artifact again could change nothing."""
    artifact = ARTIFACTS[name]
    written = _read(project, name, partition)
    if not written or written.get("output") != file_hash(
        project.lake.file(name, partition, artifact.file)
    ):
        return False
    if artifact.is_table and not _has_facts(project.lake.file(name, partition, STEP_FILE)):
        return False
    expected = expected_lineage(project, name, partition)
    return all(written.get(key) == value for key, value in expected.items())


def stale(project: Project, names: Iterable[str], partition: Partition) -> tuple[str, ...]:
    """Of `names`, those to make again because they or what they read changed, upstream first."""
    found: list[str] = []
    for name in upstream_first(names):
        parents = set(found).intersection(ARTIFACTS[name].upstream)
        if parents or not is_current(project, name, partition):
            found.append(name)
    return tuple(found)


def recorded_output(project: Project, name: str, partition: Partition) -> str | None:
    """Checksum of an artifact's file when it was published; None when nothing is recorded."""
    output = _read(project, name, partition).get("output")
    return None if output is None else str(output)


def _has_facts(path: Path) -> bool:
    """Whether a `step.json` is there and whole."""
    try:
        read_step(path)
    except (DamagedFileError, FileNotFoundError):
        return False
    return True


def _read(project: Project, name: str, partition: Partition) -> dict[str, object]:
    """The record of an artifact; empty when there is none or it is damaged: it is made again."""
    path = project.lake.file(name, partition, LINEAGE_FILE)
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
