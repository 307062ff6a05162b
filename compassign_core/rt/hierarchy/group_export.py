"""What every tree exports of a posterior: covariances of groups, and what is not of the tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.groups import Groups, GroupVariances
from compassign_core.rt.hierarchy.noise import Fitted
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.student_t import predictive_noise
from compassign_core.rt.summaries import pack

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BLOCK_VALUES = 1 << 22


def common_fields(
    problem: Problem, fitted: Fitted, theta: Floats, theta_cov: Floats
) -> dict[str, Any]:
    """The fields of `StoredPosterior` but for the coefficients of groups."""
    scales, phi, noise, state = fitted.scales, fitted.mode.phi, fitted.noise, fitted.state
    tree = problem.tree
    used = tree.z[tree.described]
    spread = used.T @ used / max(used.shape[0], 1)
    second = np.outer(theta, theta) + theta_cov
    pair_psi, pair_tau_b2 = scales.spreads(phi, state.pair_variance, noise, state.pair_df)
    new_psi, new_tau_b2 = scales.spreads(
        phi, np.array([state.new_variance]), noise, np.array([state.new_df])
    )
    pair_variance, pair_df = state.predictive(state.pair_variance, state.pair_df)
    new_variance, new_df = state.predictive(np.array(state.new_variance), np.array(state.new_df))
    return {
        "keys": tree.keys,
        "species": tree.species,
        "supercategories": tree.supercategories,
        "comps": tree.comps,
        "supercat_of": tree.supercat_of,
        "species_start": tree.species_start,
        "comp_of": tree.comp_of,
        "pooled": bool(np.isfinite(fitted.done.variances.tau_b2).all()),
        "noise_variance": state.variance,
        "noise_df": state.df,
        "theta": theta,
        "theta_cov": theta_cov,
        "chem_id": tree.embeddings.chem_id,
        "chem_z": tree.embeddings.z,
        "plain_variance": float((spread * second).sum()),
        "pair_psi": pair_psi,
        "pair_tau_b2": pair_tau_b2,
        "pair_variance": pair_variance,
        "pair_df": pair_df,
        "new_psi": float(new_psi[0]),
        "new_tau_b2": float(new_tau_b2[0]),
        "new_variance": float(new_variance),
        "new_df": float(new_df),
    }


def with_row_noise(posterior: AnyPosterior, problem: Problem, fitted: Fitted) -> AnyPosterior:
    """The posterior with what new rows of trained groups scatter by, where rows are Student-t.

    Their sum of Student-t noise and normal coefficient error is less heavy-tailed than the noise:
    nu is diluted as `predictive.Predictive.df` is, by the mean coefficient variance v of the
    group over the features of all rows, nu (1 + v / sigma²)².
    """
    state, spectra = fitted.state, problem.spectra
    if not np.isfinite(state.row_df):
        return posterior
    q = spectra.u.shape[1] + 1
    second = np.empty((q, q))  # mean of x~x~' over the rows
    second[0, 0] = spectra.weight.sum()
    second[0, 1:] = second[1:, 0] = spectra.t @ spectra.u
    second[1:, 1:] = (spectra.u * spectra.lam[:, None]).T @ spectra.u
    rows, columns = np.tril_indices(q)
    twice = np.where(rows == columns, 1.0, 2.0) / second[0, 0]
    v = posterior.beta_cov_packed @ (second[rows, columns] * twice)
    diluted = state.row_df * (1.0 + np.maximum(v, 0.0) / state.variance) ** 2
    variance, df = predictive_noise(state.variance, state.df, diluted)
    return replace(posterior, noise_variance=variance, noise_df=df)


def group_covariances(
    spectra: Spectra, groups: Groups, v: GroupVariances, parents: Callable[[Ints], Floats]
) -> Floats:
    """Cov(beta_g) = E_g + A_g C_g A_g', A_g = E_g Psi_g^-1, packed, in blocks of equal rank.

    `parents` gives C_g, the covariance of what groups ``(B,)`` are drawn about, ``(B, d, d)``.
    """
    q = spectra.u.shape[1] + 1
    packed = np.empty((spectra.n.size, q * (q + 1) // 2))
    rank = spectra.rank
    step = max(1, _BLOCK_VALUES // (q * q))
    for r in np.unique(rank):
        members = np.flatnonzero(rank == r)
        for begin in range(0, members.size, step):
            part = members[begin : begin + step]
            packed[part] = pack(_covariances(spectra, groups, v, part, int(r), parents(part)))
    return packed


def _covariances(
    spectra: Spectra, groups: Groups, v: GroupVariances, part: Ints, rank: int, c: Floats
) -> Floats:
    """Cov(beta_g) ``(B, q, q)`` of groups of one rank."""
    p, d = spectra.u.shape[1], c.shape[1]
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
    inverse_psi = np.concatenate(
        [groups.beta[part][:, None], np.repeat(1.0 / psi[:, None], p, axis=1)], axis=1
    )
    a = (e * inverse_psi[:, None, :])[:, :, :d]
    return np.asarray(e + a @ c @ a.transpose(0, 2, 1))
