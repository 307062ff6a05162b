"""Nodes of the compound tree, and batches of nodes of like size.

Belongs here: indices only. A batch holds nodes of about the same number of groups and of rows of
statistics, so that little is padding, and few enough of them to stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse

from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_GROWTH = 1.25
"""Largest ratio of sizes within a batch, but for rounding."""

_BATCH_VALUES = 1 << 17
"""Numbers of the largest array of a batch (1 MiB)."""


@dataclass(frozen=True, eq=False)
class Padded:
    """Members of B units as a rectangle: indices ``(B, m)``, 0 where there is none."""

    at: Ints
    real: Bools


@dataclass(frozen=True, eq=False)
class Batch:
    """B units of one level.

    Attributes
    ----------
    units : nodes or compounds, rising, ``(B,)``.
    groups : groups below each unit.
    rows : eigenvectors below each unit; none for compounds.
    species : species of `groups.at`, ``(B, m)``.
    pairs : where the products of two groups of one unit are added, as flat indices of a
        ``(C+D, C+D)`` matrix, in the order of ``real[:, :, None] & real[:, None, :]``.
    parents, of_parent : the units above, and which are below them, sparse ``(U, B)``.
    """

    units: Ints
    groups: Padded
    rows: Padded
    species: Ints
    pairs: Ints
    parents: Ints
    of_parent: Any

    def summed(self, values: Floats) -> Floats:
        """Sums over the units of each parent of values ``(B, ...)``."""
        found = self.of_parent @ values.reshape(self.units.size, -1)
        return np.asarray(found).reshape(self.parents.size, *values.shape[1:])

    @property
    def both(self) -> Bools:
        """Pairs of groups that are both there, ``(B, m, m)``."""
        return self.groups.real[:, :, None] & self.groups.real[:, None, :]


@dataclass(frozen=True, eq=False)
class Layout:
    """J nodes (supercategory, compound) with groups below them, under K compounds.

    Attributes
    ----------
    node_comp, node_super : compound and supercategory of each node, ``(J,)``, sorted by both.
    node_of : node of each group, ``(G,)``.
    nodes, compounds : batches of both levels; compounds without groups are among them.
    """

    node_comp: Ints
    node_super: Ints
    node_of: Ints
    nodes: tuple[Batch, ...]
    compounds: tuple[Batch, ...]

    @classmethod
    def of(cls, tree: Hierarchy, rank: Ints, features: int) -> Self:
        """Nodes of the groups of `tree`, which have `rank` eigenvectors each, ``(G,)``."""
        _, n_species, n_super, k = tree.sizes
        width = n_species + tree.z.shape[1]
        key = tree.comp_of * n_super + tree.supercat_of[tree.species_of]
        nodes, node_of = np.unique(key, return_inverse=True)
        none = np.zeros(0, dtype=np.int64)
        node_comp = nodes // n_super
        row_node = np.repeat(node_of, rank)
        members = (node_of, row_node), (tree.comp_of, none)
        parents = node_comp, np.zeros(k, dtype=np.int64)
        d = features + 1
        return cls(
            node_comp,
            nodes % n_super,
            node_of,
            *(
                _batches(owner, above, tree.species_of, width, d)
                for owner, above in zip(members, parents, strict=True)
            ),
        )


def _batches(
    owners: tuple[Ints, Ints], above: Ints, species_of: Ints, width: int, d: int
) -> tuple[Batch, ...]:
    """Batches of the units that own groups and rows, `owners` of each, below units `above`."""
    size = above.size
    lists = [_members(owner, size) for owner in owners]
    counts = [np.diff(start) for _, start in lists]
    of_class = [_size_class(count) for count in counts]
    order = np.lexsort((np.arange(size), of_class[1], of_class[0]))
    changed = (np.diff(of_class[0][order]) != 0) | (np.diff(of_class[1][order]) != 0)
    made: list[Batch] = []
    for units in np.split(order, np.flatnonzero(changed) + 1):
        most = [int(count[units].max(initial=0)) for count in counts]
        step = max(1, _BATCH_VALUES // max(d * d, most[0] * max(most[0], d), most[1] * d))
        for begin in range(0, units.size, step):
            part = units[begin : begin + step]
            groups, rows = (_padded(*both, part) for both in lists)
            species = species_of[groups.at] if species_of.size else groups.at
            real = groups.real[:, :, None] & groups.real[:, None, :]
            flat = (species[:, :, None] * width + species[:, None, :])[real]
            parents, first = np.unique(above[part], return_index=True)
            start = np.append(first, part.size)
            ones = (np.ones(part.size), np.arange(part.size), start)
            below = scipy.sparse.csr_matrix(ones, (parents.size, part.size))
            made.append(Batch(part, groups, rows, species, flat, parents, below))
    return tuple(made)


def _size_class(count: Ints) -> Ints:
    """Classes of counts: 0, 1, 2, 3, 4, 5-6, 7 ... of like sizes."""
    logs = np.log(np.maximum(count, 1)) / np.log(_GROWTH)
    return np.where(count == 0, -1, np.floor(logs + 1e-9)).astype(np.int64)


def _members(owner: Ints, size: int) -> tuple[Ints, Ints]:
    """Members by owner, and the first of each of `size` owners, and all at the end."""
    order = np.argsort(owner, kind="stable")
    return order, np.searchsorted(owner[order], np.arange(size + 1))


def _padded(order: Ints, start: Ints, units: Ints) -> Padded:
    count = np.diff(start)[units]
    real = np.arange(count.max(initial=0)) < count[:, None]
    at = np.where(real, start[units][:, None] + np.arange(real.shape[1]), 0)
    return Padded(order[at] if order.size else at, real)
