"""Reading the CSV files that a lab keeps by hand: columns by name, and a library's own rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.prep.column_names import nearest_names
from compassign_core.store.sql import columns_of, whole_number


def csv_source(path: Path) -> str:
    """SQL text that reads a CSV file with every column as text."""
    return f"read_csv({quote_text(str(path))}, header = true, all_varchar = true)"


def named_columns(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    wanted: dict[str, str],
    optional: Iterable[str] = (),
) -> dict[str, str]:
    """Physical names of wanted columns, matched without regard to case, spaces and edges.

    Parameters
    ----------
    connection : the engine.
    path : a CSV file.
    wanted : columns that must be there, by the role they are returned under.
    optional : columns that are returned under their own name where they are there.

    Raises
    ------
    InputError
        when the file is no CSV, or a column is missing; names the file, the column and what is
        there.
    """
    try:
        present = columns_of(connection, csv_source(path))
    except duckdb.Error as error:
        reason = " ".join(str(error).partition("\n\n")[0].split())
        raise InputError(
            f"{path.name} cannot be read as CSV: {reason}",
            "save it as CSV in UTF-8, with one header line and as many cells in every line.",
        ) from error

    def plain(name: str) -> str:
        return "_".join(name.strip().lower().split())

    found = {plain(name): name for name in present}
    missing = [name for name in wanted.values() if plain(name) not in found]
    if missing:
        raise InputError(
            f"{path.name} lacks column {', '.join(missing)}; it has {', '.join(present)}"
            f"{nearest_names(missing, present)}.",
            "add the column, or name the right one in libraries.toml.",
        )
    roles = {**wanted, **{name: name for name in optional if name in found}}
    return {role: found[plain(name)] for role, name in roles.items()}


def rows_of_lib(columns: Mapping[str, str], name: str, lib: int) -> str:
    """SQL condition that picks a library's rows of a CSV file; all when it has no such column."""
    return f"{whole_number(quote_name(columns[name]))} = {lib:d}" if name in columns else "true"
