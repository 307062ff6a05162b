"""Whose a scratch file is: a mark of the process that made it, and whether that process is gone.

Here belongs how what killed processes left is told from what living ones still write; not what is
done with it (`atomic` for files beside their target, `engine` for what DuckDB spills).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

ABANDONED_S = 24 * 3600
"""Scratch of another machine that is older belongs to a process that was killed."""

_MARK = re.compile(r"([0-9a-f]{8})-(\d+)")


def mark() -> str:
    """Give the mark of this process, for the name of a scratch file: its machine and its id."""
    return f"{_machine()}-{os.getpid():d}"


def is_abandoned(path: Path) -> bool:
    """Whether the process that made a scratch file or folder is gone.

    Known at once for a process of this machine; of another machine only its age speaks.
    """
    found = _MARK.search(path.name)
    if found and _machine() != _UNKNOWN and found[1] == _machine():
        return not _runs(int(found[2]))
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > ABANDONED_S
    return False


_UNKNOWN = "0" * 8


@cache
def _machine() -> str:
    """Name of the machine since its start; containers count as machines."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        seen = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return _UNKNOWN
    return hashlib.sha256(f"{start} {seen}".encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Killed, and not yet taken note of by its parent."""
    try:
        stat = Path(f"/proc/{process:d}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]
