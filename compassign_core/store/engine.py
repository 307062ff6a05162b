"""The one way to open the engine: a cached in-memory DuckDB connection per process.

Relations are bound to their connection, so everything in a process must share one; see
`docs/architecture.md` for the measurements behind this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import duckdb

from compassign_core.contracts.settings.engine import EngineSettings


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
        connection.execute("SET temp_directory = ?", [settings.temp_directory])
    return connection
