"""The exact log marginal likelihood of the compound tree.

Groups, nodes (supercategory, compound), compounds, and the root are eliminated in turn by the
operation of `levels`; each group is one column of B, that of its species. Compound k is drawn
about ``h_k = a_0 + e_0 (z_k·theta - o_k)``, where o_k is the mean that was taken off its y; with
``N, B, nu`` what its elimination says of h_k::

    quad += o² N_00 + 2 o nu_0,  N_0 += N,  nu_0 += nu + o N e_0,  B_0 += (B, N e_0 z')
    D_theta,theta += N_00 z z',  D_theta,mu += z B_0.
    d_theta += z (nu_0 + o N_00),  d_mu += o B_0.

so that minutes meet the spread of compounds only, never the noise. What is left is one dense
system of the C species effects and the D chemistry weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse

from compassign_core.rt.hierarchy.compound_tree.layout import Batch, Layout
from compassign_core.rt.hierarchy.groups import Groups, GroupVariances, eliminate_groups, summed
from compassign_core.rt.hierarchy.levels import Level, eliminate
from compassign_core.rt.hierarchy.marginal import LOG_2PI
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CompoundVariances(GroupVariances):
    """All variances of the model.

    Attributes
    ----------
    node : T_s of a node about its compound, by supercategory and component, ``(S, d)``.
    compound, root : T and T_0, by component, ``(d,)``.
    species : of species effects about that of the supercategory, ``(S,)``.
    supercategory : of the effects of supercategories.
    theta2 : chemistry weights.
    """

    node: Floats
    compound: Floats
    root: Floats
    species: Floats
    supercategory: float
    theta2: float


@dataclass(frozen=True, eq=False)
class Ascent:
    """J units of one level, eliminated, with groups as columns."""

    e: Floats  # (J, d, d)
    nu_e: Floats  # (J, d) E nu
    eb: Floats  # (G, d) columns of E B


@dataclass(frozen=True, eq=False)
class CompoundForward:
    """All that elimination leaves behind, and the log marginal likelihood; X = C+D."""

    variances: CompoundVariances
    groups: Groups
    nodes: Ascent
    compounds: Ascent
    root: Level
    eb_0: Floats  # (d, X)
    chol: Floats  # (X, X) lower, of the crossed effects' precision
    solved: Floats  # (X,) chol^-1 d
    log_marginal: float


@dataclass(eq=False)
class _Sums:
    """What elimination adds up: the crossed system, and the terms of the log marginal."""

    precision: Floats  # (X, X)
    right: Floats  # (X,)
    logdet: float
    quad: float


@dataclass(frozen=True, eq=False)
class _Upwards:
    """What J units say of U units above: N ``(U, d, d)``, nu ``(U, d)``, and B by group."""

    n: Floats
    nu: Floats
    b: Floats  # (G, d)
    n_first: Floats  # (J, d) N e_0 of each unit itself
    nu_own: Floats  # (J, d)


def forward_compounds(
    spectra: Spectra, tree: Hierarchy, layout: Layout, v: CompoundVariances
) -> CompoundForward:
    """Eliminate everything; the log marginal likelihood of y given the variances."""
    groups = eliminate_groups(spectra, v)
    c, x, d = tree.sizes[1], tree.sizes[1] + tree.z.shape[1], v.root.size
    sums = _Sums(np.zeros((x, x)), np.zeros(x), groups.logdet, float(groups.c.sum()))
    np.einsum("ii->i", sums.precision)[:c] = summed(tree.species_of, groups.m_bb, c)
    sums.right[:c] = summed(tree.species_of, groups.v_b, c)
    b = np.concatenate([groups.m_bb[:, None], groups.m_bw[:, : d - 1]], axis=1)
    nodes, upwards = _nodes(spectra, layout, groups, v, b, tree.sizes[3], sums)
    compounds, upwards = _compounds(layout, v, upwards, sums)
    n_0, nu_0, b_0 = _to_root(tree, upwards, sums)
    root = eliminate(n_0[None], nu_0[None], v.root[None])
    w_0 = root.gm[0] @ b_0
    sums.precision -= w_0.T @ w_0
    sums.right -= w_0.T @ root.w[0]
    sums.quad -= float((root.w**2).sum())
    sums.logdet += root.logdet + _add_prior(tree, v, sums.precision)
    chol = scipy.linalg.cholesky(sums.precision, lower=True, check_finite=False)
    solved = scipy.linalg.solve_triangular(chol, sums.right, lower=True, check_finite=False)
    logdet = sums.logdet + 2.0 * float(np.log(np.diag(chol)).sum())
    quad = sums.quad - float(solved @ solved)
    log_marginal = -0.5 * (float(spectra.n.sum()) * LOG_2PI + logdet + quad)
    return CompoundForward(
        v, groups, nodes, compounds, root, root.gm[0].T @ w_0, chol, solved, log_marginal
    )


def _nodes(
    spectra: Spectra,
    layout: Layout,
    groups: Groups,
    v: CompoundVariances,
    b: Floats,
    n_comps: int,
    sums: _Sums,
) -> tuple[Ascent, _Upwards]:
    """Eliminate the nodes; what they say of the compounds."""
    j, d = layout.node_comp.size, b.shape[1]
    made = Ascent(np.empty((j, d, d)), np.empty((j, d)), np.empty(b.shape))
    n_k, nu_k = np.zeros((n_comps, d, d)), np.zeros((n_comps, d))
    scaled = np.sqrt(groups.g), groups.m_hat * np.sqrt(groups.kappa)[:, None]
    inverse = 1.0 / v.node
    for batch in layout.nodes:
        of_super = layout.node_super[batch.units]
        n, nu = _node_sums(spectra, groups, scaled, batch, d)
        level = eliminate(n, nu, v.node[of_super])
        _store(made, level, batch, b, sums)
        n_k[batch.parents] += batch.summed(level.n_up)
        nu_k[batch.parents] += batch.summed(inverse[of_super] * level.nu_e)
    b_up = made.eb * inverse[layout.node_super[layout.node_of]]
    return made, _Upwards(n_k, nu_k, b_up, n_k[:, 0], nu_k)


def _node_sums(
    spectra: Spectra, groups: Groups, scaled: tuple[Floats, Floats], batch: Batch, d: int
) -> tuple[Floats, Floats]:
    """N ``(B, d, d)`` and nu ``(B, d)`` of nodes: sums of M_g and v_g, forming no M_g."""
    at, real = batch.groups.at, batch.groups.real
    n, nu = np.zeros((batch.units.size, d, d)), np.zeros((batch.units.size, d))
    n[:, 0, 0] = np.where(real, groups.m_bb[at], 0.0).sum(axis=1)
    nu[:, 0] = np.where(real, groups.v_b[at], 0.0).sum(axis=1)
    if d > 1:
        u = spectra.u[batch.rows.at]
        u *= np.where(batch.rows.real, scaled[0][batch.rows.at], 0.0)[:, :, None]
        m = scaled[1][at] * real[:, :, None]
        n[:, 1:, 1:] = u.transpose(0, 2, 1) @ u
        n[:, 1:, 1:] -= m.transpose(0, 2, 1) @ m
        n[:, 0, 1:] = n[:, 1:, 0] = (groups.m_bw[at] * real[:, :, None]).sum(axis=1)
        nu[:, 1:] = (groups.v_w[at] * real[:, :, None]).sum(axis=1)
    return n, nu


def _compounds(
    layout: Layout, v: CompoundVariances, below: _Upwards, sums: _Sums
) -> tuple[Ascent, _Upwards]:
    """Eliminate the compounds; what they say of what they are drawn about."""
    k, d = below.nu.shape
    made = Ascent(np.empty((k, d, d)), np.empty((k, d)), np.empty(below.b.shape))
    n_first, n_0, inverse = np.empty((k, d)), np.zeros((1, d, d)), 1.0 / v.compound
    for batch in layout.compounds:
        units = batch.units
        prior = np.broadcast_to(v.compound, (units.size, d))
        level = eliminate(below.n[units], below.nu[units], prior)
        _store(made, level, batch, below.b, sums)
        n_first[units] = level.n_up[:, 0]
        n_0[0] += level.n_up.sum(axis=0)
    nu = inverse * made.nu_e
    return made, _Upwards(n_0, nu.sum(axis=0)[None], inverse * made.eb, n_first, nu)


def _store(made: Ascent, level: Level, batch: Batch, b: Floats, sums: _Sums) -> None:
    """Keep what the way down needs, and take the share of a batch off the crossed system."""
    made.e[batch.units], made.nu_e[batch.units] = level.e, level.nu_e
    at, real = batch.groups.at, batch.groups.real
    w = (b[at] * real[:, :, None]) @ level.gm.transpose(0, 2, 1)  # (B, m, d) rows Gm b
    made.eb[at[real]] = (w @ level.gm)[real]
    shares = (w @ w.transpose(0, 2, 1))[batch.both]
    np.subtract.at(sums.precision.reshape(-1), batch.pairs, shares)
    shares = (w @ level.w[:, :, None])[:, :, 0][real]
    np.subtract.at(sums.right, batch.species[real], shares)
    sums.logdet += level.logdet
    sums.quad -= float((level.w**2).sum())


def _to_root(tree: Hierarchy, up: _Upwards, sums: _Sums) -> tuple[Floats, Floats, Floats]:
    """N, nu and B ``(d, X)`` of the root; the crossed system gets what chemistry has of its own."""
    g, c, _, _ = tree.sizes
    z, offset, comp = tree.z, tree.offset, tree.comp_of
    # groups are sorted by species
    by_species = scipy.sparse.csr_matrix((np.ones(g), np.arange(g), tree.species_start), (c, g))
    first, own = up.n_first[:, 0], up.nu_own[:, 0]
    b_0 = np.concatenate([(by_species @ up.b).T, up.n_first.T @ z], axis=1)
    of_theta = by_species @ (z[comp] * up.b[:, :1])  # (C, D)
    sums.precision[:c, c:] += of_theta
    sums.precision[c:, :c] += of_theta.T
    sums.precision[c:, c:] += z.T @ (first[:, None] * z)
    sums.right[:c] += by_species @ (offset[comp] * up.b[:, 0])
    sums.right[c:] += z.T @ (own + first * offset)
    sums.quad += float(offset @ (first * offset + 2.0 * own))
    return up.n[0], up.nu[0] + up.n_first.T @ offset, b_0


def _add_prior(tree: Hierarchy, v: CompoundVariances, precision: Floats) -> float:
    """Add the prior precision of the crossed effects; the log determinant of their covariance.

    Effects of the n species of one supercategory have covariance tau² I + t² 11', hence precision
    ``(I - 11' / (n + tau²/t²)) / tau²``.
    """
    of, c = tree.supercat_of, tree.sizes[1]
    count = np.bincount(of, minlength=v.species.size)
    shared = 1.0 / (v.species * (count + v.species / v.supercategory))
    same = of[:, None] == of
    precision[:c, :c] -= np.where(same, shared[of], 0.0)
    diagonal = np.einsum("ii->i", precision)
    diagonal[:c] += 1.0 / v.species[of]
    diagonal[c:] += 1.0 / v.theta2
    logdet = ((count - 1) * np.log(v.species)).sum()
    logdet += np.log(v.species + count * v.supercategory).sum()
    return float(logdet + (diagonal.size - c) * np.log(v.theta2))
