"""What stands in training rows: runs, pairs, species with supercategory, comps with chemistry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import RUN_KEY, first, group_keys
from compassign_core.rt.folds import keyed_hash

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Seen:
    """Ids that occur in some rows.

    Attributes
    ----------
    pairs : (species, comp) pairs, ``(species << 32) + comp_id``, sorted.
    species, species_cluster : species, sorted, and their supercategories.
    comps, compound, compound_class : comps, sorted, with chemical and class.
    runs : runs ``(U, 3)``, in the order of a hash.
    """

    pairs: Ints
    species: Ints
    species_cluster: Ints
    comps: Ints
    compound: Ints
    compound_class: Ints
    runs: Ints

    def units(self, unit: str) -> Ints:
        """What folds keep together: runs ``(U, 3)``, or sample sets ``(U, 1)``, with repeats."""
        return self.runs if unit == "run" else self.runs[:, :1]

    def arrays(self) -> dict[str, Any]:
        """What a trained model stores of it, by field name."""
        return {
            "pairs": self.pairs,
            "species": self.species,
            "species_cluster": self.species_cluster,
            "comps": self.comps,
            "compound": self.compound,
            "compound_class": self.compound_class,
        }


def see(ids: dict[str, Ints]) -> Seen:
    """What occurs in rows with these ids, each ``(N,)``.

    An id with two parents stands twice; `together` refuses it.
    """
    species, cluster = _distinct([ids["species"], ids["species_cluster"]])
    comps, compound, compound_class = _distinct(
        [ids["comp_id"], ids["compound"], ids["compound_class"]]
    )
    return Seen(
        np.unique(group_keys(ids["species"], ids["comp_id"])),
        species,
        cluster,
        comps,
        compound,
        compound_class,
        _distinct_runs(np.column_stack([ids[name] for name in RUN_KEY])),
    )


def together(parts: Sequence[Seen], source: str) -> Seen:
    """What occurs in all parts.

    Raises
    ------
    InputError
        when a species has two supercategories or a comp two chemicals or classes; it names the
        `source`.
    """

    def joined(*names: str) -> list[Ints]:
        return [np.concatenate([getattr(part, name) for part in parts]) for name in names]

    species, cluster = _distinct(joined("species", "species_cluster"))
    comps, compound, compound_class = _distinct(joined("comps", "compound", "compound_class"))
    _refuse_torn("species", ("species_cluster",), species, source)
    _refuse_torn("comp_id", ("compound", "compound_class"), comps, source)
    (pairs,), (runs,) = joined("pairs"), joined("runs")
    return Seen(
        np.unique(pairs), species, cluster, comps, compound, compound_class, _distinct_runs(runs)
    )


def _distinct(columns: Sequence[Ints]) -> list[Ints]:
    """Distinct values of the first column, sorted, with what stands beside them.

    A value beside which other things stand too is repeated for each of these rows.
    """
    values, at, code = np.unique(columns[0], return_index=True, return_inverse=True)
    other = np.zeros(code.size, dtype=np.bool_)
    for column in columns[1:]:
        other |= column != column[at][code]
    if not other.any():
        return [values, *(column[at] for column in columns[1:])]
    at = np.concatenate([at, np.flatnonzero(other)])
    return list(np.unique(np.column_stack([column[at] for column in columns]), axis=0).T)


def _distinct_runs(runs: Ints) -> Ints:
    """Distinct rows of ``(n, 3)``, told apart by a 64-bit hash."""
    return runs[np.unique(keyed_hash(runs, 0), return_index=True)[1]]


def _refuse_torn(child: str, parents: tuple[str, ...], values: Ints, source: str) -> None:
    distinct, counts = np.unique(values, return_counts=True)
    torn = distinct[counts > 1]
    if torn.size:
        raise InputError(
            f"{source}: {torn.size} value(s) of {child} have more than one "
            f"({', '.join(parents)}): {first(torn.tolist())}.",
            f"correct the mapping so that each {child} has exactly one.",
        )
