"""Runs whose process was killed: told from living ones by a lock, failed, and their slots freed.

A process that is killed cannot tell the orchestrator. Its run would stay *started* for ever, and
keep a place in the run queue and slots of pools, so that later runs wait without end. So every run
holds a lock, which the system takes back with the process, whatever ends it.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from compassign_core.store.project import current_project

_BEGUN = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_held: dict[str, FileLock] = {}


def hold(run_id: str) -> None:
    """Say that this process carries out a run, until `let_go` or its end."""
    if run_id in _held:
        return
    file = _file(run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, thread_local=False)
    with suppress(Timeout):
        lock.acquire(blocking=False)
        _held[run_id] = lock
        atexit.register(let_go, run_id)


def let_go(run_id: str) -> None:
    """The run has ended."""
    lock = _held.pop(run_id, None)
    if lock is not None:
        lock.release()
        _file(run_id).unlink(missing_ok=True)


@contextmanager
def held(run_id: str) -> Iterator[None]:
    """`hold` a run for as long as the body takes."""
    hold(run_id)
    try:
        yield
    finally:
        let_go(run_id)


def release_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail every begun run without a living process, free its slots, and return the runs' ids.

    A run of a backfill is then tried once more by the daemon, see `run_retries` in dagster.yaml.
    """
    lost = []
    begun = instance.get_runs(filters=dg.RunsFilter(statuses=_BEGUN))
    for run in begun:
        if _lives(run.run_id):
            continue
        instance.report_run_failed(run, "The process of this run was killed; it may be run again.")
        lost.append(run.run_id)
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits:
        living = {run.run_id for run in begun} - set(lost)
        for run_id in storage.get_concurrency_run_ids() - living:
            if not _lives(run_id):
                storage.free_concurrency_slots_for_run(run_id)
    for file in _folder().glob("*.lock"):
        _lives(file.stem)
    return lost


def _lives(run_id: str) -> bool:
    """Whether a process holds the run's lock; the file that a killed one left is removed."""
    if run_id in _held:
        return True
    file = _file(run_id)
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    file.unlink(missing_ok=True)
    lock.release()
    return False


def _folder() -> Path:
    return current_project().root / ".dagster" / "running"


def _file(run_id: str) -> Path:
    return _folder() / f"{run_id}.lock"
