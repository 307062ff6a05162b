"""Student-t rows as normal rows of unknown weight: the formulas, of numbers alone.

::

    y_i ~ N(mu_i, sigma_g² / omega_i),   omega_i ~ Gamma(nu/2, nu/2)

Given what is expected of the squared residual, omega_i is Gamma(a, b_i) again with a = (nu + 1)/2
and b_i = (nu + E[r_i²]/sigma_g²)/2 (Lange, Little and Taylor, "Robust statistical modeling using
the t distribution", JASA 84, 1989). How rows are gone over with them stands in `row_weights` and
`student_fit`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln, polygamma

Floats = npt.NDArray[np.float64]

_NEWTON_STEPS = 12


def expected_weights(relative: Floats, row_df: float) -> Floats:
    """E[omega] at ``relative = E[r²]/sigma²`` ``(n,)``: (nu + 1) / (nu + E[r²]/sigma²)."""
    by_nu = 1.0 / row_df
    return np.asarray((1.0 + by_nu) / (1.0 + by_nu * relative))


def scale_information(row_df: float) -> float:
    """What a row says about log sigma, as a share of what a normal row does: nu / (nu + 3)."""
    return 1.0 / (1.0 + 3.0 / row_df)


def unweighted(rss: Floats, df: Floats, relative: Floats, row_df: float) -> tuple[Floats, Floats]:
    """Residual sums of squares and df of units of normal rows that say the same about sigma².

    With weights that were computed at sigma_0², ``rss / df`` goes only the share I =
    `scale_information` of the way (in logarithms) from sigma_0² to the likelihood's maximum; the
    whole way, a step of Fisher scoring, is taken here, and df is what is known there.

    Parameters
    ----------
    rss, df : weighted residual sums of squares (min²) and degrees of freedom, ``(n,)``.
    relative : the first with every row's square over its own sigma_0², ``(n,)``.
    row_df : nu.
    """
    information = scale_information(row_df)
    ratio = np.divide(relative, df, out=np.ones_like(df), where=df > 0)
    further = ratio ** (1.0 / information - 1.0)
    return information * rss * further, information * df


def predictive_noise(variance: Floats, df: Floats, row_df: float | Floats) -> tuple[Floats, Floats]:
    """Scale² and df of the Student-t nearest to t rows whose sigma² is itself uncertain.

    A new row is ``sigma z sqrt(nu / chi²_nu) sqrt(df / chi²_df)``. With L(d) = log(d/2) -
    digamma(d/2), the logarithm of ``d / chi²_d`` has mean L(d) and variance trigamma(d/2); the one
    Student-t that has the sums of both is taken::

        trigamma(d/2) = trigamma(nu/2) + trigamma(df/2),
        scale² = sigma² exp(L(nu) + L(df) - L(d))

    For nu from 2.5 to 30 and df from 3 its half widths are right within 2 % at 50 to 95 %; at 99 %
    they are up to 5 % too wide from df = 10, 12 % from df = 5.

    Parameters
    ----------
    variance, df : sigma² (min²) and the df that it is known with, of any equal shape.
    row_df : nu, of all or of each; infinite for all returns what came in.
    """
    if np.all(np.isinf(row_df)):
        return variance, df
    nu = np.asarray(row_df, dtype=np.float64)
    joint = 2.0 * inverse_trigamma(polygamma(1, 0.5 * nu) + polygamma(1, 0.5 * df))
    growth = _mean_log(nu) + _mean_log(df) - _mean_log(joint)
    return np.asarray(variance * np.exp(growth)), joint


def _mean_log(df: Floats) -> Floats:
    """L(d), the mean of log(d / chi²_d)."""
    return np.asarray(np.log(0.5 * df) - digamma(0.5 * df))


def inverse_trigamma(value: Floats) -> Floats:
    """Y with ``trigamma(y) = value > 0``, by Newton steps on 1/trigamma, which is nearly linear."""
    y = 0.5 + 1.0 / value
    for _ in range(_NEWTON_STEPS):
        found = polygamma(1, y)
        y = y + found * (1.0 - found / value) / polygamma(2, y)
    return np.asarray(y)


def log_t(z2: Floats, df: Floats) -> Floats:
    """Log density of a standard Student-t at squared values `z2`, shapes that broadcast."""
    half = 0.5 * (df + 1.0)
    constant = gammaln(half) - gammaln(0.5 * df) - 0.5 * np.log(np.pi * df)
    return np.asarray(constant - half * np.log1p(z2 / df))


def marginal_bound(
    log_marginal: float, n: float, weight: float, log_weight: float, row_df: float
) -> float:
    """Lower bound on the log marginal likelihood of Student-t rows, scales and noise given.

    That of normal rows of the expected weights, less what is paid for not knowing them. Unlike the
    log marginal given the weights, it can be compared with that of normal rows.

    Parameters
    ----------
    log_marginal : of the rows given their expected weights.
    n, weight, log_weight : number of rows, and the sums of the weights and of their logarithms.
    row_df : nu.
    """
    if not np.isfinite(row_df):
        return log_marginal
    a, a0 = 0.5 * (row_df + 1.0), 0.5 * row_df
    log_b = n * np.log(a) - log_weight
    # Gamma(a, b_i) against Gamma(a0, a0), summed
    divergence = n * ((a - a0) * digamma(a) - gammaln(a) + gammaln(a0) - a0 * np.log(a0) - a)
    divergence += a0 * log_b + a0 * weight
    return float(log_marginal + 0.5 * n * (digamma(a) - np.log(a)) - divergence)
