"""What is kept of the posterior of the compound tree for scoring, with shapes and units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.stored import HierarchyPosterior, Shapes, StoredPosterior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CompoundPosterior(StoredPosterior):
    """The compound tree; J nodes (supercategory, compound), d = P+1 entries of a vector.

    A *vector* is that of a node (J of them), of a compound where it has no node (K), or of the
    whole (1, last); an *effect* that of a species (C), of a species never seen of a supercategory
    (S), or of one of a supercategory never seen (1, last).

    Attributes
    ----------
    node_at : node of each supercategory and compound, -1 where none is trained, ``(S, K)``.
    node_comp : compound of each node, ``(J,)``.
    vector_mean, vector_cov_packed : of vectors, min and 1, ``(J+K+1, d)`` and lower triangles
        ``(J+K+1, d(d+1)/2)``.
    node_spread : variance of a node never trained about its compound, by supercategory and, last,
        of one never seen, ``(S+1, d)``.
    compound_spread : variance of a compound never trained about its chemistry, ``(d,)``.
    effect_mean, effect_variance : of effects, min and min², ``(C+S+1,)``.
    cross : Cov of a compound's vector with effects, ``(K, C+S+1, d)``: of its node in the
        supercategory of the effect where it has one, else its own.
    root_cross : Cov of the vector of the whole with effects, ``(C+S+1, d)``.
    root_theta, effect_theta : Cov of the vector of the whole, and of effects, with theta,
        ``(d, D)`` and ``(C+S+1, D)``.
    """

    node_at: Ints
    node_comp: Ints
    vector_mean: Floats
    vector_cov_packed: Floats
    node_spread: Floats
    compound_spread: Floats
    effect_mean: Floats
    effect_variance: Floats
    cross: Floats
    root_cross: Floats
    root_theta: Floats
    effect_theta: Floats

    tree: ClassVar[str] = "compounds"

    @property
    def species_effects(self) -> Floats:
        """Mean effects of species, then of supercategories, then 0, ``(C+S+1,)``."""
        return self.effect_mean

    @property
    def group_levels(self) -> Floats:
        """The mean intercept of the node of each group, ``(G,)``."""
        of_species = np.repeat(self.supercat_of, np.diff(self.species_start))
        return np.asarray(self.vector_mean[self.vector_of(of_species, self.comp_of), 0])

    def vector_of(self, supercategory: Ints, comp: Ints) -> Ints:
        """Vectors of pairs ``(n,)``; S is a supercategory never seen, -1 a compound never seen."""
        j, (s, k) = self.node_comp.size, self.node_at.shape
        node = np.where(supercategory < s, self.node_at[np.minimum(supercategory, s - 1), comp], -1)
        return np.select([comp < 0, node >= 0], [np.full(comp.size, j + k), node], j + comp)

    def shapes(self, features: int) -> Shapes:
        """Arrays by name with the shapes that they must have."""
        c, s, k = self.species.size, self.supercategories.size, self.comps.size
        d, j, chem = features + 1, self.node_comp.size, self.theta.size
        return super().shapes(features) | {
            "node_at": (self.node_at, (s, k)),
            "vector_mean": (self.vector_mean, (j + k + 1, d)),
            "vector_cov_packed": (self.vector_cov_packed, (j + k + 1, d * (d + 1) // 2)),
            "node_spread": (self.node_spread, (s + 1, d)),
            "compound_spread": (self.compound_spread, (d,)),
            "effect_mean": (self.effect_mean, (c + s + 1,)),
            "effect_variance": (self.effect_variance, (c + s + 1,)),
            "cross": (self.cross, (k, c + s + 1, d)),
            "root_cross": (self.root_cross, (c + s + 1, d)),
            "root_theta": (self.root_theta, (d, chem)),
            "effect_theta": (self.effect_theta, (c + s + 1, chem)),
        }


AnyPosterior = HierarchyPosterior | CompoundPosterior
"""The posterior of a hierarchical model, of either tree."""
