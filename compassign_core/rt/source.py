"""Reading a table with DuckDB, after checking that its columns hold the numbers they must.

Belongs here: presence of columns, whole-number ids, finite covariates, batches. Not here: what
the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first, quote_name

BATCH_ROWS = 1 << 16
"""Rows read at a time; bounds memory, never changes a result."""

_WHOLE = (
    "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT"
).split()
_REAL = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Source:
    """A table given as SQL text, with the types of its columns.

    Attributes
    ----------
    connection : the engine.
    sql : what stands after FROM, for example ``read_parquet('…')``.
    name : what messages call it: the file, or the SQL text.
    types : DuckDB type by column name, in file order.
    """

    connection: duckdb.DuckDBPyConnection
    sql: str
    name: str
    types: dict[str, str]

    @classmethod
    def open(
        cls, connection: duckdb.DuckDBPyConnection, sql: str, name: str | None = None
    ) -> Source:
        """Look at the columns of `sql`.

        Raises
        ------
        InputError
            when the engine cannot read it.
        """
        try:
            relation = connection.sql(f"SELECT * FROM {sql} LIMIT 0")
        except duckdb.Error as error:
            raise InputError(
                f"{name or sql} cannot be read as a table: {error}.",
                "check that the file exists and is Parquet or CSV with a header line.",
            ) from error
        types = {c: str(t) for c, t in zip(relation.columns, relation.types, strict=True)}
        return cls(connection, sql, name or sql, types)

    def require(self, columns: Sequence[str], purpose: str) -> None:
        """Raise `InputError` naming every one of `columns` that is missing."""
        missing = [column for column in columns if column not in self.types]
        if missing:
            raise InputError(
                f"{self.name} lacks {len(missing)} column(s) that {purpose} needs: "
                f"{first(missing)}.",
                f"add them; the table has {first(list(self.types))}.",
            )

    def check_ids(self, columns: Sequence[str]) -> None:
        """Raise `InputError` unless every value of `columns` is a whole number."""
        self._refuse(
            {column: f"{self.whole(column)} IS NULL" for column in columns},
            "empty or not whole numbers",
            "ids are whole numbers and may not be left out; correct or remove these rows.",
        )

    def check_reals(self, columns: Sequence[str]) -> None:
        """Raise `InputError` unless every value of `columns` is a finite number or missing."""
        bad = {}
        for column in columns:
            value = self._real(column)
            bad[column] = f"{self._given(column)} AND ({value} IS NULL OR isinf({value}))"
        self._refuse(
            bad,
            "not finite numbers",
            "write them as plain numbers, and leave missing values empty.",
        )

    def check_times(self, column: str) -> None:
        """Raise `InputError` unless every value of `column` is a positive finite number."""
        value = self._real(column)
        self._refuse(
            {column: f"{value} IS NULL OR isnan({value}) OR isinf({value}) OR {value} <= 0"},
            "missing, not finite, or not above zero",
            "retention times are positive numbers in minutes; remove or correct these rows.",
        )

    def batches(
        self,
        ids: Sequence[str],
        reals: Sequence[str],
        order_by: Sequence[str] = (),
        rows: int = BATCH_ROWS,
    ) -> Iterator[Any]:
        """Record batches of `ids` as BIGINT, then `reals` as DOUBLE, in order when one is given.

        Without `order_by` the rows come in the order of the source.
        """
        yield from self.connection.sql(self.select(ids, reals, order_by)).to_arrow_reader(rows)

    def select(self, ids: Sequence[str], reals: Sequence[str], order_by: Sequence[str] = ()) -> str:
        """The query of `batches`."""
        items = [f"{self.whole(column)} AS {quote_name(column)}" for column in ids]
        items += [f"{self._real(column)} AS {quote_name(column)}" for column in reals]
        query = f"SELECT {', '.join(items)} FROM {self.sql}"
        if order_by:
            query += " ORDER BY " + ", ".join(str(1 + [*ids, *reals].index(c)) for c in order_by)
        return query

    def _refuse(self, conditions: dict[str, str], what: str, advice: str) -> None:
        if not conditions:
            return
        items = ", ".join(f"count(*) FILTER (WHERE {c})" for c in conditions.values())
        counts = self.connection.sql(f"SELECT {items} FROM {self.sql}").fetchall()[0]
        bad = [
            f"{column} ({count} rows)"
            for column, count in zip(conditions, counts, strict=True)
            if count
        ]
        if bad:
            raise InputError(f"{self.name} has values that are {what}: {first(bad)}.", advice)

    def _given(self, column: str) -> str:
        quoted = quote_name(column)
        if self.types[column] == "VARCHAR":
            return f"nullif(trim({quoted}), '') IS NOT NULL"
        return f"{quoted} IS NOT NULL"

    def _real(self, column: str) -> str:
        """SQL of the column as DOUBLE, null where it is no number."""
        quoted, type_name = quote_name(column), self.types[column]
        if type_name == "VARCHAR":
            return f"TRY_CAST(nullif(trim({quoted}), '') AS DOUBLE)"
        if type_name in (*_WHOLE, *_REAL, '"NULL"', "NULL") or type_name.startswith("DECIMAL"):
            return f"CAST({quoted} AS DOUBLE)"
        return "CAST(NULL AS DOUBLE)"  # dates, booleans, lists: no number at all

    def whole(self, column: str) -> str:
        """SQL of the column as BIGINT, null where it is no whole number."""
        if self.types[column] in _WHOLE:
            return f"TRY_CAST({quote_name(column)} AS BIGINT)"
        value = self._real(column)
        # a cast alone would round 3.5 to 4; beyond 2^53 a DOUBLE no longer tells ids apart
        whole = f"{value} = floor({value}) AND abs({value}) <= 9007199254740992"
        return f"CASE WHEN {whole} THEN CAST({value} AS BIGINT) END"


def column_array(batch: Any, name: str) -> Any:
    """One column of a record batch as a NumPy array, nulls of a DOUBLE as NaN."""
    column = batch.column(batch.schema.get_field_index(name))
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False)
    return column.to_numpy(zero_copy_only=column.null_count == 0)
