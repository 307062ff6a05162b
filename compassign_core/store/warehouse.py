"""The warehouse: one DuckDB file that holds only views over the lake, for reading.

No run ever writes data into it, so it never locks a run. It is rebuilt aside and renamed; views
read whole artifacts with ``lib_id`` and ``row_cap`` as columns and see new partitions by
themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from compassign_core.contracts.catalogue import CONTRACTS, rejects_contract
from compassign_core.contracts.errors import CompassignError, InputError, MissingArtifactError
from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.contracts.tables import TableContract
from compassign_core.store.atomic import written_aside
from compassign_core.store.lake import TABLE_FILE

_TYPES = {"lib_id": "INTEGER", "row_cap": "INTEGER"}


def build_warehouse(lake: Path, target: Path) -> list[str]:
    """Make the warehouse anew and return the names of its views.

    Parameters
    ----------
    lake : root of the lake.
    target : the database file.

    Raises
    ------
    MissingArtifactError
        when the lake holds no table yet.
    """
    tables = _tables(lake)
    if not tables:
        raise MissingArtifactError(
            f"the lake ({lake.name}/) holds no table yet.", "run `make demo` first."
        )
    with written_aside(target) as aside:
        connection = duckdb.connect(str(aside))
        try:
            for table in tables:
                _add_view(connection, lake, table)
        finally:
            connection.close()
    return [table.name for table in tables]


def views_of(lake: Path) -> list[str]:
    """Names of the views that a warehouse of the lake as it is now would have."""
    return [table.name for table in _tables(lake)]


def opens(warehouse: Path) -> bool:
    """Whether the database is there and whole enough to be opened."""
    try:
        _open(warehouse).close()
    except CompassignError:
        return False
    return True


def _open(warehouse: Path) -> duckdb.DuckDBPyConnection:
    """The database, for reading only.

    Raises
    ------
    MissingArtifactError
        when the warehouse has not been built.
    InputError
        when the file is damaged.
    """
    if not warehouse.is_file():
        raise MissingArtifactError(
            f"there is no {warehouse.name} yet.", "run `make demo` first, or materialise warehouse."
        )
    try:
        return duckdb.connect(str(warehouse), read_only=True)
    except duckdb.Error as error:
        raise InputError(
            f"{warehouse} cannot be opened: {str(error).strip()}",
            "it holds views only, and no data: delete it and run `make demo`, or materialise "
            "warehouse.",
        ) from error


def _pattern(contract: TableContract) -> str:
    folders = "/".join(f"{dimension}=*" for dimension in contract.partitions)
    return "/".join(part for part in (contract.name, folders, TABLE_FILE) if part)


def _tables(lake: Path) -> list[TableContract]:
    """Tables, and their rejects, of which the lake holds any partition."""
    return [
        table
        for contract in CONTRACTS.values()
        for table in (contract, rejects_contract(contract.name))
        if any(lake.glob(_pattern(table)))
    ]


def _add_view(connection: duckdb.DuckDBPyConnection, lake: Path, contract: TableContract) -> None:
    pattern = _pattern(contract)
    types = ", ".join(f"'{name}': {_TYPES[name]}" for name in contract.partitions)
    hive = (
        f"hive_partitioning = true, hive_types = {{{types}}}"
        if types
        else "hive_partitioning = false"
    )
    name = quote_name(contract.name)
    connection.execute(
        f"CREATE VIEW {name} AS SELECT * FROM "
        f"read_parquet({quote_text(str(lake / pattern))}, {hive}, union_by_name = true)"
    )
    connection.execute(f"COMMENT ON VIEW {name} IS {quote_text(contract.description)}")


@dataclass(frozen=True)
class QueryResult:
    """Rows of a query, with its column names."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


def query(warehouse: Path, sql: str, limit: int | None = None) -> QueryResult:
    """Run a query on the warehouse, read-only.

    Raises
    ------
    MissingArtifactError
        when the warehouse has not been built.
    InputError
        when the file is damaged, or the query is wrong; the engine's message is passed on.
    """
    connection = _open(warehouse)
    try:
        cursor = connection.execute(sql)
        rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit)
        return QueryResult([item[0] for item in cursor.description or ()], rows)
    except duckdb.Error as error:
        raise InputError(
            str(error).strip(), "correct the query; `compassign sql 'SHOW TABLES'` lists all views."
        ) from error
    finally:
        connection.close()
