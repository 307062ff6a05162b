"""What is kept of a posterior for scoring, with shapes and units; NumPy alone.

How it is computed stands in `posterior`, how rows are scored with it in `predictive`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HierarchyPosterior:
    """G groups, C species, S supercategories, K compounds; P features, D descriptors.

    A *node* is a species (C of them), a species never seen of a supercategory (S), or one of a
    supercategory never seen (1, last), in this order; d is P+1, or 1 without a slope head.

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
    node_mean, node_cov : of the coefficients of a node, ``(C+S+1, d)`` and ``(C+S+1, d, d)``.
    gain, eb : G_c ``(C, d, d)`` and columns of E_cB_c by group ``(G, d)``: factors of the
        covariance of species and compounds, which is C d K numbers when written out.
    cross : Cov of the coefficients of supercategories, then the root, with compounds,
        ``(S+1, d, K)``.
    alpha, alpha_cov : compound effects, min, ``(K,)`` and ``(K, K)``.
    theta, theta_cov : chemistry weights, ``(D,)`` and ``(D, D)``.
    node_theta : Cov of a node's coefficients and theta, ``(C+S+1, d, D)``.
    chem_id, chem_z : descriptors of the chemicals, ``(M,)`` and ``(M, D)``.
    tau_comp2 : spread of compounds about their chemistry, min².
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
    node_mean: Floats
    node_cov: Floats
    gain: Floats
    eb: Floats
    cross: Floats
    alpha: Floats
    alpha_cov: Floats
    theta: Floats
    theta_cov: Floats
    node_theta: Floats
    chem_id: Ints
    chem_z: Floats
    tau_comp2: float
    plain_variance: float
    pair_psi: Floats
    pair_tau_b2: Floats
    pair_variance: Floats
    pair_df: Floats
    new_psi: float
    new_tau_b2: float
    new_variance: float
    new_df: float
