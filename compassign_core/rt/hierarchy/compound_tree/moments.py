"""Posterior moments of the compound tree given the variances, and the gradient they imply.

The crossed effects come first, then levels from the root down (`descent`), then groups. Fisher's
identity gives every derivative of the log marginal from second moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from compassign_core.rt.hierarchy.compound_tree.descent import Above, Vectors, descend
from compassign_core.rt.hierarchy.compound_tree.layout import Batch, Layout
from compassign_core.rt.hierarchy.compound_tree.marginal import CompoundForward
from compassign_core.rt.hierarchy.group_moments import (
    GroupGradient,
    GroupMoments,
    Parents,
    SlopeProducts,
    group_moments,
)
from compassign_core.rt.hierarchy.groups import summed
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CompoundGradient(GroupGradient):
    """Derivatives of the log marginal by the logarithm of each variance.

    Attributes
    ----------
    node_b, node_w : intercepts and slopes of nodes, by supercategory, ``(S,)``.
    species : species effects, by supercategory, ``(S,)``.
    compound_b, compound_w, supercategory, theta2 : numbers.
    """

    node_b: Floats
    node_w: Floats
    species: Floats
    compound_b: float
    compound_w: float
    supercategory: float
    theta2: float


@dataclass(frozen=True, eq=False)
class CompoundMoments(GroupMoments):
    """Posterior means and covariances; those of compounds and nodes are about the offsets.

    Attributes
    ----------
    effects, effects_cov : of (mu_1..mu_C, effects of supercategories, theta), ``(C+S+D,)`` and
        its square.
    root, root_cov : mean ``(d,)`` and covariance of a_0.
    root_cross : Cov(a_0, effects), ``(d, C+S+D)``.
    compounds, nodes : of both levels.
    gradient : derivatives of the log marginal.
    """

    effects: Floats
    effects_cov: Floats
    root: Floats
    root_cov: Floats
    root_cross: Floats
    compounds: Vectors
    nodes: Vectors
    gradient: CompoundGradient


def backward_compounds(
    spectra: Spectra, tree: Hierarchy, layout: Layout, done: CompoundForward
) -> CompoundMoments:
    """Moments and gradient after elimination."""
    v, c = done.variances, tree.sizes[1]
    effects, effects_cov, loading = _effects(tree, done)
    root = done.root.nu_e[0] - loading @ effects
    root_cross = -loading @ effects_cov
    root_cov = done.root.e[0] - root_cross @ loading.T
    mu, sigma = effects[:c], effects_cov[:c, :c]
    above = _above_compounds(tree, root, root_cov, root_cross, effects, effects_cov)
    prior = np.broadcast_to(v.compound, done.compounds.nu_e.shape)
    compounds = descend(layout.compounds, done.compounds, prior, mu, sigma, above)

    def compound(batch: Batch) -> tuple[Floats, Floats, Floats]:
        of = layout.node_comp[batch.units]
        return compounds.mean[of], compounds.cov[of], compounds.cross[batch.groups.at]

    nodes = descend(layout.nodes, done.nodes, v.node[layout.node_super], mu, sigma, compound)
    parents = _parents(spectra, tree, layout, done, nodes, mu, np.diag(sigma))
    of_groups, by_group = group_moments(spectra, done.groups, v, parents)
    return CompoundMoments(
        **vars(of_groups),
        effects=effects,
        effects_cov=effects_cov,
        root=root,
        root_cov=root_cov,
        root_cross=root_cross,
        compounds=compounds,
        nodes=nodes,
        gradient=_gradient(tree, layout, done, by_group, effects, effects_cov, compounds, nodes),
    )


def _effects(tree: Hierarchy, done: CompoundForward) -> tuple[Floats, Floats, Floats]:
    """Mean and covariance of the crossed effects with supercategories among them, and E_0 B_0.

    Given the n effects of its species, that of a supercategory has mean ``sum(mu) / (n + tau²/t²)``
    and variance ``tau² / (n + tau²/t²)``.
    """
    v, of = done.variances, tree.supercat_of
    c, n_super, x = of.size, v.species.size, done.solved.size
    inverse, _ = scipy.linalg.lapack.dpotri(done.chol, lower=1)
    sigma = np.tril(inverse) + np.tril(inverse, -1).T
    solved = scipy.linalg.solve_triangular(
        done.chol, done.solved, lower=True, trans=1, check_finite=False
    )
    share = 1.0 / (np.bincount(of, minlength=n_super) + v.species / v.supercategory)
    spread = np.zeros((x + n_super, x))
    spread[np.arange(c), np.arange(c)] = 1.0
    spread[c + of, np.arange(c)] = share[of]
    spread[np.arange(c, x) + n_super, np.arange(c, x)] = 1.0
    cov = spread @ sigma @ spread.T
    supers = np.arange(c, c + n_super)
    cov[supers, supers] += v.species * share
    loading = np.insert(done.eb_0, [c] * n_super, 0.0, axis=1)
    return spread @ solved, cov, loading


def _above_compounds(
    tree: Hierarchy,
    root: Floats,
    root_cov: Floats,
    root_cross: Floats,
    effects: Floats,
    effects_cov: Floats,
) -> Above:
    """Moments of ``h_k = a_0 + e_0 (z_k·theta - o_k)``, for batches of compounds."""
    first = effects.size - tree.z.shape[1]
    level = tree.z @ effects[first:] - tree.offset
    of_root = tree.z @ root_cross[:, first:].T  # (K, d) Cov(a_0, z·theta)
    with_effects = tree.z @ effects_cov[first:]  # (K, C+S+D) Cov(z·theta, effects)
    own = (with_effects[:, first:] * tree.z).sum(axis=1)

    def above(batch: Batch) -> tuple[Floats, Floats, Floats]:
        units = batch.units
        mean = np.repeat(root[None], units.size, axis=0)
        mean[:, 0] += level[units]
        of_h = np.repeat(root_cov[None], units.size, axis=0)
        of_h[:, 0, :] += of_root[units]
        of_h[:, :, 0] += of_root[units]
        of_h[:, 0, 0] += own[units]
        cross = root_cross.T[batch.species]
        cross[:, :, 0] += with_effects[units[:, None], batch.species]
        return mean, of_h, cross

    return above


def _parents(
    spectra: Spectra,
    tree: Hierarchy,
    layout: Layout,
    done: CompoundForward,
    nodes: Vectors,
    mu: Floats,
    mu_variance: Floats,
) -> Parents:
    """What groups are drawn about: their nodes, and the effect of their species."""
    of, species = layout.node_of, tree.species_of
    g, p, head = of.size, spectra.u.shape[1], nodes.mean.shape[1] > 1
    products = SlopeProducts.none(spectra.lam.size, g, p)
    if head:
        _fill(products, spectra, layout, done.groups.m_hat, nodes)
    return Parents(
        mean=nodes.mean[of, 0] + mu[species],
        variance=nodes.cov[of, 0, 0] + 2.0 * nodes.cross[:, 0] + mu_variance[species],
        slopes=nodes.mean[of, 1:] if head else np.zeros((g, p)),
        cross=nodes.cov[of, 0, 1:] + nodes.cross[:, 1:] if head else np.zeros((g, p)),
        products=products,
    )


def _fill(
    made: SlopeProducts, spectra: Spectra, layout: Layout, m_hat: Floats, nodes: Vectors
) -> None:
    for batch in layout.nodes:
        rows, groups = batch.rows, batch.groups
        u, c_ww = spectra.u[rows.at], nodes.cov[batch.units, 1:, 1:]
        at = rows.at[rows.real]
        made.u_h[at] = (u @ nodes.mean[batch.units, 1:, None])[:, :, 0][rows.real]
        made.quad[at] = np.einsum("brp,brp->br", u @ c_ww, u)[rows.real]
        made.cm[groups.at[groups.real]] = (m_hat[groups.at] @ c_ww)[groups.real]
    made.mcm[:] = np.einsum("gp,gp->g", made.cm, m_hat)


def _gradient(
    tree: Hierarchy,
    layout: Layout,
    done: CompoundForward,
    by_group: GroupGradient,
    effects: Floats,
    effects_cov: Floats,
    compounds: Vectors,
    nodes: Vectors,
) -> CompoundGradient:
    """By Fisher's identity, from second moments of what each variance is the variance of."""
    v, of, n_super = done.variances, tree.supercat_of, tree.sizes[2]
    c = of.size
    second = effects**2 + np.diag(effects_cov)
    own, at = np.arange(c), c + of
    apart = (effects[own] - effects[at]) ** 2
    apart += effects_cov[own, own] + effects_cov[at, at] - 2.0 * effects_cov[own, at]
    excess_j = nodes.deviation / v.node[layout.node_super] - 1.0
    excess_k = compounds.deviation / v.compound - 1.0
    of_supers, of_theta = second[c : c + n_super], second[c + n_super :]
    return CompoundGradient(
        **vars(by_group),
        node_b=0.5 * summed(layout.node_super, excess_j[:, 0], n_super),
        node_w=0.5 * summed(layout.node_super, excess_j[:, 1:].sum(axis=1), n_super),
        species=0.5 * summed(of, apart / v.species[of] - 1.0, n_super),
        compound_b=0.5 * float(excess_k[:, 0].sum()),
        compound_w=0.5 * float(excess_k[:, 1:].sum()),
        supercategory=0.5 * float((of_supers / v.supercategory - 1.0).sum()),
        theta2=0.5 * float((of_theta / v.theta2 - 1.0).sum()),
    )
