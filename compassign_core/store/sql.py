"""SQL fragments and small questions that many modules share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb

from compassign_core.contracts.identifiers import quote_name, quote_text


def whole_number(expression: str) -> str:
    """SQL that reads text or number as a non-negative whole number, null where it is none.

    ``"12307"``, ``12307`` and ``12307.0`` are one id; ``12.5``, ``-1`` and ``"a"`` are none, and
    so is what does not fit in the 53 bits of a float64, where two ids could become one.
    """
    number = f"TRY_CAST({expression} AS DOUBLE)"
    return (
        f"CASE WHEN {number} = floor({number}) AND {number} BETWEEN 0 AND 9007199254740991 "
        f"THEN CAST({number} AS BIGINT) END"
    )


def one_of(expression: str, values: Iterable[str]) -> str:
    """SQL that keeps text as one of known values, a few bytes a row; as text when none is known.

    Another value is an error of the engine; test with ``IN`` or a join before.
    """
    known = ", ".join(quote_text(value) for value in sorted(set(values)))
    return f"CAST({expression} AS ENUM({known}))" if known else f"CAST({expression} AS VARCHAR)"


def types_of(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """Column names and types of a table."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return {row[0]: row[1] for row in described}


def columns_of(connection: duckdb.DuckDBPyConnection, source: str) -> list[str]:
    """Column names of a table."""
    return list(types_of(connection, source))


def count_rows(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """Rows of a table."""
    return int(connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0])


def names(columns: Sequence[str], table: str = "") -> str:
    """A comma-separated, quoted list of columns, optionally of one table."""
    prefix = f"{table}." if table else ""
    return ", ".join(prefix + quote_name(column) for column in columns)


def first_rows(
    connection: duckdb.DuckDBPyConnection, query: str, limit: int
) -> tuple[list[dict[str, object]], int]:
    """The first rows of a query in its own total order, and how many it has in all."""
    total = count_rows(connection, f"({query})")
    if not total:
        return [], 0
    cursor = connection.execute(f"SELECT * FROM ({query}) ORDER BY ALL LIMIT {limit}")
    header = [item[0] for item in cursor.description]
    return [dict(zip(header, row, strict=True)) for row in cursor.fetchall()], total
