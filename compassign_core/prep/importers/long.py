"""Reader of long result tables: a header, then one row per run and compound (or transition).

Skyline reports, long tables of MassHunter and TargetLynx, and any other CSV, TSV or Parquet file
whose columns `libraries.toml` names. They differ only in what their columns are called.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from compassign_core.contracts.identifiers import quote_name
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.canonical import canonical_rows
from compassign_core.prep.importers.cells import column_names, parquet_rows, text_rows
from compassign_core.prep.importers.dialect import find_dialect, head_rows
from compassign_core.prep.importers.headers import match_columns
from compassign_core.prep.importers.registered import registered


@contextmanager
def read_long(
    connection: duckdb.DuckDBPyConnection, path: Path, shown: str, settings: ImportSettings
) -> Iterator[str]:
    """SQL of the canonical table of a long file; see `headers.match_columns` for errors."""
    if path.suffix.lower() == ".parquet":
        names, reader = parquet_rows(path, shown)
    else:
        dialect = find_dialect(path, shown, settings.encoding, settings.delimiter)
        (header, *_) = head_rows(path, shown, dialect, 1)
        names = column_names(header)
        reader = text_rows(path, shown, dialect, names)
    columns = match_columns(settings, names, shown)
    cells = {role: cell_of(*found) for role, found in columns.items()}
    if settings.kind == "masshunter":
        cells["run"] = without_folder_suffix(cells["run"])
    with registered(connection, reader) as rows:
        yield canonical_rows(rows, cells, row="row_number", fault="row_fault", detail="row_detail")


def cell_of(*columns: str) -> str:
    """SQL of a cell; several columns are joined by a space."""
    quoted = [quote_name(name) for name in columns]
    return quoted[0] if len(quoted) == 1 else f"concat_ws(' ', {', '.join(quoted)})"


def without_folder_suffix(run: str) -> str:
    """SQL of the name of an Agilent data folder without its ``.d``."""
    return f"regexp_replace({run}, '\\.[dD]$', '')"
