"""Measures of one Student-t prediction against what was observed; minutes in, minutes out.

Every function takes and returns ``(n,)`` arrays; means over a slice of a table stand in
`evaluation`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln, ndtr, ndtri, stdtr, stdtrit

Floats = npt.NDArray[np.float64]

_NORMAL_DF = 1e6  # from here on the t is a Normal to within 1e-6
_NEAR_ONE = 1e-5


def half_width(scale: Floats, df: Floats, level: float) -> Floats:
    """Half width of the central interval of nominal coverage `level`."""
    return np.asarray(scale * stdtrit(df, 0.5 + 0.5 * level))


def probability_integral(error: Floats, scale: Floats, df: Floats) -> Floats:
    """Predictive probability of a value below the observed one; uniform when calibrated."""
    return np.asarray(stdtr(df, error / scale))


def crps_student_t(error: Floats, scale: Floats, df: Floats) -> Floats:
    """Continuous ranked probability score of a location-scale Student-t, ``(n,)``, min.

    With z = error / scale and density f and distribution F of t(df)::

        crps / scale = z (2 F(z) - 1) + 2 f(z) (df + z²)/(df - 1)
                       - 2 sqrt(df)/(df - 1) · B(1/2, df - 1/2) / B(1/2, df/2)²

    (Jordan, Krüger and Lerch, "Evaluating Probabilistic Forecasts with scoringRules", J. Stat.
    Softw. 90(12), 2019, appendix A.) It is stated for df > 1; both sides are analytic in df down
    to 1/2, so it holds there too, with the removable singularity at 1 averaged over. At and below
    1/2 the score is infinite; a huge or infinite df is the Normal.
    """
    z = error / scale
    df = np.asarray(df, dtype=np.float64)
    finite = np.clip(df, 0.5 + 1e-12, _NORMAL_DF)
    near = np.abs(finite - 1.0) < _NEAR_ONE
    away = np.where(near, 1.0 - _NEAR_ONE, finite)
    mirrored = np.where(near, 1.0 + _NEAR_ONE, finite)
    student = 0.5 * (_standard_crps(z, away) + _standard_crps(z, mirrored))
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    normal = z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi)
    score = np.where(df >= _NORMAL_DF, normal, student)
    return scale * np.where(df <= 0.5, np.inf, score)


def _standard_crps(z: Floats, df: Floats) -> Floats:
    log_norm = gammaln(0.5 * (df + 1.0)) - gammaln(0.5 * df) - 0.5 * np.log(np.pi * df)
    # f(z) (df + z²) with one power taken off, so that a large z does not overflow
    weighted = df * np.exp(log_norm - 0.5 * (df - 1.0) * np.log1p(z**2 / df))
    spread = np.exp(betaln(0.5, df - 0.5) - 2.0 * betaln(0.5, 0.5 * df))
    inner = z * (2.0 * stdtr(df, z) - 1.0)
    return np.asarray(inner + 2.0 * (weighted - np.sqrt(df) * spread) / (df - 1.0))


def interval_score(error: Floats, half: Floats, level: float) -> Floats:
    """Width of a central interval plus 2/(1 - level) times the distance of a miss, min.

    (Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA 102,
    2007, section 6.2.)
    """
    return np.asarray(2.0 * half + 2.0 / (1.0 - level) * np.maximum(np.abs(error) - half, 0.0))


def log_density(error: Floats, scale: Floats, df: Floats) -> Floats:
    """Log density of a location-scale Student-t, nats (per minute)."""
    z2 = (error / scale) ** 2
    finite = np.minimum(df, _NORMAL_DF)
    norm = gammaln(0.5 * (finite + 1.0)) - gammaln(0.5 * finite) - 0.5 * np.log(np.pi * finite)
    student = norm - 0.5 * (finite + 1.0) * np.log1p(z2 / finite)
    normal = -0.5 * (np.log(2.0 * np.pi) + z2)
    return np.asarray(np.where(df >= _NORMAL_DF, normal, student) - np.log(scale))


def wilson_interval(share: Floats, n: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of a binomial share (Wilson, JASA 22, 1927); NaN where n is 0."""
    z2 = ndtri(0.5 + 0.5 * level) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (share + 0.5 * z2 / n) / (1.0 + z2 / n)
        half = np.sqrt(z2 / n * (share * (1.0 - share) + 0.25 * z2 / n)) / (1.0 + z2 / n)
    return centre - half, centre + half
