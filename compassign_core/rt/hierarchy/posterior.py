"""From moments to what scoring needs: coefficients of groups, and of all that is above them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.marginal import Forward, Variances
from compassign_core.rt.hierarchy.moments import Moments
from compassign_core.rt.hierarchy.noise import Fitted
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.summaries import pack

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BLOCK_VALUES = 1 << 22


def export_posterior(problem: Problem, fitted: Fitted) -> HierarchyPosterior:
    """All that scoring needs, from one posterior pass at fitted scales and noise."""
    done, moments, state = fitted.done, fitted.moments, fitted.state
    scales, phi, noise = fitted.scales, fitted.mode.phi, fitted.noise
    tree, v = problem.tree, done.variances
    beta_mean = moments.shift.copy()
    d = moments.species.shape[1]
    beta_mean[:, :d] += moments.species[tree.species_of]
    beta_mean[:, 0] += (moments.alpha + tree.offset)[tree.comp_of]
    node_mean, node_cov = _nodes(problem, moments, v)
    theta, theta_cov, node_theta = _chemistry(problem, done, moments)
    used = tree.z[tree.described]
    spread = used.T @ used / max(used.shape[0], 1)
    second = np.outer(theta, theta) + theta_cov
    pair_psi, pair_tau_b2 = scales.spreads(phi, state.pair_variance, noise, state.pair_df)
    new_psi, new_tau_b2 = scales.spreads(
        phi, np.array([state.new_variance]), noise, np.array([state.new_df])
    )
    return HierarchyPosterior(
        keys=tree.keys,
        species=tree.species,
        supercategories=tree.supercategories,
        comps=tree.comps,
        supercat_of=tree.supercat_of,
        species_start=tree.species_start,
        comp_of=tree.comp_of,
        pooled=bool(np.isfinite(v.tau_b2).all()),
        beta_mean=beta_mean,
        beta_cov_packed=_group_covariances(problem, done, moments),
        noise_variance=state.variance,
        noise_df=state.df,
        node_mean=node_mean,
        node_cov=node_cov,
        gain=moments.species_gain,
        eb=done.eb,
        cross=-np.concatenate([moments.supercategory_cross, moments.root_cross[None]]),
        alpha=moments.alpha + tree.offset,
        alpha_cov=moments.sigma,
        theta=theta,
        theta_cov=theta_cov,
        node_theta=node_theta,
        chem_id=tree.embeddings.chem_id,
        chem_z=tree.embeddings.z,
        tau_comp2=v.tau_comp2,
        plain_variance=float((spread * second).sum()),
        pair_variance=state.pair_variance,
        pair_df=state.pair_df,
        new_variance=state.new_variance,
        new_df=state.new_df,
        pair_psi=pair_psi,
        pair_tau_b2=pair_tau_b2,
        new_psi=float(new_psi[0]),
        new_tau_b2=float(new_tau_b2[0]),
    )


def _nodes(problem: Problem, moments: Moments, v: Variances) -> tuple[Floats, Floats]:
    """Means and covariances of the nodes."""
    n_super, d = moments.supercategory.shape
    # what a species adds to its supercategory; of one never seen, the average over supercategories
    within = np.zeros((n_super, d))
    within[problem.tree.supercat_of] = v.species
    diagonal = np.arange(d)
    of_super = moments.supercategory_cov.copy()
    of_super[:, diagonal, diagonal] += within
    of_root = moments.root_cov.copy()
    of_root[diagonal, diagonal] += v.supercategory + within.mean(axis=0)
    mean = np.concatenate([moments.species, moments.supercategory, moments.root[None]])
    return mean, np.concatenate([moments.species_cov, of_super, of_root[None]])


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


def _group_covariances(problem: Problem, done: Forward, moments: Moments) -> Floats:
    """Cov(beta_g) = E_g + A_g C_g A_g', A_g = E_g Psi_g^-1, packed, in blocks of equal rank."""
    g, p = moments.shift.shape[0], moments.shift.shape[1] - 1
    q = p + 1
    packed = np.empty((g, q * (q + 1) // 2))
    rank = problem.spectra.rank
    step = max(1, _BLOCK_VALUES // (q * q))
    for r in np.unique(rank):
        members = np.flatnonzero(rank == r)
        for begin in range(0, members.size, step):
            part = members[begin : begin + step]
            packed[part] = pack(_covariances(problem, done, moments, part, int(r)))
    return packed


def _covariances(
    problem: Problem, done: Forward, moments: Moments, part: Ints, rank: int
) -> Floats:
    """Cov(beta_g) ``(B, q, q)`` of groups of one rank."""
    spectra, groups, v, tree = problem.spectra, done.groups, done.variances, problem.tree
    p, d = spectra.u.shape[1], moments.species.shape[1]
    rows = spectra.start[part][:, None] + np.arange(rank)
    psi, kappa = v.psi[part], groups.kappa[part]
    e = np.empty((part.size, p + 1, p + 1))
    u = spectra.u[rows]  # (B, r, P)
    slopes = -(psi**2)[:, None, None] * (u.transpose(0, 2, 1) @ (groups.g[rows][:, :, None] * u))
    slopes[:, np.arange(p), np.arange(p)] += psi[:, None]
    lever = -psi[:, None] * groups.m_hat[part]  # what slopes do for one minute of intercept
    e[:, 0, 0] = kappa
    e[:, 0, 1:] = e[:, 1:, 0] = kappa[:, None] * lever
    e[:, 1:, 1:] = slopes + kappa[:, None, None] * lever[:, :, None] * lever[:, None, :]
    c = moments.species_cov[tree.species_of[part]]
    cross, comp = moments.cross[part], tree.comp_of[part]
    c[:, 0, :] += cross
    c[:, :, 0] += cross
    c[:, 0, 0] += moments.sigma[comp, comp]
    inverse_psi = np.concatenate(
        [groups.beta[part][:, None], np.repeat(1.0 / psi[:, None], p, axis=1)], axis=1
    )
    a = (e * inverse_psi[:, None, :])[:, :, :d]
    return np.asarray(e + a @ c @ a.transpose(0, 2, 1))
