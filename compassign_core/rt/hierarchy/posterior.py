"""From moments to what scoring needs: coefficients of groups, and of all that is above them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.compound_tree.marginal import CompoundForward
from compassign_core.rt.hierarchy.compound_tree.moments import CompoundMoments
from compassign_core.rt.hierarchy.compound_tree.posterior import export_compounds
from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.group_export import (
    common_fields,
    group_covariances,
    with_row_noise,
)
from compassign_core.rt.hierarchy.marginal import Forward, Variances
from compassign_core.rt.hierarchy.moments import Moments
from compassign_core.rt.hierarchy.noise import Fitted
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def export_posterior(problem: Problem, fitted: Fitted) -> AnyPosterior:
    """All that scoring needs, from one posterior pass at fitted scales and noise."""
    return with_row_noise(_exported(problem, fitted), problem, fitted)


def _exported(problem: Problem, fitted: Fitted) -> AnyPosterior:
    done, moments = fitted.done, fitted.moments
    if isinstance(done, CompoundForward) or isinstance(moments, CompoundMoments):
        return export_compounds(problem, fitted)
    tree, v = problem.tree, done.variances
    beta_mean = moments.shift.copy()
    d = moments.species.shape[1]
    beta_mean[:, :d] += moments.species[tree.species_of]
    beta_mean[:, 0] += (moments.alpha + tree.offset)[tree.comp_of]
    node_mean, node_cov = _nodes(problem, moments, v)
    theta, theta_cov, node_theta = _chemistry(problem, done, moments)

    def parents(part: Ints) -> Floats:
        c = moments.species_cov[tree.species_of[part]]
        cross, comp = moments.cross[part], tree.comp_of[part]
        c[:, 0, :] += cross
        c[:, :, 0] += cross
        c[:, 0, 0] += moments.sigma[comp, comp]
        return c

    return HierarchyPosterior(
        **common_fields(problem, fitted, theta, theta_cov),
        beta_mean=beta_mean,
        beta_cov_packed=group_covariances(problem.spectra, done.groups, v, parents),
        node_mean=node_mean,
        node_cov=node_cov,
        gain=moments.species_gain,
        eb=done.eb,
        cross=-np.concatenate([moments.supercategory_cross, moments.root_cross[None]]),
        alpha=moments.alpha + tree.offset,
        alpha_cov=moments.sigma,
        node_theta=node_theta,
        tau_comp2=v.tau_comp2,
    )


def _nodes(problem: Problem, moments: Moments, v: Variances) -> tuple[Floats, Floats]:
    """Means and covariances of the nodes."""
    mean, cov, _ = unseen_nodes(problem.tree, moments, v)
    return np.concatenate([moments.species, mean]), np.concatenate([moments.species_cov, cov])


def unseen_nodes(tree: Hierarchy, moments: Moments, v: Variances) -> tuple[Floats, Floats, Floats]:
    """Coefficients of a species never seen of each supercategory, then of one never seen.

    Means ``(S+1, d)``, covariances ``(S+1, d, d)``, and those with compounds ``(S+1, d, K)``.
    """
    n_super, d = moments.supercategory.shape
    # what a species adds to its supercategory; of one never seen, the average over supercategories
    within = np.zeros((n_super, d))
    within[tree.supercat_of] = v.species
    diagonal = np.arange(d)
    of_super = moments.supercategory_cov.copy()
    of_super[:, diagonal, diagonal] += within
    of_root = moments.root_cov.copy()
    of_root[diagonal, diagonal] += v.supercategory + within.mean(axis=0)
    return (
        np.concatenate([moments.supercategory, moments.root[None]]),
        np.concatenate([of_super, of_root[None]]),
        -np.concatenate([moments.supercategory_cross, moments.root_cross[None]]),
    )


def _chemistry(problem: Problem, done: Forward, moments: Moments) -> tuple[Floats, Floats, Floats]:
    """theta: mean, covariance, and covariance with every node.

    Given alpha, theta has mean ``A alpha`` with ``A = (Z'Z + tau_comp²/s_theta² I)^-1 Z'`` and
    covariance ``tau_comp² (Z'Z + ...)^-1``.
    """
    tree, v = problem.tree, done.variances
    a = done.compounds.z_k  # (D, K)
    d_chem = a.shape[0]
    s_a = moments.sigma @ a.T  # (K, D)
    small = tree.z.T @ tree.z + v.tau_comp2 / v.theta2 * np.eye(d_chem)
    own = np.linalg.inv(small) * v.tau_comp2
    cov = a @ s_a + 0.5 * (own + own.T)
    upper = np.concatenate([moments.supercategory_cross, moments.root_cross[None]]) @ a.T
    of_species = moments.species_gain @ upper[tree.supercat_of]  # (C, d, D)
    start = tree.species_start
    for c in range(start.size - 1):
        part = slice(start[c], start[c + 1])
        of_species[c] += done.eb[part].T @ s_a[tree.comp_of[part]]
    return a @ (moments.alpha + tree.offset), cov, -np.concatenate([of_species, upper])
