"""All rows of a library's results as SQL, from files that were read now or before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb

from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.rows import known_rows
from compassign_core.prep.importers.spool import (
    kept_query,
    spool_results,
    spool_samples,
    sweep,
)
from compassign_core.store.lake import parquet_source


def gather_rows(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    folder: Path,
    place: Path,
    settings: ImportSettings | None,
) -> str | None:
    """SQL of `rows.known_rows` of all files; None for a library that imports nothing.

    Parameters are those of `spool.spool_results`, which says what is raised.
    """
    if settings is None:
        return None
    results = spool_results(connection, manifest, folder, place, settings)
    samples = spool_samples(connection, manifest, folder, place, settings.encoding)
    known = known_rows(connection, results, parquet_source(samples) if samples else None, settings)
    # The query names files by their content, and so can what it gives be named.
    target = place / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.parquet"
    kept = {*(one.canonical for one in results), target}
    sweep(place, kept | {samples} if samples else kept)
    if target.is_file():
        return f"SELECT * FROM {parquet_source(target)}"
    return kept_query(connection, known, target)
