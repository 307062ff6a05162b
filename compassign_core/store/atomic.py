"""The one way to write a file: aside, synced, then renamed over the last good one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from compassign_core.store.scratch import is_abandoned, mark


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


def stage_path(target: Path) -> Path:
    """A fresh path beside `target`, in a folder that exists; sweeps what killed writers left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # An engine may put its own files beside the file aside, such as the log of a database.
    for left in target.parent.glob(f".{escape(target.name)}.*.aside*"):
        if is_abandoned(left):
            left.unlink(missing_ok=True)  # another writer may sweep it first
    return target.with_name(f".{target.name}.{mark()}-{uuid.uuid4().hex}.aside")


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
