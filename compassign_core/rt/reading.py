"""Labelled rows of a source in the order of training, as often as a fit has to go over them.

Belongs here: checks of the source, the order, and where ordered rows are kept: in memory when they
are few, else in a temporary table of the engine, which spills to disk under its memory limit. Not
here: what the covariates become (`design`), and groups (`rows`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import RT_TABLE
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import RUN_KEY, quote_name
from compassign_core.rt.source import Source, column_array
from compassign_core.rt.tiles import TILE_ROWS, retiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

IDS = tuple(column.name for column in RT_TABLE.columns if column.type == "BIGINT")
"""Id columns of the RT table."""

_BATCH_ROWS = 1 << 13
"""Rows asked of the engine at a time; a batch then fits a core's cache while it is transposed."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """n rows: ids by name ``(n,)``, y in minutes ``(n,)``, values ``(n, C)`` (NaN = missing)."""

    ids: dict[str, Ints]
    y: Floats
    values: Floats

    def __getitem__(self, part: slice) -> LabelledRows:
        """Some of the rows, as views."""
        ids = {name: column[part] for name, column in self.ids.items()}
        return LabelledRows(ids, self.y[part], self.values[part])


class OrderedRows(Protocol):
    """All rows to train on, ordered by group, run, species and retention time."""

    def tiles(self) -> Iterator[LabelledRows]:
        """The rows in tiles of `TILE_ROWS`, the same ones each time they are asked for."""


class HeldRows(LabelledRows):
    """Ordered rows in memory."""

    def tiles(self) -> Iterator[LabelledRows]:
        """See `OrderedRows`; these are views."""
        for begin in range(0, self.y.size, TILE_ROWS):
            yield self[begin : begin + TILE_ROWS]


@dataclass(frozen=True)
class StoredRows:
    """Ordered rows in a temporary table of the engine, until `drop`.

    The engine reads one result at a time: no other query may run on this connection while tiles
    are being taken.
    """

    connection: duckdb.DuckDBPyConnection
    table: str
    columns: tuple[str, ...]

    def tiles(self) -> Iterator[LabelledRows]:
        """See `OrderedRows`."""
        reader = self.connection.sql(f"SELECT * FROM {self.table}").to_arrow_reader(_BATCH_ROWS)
        for values, y, *ids in retiled(self._columns(batch) for batch in reader):
            yield LabelledRows(dict(zip(IDS, ids, strict=True)), y, values)

    def _columns(self, batch: object) -> tuple[npt.NDArray[np.float64 | np.int64], ...]:
        y = column_array(batch, "rt")
        values = np.empty((y.size, len(self.columns)))
        for j, name in enumerate(self.columns):
            values[:, j] = column_array(batch, name)
        return values, y, *(column_array(batch, name) for name in IDS)

    def drop(self) -> None:
        """Give the table's memory and disk back."""
        self.connection.execute(f"DROP TABLE IF EXISTS {self.table}")


def check_labelled(table: Source, columns: tuple[str, ...]) -> None:
    """Refuse a table whose ids, retention times or covariates are not what they must be.

    Raises
    ------
    InputError
        when an id is not a whole number, a retention time is not positive and finite, or a
        covariate is infinite.
    """
    table.check_ids(IDS)
    table.check_times("rt")
    table.check_reals(columns)


def count_rows(table: Source) -> int:
    """Rows of a table that is to be trained on.

    Raises
    ------
    InputError
        when there is none.
    """
    n_rows = int(table.connection.sql(f"SELECT count(*) FROM {table.sql}").fetchall()[0][0])
    if n_rows == 0:
        raise InputError(
            f"{table.name} has no rows to train on.",
            "check the split and the cap of this library: nothing was left in the training fold.",
        )
    return n_rows


def hold_rows(table: Source, columns: tuple[str, ...], group_col: str, n_rows: int) -> HeldRows:
    """Read all rows into memory, in order."""
    ids = {name: np.empty(n_rows, dtype=np.int64) for name in IDS}
    y, values = np.empty(n_rows), np.empty((n_rows, len(columns)))
    begin = 0
    order = _order(group_col)
    for batch in table.batches(IDS, ("rt", *columns), order, _BATCH_ROWS):
        part = slice(begin, begin + batch.num_rows)
        for name in IDS:
            ids[name][part] = column_array(batch, name)
        y[part] = column_array(batch, "rt")
        for j, name in enumerate(columns):
            values[part, j] = column_array(batch, name)
        begin += batch.num_rows
    return HeldRows(ids, y, values)


def store_rows(table: Source, columns: tuple[str, ...], group_col: str) -> StoredRows:
    """Sort all rows into a temporary table."""
    name = quote_name(f"training_{uuid4().hex}")
    query = table.select(IDS, ("rt", *columns), _order(group_col))
    table.connection.execute(f"CREATE TEMP TABLE {name} AS {query}")
    return StoredRows(table.connection, name, columns)


def _order(group_col: str) -> tuple[str, ...]:
    return (group_col, "comp_id", *RUN_KEY, "species", "rt")
