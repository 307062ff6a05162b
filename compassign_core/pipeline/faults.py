"""Faults of the machine told in words: a full disk, and a published file that was damaged since.

Here belongs what may befall any artifact; faults of an export are told by the step that reads it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage

import duckdb

from compassign_core.contracts.errors import DamagedFileError, DiskFullError
from compassign_core.pipeline.artifacts import ARTIFACTS, Artifact
from compassign_core.pipeline.lineage import file_hash, recorded_output, upstream_partitions
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project

Place = tuple[str, Partition]
"""An artifact by name, and one of its partitions."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "max_temp_directory_size")


@contextmanager
def told(project: Project, what: str, read: Iterable[Place]) -> Iterator[None]:
    """Turn a full disk, and a damaged file among those read, into errors with advice.

    Files are compared with their checksums only after something failed, so that it costs nothing.
    Any other exception passes as it is.

    Parameters
    ----------
    project : whose lake.
    what : what is being done, for the message.
    read : artifacts that it reads, with their partitions.

    Raises
    ------
    DiskFullError
        when a write failed for want of space; what was published before stays.
    DamagedFileError
        when a file read is not what was published; names it.
    """
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise disk_full(project, f"{what} could not be written") from error
        found = damaged(project, read)
        if not found:
            raise
        listed = ", ".join(str(path) for path in found)
        makers = ", ".join(found.values())
        raise DamagedFileError(
            f"{what} could not be made: {listed} is not what was published "
            f"({str(error).strip().splitlines()[0]}).",
            f"run `make demo`, which makes it again since its checksum "
            f"differs, or materialise {makers}.",
        ) from error


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an exception, or one behind it, says that there is no space left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, duckdb.Error | OSError) and any(w in str(error) for w in _FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def disk_full(project: Project, what: str) -> DiskFullError:
    """The error for a full disk, with the room left in the project's lake."""
    lake = project.lake.root
    free = disk_usage(lake if lake.is_dir() else project.root).free
    return DiskFullError(
        f"{what}: the disk is full ({free / 2**20:,.0f} MiB free below {lake}). What was published "
        "before is untouched.",
        "free some space, for example by deleting lake/trials, or put the project on a larger "
        "disk; then run the same command again, which goes on where this one stopped.",
    )


def reads_of(artifact: Artifact, partition: Partition) -> list[Place]:
    """All that an artifact reads, with the partitions."""
    return [
        (name, place)
        for name in artifact.upstream
        for place in upstream_partitions(ARTIFACTS[name], partition)
    ]


def damaged(project: Project, read: Iterable[Place]) -> dict[Path, str]:
    """Files of artifacts that are not what was published, with the artifact's name."""
    found = {}
    for name, place in read:
        path = project.lake.file(name, place, ARTIFACTS[name].file)
        output = recorded_output(project, name, place)
        if output is not None and output != file_hash(path):
            found[path] = name
    return found
