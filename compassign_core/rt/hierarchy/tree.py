"""Who belongs to whom: groups, their species and compounds, supercategories, descriptors.

Belongs here: indices and the descriptors of compounds. Not here: rows and their statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import split_group_keys
from compassign_core.rt.rows import TrainingData
from compassign_core.rt.support import lookup

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Descriptors of M chemicals.

    Attributes
    ----------
    chem_id : sorted, ``(M,)``.
    z : descriptors, ``(M, D)``; D is 0 in a model without chemistry.
    """

    chem_id: Ints
    z: Floats

    @classmethod
    def none(cls) -> Self:
        """No chemicals, no descriptors."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros((0, 0)))

    @classmethod
    def of(cls, table: Any) -> Self:
        """From an Arrow table with the columns of `CHEM_DESCRIPTORS`.

        Raises
        ------
        InputError
            when a column is missing, a chemical stands twice, or a descriptor is not a finite
            number or of another length.
        """
        missing = [name for name in ("chem_id", "embedding20") if name not in table.column_names]
        if missing:
            raise InputError(
                f"the descriptors lack the column(s) {', '.join(missing)}.",
                "give a table with chem_id and embedding20, as chem_descriptors has.",
            )
        chem_id = np.asarray(table["chem_id"].to_numpy(), dtype=np.int64)
        lists = table["embedding20"].combine_chunks()
        lengths = set(lists.value_lengths().to_pylist()) if chem_id.size else {0}
        if len(lengths) > 1 or None in lengths:
            raise InputError(
                f"embedding20 has lists of {len(lengths)} different lengths.",
                "make the descriptors of all chemicals in one go.",
            )
        width = int(next(iter(lengths)))
        values = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
        order = np.argsort(chem_id, kind="stable")
        made = cls(chem_id[order], values.reshape(chem_id.size, width)[order])
        twice = int((np.diff(made.chem_id) == 0).sum())
        bad = int((~np.isfinite(made.z)).any(axis=1).sum())
        if twice or bad:
            raise InputError(
                f"the descriptors name {twice} chemicals twice and have {bad} rows that are not "
                "finite numbers (column embedding20).",
                "give one row of finite numbers for each chem_id.",
            )
        return made

    def rows(self, chem_id: Ints) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Descriptors of `chem_id`, zero where unknown, ``(n, D)``, and whether they are known."""
        at = lookup(self.chem_id, chem_id)
        known = at >= 0
        z = np.zeros((chem_id.size, self.z.shape[1]))
        z[known] = self.z[at[known]]
        return z, known


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """G groups of C species in S supercategories and K compounds.

    Attributes
    ----------
    keys : group keys, sorted, hence by species, ``(G,)``.
    species_of : species of each group, ``(G,)``.
    comp_of : compound of each group, ``(G,)``.
    supercat_of : supercategory of each species, ``(C,)``.
    species, supercategories, comps : their ids, sorted, ``(C,)``, ``(S,)``, ``(K,)``.
    z : descriptors of the compounds less their mean, zero where unknown, ``(K, D)``.
    described : whether a compound has descriptors, ``(K,)``.
    offset : mean retention time of each compound, taken off y: an exact change of variables that
        keeps residuals of milliseconds apart from minutes, ``(K,)``.
    embeddings : descriptors of all chemicals about the same mean, for compounds never trained.
    """

    keys: Ints
    species_of: Ints
    comp_of: Ints
    supercat_of: Ints
    species: Ints
    supercategories: Ints
    comps: Ints
    z: Floats
    described: npt.NDArray[np.bool_]
    offset: Floats
    embeddings: Embeddings

    @classmethod
    def of(cls, data: TrainingData, group_col: str, embeddings: Embeddings) -> Self:
        """The hierarchy of the groups of `data`; a supercategory as a group is its own species."""
        group_id, comp_id = split_group_keys(data.keys)
        seen = data.seen
        species, cluster = seen.species, seen.species_cluster
        if group_col == "species_cluster":
            species = cluster = np.unique(cluster)
        supercategories, supercat_of = np.unique(cluster, return_inverse=True)
        comp_of = np.searchsorted(seen.comps, comp_id)
        z, described = embeddings.rows(seen.compound)
        centre = z[described].mean(axis=0) if described.any() else np.zeros(z.shape[1])
        return cls(
            keys=data.keys,
            species_of=np.searchsorted(species, group_id),
            comp_of=comp_of,
            supercat_of=supercat_of.astype(np.int64),
            species=species,
            supercategories=supercategories,
            comps=seen.comps,
            z=np.where(described[:, None], z - centre, 0.0),
            described=described,
            offset=_means(comp_of, data.mean_y, data.count, seen.comps.size),
            embeddings=replace(embeddings, z=embeddings.z - centre),
        )

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """G, C, S and K."""
        return self.keys.size, self.species.size, self.supercategories.size, self.comps.size

    @property
    def species_start(self) -> Ints:
        """First group of each species, and G at the end, ``(C+1,)``."""
        return np.searchsorted(self.species_of, np.arange(self.species.size + 1))

    def of_groups(self, groups: Ints) -> Self:
        """Some groups in the same tree: species and compounds stay, also those left without."""
        return replace(
            self,
            keys=self.keys[groups],
            species_of=self.species_of[groups],
            comp_of=self.comp_of[groups],
        )

    def of_comps(self, kept: npt.NDArray[np.bool_]) -> tuple[Self, Ints]:
        """The tree of some compounds only, marked in ``(K,)``, and the groups that stay."""
        groups = np.flatnonzero(kept[self.comp_of])
        place = np.cumsum(kept) - 1
        smaller = self.of_groups(groups)
        return replace(
            smaller,
            comp_of=place[smaller.comp_of],
            comps=self.comps[kept],
            z=self.z[kept],
            described=self.described[kept],
            offset=self.offset[kept],
        ), groups


def _means(unit: Ints, mean: Floats, count: Ints, size: int) -> Floats:
    """Mean of each unit ``(size,)`` from means and counts of its groups.

    Sums of deviations from the first group's mean: equal times give that time.
    """
    first = np.unique(unit, return_index=True)[1]
    total = np.bincount(unit, count * (mean - mean[first][unit]), minlength=size)
    return np.asarray(mean[first] + total / np.bincount(unit, count, minlength=size))
