"""The one way to write a file: aside, synced, then renamed over the last good one."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; rename it onto `target` on success.

    When the body raises, or the process is killed, `target` keeps its old content; the file
    aside is removed on an exception.
    """
    aside = stage_path(target)
    try:
        yield aside
        publish(aside, target)
    finally:
        aside.unlink(missing_ok=True)


ABANDONED_S = 24 * 3600
"""A file aside that is older belongs to a process that was killed."""


def stage_path(target: Path) -> Path:
    """A fresh path beside `target`, in a folder that exists; sweeps what killed writers left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.aside"):
        with suppress(FileNotFoundError):  # another writer may sweep it first
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                left.unlink()
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.aside")


def publish(aside: Path, target: Path) -> None:
    """Sync `aside` to disk and rename it onto `target`."""
    descriptor = os.open(aside, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.replace(target)


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` atomically."""
    with written_aside(target) as aside:
        aside.write_text(text, encoding="utf-8")
