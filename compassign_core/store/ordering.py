"""How a table gets its types and its order: sorted narrow, then cast, then widened.

A sort moves every row several times, and spills when rows are wide. So rows are sorted in the types
a step gave them (a label as one of known values takes a byte), and cast afterwards; and columns of
a small table, such as the covariates of a run, are joined to the sorted rows (`Widened`). On one
thread a hash join keeps the order of the side it streams. The engine does not promise that, nor
which side it is, so the lake looks at the written file (`is_ascending`) and sorts whole rows where
it must.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.contracts.tables import Column, TableContract, is_covariate
from compassign_core.store.sql import names


@dataclass(frozen=True)
class Widened:
    """A table that the lake sorts narrow and then joins.

    Attributes
    ----------
    rows : SQL text of the table with all columns that its contract names, and the key below.
    further : SQL text of a table with one row a key, whose covariates are joined to the rows;
        a row without its key there is lost, and one with two is doubled, which the gate counts.
    using : the key.
    """

    rows: str
    further: str
    using: tuple[str, ...]

    @property
    def joined(self) -> str:
        """SQL text of the joined table, in no order."""
        return (
            f"(SELECT * FROM {self.rows} AS sorted JOIN {self.further} AS further "
            f"USING ({names(self.using)}))"
        )


def ordered_query(contract: TableContract, view: str, present: Mapping[str, str]) -> str:
    """SQL of a table in the columns, types and order of its contract.

    Parameters
    ----------
    contract : what to select, and the order.
    view : SQL text of the table.
    present : its columns and their types.
    """
    columns = _columns(contract, present)
    return f"SELECT {_cast_late(columns, contract, present)} FROM " + _sorted(
        view, columns, contract, present
    )


def widened_query(
    contract: TableContract, wide: Widened, present: Mapping[str, str], further: Mapping[str, str]
) -> str:
    """SQL of a `Widened` table; `present` and `further` are columns and types of its two tables."""
    columns = [column for column in _columns(contract, further) if column.name in present]
    late = [column for column in _columns(contract, further) if column.name not in present]
    key = [name for name in wide.using if name not in {column.name for column in columns}]
    shown = _cast_late(columns, contract, present)
    if late:
        shown += ", " + _cast_late(late, contract, further, "further")
    rows = _sorted(wide.rows, columns, contract, present, key)
    return f"SELECT {shown} FROM {rows} JOIN {wide.further} AS further USING ({names(wide.using)})"


def is_ascending(connection: duckdb.DuckDBPyConnection, source: str, order: Sequence[str]) -> bool:
    """Whether each row of a file comes after the one before it, by columns without nulls.

    Equal neighbours are not ascending, so a table that is ascending by a key has no key twice.
    One pass in the order of the file, which keeps nothing of what it has seen.
    """
    before = [f"before {name}" for name in order]
    lags = ", ".join(
        f"lag({quote_name(name)}) OVER () AS {quote_name(earlier)}"
        for name, earlier in zip(order, before, strict=True)
    )
    nulls = " OR ".join(f"{quote_name(name)} IS NULL" for name in order)
    ((wrong,),) = connection.execute(
        f"""SELECT count(*) FILTER ({nulls} OR (
                   place > 1 AND ({names(order)}) <= ({names(before)})))
            FROM (SELECT {names(order)}, {lags}, row_number() OVER () AS place FROM {source})"""
    ).fetchall()
    return int(wrong) == 0


def _columns(contract: TableContract, present: Mapping[str, str]) -> list[Column]:
    """Columns of the written table; covariates by name."""
    covariates = sorted(filter(is_covariate, present)) if contract.covariates else []
    return [*contract.columns, *(Column(name, "DOUBLE", "run covariate") for name in covariates)]


def _sorted(
    view: str,
    columns: Sequence[Column],
    contract: TableContract,
    given: Mapping[str, str],
    further: Sequence[str] = (),
) -> str:
    """SQL of the sorted rows; only what decides the order is cast before the sort."""
    carried = [
        _cast(column, given[column.name])
        if column.name in contract.order_by
        else quote_name(column.name)
        for column in columns
    ]
    carried += [quote_name(name) for name in further]
    order = f" ORDER BY {names(contract.order_by)}" if contract.order_by else ""
    return f"(SELECT {', '.join(carried)} FROM {view}{order}) AS sorted"


def _cast_late(
    columns: Sequence[Column],
    contract: TableContract,
    given: Mapping[str, str],
    table: str = "sorted",
) -> str:
    return ", ".join(
        names([column.name], table)
        if column.name in contract.order_by
        else _cast(column, given[column.name], table)
        for column in columns
    )


def _cast(column: Column, given: str, table: str = "") -> str:
    """SQL of a column in its contract's type; a fraction is no whole number, and not rounded."""
    name = names([column.name], table)
    cast = f"CAST({name} AS {column.type})"
    if column.type == "BIGINT" and "INT" not in given:
        number = f"TRY_CAST({name} AS DOUBLE)"
        # text that is no number makes the cast fail, and stands in the engine's message
        fault = f"concat({quote_text(column.name)}, ' ', {name}, ' is no whole number')"
        cast = f"CASE WHEN {number} <> floor({number}) THEN CAST({fault} AS BIGINT) ELSE {cast} END"
    return f"{cast} AS {quote_name(column.name)}"
