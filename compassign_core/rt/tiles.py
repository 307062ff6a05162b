"""Streams of rows cut into tiles of one size, so that sums do not depend on how they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Sequence[npt.NDArray[Any]]

TILE_ROWS = 1 << 13
"""Rows of a tile. Changing it changes the last digits of sums over all rows."""


def retiled(
    parts: Iterable[Arrays], rows: int = TILE_ROWS
) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """The same rows in tiles of exactly `rows`, the last one shorter.

    Every part holds the same columns, arrays of equal length.
    """
    held: list[Arrays] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part[0])
        if size < rows:
            continue
        joined = joined_columns(held)
        full = size - size % rows
        for begin in range(0, full, rows):
            yield tuple(column[begin : begin + rows] for column in joined)
        held = [tuple(column[full:] for column in joined)]
        size -= full
    if size:
        yield joined_columns(held)


def joined_columns(parts: Sequence[Arrays]) -> tuple[npt.NDArray[Any], ...]:
    """Columns of all parts, one after another."""
    if len(parts) == 1:
        return tuple(parts[0])
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
