"""Opening an RT table for training, held in memory or streamed; both give the same bits.

Belongs here: which of the two, and whole groups out of a stream. What a row, a group and a feature
are stands in `reading`, `rows` and `design`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import RT_TABLE
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import group_keys
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.rt import RidgeSettings
from compassign_core.rt.design import Design, choose_columns, product_columns
from compassign_core.rt.design_learning import learn_design
from compassign_core.rt.limits import limited
from compassign_core.rt.reading import (
    IDS,
    HeldRows,
    LabelledRows,
    OrderedRows,
    StoredRows,
    check_labelled,
    count_rows,
    hold_rows,
    store_rows,
)
from compassign_core.rt.rows import CHUNK_VALUES, TrainingData, TrainingRows
from compassign_core.rt.seen import Seen, together
from compassign_core.rt.source import Source
from compassign_core.rt.tiles import joined_columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HELD_VALUES = 1 << 26
"""Numbers (rows x columns) that are held in memory, 512 MiB; larger tables are streamed."""

ANY_NUMBER = 1 << 62
"""As `held_values`: hold the rows, whatever their number."""


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """Rows to train on, with the design that made their features.

    Attributes
    ----------
    data : the rows, held or streamed.
    design : how covariates became features.
    left_out : groups and rows left out by limits, by the limit's noun; empty without limits.
    """

    data: TrainingData
    design: Design
    left_out: dict[str, int]

    def held_rows(self) -> TrainingRows:
        """The rows of a table that was opened with `ANY_NUMBER`."""
        if not isinstance(self.data, TrainingRows):
            raise TypeError("the rows are streamed, not held")
        return self.data


@dataclass(frozen=True, eq=False)
class Form:
    """How rows of a source become groups with features.

    Attributes
    ----------
    design : of the features.
    columns : covariates as they are read, some of which the design may have dropped.
    group_col : the id that makes a group with comp_id.
    name : what messages call the source.
    """

    design: Design
    columns: tuple[str, ...]
    group_col: str
    name: str

    def features(self, values: Floats) -> Floats:
        """Features ``(n, P)`` of covariates ``(n, C)``."""
        if self.design.columns != self.columns:
            values = values[:, [self.columns.index(name) for name in self.design.columns]]
        return self.design.matrix(values)

    def keys(self, ids: dict[str, Ints]) -> Ints:
        """Group key of each row, once it is known that all ids have one."""
        try:
            group_keys(ids["species"], ids["comp_id"])
            return group_keys(ids[self.group_col], ids["comp_id"])
        except ValueError as error:
            raise InputError(
                f"{self.name} holds an id that has no group key: {error}.",
                "ids are counted from zero; take them from the species mapping of the library.",
            ) from error


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """N rows of G groups that are read in chunks each time; see `rows.TrainingData`."""

    rows: OrderedRows
    form: Form
    chunk_values: int
    keys: Ints
    count: Ints
    mean_y: Floats
    seen: Seen

    @property
    def n_features(self) -> int:
        """P."""
        return self.form.design.size

    def chunks(self) -> Iterator[TrainingRows]:
        """All rows, some whole groups at a time."""
        tiles = (
            LabelledRows(tile.ids, tile.y, self.form.features(tile.values))
            for tile in self.rows.tiles()
        )
        rows = max(1, self.chunk_values // max(1, self.n_features))
        return _whole_groups(tiles, rows, self.form.keys)


@contextmanager
def open_training(
    source: str,
    settings: RidgeSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    limits: TrainingLimits | None = None,
    design: Design | None = None,
    held_values: int = HELD_VALUES,
    chunk_values: int = CHUNK_VALUES,
) -> Iterator[TrainingTable]:
    """Check an RT table, order its rows and learn the design, for as long as the context lasts.

    Parameters
    ----------
    source : SQL text of a table with the columns of `RT_TABLE`.
    settings : which groups, and which covariates become which features.
    connection : the engine; a streamed table is on it while the context lasts.
    limits : train on a part only.
    design : of a trained model, to read more rows as it read its own; learned when not given.
    held_values : rows x columns above which the table is streamed; changes no bit of a result.
    chunk_values : features of one streamed chunk; neither does this.

    Raises
    ------
    InputError
        when columns are missing, the table is empty, an id is not a whole number, a retention
        time is not positive and finite, a covariate is infinite, or an id has two parents.
    """
    table = Source.open(connection, source)
    table.require(RT_TABLE.names(), "training")
    columns = design.columns if design else choose_columns(
        table.types, settings.covariates, table.name
    )  # fmt: skip
    table.require(columns, "the design of the model")
    check_labelled(table, columns)
    table, left_out = limited(table, settings.group_col, limits or TrainingLimits())
    n_rows = count_rows(table)
    held = n_rows * (1 + len(IDS) + _most_features(columns, settings)) <= held_values
    rows: HeldRows | StoredRows = (
        hold_rows(table, columns, settings.group_col, n_rows)
        if held
        else store_rows(table, columns, settings.group_col)
    )
    try:
        learned = design or learn_design(columns, partial(_values, rows), settings)
        form = Form(learned, columns, settings.group_col, table.name)
        if isinstance(rows, HeldRows):
            yield TrainingTable(_hold(rows, form), learned, left_out)
        else:
            yield TrainingTable(_stream(rows, form, chunk_values), learned, left_out)
    finally:
        if isinstance(rows, StoredRows):
            rows.drop()


def read_training(
    source: str,
    settings: RidgeSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    limits: TrainingLimits | None = None,
    design: Design | None = None,
) -> tuple[TrainingRows, Design]:
    """All rows of a table in memory, whatever their number; see `open_training`."""
    with open_training(
        source, settings, connection, limits=limits, design=design, held_values=ANY_NUMBER
    ) as table:
        return table.held_rows(), table.design


def _most_features(columns: tuple[str, ...], settings: RidgeSettings) -> int:
    """P at most, if every covariate has gaps."""
    most = len(columns) * (1 + settings.missing_indicator)
    return most + (product_columns(columns)[0].size if settings.expansion == "poly2" else 0)


def _values(rows: OrderedRows) -> Iterator[Floats]:
    return (tile.values for tile in rows.tiles())


def _hold(rows: HeldRows, form: Form) -> TrainingRows:
    """Rows with features; these take the place of the covariates in memory where they fit."""
    size = form.design.size
    keys = form.keys(rows.ids)
    x = rows.values if rows.values.shape[1] == size else np.empty((rows.y.size, size))
    begin = 0
    for tile in rows.tiles():
        x[begin : begin + tile.y.size] = form.features(tile.values)
        begin += tile.y.size
    made = TrainingRows.of(rows.ids, rows.y, x, keys)
    together([made.seen], form.name)
    return made


def _stream(rows: StoredRows, form: Form, chunk_values: int) -> StreamedRows:
    """Rows that stay in the engine, after one pass for what is known of the groups."""
    chunk_rows = max(1, chunk_values // max(1, len(form.columns)))
    groups, seen = [], list[Seen]()
    for chunk in _whole_groups(rows.tiles(), chunk_rows, form.keys):
        groups.append((chunk.keys, chunk.count, chunk.mean_y))
        seen = [together([*seen, chunk.seen], form.name)]
    keys, count, mean_y = joined_columns(groups)
    return StreamedRows(rows, form, chunk_values, keys, count, mean_y, seen[0])


def _whole_groups(
    tiles: Iterator[LabelledRows], rows: int, key: Callable[[dict[str, Ints]], Ints]
) -> Iterator[TrainingRows]:
    """Tiles as whole groups, with `rows` rows or one group at a time."""
    parts: list[LabelledRows] = []
    size, wanted = 0, rows
    for tile in tiles:
        parts.append(tile)
        size += tile.y.size
        if size < wanted:
            continue
        joined = _joined(parts)
        keys = key(joined.ids)
        cut = int(np.searchsorted(keys, keys[-1]))  # the last group may go on
        if cut:
            yield TrainingRows.of(joined[:cut].ids, joined.y[:cut], joined.values[:cut], keys[:cut])
        parts, size = [joined[cut:]], size - cut
        wanted = max(rows, 2 * size)
    joined = _joined(parts)
    yield TrainingRows.of(joined.ids, joined.y, joined.values, key(joined.ids))


def _joined(parts: list[LabelledRows]) -> LabelledRows:
    if len(parts) == 1:
        return parts[0]
    ids = {name: np.concatenate([part.ids[name] for part in parts]) for name in parts[0].ids}
    return LabelledRows(
        ids,
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.values for part in parts]),
    )
