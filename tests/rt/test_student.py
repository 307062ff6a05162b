"""Quantiles of Student's t without SciPy, against SciPy's."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri, stdtrit

from compassign_core.contracts.settings.rt import HIGHEST_LEVEL, LOWEST_LEVEL
from compassign_core.rt.student import MOST_DF, normal_quantiles, t_quantiles

LEVELS = np.array([0.5, 0.68, 0.8, 0.9, 0.95, 0.99, 0.999])


def test_quantiles_are_those_of_scipy() -> None:
    df = np.geomspace(1.0, MOST_DF, 5003)
    expected = stdtrit(df[None, :], 0.5 + 0.5 * LEVELS[:, None])
    np.testing.assert_allclose(t_quantiles(df, LEVELS), expected, rtol=1e-7)


def test_below_one_degree_of_freedom_they_are_still_quantiles() -> None:
    df = np.geomspace(0.1, 1.0, 503)
    expected = stdtrit(df[None, :], 0.5 + 0.5 * LEVELS[:, None])
    np.testing.assert_allclose(t_quantiles(df, LEVELS), expected, rtol=1e-5)


def test_many_degrees_of_freedom_are_a_normal() -> None:
    np.testing.assert_allclose(normal_quantiles(LEVELS), ndtri(0.5 + 0.5 * LEVELS), rtol=1e-14)
    for df in (MOST_DF, 1e9, np.inf):
        got = t_quantiles(np.array([df]), LEVELS)[:, 0]
        np.testing.assert_allclose(got, normal_quantiles(LEVELS), rtol=1e-5)


def test_levels_keep_their_place_and_unknown_df_stay_unknown() -> None:
    df = np.array([3.0, np.nan, 50.0])
    up, down = t_quantiles(df, LEVELS), t_quantiles(df, LEVELS[::-1].copy())
    np.testing.assert_array_equal(up, down[::-1])
    for i, level in enumerate(LEVELS):
        np.testing.assert_array_equal(t_quantiles(df, np.array([level]))[0], up[i])
    assert np.isnan(up[:, 1]).all()
    assert np.isfinite(up[:, [0, 2]]).all()


def test_a_t_quantile_grows_with_the_level_at_least_as_fast_as_the_normal_one() -> None:
    levels = np.sort(np.random.default_rng(0).uniform(LOWEST_LEVEL, HIGHEST_LEVEL, 300))
    t = t_quantiles(np.geomspace(0.1, MOST_DF, 501), levels)
    excess = np.diff(np.log(t) - np.log(normal_quantiles(levels))[:, None], axis=0)
    assert excess.min() > -1e-10
    assert (excess[:, :400] > 0).all()
