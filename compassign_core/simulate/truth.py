"""What is true of a simulated export: its counts and the coefficients behind its times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.simulate import SimulationSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of one library; K supercategories, S species, C comps, P covariates.

    With run r of species s in supercategory k, and d_r the deviations of its standards from
    their means, the retention time of comp c in minutes is::

        base_c + supercategory_k + species_s + pair_sc + slope_kc . d_r + N(0, noise_sd^2)

    Attributes
    ----------
    base : shape ``(C,)``.
    supercategory, species : offsets, shapes ``(K,)`` and ``(S,)``.
    pair : offsets, shape ``(S, C)``.
    slopes : shape ``(K, C, P)``, minutes for a minute.
    standard_mean : shape ``(P,)``.
    noise_sd : minutes.
    supercategory_of : supercategory of each species, shape ``(S,)``.
    covariates : names of the P columns.
    """

    base: Floats
    supercategory: Floats
    species: Floats
    pair: Floats
    slopes: Floats
    standard_mean: Floats
    noise_sd: float
    supercategory_of: Ints
    covariates: tuple[str, ...]

    def expected_rt(self, species: Ints, comp: Ints, deviation: Floats) -> Floats:
        """Noise-free retention times ``(n,)`` in minutes.

        Parameters
        ----------
        species, comp : indices ``(n,)``, from 0.
        deviation : standards minus `standard_mean`, shape ``(n, P)``.
        """
        k = self.supercategory_of[species]
        offsets: Floats = self.supercategory[k] + self.species[species] + self.pair[species, comp]
        drift: Floats = np.einsum("np,np->n", self.slopes[k, comp], deviation)
        return self.base[comp] + offsets + drift


@dataclass(frozen=True)
class LibraryTruth:
    """What a correct preparation finds in one library of the export.

    "Complete" rows are those with a kept status and sample type; all have covariates.

    Attributes
    ----------
    lib : library id.
    rows_raw, rows_complete : peak rows before and after status and sample type are looked at.
    filtered : rows refused by reason; a row with both faults counts under its status.
    pair_rows : complete rows of each (species, comp), shape ``(S, C)``.
    set_pair_rows : the same by sample set, shape ``(sample sets, C)``.
    set_species : species index of each sample set.
    runs : runs with complete rows.
    nulls : null cells of each covariate column.
    species_labels, supercategory_labels, sample_set_ids, comp_ids : names by index.
    comp_chem : chemical of each comp, -1 for none, shape ``(C,)``.
    has_smiles : whether that chemical has a structure, shape ``(C,)``.
    coefficients : how the times were made.
    """

    lib: int
    rows_raw: int
    rows_complete: int
    filtered: Mapping[str, int]
    pair_rows: Ints
    set_pair_rows: Ints
    set_species: Ints
    runs: int
    nulls: Mapping[str, int]
    species_labels: tuple[str, ...]
    supercategory_labels: tuple[str, ...]
    sample_set_ids: tuple[int, ...]
    comp_ids: Ints
    comp_chem: Ints
    has_smiles: npt.NDArray[np.bool_]
    coefficients: Coefficients

    @property
    def pairs(self) -> int:
        """(species, comp) pairs with complete rows."""
        return int(np.count_nonzero(self.pair_rows))

    @property
    def comps(self) -> int:
        """Comps with complete rows."""
        return int(np.count_nonzero(self.pair_rows.sum(axis=0)))

    @property
    def species(self) -> int:
        """Species with complete rows."""
        return int(np.count_nonzero(self.pair_rows.sum(axis=1)))

    @property
    def sample_sets(self) -> int:
        """Sample sets with complete rows."""
        return int(np.count_nonzero(self.set_pair_rows.sum(axis=1)))

    def rows_at_cap(self, cap: int) -> int:
        """Rows kept at a cap without hold-out."""
        return int(np.minimum(self.pair_rows, cap).sum())

    def mapped_at_cap(self, cap: int) -> int:
        """Of these, rows with a chemical."""
        return int(np.minimum(self.pair_rows, cap)[:, self.comp_chem >= 0].sum())

    def classed_at_cap(self, cap: int) -> int:
        """Of these, rows whose chemical has a structure, hence a class."""
        return int(np.minimum(self.pair_rows, cap)[:, self.has_smiles].sum())


@dataclass(frozen=True)
class ExportTruth:
    """A written export and what is true of its libraries.

    Attributes
    ----------
    folder : where it stands.
    libraries_file : its `libraries.toml`.
    settings : what it was made from.
    libraries : truth by library id.
    n_structures, n_with_smiles : chemicals in `structures.parquet`, and those with SMILES.
    """

    folder: Path
    libraries_file: Path
    settings: SimulationSettings
    libraries: Mapping[int, LibraryTruth]
    n_structures: int
    n_with_smiles: int
