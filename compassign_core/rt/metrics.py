"""Measures of one Student-t prediction against what was observed; minutes in, minutes out.

Arrays are ``(n,)``; means over a slice of a table stand in `evaluation`. Degrees of freedom are
those of groups, so few of them differ among many rows: what depends on them alone is worked out
once for each.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln, ndtr, ndtri, stdtr, stdtrit

Floats = npt.NDArray[np.float64]

_NORMAL_DF = 1e6  # from here on the t is a Normal to within 1e-6
_NEAR_ONE = 1e-5


class Predictive:
    """n predictive location-scale Student-t distributions and what was observed of them.

    Parameters
    ----------
    error : observed less predicted mean, ``(n,)``, min.
    scale : scales, ``(n,)``, min.
    df : degrees of freedom, ``(n,)``; infinite is the Normal.
    """

    def __init__(self, error: Floats, scale: Floats, df: Floats) -> None:
        self.error, self.scale = error, scale
        self._df, self._at = np.unique(np.asarray(df, dtype=np.float64), return_inverse=True)
        self._z = error / scale

    @cached_property
    def probability_integral(self) -> Floats:
        """Predictive probability of a value below the observed one; uniform when calibrated."""
        return np.asarray(stdtr(self._df[self._at], self._z))

    def half_width(self, level: float) -> Floats:
        """Half width of the central interval of nominal coverage `level`, min."""
        return np.asarray(self.scale * stdtrit(self._df, 0.5 + 0.5 * level)[self._at])

    @cached_property
    def log_density(self) -> Floats:
        """Log density of what was observed, nats (per minute)."""
        z2 = self._z**2
        finite = np.minimum(self._df, _NORMAL_DF)
        norm, df = _log_norm(finite)[self._at], finite[self._at]
        student = norm - 0.5 * (df + 1.0) * np.log1p(z2 / df)
        normal = -0.5 * (np.log(2.0 * np.pi) + z2)
        near = (self._df >= _NORMAL_DF)[self._at]
        return np.asarray(np.where(near, normal, student) - np.log(self.scale))

    @cached_property
    def crps(self) -> Floats:
        """Continuous ranked probability score, min.

        With z = error / scale and density f and distribution F of t(df)::

            crps / scale = z (2 F(z) - 1) + 2 f(z) (df + z²)/(df - 1)
                           - 2 sqrt(df)/(df - 1) · B(1/2, df - 1/2) / B(1/2, df/2)²

        (Jordan, Krüger and Lerch, "Evaluating Probabilistic Forecasts with scoringRules", J.
        Stat. Softw. 90(12), 2019, appendix A.) It is stated for df > 1; both sides are analytic
        in df down to 1/2, so it holds there too, with the removable singularity at 1 averaged
        over. At and below 1/2 the score is infinite; a huge or infinite df is the Normal.
        """
        z = self._z
        finite = np.clip(self._df, 0.5 + 1e-12, _NORMAL_DF)
        near = np.abs(finite - 1.0) < _NEAR_ONE
        away = np.where(near, 1.0 - _NEAR_ONE, finite)
        below = self.probability_integral
        score = _standard_crps(z, away, self._at, below)
        rows = np.flatnonzero(near[self._at])
        if rows.size:
            mirrored = np.where(near, 1.0 + _NEAR_ONE, finite)
            above = _standard_crps(z[rows], mirrored, self._at[rows], below[rows])
            score[rows] = 0.5 * (score[rows] + above)
        rows = np.flatnonzero((self._df >= _NORMAL_DF)[self._at])
        if rows.size:
            density = np.exp(-0.5 * z[rows] ** 2) / np.sqrt(2.0 * np.pi)
            middle = z[rows] * (2.0 * ndtr(z[rows]) - 1.0)
            score[rows] = middle + 2.0 * density - 1.0 / np.sqrt(np.pi)
        heavy = (self._df <= 0.5)[self._at]
        return np.asarray(self.scale * np.where(heavy, np.inf, score))


def _log_norm(df: Floats) -> Floats:
    """Log of the factor that makes the density of t(df) integrate to one."""
    return np.asarray(
        gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * np.log(np.pi * df), dtype=np.float64
    )


def _standard_crps(z: Floats, df: Floats, at: npt.NDArray[np.intp], below: Floats) -> Floats:
    """Score at scale one of ``z`` ``(n,)``, of ``df[at]``, with ``below`` = F(z)."""
    norm = np.exp(_log_norm(df))[at]
    spread = (np.sqrt(df) * np.exp(betaln(0.5, df - 0.5) - 2.0 * betaln(0.5, 0.5 * df)))[at]
    of_row = df[at]
    # f(z) (df + z²) with one power taken off, so that a large z does not overflow
    weighted = of_row * norm * np.exp(-0.5 * (of_row - 1.0) * np.log1p(z**2 / of_row))
    inner = z * (2.0 * below - 1.0)
    return np.asarray(inner + 2.0 * (weighted - spread) / (of_row - 1.0))


def half_width(scale: Floats, df: Floats, level: float) -> Floats:
    """Half width of the central interval of nominal coverage `level`, min."""
    return Predictive(np.zeros_like(scale), scale, df).half_width(level)


def probability_integral(error: Floats, scale: Floats, df: Floats) -> Floats:
    """Predictive probability of a value below the observed one; uniform when calibrated."""
    return Predictive(error, scale, df).probability_integral


def interval_score(error: Floats, half: Floats, level: float) -> Floats:
    """Width of a central interval plus 2/(1 - level) times the distance of a miss, min.

    (Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA 102,
    2007, section 6.2.)
    """
    return np.asarray(2.0 * half + 2.0 / (1.0 - level) * np.maximum(np.abs(error) - half, 0.0))


def wilson_interval(share: Floats, n: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of a binomial share (Wilson, JASA 22, 1927); NaN where n is 0."""
    z2 = ndtri(0.5 + 0.5 * level) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (share + 0.5 * z2 / n) / (1.0 + z2 / n)
        half = np.sqrt(z2 / n * (share * (1.0 - share) + 0.25 * z2 / n)) / (1.0 + z2 / n)
    # rounding must not put a share of 0 or 1 outside its interval
    return np.minimum(centre - half, share), np.maximum(centre + half, share)
