"""Coverage with an interval that counts units, not peaks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import beta

from compassign_core.rt.coverage import coverage_interval


def test_the_interval_of_a_share_is_of_units_not_of_peaks() -> None:
    n_units, n_each = 10, 50
    unit = np.repeat(np.arange(n_units), n_each)
    hit = np.repeat(np.arange(n_units) < 8, n_each).astype(float)
    cell, weight = np.zeros_like(unit), np.ones(unit.size)
    found = coverage_interval(hit, weight, cell, unit, 1)
    # Units that hit or miss whole count as 9 trials (n - 1 estimates the spread), less for the t.
    trials = 9 * (stdtrit(499, 0.975) / stdtrit(9, 0.975)) ** 2
    assert (found.share[0], found.units[0]) == (0.8, 10)
    assert found.trials[0] == pytest.approx(trials)
    assert found.low[0] == pytest.approx(beta.ppf(0.025, 0.8 * trials, 0.2 * trials + 1))
    assert found.high[0] == pytest.approx(beta.ppf(0.975, 0.8 * trials + 1, 0.2 * trials))


@pytest.mark.parametrize(("trials_a_peak", "trials"), [(0.0, 20), (0.1, 60)])
def test_without_a_miss_trials_are_those_of_other_cells_or_units(trials_a_peak, trials) -> None:
    unit = np.repeat(np.arange(20), 30)
    cell, weight = np.zeros_like(unit), np.ones(unit.size)
    nearest = 0.025 ** (1 / trials)
    for hits, low, high in ((1.0, nearest, 1.0), (0.0, 0.0, 1.0 - nearest)):
        inside = np.full(unit.size, hits)
        found = coverage_interval(inside, weight, cell, unit, 1, trials_a_peak)
        assert (found.low[0], found.high[0]) == pytest.approx((low, high))


def test_a_single_unit_says_nothing() -> None:
    unit = np.zeros(40, dtype=np.int64)
    hit = (np.arange(40) > 2).astype(float)
    found = coverage_interval(hit, np.ones(40), unit, unit, 1)
    assert (found.low[0], found.high[0], found.units[0]) == (0.0, 1.0, 1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    n_cells, n_units, n_each = 2000, 16, 25
    chance = rng.beta(9.0, 1.0, size=(n_cells, n_units))  # units differ about a mean of .9
    hit = (rng.random((n_cells, n_units, n_each)) < chance[:, :, None]).astype(float).ravel()
    cell = np.repeat(np.arange(n_cells), n_units * n_each)
    unit = np.tile(np.repeat(np.arange(n_units), n_each), n_cells)
    found = coverage_interval(hit, np.ones(hit.size), cell, unit, n_cells)
    held = np.mean((found.low <= 0.9) & (found.high >= 0.9))
    assert 0.92 < held < 0.995
    # what counting peaks as trials would hold
    naive = counting_peaks(found.share, n_units * n_each)
    assert np.mean((naive[0] <= 0.9) & (naive[1] >= 0.9)) < 0.8


def counting_peaks(share: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    hits = share * n
    return beta.ppf(0.025, hits, n - hits + 1), beta.ppf(0.975, hits + 1, n - hits)


def test_peaks_counted_by_unit_give_what_peaks_one_by_one_give() -> None:
    rng = np.random.default_rng(9)
    cell, unit = rng.integers(0, 5, 900), rng.integers(0, 30, 900)
    hit = (rng.random(900) < 0.9).astype(float)
    single = coverage_interval(hit, np.ones(900), cell, unit, 6, 0.1)
    place, at = np.unique(cell * 30 + unit, return_inverse=True)
    n, hits = np.bincount(at).astype(float), np.bincount(at, weights=hit)
    summed = coverage_interval(hits / n, n, place // 30, place % 30, 6, 0.1, peaks=n)
    for name in ("share", "low", "high", "trials", "units"):
        np.testing.assert_allclose(getattr(summed, name), getattr(single, name), rtol=1e-10)
    assert np.isnan(single.share[5]) and single.units[5] == 0
