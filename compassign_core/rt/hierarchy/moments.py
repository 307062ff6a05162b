"""Posterior moments of every level given the variances, and the gradient they imply.

Down the tree, with G_j = E_j T_j^-1 (at the root F_0 = E_0 B_0, H_0 = E_0)::

    a^_j = E_j (nu_j - B_j alpha^) + G_j a^_parent,  F_j = E_j B_j + G_j F_parent
    H_j = E_j + G_j H_parent G_j',  Cov(a_j) = H_j + F_j Sigma F_j',  Cov(a_j, alpha) = -F_j Sigma

Fisher's identity gives every derivative of the log marginal from second moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

from compassign_core.rt.hierarchy.group_moments import (
    GroupGradient,
    GroupMoments,
    Parents,
    SlopeProducts,
    group_moments,
)
from compassign_core.rt.hierarchy.groups import summed
from compassign_core.rt.hierarchy.marginal import Forward
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gradient(GroupGradient):
    """Derivatives of the log marginal by the logarithm of each variance.

    Attributes
    ----------
    species_b, species_w : intercepts and slopes of species, by supercategory, ``(S,)``.
    supercategory_b, supercategory_w, tau_comp2, theta2 : numbers.
    """

    species_b: Floats
    species_w: Floats
    supercategory_b: float
    supercategory_w: float
    tau_comp2: float
    theta2: float


@dataclass(frozen=True, eq=False)
class Moments(GroupMoments):
    """Posterior means and covariances; alpha is about the compounds' offsets.

    Attributes
    ----------
    alpha, sigma : mean ``(K,)`` and covariance ``(K, K)`` of compound effects.
    root, root_cov, root_cross : mean ``(d,)``, Cov(a_0) and F_0 Sigma ``(d, K)``.
    supercategory, supercategory_cov, supercategory_cross : ``(S, d)``, ``(S, d, d)``, and
        F_s Sigma ``(S, d, K)``.
    species, species_cov, species_gain : ``(C, d)``, ``(C, d, d)``, and G_c ``(C, d, d)``.
    cross : Cov(a_c, alpha_k) of every group, ``(G, d)``.
    gradient : derivatives of the log marginal.
    """

    alpha: Floats
    sigma: Floats
    root: Floats
    root_cov: Floats
    root_cross: Floats
    supercategory: Floats
    supercategory_cov: Floats
    supercategory_cross: Floats
    species: Floats
    species_cov: Floats
    species_gain: Floats
    cross: Floats
    gradient: Gradient


@dataclass(frozen=True, eq=False)
class _Upper:
    """Compounds, root and supercategories."""

    alpha: Floats
    sigma: Floats
    root: Floats
    root_cov: Floats
    root_cross: Floats
    a_s: Floats
    h_s: Floats
    cross_s: Floats  # F_s Sigma
    spread_s: Floats  # F_s Sigma F_s'
    deviation: Floats  # (S, d) E[(a_s - a_0)²]


@dataclass(frozen=True, eq=False)
class _Species:
    """The level of species."""

    a: Floats
    cov: Floats
    gain: Floats
    cross: Floats  # (G, d)
    deviation: Floats  # (C, d) E[(a_c - a_s)²]


def backward(spectra: Spectra, tree: Hierarchy, done: Forward) -> Moments:
    """Moments and gradient after elimination."""
    upper = _upper(done)
    species = _species(tree, done, upper)
    parents = _parents(spectra, tree, done, upper, species)
    of_groups, by_group = group_moments(spectra, done.groups, done.variances, parents)
    v, n_super = done.variances, tree.sizes[2]
    excess_c = species.deviation / v.species - 1.0
    excess_s = upper.deviation / v.supercategory - 1.0
    tau_comp2, theta2 = _compound_gradient(tree, done, upper)
    gradient = Gradient(
        **vars(by_group),
        species_b=0.5 * summed(tree.supercat_of, excess_c[:, 0], n_super),
        species_w=0.5 * summed(tree.supercat_of, excess_c[:, 1:].sum(axis=1), n_super),
        supercategory_b=0.5 * float(excess_s[:, 0].sum()),
        supercategory_w=0.5 * float(excess_s[:, 1:].sum()),
        tau_comp2=tau_comp2,
        theta2=theta2,
    )
    return Moments(
        **vars(of_groups),
        alpha=upper.alpha,
        sigma=upper.sigma,
        root=upper.root,
        root_cov=upper.root_cov,
        root_cross=upper.root_cross,
        supercategory=upper.a_s,
        supercategory_cov=upper.h_s + upper.spread_s,
        supercategory_cross=upper.cross_s,
        species=species.a,
        species_cov=species.cov,
        species_gain=species.gain,
        cross=species.cross,
        gradient=gradient,
    )


def _upper(done: Forward) -> _Upper:
    sigma, _ = scipy.linalg.lapack.dpotri(done.compounds.chol, lower=1)
    sigma = np.tril(sigma) + np.tril(sigma, -1).T
    alpha = scipy.linalg.solve_triangular(
        done.compounds.chol, done.compounds.solved, lower=True, trans=1, check_finite=False
    )
    e_0, f_0 = done.root.e[0], done.eb_0
    root = done.root.nu_e[0] - f_0 @ alpha
    root_cross = f_0 @ sigma
    level = done.supercategory
    n_super, d, k = done.eb_s.shape
    gain = level.e / done.variances.supercategory  # (S, d, d)
    f_s = done.eb_s + gain @ f_0
    cross_s = (f_s.reshape(-1, k) @ sigma).reshape(n_super, d, k)
    away = gain - np.eye(d)
    a_s = level.nu_e - done.eb_s @ alpha + gain @ root
    variance = np.einsum("saa->sa", level.e) + np.einsum("sab,sab->sa", away @ e_0, away)
    variance += np.einsum("sak,sak->sa", cross_s - root_cross, f_s - f_0)
    return _Upper(
        alpha=alpha,
        sigma=sigma,
        root=root,
        root_cov=e_0 + root_cross @ f_0.T,
        root_cross=root_cross,
        a_s=a_s,
        h_s=level.e + gain @ e_0 @ gain.transpose(0, 2, 1),
        cross_s=cross_s,
        spread_s=cross_s @ f_s.transpose(0, 2, 1),
        deviation=(a_s - root) ** 2 + variance,
    )


def _species(tree: Hierarchy, done: Forward, upper: _Upper) -> _Species:
    level, start, parent = done.species, tree.species_start, tree.supercat_of
    n_species, d = level.nu_e.shape
    gain = level.e / done.variances.species[:, None, :]
    away = gain - np.eye(d)
    above = (upper.h_s + upper.spread_s)[parent]  # Cov(a_s)
    cov = level.e + gain @ above @ gain.transpose(0, 2, 1)
    variance = np.einsum("caa->ca", level.e) + np.einsum("cab,cab->ca", away @ above, away)
    a = level.nu_e + np.einsum("cab,cb->ca", gain, upper.a_s[parent])
    cross = np.empty((done.eb.shape[0], d))
    for c in range(n_species):
        part = slice(start[c], start[c + 1])
        cols = tree.comp_of[part]
        eb = done.eb[part].T  # (d, K_c)
        eb_sigma = eb @ upper.sigma[cols[:, None], cols]
        own = eb_sigma @ eb.T
        f_sigma = upper.cross_s[parent[c]][:, cols]
        mixed = eb @ f_sigma.T  # (d, d)
        with_gain = mixed @ gain[c].T
        cov[c] += own + with_gain + with_gain.T
        variance[c] += np.diag(own) + 2.0 * np.diag(mixed @ away[c].T)
        a[c] -= eb @ upper.alpha[cols]
        cross[part] = -(eb_sigma + gain[c] @ f_sigma).T
    return _Species(a, cov, gain, cross, (a - upper.a_s[parent]) ** 2 + variance)


def _parents(
    spectra: Spectra, tree: Hierarchy, done: Forward, upper: _Upper, species: _Species
) -> Parents:
    """What groups are drawn about: their species, and the effect of their compound."""
    of, comp = tree.species_of, tree.comp_of
    g, p, head = of.size, spectra.u.shape[1], species.a.shape[1] > 1
    return Parents(
        mean=species.a[of, 0] + upper.alpha[comp],
        variance=species.cov[of, 0, 0] + 2.0 * species.cross[:, 0] + upper.sigma[comp, comp],
        slopes=species.a[of, 1:] if head else np.zeros((g, p)),
        cross=species.cov[of, 0, 1:] + species.cross[:, 1:] if head else np.zeros((g, p)),
        products=_slope_products(spectra, tree, done, species),
    )


def _slope_products(
    spectra: Spectra, tree: Hierarchy, done: Forward, species: _Species
) -> SlopeProducts:
    r, p = spectra.u.shape
    m = done.groups.m_hat
    made = SlopeProducts.none(r, m.shape[0], p)
    if species.a.shape[1] == 1:
        return made
    start = tree.species_start
    for c in range(start.size - 1):
        part = slice(start[c], start[c + 1])
        rows = slice(spectra.start[start[c]], spectra.start[start[c + 1]])
        u, c_ww = spectra.u[rows], species.cov[c, 1:, 1:]
        made.u_h[rows] = u @ species.a[c, 1:]
        made.quad[rows] = np.einsum("rp,rp->r", u @ c_ww, u)
        made.cm[part] = m[part] @ c_ww
    made.mcm[:] = np.einsum("gp,gp->g", made.cm, m)
    return made


def _compound_gradient(tree: Hierarchy, done: Forward, upper: _Upper) -> tuple[float, float]:
    """By log tau_comp² and log s_theta²."""
    z, z_k, q_inverse = tree.z, done.compounds.z_k, done.compounds.q_inverse
    v = done.variances
    r = upper.alpha + tree.offset
    q_r = q_inverse @ r
    s_z = upper.sigma @ z  # (K, D)
    zks = z_k @ upper.sigma
    # tr(Q^-1 Sigma Q^-1) with Q^-1 = (I - Z Z_k) / tau_comp²
    trace = np.trace(upper.sigma) - 2.0 * np.einsum("dk,kd->", z_k, s_z)
    trace += np.einsum("dk,dk->", (z.T @ z) @ zks, z_k)
    trace /= v.tau_comp2**2
    tau_comp2 = 0.5 * v.tau_comp2 * (q_r @ q_r + trace - np.trace(q_inverse))
    zq = z.T @ q_inverse
    z_r = zq @ r
    theta2 = z_r @ z_r + np.einsum("dk,dk->", zq @ upper.sigma, zq) - np.trace(zq @ z)
    return float(tau_comp2), float(0.5 * v.theta2 * theta2)
