"""What an artifact was made from: code, settings, files and upstream artifacts, by checksum.

Beside each published file lies `lineage.json`. An artifact is current when its lineage equals what
it would be now; `make demo` skips current artifacts. The record holds no time and no machine, so
equal inputs give equal records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import compassign_core
from compassign_core.contracts.identifiers import CAPS
from compassign_core.store.atomic import write_text
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project

LINEAGE_FILE = "lineage.json"
_ALWAYS = ("contracts", "store")


@dataclass(frozen=True)
class AssetRecord:
    """What lineage must know of an asset.

    Attributes
    ----------
    name : artifact name.
    dimensions : partition dimensions, as in its contract.
    file : name of its file in the partition's folder.
    upstream : artifacts it reads.
    packages : packages of `compassign_core` whose code decides its content.
    inputs : files outside the lake that it reads, and settings, as name to fingerprint.
    """

    name: str
    dimensions: tuple[str, ...]
    file: str
    upstream: tuple[str, ...]
    packages: tuple[str, ...]
    inputs: Callable[[Project, Partition], Mapping[str, str]] = field(
        default=lambda _project, _partition: {}
    )


RECORDS: dict[str, AssetRecord] = {}
"""All assets of this code location by name; filled by `lake_asset`."""


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


def upstream_partitions(record: AssetRecord, partition: Partition) -> list[Partition]:
    """Partitions of an upstream artifact that one partition of a downstream artifact reads."""
    lib = partition.lib if "lib_id" in record.dimensions else None
    if "row_cap" not in record.dimensions:
        return [Partition(lib)]
    if partition.cap is not None:
        return [Partition(lib, partition.cap)]
    return [Partition(lib, cap) for cap in CAPS]


def expected_lineage(project: Project, name: str, partition: Partition) -> dict[str, object]:
    """The lineage that an artifact would have if it were made now, without its output."""
    record = RECORDS[name]
    upstream: dict[str, str] = {}
    for parent in record.upstream:
        for place in upstream_partitions(RECORDS[parent], partition):
            written = _read(project, parent, place)
            upstream[f"{parent} ({place})"] = str(written.get("output", "absent"))
    return {
        "artifact": name,
        "partition": str(partition),
        "code": code_version(record.packages),
        "inputs": dict(record.inputs(project, partition)),
        "upstream": upstream,
    }


def write_lineage(project: Project, name: str, partition: Partition) -> str:
    """Record what the artifact just published was made from; returns the output's checksum."""
    record = RECORDS[name]
    output = file_hash(project.lake.file(name, partition, record.file))
    lineage = {**expected_lineage(project, name, partition), "output": output}
    write_text(
        project.lake.file(name, partition, LINEAGE_FILE),
        json.dumps(lineage, indent=1, sort_keys=True) + "\n",
    )
    return output


def is_current(project: Project, name: str, partition: Partition) -> bool:
    """Whether making the artifact again could change nothing."""
    record = RECORDS[name]
    written = _read(project, name, partition)
    if not written or written.get("output") != file_hash(
        project.lake.file(name, partition, record.file)
    ):
        return False
    expected = expected_lineage(project, name, partition)
    return all(written.get(key) == value for key, value in expected.items())


def upstream_first(names: Iterable[str]) -> tuple[str, ...]:
    """Names in an order in which each stands after all it reads, the same in every process."""
    wanted = set(names)
    graph = {name: sorted(RECORDS[name].upstream) for name in sorted(RECORDS)}
    return tuple(name for name in TopologicalSorter(graph).static_order() if name in wanted)


def stale(project: Project, names: Iterable[str], partition: Partition) -> tuple[str, ...]:
    """Of `names`, those to make again because they or what they read changed, upstream first."""
    found: list[str] = []
    for name in upstream_first(names):
        parents = set(found).intersection(RECORDS[name].upstream)
        if parents or not is_current(project, name, partition):
            found.append(name)
    return tuple(found)


def _read(project: Project, name: str, partition: Partition) -> dict[str, object]:
    path = project.lake.file(name, partition, LINEAGE_FILE)
    if not path.is_file():
        return {}
    loaded: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
