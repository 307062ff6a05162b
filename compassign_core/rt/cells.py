"""Cells of held-out rows, the slices that they add up to, and sums by cell.

Rows that are alike in all that slices look at share a cell; what is summed by cell can be summed
up to any slice later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BIN_EDGES, SUPPORT_BINS, TAIL_LEVELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FACETS = ("species_cluster", "species", "support_bin", "novelty")
PAIR_FACET = "pair_support_bin"
"""What cells are told apart by, beside the model; the last where a table has it."""

_TAIL = {
    **dict.fromkeys(SUPPORT_BINS, TAIL_LEVELS[2]),
    **{
        label: TAIL_LEVELS[1]
        for label, edge in zip(SUPPORT_BINS, SUPPORT_BIN_EDGES, strict=False)
        if edge <= 5
    },
    SUPPORT_BINS[0]: TAIL_LEVELS[0],
}
_LEVELS: Mapping[str, Callable[[Mapping[str, list[Any]]], list[str]]] = {
    "overall": lambda cells: ["all"] * len(cells["model"]),
    "support_bin": lambda cells: [str(v) for v in cells["support_bin"]],
    "supercategory": lambda cells: [str(v) for v in cells["species_cluster"]],
    "species": lambda cells: [str(v) for v in cells["species"]],
    "novelty": lambda cells: [str(v) for v in cells["novelty"]],
    "pair_support": lambda cells: [str(v) for v in cells[PAIR_FACET]],
    "tail": lambda cells: [_TAIL[v] for v in cells[PAIR_FACET]],
    "supercategory_support": lambda cells: [
        f"{cluster} / {label}"
        for cluster, label in zip(cells["species_cluster"], cells[PAIR_FACET], strict=True)
    ],
}
_BY_PAIRS = ("pair_support", "tail", "supercategory_support")


@dataclass(frozen=True)
class Slice:
    """One way to group cells.

    Attributes
    ----------
    name : name of the slice.
    levels : its sorted values, L of them.
    code : position of each cell's value among them, ``(C,)``.
    """

    name: str
    levels: list[str]
    code: Ints

    def total(self, by_cell: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sums by level ``(L, …)`` of sums by cell ``(C, …)``, added in the order of cells."""
        made = np.zeros((len(self.levels), *by_cell.shape[1:]), dtype=by_cell.dtype)
        np.add.at(made, self.code, by_cell)
        return made


def slices_of(cells: Mapping[str, list[Any]], names: Iterable[str]) -> list[Slice]:
    """Slices of cells given as columns; those by rows of the pair only where cells tell them."""
    made = []
    for name in names:
        if name in _BY_PAIRS and PAIR_FACET not in cells:
            continue
        levels, code = np.unique(np.array(_LEVELS[name](cells), dtype=str), return_inverse=True)
        made.append(Slice(name, [str(level) for level in levels], code.astype(np.int64)))
    return made


class CellSums:
    """Sums by cell, ``(C, M)``, added row after row: equal bytes whatever the size of batches."""

    def __init__(self, n_cells: int, n_measures: int) -> None:
        self.values = np.zeros((n_cells, n_measures))

    def add(self, cell: Ints, measures: Sequence[Floats]) -> None:
        """Add each of the M `measures` ``(n,)`` to the cells ``(n,)`` of its rows."""
        n_cells = self.values.shape[0]
        # the sums so far come first in each cell, so additions happen in the order of rows
        place = np.concatenate([np.arange(n_cells), cell])
        for m, measure in enumerate(measures):
            self.values[:, m] = np.bincount(
                place, weights=np.concatenate([self.values[:, m], measure]), minlength=n_cells
            )
