"""Training rows in memory, ordered by group, and their blocks of padded groups.

The capped table is smaller than the sufficient statistics made of it (P² numbers a group), so the
rows are what is held; statistics exist for one block of groups at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import RT_TABLE
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import RUN_KEY, first, group_keys
from compassign_core.contracts.settings.rt import RidgeSettings
from compassign_core.rt.design import Design, choose_columns, fit_design
from compassign_core.rt.source import Source, column_array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK_VALUES = 1 << 22
"""Numbers in the largest array of one block (32 MiB); bounds memory, never changes a result."""

_IDS = tuple(column.name for column in RT_TABLE.columns if column.type == "BIGINT")


@dataclass(frozen=True)
class Block:
    """Some groups of like size, rows padded to the same number m.

    Attributes
    ----------
    groups : positions among all groups, ``(B,)``.
    rows : row of each place, ``(B, m)``; meaningless where not `present`.
    present : whether a place holds a row, ``(B, m)``.
    x, y : centred features ``(B, m, P)`` and retention times ``(B, m)``, zero where absent.
    """

    groups: Ints
    rows: Ints
    present: npt.NDArray[np.bool_]
    x: Floats
    y: Floats


@dataclass(frozen=True)
class TrainingRows:
    """N rows ordered by group key, run and retention time; G groups.

    Attributes
    ----------
    ids : the id columns of the RT table by name, each ``(N,)``.
    y : retention time in minutes, ``(N,)``.
    x : centred features, ``(N, P)``.
    keys : sorted group keys, ``(G,)``.
    start, count : first row and number of rows of each group, ``(G,)``.
    """

    ids: dict[str, Ints]
    y: Floats
    x: Floats
    keys: Ints
    start: Ints
    count: Ints

    def runs(self, unit: str) -> Ints:
        """Ids that a fold keeps together: the run ``(N, 3)``, or the sample set ``(N, 1)``."""
        names = RUN_KEY if unit == "run" else RUN_KEY[:1]
        return np.column_stack([self.ids[name] for name in names])

    def blocks(self, folds: int = 1, values: int = BLOCK_VALUES) -> Iterator[Block]:
        """All groups, in blocks of like size.

        A group is padded to the next power of two, which depends on its own size only: results
        are bit for bit the same whatever `values`.
        """
        n_features = self.x.shape[1]
        size_class = np.ceil(np.log2(self.count)).astype(np.int64)
        for exponent in np.unique(size_class):
            members = np.flatnonzero(size_class == exponent)
            m = 1 << int(exponent)
            width = max(m, folds * n_features) * (n_features + 1)
            step = max(1, values // width)
            for begin in range(0, members.size, step):
                yield self._block(members[begin : begin + step], m)

    def _block(self, groups: Ints, m: int) -> Block:
        place = np.arange(m)
        present = place < self.count[groups, None]
        rows = np.where(present, self.start[groups, None] + place, 0)
        x = np.where(present[:, :, None], self.x[rows], 0.0)
        return Block(groups, rows, present, x, np.where(present, self.y[rows], 0.0))


def read_training(
    source: str, settings: RidgeSettings, connection: duckdb.DuckDBPyConnection
) -> tuple[TrainingRows, Design]:
    """Read and check the RT table, learn the design, order the rows.

    Raises
    ------
    InputError
        when columns are missing, the table is empty, an id is not a whole number, a retention
        time is not positive and finite, a covariate is infinite, or an id has two parents.
    """
    table = Source.open(connection, source)
    table.require(RT_TABLE.names(), "training")
    columns = choose_columns(table.types, settings.covariates, table.name)
    table.check_ids(_IDS)
    table.check_times("rt")
    table.check_reals(columns)
    order = (settings.group_col, "comp_id", *RUN_KEY, "species", "rt")
    batches = list(table.batches(_IDS, ("rt", *columns), order))
    n_rows = sum(batch.num_rows for batch in batches)
    if n_rows == 0:
        raise InputError(
            f"{table.name} has no rows to train on.",
            "check the split and the cap of this library: nothing was left in the training fold.",
        )
    ids = {name: np.concatenate([column_array(b, name) for b in batches]) for name in _IDS}
    y = np.concatenate([column_array(batch, "rt") for batch in batches])
    raw = np.empty((n_rows, len(columns)))
    for j, name in enumerate(columns):
        raw[:, j] = np.concatenate([column_array(batch, name) for batch in batches])
    design = fit_design(columns, raw, settings.missing_indicator)
    raw = raw[:, [columns.index(name) for name in design.columns]]
    _check_parents(ids, table.name)
    try:
        keys = group_keys(ids[settings.group_col], ids["comp_id"])
        group_keys(ids["species"], ids["comp_id"])
    except ValueError as error:
        raise InputError(
            f"{table.name} holds an id that has no group key: {error}.",
            "ids are counted from zero; take them from the species mapping of the library.",
        ) from error
    unique, start, count = np.unique(keys, return_index=True, return_counts=True)
    return TrainingRows(ids, y, design.matrix(raw), unique, start, count), design


def _check_parents(ids: dict[str, Ints], source: str) -> None:
    """Refuse a species with two supercategories and a comp with two chemicals or classes."""
    for child, parents in (
        ("species", ("species_cluster",)),
        ("comp_id", ("compound", "compound_class")),
    ):
        nested = np.unique(np.column_stack([ids[child], *(ids[p] for p in parents)]), axis=0)
        values, counts = np.unique(nested[:, 0], return_counts=True)
        torn = values[counts > 1]
        if torn.size:
            raise InputError(
                f"{source}: {torn.size} value(s) of {child} have more than one "
                f"({', '.join(parents)}): {first(torn.tolist())}.",
                f"correct the mapping so that each {child} has exactly one.",
            )
