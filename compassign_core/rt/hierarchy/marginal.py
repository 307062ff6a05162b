"""The exact log marginal likelihood: groups, species, supercategories, root, compounds in turn.

The operation at every node is that of `levels`. Elimination ends in one dense K x K system of the
compounds. A node vector has d = P+1 entries (intercept first), or 1 in a model without a slope
head. The tree with the roles of species and compound exchanged is `compound_tree`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from compassign_core.rt.hierarchy.groups import Groups, GroupVariances, eliminate_groups, summed
from compassign_core.rt.hierarchy.levels import Level, eliminate, syrk
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Variances(GroupVariances):
    """All variances of the model.

    Attributes
    ----------
    species : T_c of each species, by component, ``(C, d)``.
    supercategory, root : T_s and T_0, by component, ``(d,)``.
    tau_comp2 : compounds about their chemistry.
    theta2 : chemistry weights.
    """

    species: Floats
    supercategory: Floats
    root: Floats
    tau_comp2: float
    theta2: float


@dataclass(frozen=True, eq=False)
class Compounds:
    """The K x K system: its Cholesky factor, right side and prior precision."""

    chol: Floats  # (K, K) lower
    solved: Floats  # (K,) chol^-1 d~
    q_inverse: Floats  # (K, K)
    z_k: Floats  # (D, K) (Z'Z + tau_comp²/s_theta²)^-1 Z'


@dataclass(frozen=True, eq=False)
class Forward:
    """All that elimination leaves behind, and the log marginal likelihood."""

    variances: Variances
    groups: Groups
    species: Level
    eb: Floats  # (G, d) columns of E_c B_c, one a group
    supercategory: Level
    eb_s: Floats  # (S, d, K)
    root: Level
    eb_0: Floats  # (d, K)
    compounds: Compounds
    log_marginal: float


def forward(spectra: Spectra, tree: Hierarchy, v: Variances) -> Forward:
    """Eliminate everything; the log marginal likelihood of y given the variances."""
    groups = eliminate_groups(spectra, v)
    n_c, nu_c = _species_sums(spectra, tree, groups, v.species.shape[1])
    species = eliminate(n_c, nu_c, v.species)
    k = tree.sizes[3]
    precision = np.diag(summed(tree.comp_of, groups.m_bb, k))
    right = summed(tree.comp_of, groups.v_b, k)
    eb, n_s, nu_s, b_s = _species_to_supercategories(tree, groups, species, v, precision, right)
    supercategory = eliminate(n_s, nu_s, np.broadcast_to(v.supercategory, nu_s.shape))
    up = 1.0 / v.supercategory
    w_s = supercategory.gm @ b_s  # (S, d, K)
    eb_s = supercategory.gm.transpose(0, 2, 1) @ w_s
    n_0, nu_0 = supercategory.n_up.sum(axis=0), (up * supercategory.nu_e).sum(axis=0)
    root = eliminate(n_0[None], nu_0[None], v.root[None])
    w_0 = root.gm[0] @ (up[:, None] * eb_s.sum(axis=0))  # (d, K)
    stacked = np.concatenate([w_s.reshape(-1, k), w_0])
    precision -= syrk(stacked)
    right -= stacked.T @ np.concatenate([supercategory.w.ravel(), root.w[0]])
    compounds, logdet, quad = _eliminate_compounds(tree, v, precision, right)
    levels = (species, supercategory, root)
    logdet += groups.logdet + sum(level.logdet for level in levels)
    quad += float(groups.c.sum()) - sum(float((level.w**2).sum()) for level in levels)
    log_marginal = -0.5 * (float(spectra.n.sum()) * LOG_2PI + logdet + quad)
    return Forward(
        v, groups, species, eb, supercategory, eb_s, root, root.gm[0].T @ w_0, compounds,
        log_marginal,
    )  # fmt: skip


def _species_sums(
    spectra: Spectra, tree: Hierarchy, groups: Groups, d: int
) -> tuple[Floats, Floats]:
    """N_c ``(C, d, d)`` and nu_c ``(C, d)``: sums of M_g and v_g, without forming any M_g."""
    start = tree.species_start
    n_species = tree.sizes[1]
    n_c, nu_c = np.zeros((n_species, d, d)), np.zeros((n_species, d))
    roots = np.sqrt(groups.g)[:, None], np.sqrt(groups.kappa)[:, None]
    for c in range(n_species):
        a, b = start[c], start[c + 1]
        n_c[c, 0, 0], nu_c[c, 0] = groups.m_bb[a:b].sum(), groups.v_b[a:b].sum()
        if d > 1:
            rows = slice(spectra.start[a], spectra.start[b])
            n_c[c, 1:, 1:] = syrk(spectra.u[rows] * roots[0][rows])
            n_c[c, 1:, 1:] -= syrk(groups.m_hat[a:b] * roots[1][a:b])
            n_c[c, 0, 1:] = n_c[c, 1:, 0] = groups.m_bw[a:b].sum(axis=0)
            nu_c[c, 1:] = groups.v_w[a:b].sum(axis=0)
    return n_c, nu_c


def _species_to_supercategories(
    tree: Hierarchy,
    groups: Groups,
    species: Level,
    v: Variances,
    precision: Floats,
    right: Floats,
) -> tuple[Floats, Floats, Floats, Floats]:
    """E_cB_c by group, and N_s, nu_s, B_s; takes its share off the compounds' system in place."""
    _, n_species, n_super, k = tree.sizes
    d = v.species.shape[1]
    inverse_t, start = 1.0 / v.species, tree.species_start
    eb = np.empty((groups.c.size, d))
    n_s, nu_s = np.zeros((n_super, d, d)), np.zeros((n_super, d))
    b_s = np.zeros((n_super, d, k))
    np.add.at(n_s, tree.supercat_of, species.n_up)
    np.add.at(nu_s, tree.supercat_of, inverse_t * species.nu_e)
    b = np.concatenate([groups.m_bb[:, None], groups.m_bw[:, : d - 1]], axis=1)  # (G, d)
    for c in range(n_species):
        part = slice(start[c], start[c + 1])
        cols = tree.comp_of[part]  # each compound once
        w = species.gm[c] @ b[part].T  # (d, K_c)
        precision[cols[:, None], cols] -= syrk(w)
        right[cols] -= w.T @ species.w[c]
        eb[part] = w.T @ species.gm[c]
        b_s[tree.supercat_of[c]][:, cols] += inverse_t[c][:, None] * eb[part].T
    return eb, n_s, nu_s, b_s


def _eliminate_compounds(
    tree: Hierarchy, v: Variances, precision: Floats, right: Floats
) -> tuple[Compounds, float, float]:
    """Solve the compounds, prior N(-offset, tau_comp² I + s_theta² ZZ') by Woodbury."""
    z, k = tree.z, tree.sizes[3]
    d = z.shape[1]
    small = z.T @ z + v.tau_comp2 / v.theta2 * np.eye(d)
    z_k = np.asarray(np.linalg.solve(small, z.T), dtype=np.float64)
    q_inverse = -(z @ z_k) / v.tau_comp2
    q_inverse = 0.5 * (q_inverse + q_inverse.T)
    q_inverse[np.arange(k), np.arange(k)] += 1.0 / v.tau_comp2
    logdet = (k - d) * np.log(v.tau_comp2) + d * np.log(v.theta2)
    logdet += np.linalg.slogdet(small)[1]
    pulled = q_inverse @ tree.offset
    chol = scipy.linalg.cholesky(precision + q_inverse, lower=True, check_finite=False)
    solved = scipy.linalg.solve_triangular(chol, right - pulled, lower=True, check_finite=False)
    quad = float(tree.offset @ pulled) - float(solved @ solved)
    logdet += 2.0 * float(np.log(np.diag(chol)).sum())
    return Compounds(chol, solved, q_inverse, z_k), float(logdet), quad
