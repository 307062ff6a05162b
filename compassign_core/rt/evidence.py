"""Learning the three shared scalars by maximising the exact log marginal likelihood.

With slopes, intercepts and noise variances integrated out, a group of n rows contributes, where
(lam_j, z_j) are the eigenvalues of Xc'Xc and Xc'yc in its eigenbasis, D = d0 s0²,
S = yc'yc - sum_j z_j²/(lam_j + lambda) and h = (d0 + n - 1)/2::

    lnGamma(h) - lnGamma(d0/2) + (d0/2) ln D - h ln(D + S)
        - (1/2) sum_j ln(1 + lam_j/lambda) - (1/2) ln n - ((n - 1)/2) ln pi

that is, the density of the n - 1 contrasts of y, a multivariate t. One eigendecomposition makes
every further evaluation a sum over (G, P) numbers.

Groups whose retention times are all equal are left out of learning: such times were set by hand,
or fall into one scan of the instrument, and tell of its steps rather than of noise. The density of
exact repeats is infinite at s0 = 0, so that a few of them would drag the noise of all groups to
nothing: with them, the 95 % windows of the shipped lipid panel at cap 5 were 0.098 min wide
(CRPS 0.0106), without them 0.060 min (0.0098). These groups are still fitted, with the noise
learned from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.rt import LEARNED_DF0_BOUNDS, RidgeSettings
from compassign_core.rt.ridge import Scalars
from compassign_core.rt.statistics import CentredStatistics

Floats = npt.NDArray[np.float64]

_RANK_TOLERANCE = 1e-12
_EQUAL_TIMES = 1e-9  # minutes; far below any recorded digit, far above rounding errors
_VARIANCE_BOUNDS = (1e-12, 1e6)  # s0 from a microminute to a thousand minutes
_PENALTY_BOUNDS = (1e-9, 1e9)  # times the mean eigenvalue
_PENALTY_STARTS = (1e-4, 1e-2, 1.0)


@dataclass(frozen=True)
class Spectra:
    """What the evidence needs of each of G groups.

    Attributes
    ----------
    n : rows, ``(G,)``.
    eigenvalues : of Xc'Xc, ``(G, P)``, zero below the numerical rank.
    projected2 : z², ``(G, P)``, zero where the eigenvalue is.
    residual : yc'yc - sum z²/lam, the squared residual of the unpenalised fit, ``(G,)``.
    constant : whether the group has two rows or more, all with the same y, ``(G,)``.
    """

    n: Floats
    eigenvalues: Floats
    projected2: Floats
    residual: Floats
    constant: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, statistics: CentredStatistics) -> Self:
        """Decompose the statistics of some groups."""
        values, vectors = np.linalg.eigh(statistics.xx)
        top = values.max(axis=1, initial=0.0)
        kept = values > _RANK_TOLERANCE * top[:, None]
        projected = np.einsum("gpj,gp->gj", vectors, statistics.xy)
        projected2 = np.where(kept, projected**2, 0.0)
        values = np.where(kept, values, 0.0)
        fitted = np.divide(projected2, values, out=np.zeros_like(values), where=kept).sum(axis=1)
        constant = (statistics.n > 1) & (statistics.yy <= statistics.n * _EQUAL_TIMES**2)
        residual = np.maximum(statistics.yy - fitted, 0.0)
        return cls(statistics.n, values, projected2, residual, constant)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The groups of all parts."""
        columns = [[getattr(part, field.name) for part in parts] for field in fields(cls)]
        return cls(*(np.concatenate(column) for column in columns))

    def take(self, groups: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Spectra:
        """Some of the groups, by position or mask."""
        return Spectra(*(getattr(self, field.name)[groups] for field in fields(self)))


def log_evidence(spectra: Spectra, scalars: Scalars) -> float:
    """Log marginal likelihood of the groups that vary, with all its constants."""
    spectra = spectra.take(~spectra.constant)
    value = _value_and_gradient(spectra, scalars)[0]
    constant = 0.5 * np.log(spectra.n) + 0.5 * (spectra.n - 1.0) * np.log(np.pi)
    return float(value - constant.sum())


def learn_scalars(spectra: Spectra, settings: RidgeSettings) -> Scalars:
    """The scalars that the settings leave open, at the maximum of the evidence.

    Raises
    ------
    InputError
        when the noise is to be learned but no group has two rows that differ.
    """
    spectra = spectra.take(~spectra.constant)
    has_slopes = spectra.eigenvalues.shape[1] > 0
    learn_penalty = has_slopes and settings.lambda_slopes == "learned"
    noise_fixed = settings.noise_df0 is not None and settings.noise_scale0 is not None
    free = np.array([learn_penalty, settings.noise_df0 is None, settings.noise_scale0 is None])
    if not noise_fixed and not (spectra.n > 1).any():
        raise InputError(
            "no group has two rows with different retention times, so the noise cannot be learned.",
            "use a larger cap, or give both noise_df0 and noise_scale0.",
        )
    size = float(spectra.eigenvalues.mean()) if has_slopes else 1.0
    size = size if size > 0 else 1.0
    best_value, best_point = np.inf, np.zeros(3)
    bounds = np.log(
        [[size * bound for bound in _PENALTY_BOUNDS], LEARNED_DF0_BOUNDS, _VARIANCE_BOUNDS]
    )
    for relative in _PENALTY_STARTS if learn_penalty else (1.0,):
        start = np.log(_start(spectra, settings, size * relative))
        start[free] = np.clip(start[free], bounds[free, 0], bounds[free, 1])
        point, value = _maximise(spectra, start, free, bounds)
        if value < best_value:
            best_value, best_point = value, point
    penalty, df0, variance0 = np.exp(best_point)
    return Scalars(
        _penalty(settings, has_slopes, float(penalty)),
        settings.noise_df0 if settings.noise_df0 is not None else float(df0),
        settings.noise_scale0**2 if settings.noise_scale0 is not None else float(variance0),
    )


def _penalty(settings: RidgeSettings, has_slopes: bool, learned: float) -> float:
    if not has_slopes:
        return float("inf")
    return learned if settings.lambda_slopes == "learned" else float(settings.lambda_slopes)


def _start(spectra: Spectra, settings: RidgeSettings, penalty: float) -> Floats:
    if spectra.eigenvalues.shape[1] and settings.lambda_slopes != "learned":
        penalty = float(settings.lambda_slopes)
    dof = spectra.n - 1.0
    penalised = _penalised(spectra, penalty)
    typical = np.median(penalised[dof > 0] / dof[dof > 0]) if (dof > 0).any() else 1.0
    variance0 = settings.noise_scale0**2 if settings.noise_scale0 else max(float(typical), 1e-10)
    return np.array([penalty, settings.noise_df0 or 3.0, variance0])


def _maximise(
    spectra: Spectra, start: Floats, free: npt.NDArray[np.bool_], bounds: Floats
) -> tuple[Floats, float]:
    """Best point and its negative log evidence; only the `free` logarithms move."""
    scale = max(float((spectra.n - 1.0).sum()), 1.0)

    def objective(values: Floats) -> tuple[float, Floats]:
        point = start.copy()
        point[free] = values
        value, gradient = _value_and_gradient(spectra, Scalars(*np.exp(point)))
        return -value / scale, -gradient[free] / scale

    if not free.any():
        return start, 0.0
    result = minimize(
        objective,
        start[free],
        jac=True,
        method="L-BFGS-B",
        bounds=bounds[free],
        options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9},
    )
    point = start.copy()
    point[free] = result.x
    return point, float(result.fun)


def _penalised(spectra: Spectra, penalty: float) -> Floats:
    """S of each group as positive terms: residual + lambda sum z²/(lam (lam + lambda))."""
    kept = spectra.eigenvalues > 0
    shrunk = np.divide(
        spectra.projected2,
        spectra.eigenvalues * (spectra.eigenvalues + penalty),
        out=np.zeros_like(spectra.eigenvalues),
        where=kept,
    )
    return np.asarray(spectra.residual + penalty * shrunk.sum(axis=1))


def _value_and_gradient(spectra: Spectra, scalars: Scalars) -> tuple[float, Floats]:
    """Log evidence without constants, and its gradient in the logarithms of the scalars."""
    df0, variance0 = scalars.df0, scalars.variance0
    lam, penalty = spectra.eigenvalues, scalars.lambda_slopes
    h = 0.5 * (df0 + spectra.n - 1.0)
    prior = df0 * variance0
    total = prior + (_penalised(spectra, penalty) if lam.shape[1] else spectra.residual)
    log_total = np.log(total)
    value = gammaln(h) - gammaln(0.5 * df0) + 0.5 * df0 * np.log(prior) - h * log_total
    by_df0 = 0.5 * (digamma(h) - digamma(0.5 * df0) + np.log(prior) + 1.0 - log_total)
    by_df0 -= h * variance0 / total
    by_variance = 0.5 * df0 - h * prior / total
    gradient = np.array([0.0, df0 * by_df0.sum(), by_variance.sum()])
    value_sum = float(value.sum())
    if lam.shape[1]:
        value_sum -= 0.5 * float(np.log1p(lam / penalty).sum())
        slope = (spectra.projected2 / (lam + penalty) ** 2).sum(axis=1)
        gain = 0.5 * (lam / (lam + penalty)).sum()
        gradient[0] = gain - penalty * float((h / total * slope).sum())
    return value_sum, gradient
