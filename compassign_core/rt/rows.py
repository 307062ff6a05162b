"""Rows of whole groups, in memory: their blocks of padded groups, and what was seen in them.

Rows are what is held, or read in chunks; statistics exist for one block of groups at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.identifiers import RUN_KEY
from compassign_core.rt.seen import Seen, see

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK_VALUES = 1 << 22
"""Numbers in the largest array of one block (32 MiB); bounds memory, never changes a result."""

CHUNK_VALUES = 1 << 22
"""Feature values of one chunk of rows (32 MiB), or those of the largest group; likewise."""


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


class GroupedRows(Protocol):
    """N rows of G groups, to be gone over chunk by chunk.

    Attributes
    ----------
    keys : sorted group keys, ``(G,)``.
    count : rows of each group, ``(G,)``.
    n_features : P.
    """

    @property
    def keys(self) -> Ints: ...  # noqa: D102
    @property
    def count(self) -> Ints: ...  # noqa: D102
    @property
    def n_features(self) -> int: ...  # noqa: D102

    def chunks(self) -> Iterator[TrainingRows]:
        """All rows in the order of the keys, some whole groups at a time."""


class TrainingData(GroupedRows, Protocol):
    """All rows to train on.

    Attributes
    ----------
    mean_y : mean retention time of each group, ``(G,)``.
    seen : ids that stand in the rows.
    """

    @property
    def mean_y(self) -> Floats: ...  # noqa: D102
    @property
    def seen(self) -> Seen: ...  # noqa: D102


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

    @classmethod
    def of(cls, ids: dict[str, Ints], y: Floats, x: Floats, key_of_row: Ints) -> Self:
        """Rows that are in the order of their keys ``(N,)``."""
        start = np.flatnonzero(np.diff(key_of_row, prepend=-1))
        count = np.diff(start, append=key_of_row.size)
        return cls(ids, y, x, key_of_row[start], start, count)

    @property
    def n_features(self) -> int:
        """P."""
        return int(self.x.shape[1])

    @cached_property
    def mean_y(self) -> Floats:
        """Mean retention time of each group, ``(G,)``; equal times give that time."""
        first = self.y[self.start]
        away = self.y - np.repeat(first, self.count)
        return np.asarray(first + np.add.reduceat(away, self.start) / self.count)

    @cached_property
    def seen(self) -> Seen:
        """Ids that stand in the rows."""
        return see(self.ids)

    def runs(self, unit: str) -> Ints:
        """Ids that a fold keeps together: the run ``(N, 3)``, or the sample set ``(N, 1)``."""
        names = RUN_KEY if unit == "run" else RUN_KEY[:1]
        return np.column_stack([self.ids[name] for name in names])

    def chunks(self, values: int = CHUNK_VALUES) -> Iterator[TrainingRows]:
        """Whole groups with about `values` features at a time, as views."""
        rows = max(1, values // max(1, self.n_features))
        last = self.start + self.count
        begin = 0
        while begin < self.keys.size:
            end = int(np.searchsorted(last, self.start[begin] + rows, side="right"))
            end = max(end, begin + 1)
            yield self._groups(begin, end)
            begin = end

    def where(self, kept: npt.NDArray[np.bool_]) -> TrainingRows:
        """The rows marked in `kept` ``(N,)``; groups left without rows are gone."""
        count = np.add.reduceat(kept, self.start, dtype=np.int64)
        some = count > 0
        count = count[some]
        return TrainingRows(
            {name: ids[kept] for name, ids in self.ids.items()},
            self.y[kept],
            self.x[kept],
            self.keys[some],
            np.cumsum(count) - count,
            count,
        )

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

    def _groups(self, begin: int, end: int) -> TrainingRows:
        if begin == 0 and end == self.keys.size:
            return self
        origin = int(self.start[begin])
        part = slice(origin, int(self.start[end - 1] + self.count[end - 1]))
        groups = slice(begin, end)
        return replace(
            self,
            ids={name: ids[part] for name, ids in self.ids.items()},
            y=self.y[part],
            x=self.x[part],
            keys=self.keys[groups],
            start=self.start[groups] - origin,
            count=self.count[groups],
        )

    def _block(self, groups: Ints, m: int) -> Block:
        place = np.arange(m)
        present = place < self.count[groups, None]
        rows = np.where(present, self.start[groups, None] + place, 0)
        x, y = self.x[rows], self.y[rows]
        x[~present], y[~present] = 0.0, 0.0
        return Block(groups, rows, present, x, y)
