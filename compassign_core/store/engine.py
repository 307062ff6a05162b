"""The one way to open the engine: a cached in-memory DuckDB connection per process.

Relations are bound to their connection, so everything in a process must share one; see
`docs/architecture.md` for the measurements behind this.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from glob import escape
from pathlib import Path

import duckdb

from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.store.scratch import is_abandoned, mark


def connect(settings: EngineSettings | None = None) -> duckdb.DuckDBPyConnection:
    """The process's connection for these settings (opened on first use; None for the defaults).

    Results do not depend on the thread count: every written table has a total order.
    """
    return _open(settings or EngineSettings())


@contextmanager
def one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run statements of the body on one thread, which keeps the order of rows through joins."""
    ((threads,),) = connection.execute("SELECT current_setting('threads')").fetchall()
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute("SET threads = ?", [threads])


@cache
def _open(settings: EngineSettings) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    connection.execute("SET memory_limit = ?", [settings.memory_limit])
    connection.execute("SET threads = ?", [settings.threads])
    connection.execute("SET preserve_insertion_order = true")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")
    if settings.temp_directory:
        connection.execute("SET temp_directory = ?", [str(_spill(Path(settings.temp_directory)))])
    return connection


def _spill(named: Path) -> Path:
    """A folder of this process beside the one named; sweeps what killed processes spilled.

    Processes must not share one: DuckDB names its spill files alike in all, so that two that spill
    at once read each other's rows.
    """
    for left in named.parent.glob(f"{escape(named.name)}-*"):
        if is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    return named.with_name(f"{named.name}-{mark()}")
