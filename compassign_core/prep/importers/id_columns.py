"""Lists that a lab keeps by name instead of by id, where names have ids from an import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb

from compassign_core.prep.csv_input import named_columns
from compassign_core.store.sql import whole_number

NAME_COLUMNS = {"sample_set": ("sample_set",), "compound": ("feature_name", "compound")}
"""Columns of names by kind, the first that is there."""


def id_column(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    number: str,
    kind: str,
    names: str | None,
) -> tuple[str, Callable[[str], str]]:
    """Column of a lab's list that identifies its lines, and SQL that makes an id of its cells.

    Parameters
    ----------
    connection : the engine.
    file : the list.
    number : its column of ids.
    kind : kind of the names that may stand there instead: ``sample_set`` or ``compound``.
    names : SQL text of `imported_names`; None when names have no ids.
    """
    columns = NAME_COLUMNS[kind]
    present = named_columns(connection, file, {}, optional=(number, *columns))
    name = next((column for column in columns if column in present), number)
    if names is None or number in present or name == number:
        return number, whole_number

    def by_name(cell: str) -> str:
        return (
            f"(SELECT any_value(id) FROM {names} AS known "
            f"WHERE known.kind = '{kind}' AND known.name = trim({cell}))"
        )

    return name, by_name
