"""Closed forms against numerical integration and hand counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, t

from compassign_core.rt import metrics


def crps_by_integration(error: float, scale: float, df: float) -> float:
    law = norm(scale=scale) if np.isinf(df) else t(df, scale=scale)
    far = np.inf

    def below(v: float) -> float:
        return law.cdf(v) ** 2

    def above(v: float) -> float:
        return law.sf(v) ** 2

    return quad(below, -far, error, limit=500)[0] + quad(above, error, far, limit=500)[0]


@pytest.mark.parametrize("df", [0.8, 1.0, 1.5, 2.0, 4.3, 30.0, 1e5, np.inf])
@pytest.mark.parametrize("error", [0.0, -0.4, 3.0])
def test_crps_is_the_integral_that_defines_it(df: float, error: float) -> None:
    scale = 0.7
    closed = metrics.Predictive(np.array([error]), np.array([scale]), np.array([df])).crps
    tolerance = 2e-3 if df < 1 else 1e-6  # quadrature of a tail x^(-2 df) is the rough side
    assert closed[0] == pytest.approx(crps_by_integration(error, scale, df), rel=tolerance)


def test_crps_is_infinite_where_the_tail_is_too_heavy() -> None:
    one = np.ones(2)
    assert np.isinf(metrics.Predictive(one, one, np.array([0.5, 0.3])).crps).all()


def test_crps_of_huge_errors_is_their_size() -> None:
    error = np.array([1e6, -1e6])
    score = metrics.Predictive(error, np.full(2, 0.01), np.array([2.2, 50.0])).crps
    np.testing.assert_allclose(score, 1e6, rtol=1e-6)


def test_the_half_width_holds_the_stated_probability() -> None:
    half = metrics.half_width(np.array([0.3]), np.array([2.5]), 0.9)
    inside = t(2.5, scale=0.3).cdf(half) - t(2.5, scale=0.3).cdf(-half)
    np.testing.assert_allclose(inside, 0.9, rtol=1e-10)


def test_the_interval_score_is_smallest_at_the_true_quantiles() -> None:
    rng = np.random.default_rng(3)
    error = rng.standard_t(6.0, 200_000)
    halves = np.linspace(1.0, 5.0, 81)
    scores = [metrics.interval_score(error, np.full(error.size, h), 0.95).mean() for h in halves]
    assert halves[int(np.argmin(scores))] == pytest.approx(t.ppf(0.975, 6.0), abs=0.11)


def test_the_interval_score_by_hand() -> None:
    score = metrics.interval_score(np.array([0.5, -3.0]), np.array([1.0, 1.0]), 0.9)
    np.testing.assert_allclose(score, [2.0, 2.0 + 20.0 * 2.0])


@pytest.mark.parametrize("df", [0.7, 3.0, 40.0, 1e8, np.inf])
def test_the_log_density_is_that_of_scipy(df: float) -> None:
    error, scale = np.linspace(-2, 2, 9), np.full(9, 0.3)
    exact = norm.logpdf(error, scale=0.3) if df > 1e6 else t.logpdf(error, df, scale=0.3)
    found = metrics.Predictive(error, scale, np.full(9, df)).log_density
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)


def test_rows_of_many_degrees_of_freedom_are_measured_as_each_alone() -> None:
    rng = np.random.default_rng(2)
    df = rng.choice([0.4, 0.9, 1.0, 1.0 + 3e-6, 2.5, 40.0, 1e7, np.inf], 200)
    error, scale = rng.normal(size=200), rng.uniform(0.1, 2.0, 200)
    together = metrics.Predictive(error, scale, df)
    for i in range(0, 200, 7):
        alone = metrics.Predictive(error[i : i + 1], scale[i : i + 1], df[i : i + 1])
        assert together.crps[i] == alone.crps[0]
        assert together.log_density[i] == alone.log_density[0]
        assert together.half_width(0.8)[i] == alone.half_width(0.8)[0]
        assert together.probability_integral[i] == alone.probability_integral[0]


def test_the_wilson_interval_holds_the_share_that_it_should() -> None:
    rng = np.random.default_rng(11)
    n, share = 60, 0.9
    seen = rng.binomial(n, share, 20_000) / n
    low, high = metrics.wilson_interval(seen, np.full(seen.size, float(n)))
    assert ((low <= share) & (share <= high)).mean() == pytest.approx(0.95, abs=0.02)
    assert np.isnan(metrics.wilson_interval(np.array([np.nan]), np.array([0.0]))[0]).all()
