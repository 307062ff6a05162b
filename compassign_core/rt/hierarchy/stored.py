"""What is kept of a posterior for scoring, with shapes and units; NumPy alone.

How it is computed stands in `posterior`, how rows are scored with it in `predictive`. That of the
compound tree stands in `compound_tree.stored`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Shapes = dict[str, tuple[npt.NDArray[Any], tuple[int, ...]]]


@dataclass(frozen=True, eq=False)
class StoredPosterior:
    """What every tree keeps: G groups, C species, S supercategories, K compounds, D descriptors.

    Attributes
    ----------
    keys, species, supercategories, comps : ids, sorted, as in `tree.Hierarchy`.
    supercat_of : supercategory of each species, ``(C,)``.
    species_start : first group of each species, ``(C+1,)``.
    comp_of : compound of each group, ``(G,)``.
    pooled : whether intercepts are pooled, so that groups never trained can be scored.
    beta_mean : E[beta_g], min and 1, ``(G, P+1)``.
    beta_cov_packed : lower triangles of Cov(beta_g), ``(G, (P+1)(P+2)/2)``.
    noise_variance, noise_df : of the groups, ``(G,)``.
    theta, theta_cov : chemistry weights, ``(D,)`` and ``(D, D)``.
    chem_id, chem_z : descriptors of the chemicals, ``(M,)`` and ``(M, D)``.
    plain_variance : what chemistry adds to the variance of a compound without descriptors, min².
    pair_psi, pair_tau_b2, pair_variance, pair_df : spreads and noise of an untrained group of each
        compound, ``(K,)``.
    new_psi, new_tau_b2, new_variance, new_df : the same of a compound never seen.
    """

    keys: Ints
    species: Ints
    supercategories: Ints
    comps: Ints
    supercat_of: Ints
    species_start: Ints
    comp_of: Ints
    pooled: bool
    beta_mean: Floats
    beta_cov_packed: Floats
    noise_variance: Floats
    noise_df: Floats
    theta: Floats
    theta_cov: Floats
    chem_id: Ints
    chem_z: Floats
    plain_variance: float
    pair_psi: Floats
    pair_tau_b2: Floats
    pair_variance: Floats
    pair_df: Floats
    new_psi: float
    new_tau_b2: float
    new_variance: float
    new_df: float

    tree: ClassVar[str]

    @property
    def species_effects(self) -> Floats:
        """Mean intercepts of species, then of supercategories, then of the whole, ``(C+S+1,)``."""
        raise NotImplementedError

    @property
    def group_levels(self) -> Floats:
        """What is in the mean intercept of each group besides that of its species, ``(G,)``."""
        raise NotImplementedError

    def shapes(self, features: int) -> Shapes:
        """Arrays by name with the shapes that they must have."""
        g, c, k, chem = self.keys.size, self.species.size, self.comps.size, self.theta.size
        q = features + 1
        return {
            "beta_mean": (self.beta_mean, (g, q)),
            "beta_cov_packed": (self.beta_cov_packed, (g, q * (q + 1) // 2)),
            "noise_variance": (self.noise_variance, (g,)),
            "noise_df": (self.noise_df, (g,)),
            "comp_of": (self.comp_of, (g,)),
            "supercat_of": (self.supercat_of, (c,)),
            "species_start": (self.species_start, (c + 1,)),
            "theta_cov": (self.theta_cov, (chem, chem)),
            "chem_z": (self.chem_z, (self.chem_id.size, chem)),
            "pair_psi": (self.pair_psi, (k,)),
            "pair_tau_b2": (self.pair_tau_b2, (k,)),
            "pair_variance": (self.pair_variance, (k,)),
            "pair_df": (self.pair_df, (k,)),
        }


@dataclass(frozen=True, eq=False)
class HierarchyPosterior(StoredPosterior):
    """The tree of species; P features.

    A *node* is a species (C of them), a species never seen of a supercategory (S), or one of a
    supercategory never seen (1, last), in this order; d is P+1, or 1 without a slope head.

    Attributes
    ----------
    node_mean, node_cov : of the coefficients of a node, ``(C+S+1, d)`` and ``(C+S+1, d, d)``.
    gain, eb : G_c ``(C, d, d)`` and columns of E_cB_c by group ``(G, d)``: factors of the
        covariance of species and compounds, which is C d K numbers when written out.
    cross : Cov of the coefficients of supercategories, then the root, with compounds,
        ``(S+1, d, K)``.
    alpha, alpha_cov : compound effects, min, ``(K,)`` and ``(K, K)``.
    node_theta : Cov of a node's coefficients and theta, ``(C+S+1, d, D)``.
    tau_comp2 : spread of compounds about their chemistry, min².
    """

    node_mean: Floats
    node_cov: Floats
    gain: Floats
    eb: Floats
    cross: Floats
    alpha: Floats
    alpha_cov: Floats
    node_theta: Floats
    tau_comp2: float

    tree: ClassVar[str] = "species"

    @property
    def species_effects(self) -> Floats:
        """Mean intercepts of species, then of supercategories, then of the whole, ``(C+S+1,)``."""
        return np.asarray(self.node_mean[:, 0])

    @property
    def group_levels(self) -> Floats:
        """The effect of the compound of each group, ``(G,)``."""
        return np.asarray(self.alpha[self.comp_of])

    def shapes(self, features: int) -> Shapes:
        """Arrays by name with the shapes that they must have."""
        g, c, s, k = (x.size for x in (self.keys, self.species, self.supercategories, self.comps))
        d, n_nodes = self.node_mean.shape[1], c + s + 1
        return super().shapes(features) | {
            "eb": (self.eb, (g, d)),
            "node_mean": (self.node_mean, (n_nodes, d)),
            "node_cov": (self.node_cov, (n_nodes, d, d)),
            "gain": (self.gain, (c, d, d)),
            "cross": (self.cross, (s + 1, d, k)),
            "alpha": (self.alpha, (k,)),
            "alpha_cov": (self.alpha_cov, (k, k)),
            "node_theta": (self.node_theta, (n_nodes, d, self.theta.size)),
        }
