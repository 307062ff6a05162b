"""Folds of runs and the correction measured on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.special import ndtri, stdtrit

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.settings.rt import (
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    STORED_LEVELS,
    RidgeSettings,
    WindowRequest,
    WindowSettings,
)
from compassign_core.rt.conformal import BASES, calibrate, conformal_factors, uncalibrated
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.folds import assign_folds, keyed_hash
from compassign_core.rt.levels import factors_at
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.student import normal_quantiles, t_quantiles
from compassign_core.rt.support import support_bin_index
from compassign_core.rt.table import read_training
from compassign_core.rt.train import fit_rows, train_ridge
from tests.rt import rt_tables


def test_the_hash_is_splitmix64() -> None:
    # the first output of the reference generator seeded with 0
    assert int(keyed_hash(np.zeros((1, 1), dtype=np.int64), 0)[0]) == 0xE220A8397B1DCDAF


def test_folds_follow_the_run_and_not_its_place() -> None:
    runs = np.random.default_rng(0).integers(0, 40, size=(500, 3))
    fold, used = assign_folds(runs, 4, seed=1)
    order = np.random.default_rng(1).permutation(500)
    again, _ = assign_folds(runs[order], 4, seed=1)
    assert used == 4
    np.testing.assert_array_equal(again, fold[order])
    other, _ = assign_folds(runs, 4, seed=2)
    assert (other != fold).any()


def test_runs_stay_whole_and_folds_are_even() -> None:
    runs = np.repeat(np.arange(22)[:, None], 7, axis=0)
    fold, _ = assign_folds(runs, 4, seed=3)
    per_run = fold.reshape(22, 7)
    assert (per_run == per_run[:, :1]).all()
    assert np.ptp(np.bincount(per_run[:, 0])) <= 1
    assert assign_folds(runs[:14], 4, seed=3)[1] == 2


def brute_force(ratio: np.ndarray, df: np.ndarray, level: float) -> float:
    """The ceil((n + 1) level)-th smallest score; NaN where there are fewer."""
    scores = np.sort(ratio / stdtrit(df, 0.5 + 0.5 * level))
    rank = int(np.ceil((scores.size + 1) * level - 1e-9))
    return float(scores[rank - 1]) if rank <= scores.size else np.nan


def risen(ratio: np.ndarray, df: np.ndarray, level: float) -> float:
    """The largest score · z up to a level, over z of the level."""
    lower = [at for at in STORED_LEVELS if at <= level]
    in_z = [brute_force(ratio, df, at) * ndtri(0.5 + 0.5 * at) for at in lower]
    return max(in_z) / ndtri(0.5 + 0.5 * level)


@pytest.mark.parametrize("n", [1, 2, 19, 20, 500, 1500, 6000])
def test_factors_are_the_order_statistics_of_the_scores_at_every_level(n: int) -> None:
    rng = np.random.default_rng(n)
    # few and many distinct degrees of freedom, ties among scores, tails of every weight
    df = rng.choice([1.0, 2.5, 7.0, 40.0, 1e6], n) if n % 2 else np.exp(rng.uniform(0, 9, n))
    ratio = np.round(np.abs(rng.standard_t(2.0, n)), 2) + 0.01
    expected = np.array([brute_force(ratio, df, level) for level in STORED_LEVELS])
    got = conformal_factors(ratio, df)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-7)
    order = rng.permutation(n)
    np.testing.assert_array_equal(conformal_factors(ratio[order], df[order]), got)


def test_a_level_needs_as_many_rows_as_its_rank() -> None:
    ones = np.ones(998)
    at = STORED_LEVELS.index(0.999)
    assert np.isnan(conformal_factors(ones, ones)[at])
    assert not np.isnan(conformal_factors(np.ones(999), np.ones(999))[at])


def test_residuals_of_zero_are_not_windows_of_zero() -> None:
    df = np.full(100, 5.0)
    assert np.isnan(conformal_factors(np.zeros(100), df)).all()
    ratio = np.where(np.arange(100) < 70, 0.0, 2.0)
    np.testing.assert_allclose(conformal_factors(ratio, df)[0], 2.0 / stdtrit(5.0, 0.75), rtol=1e-7)


def test_bins_with_few_rows_take_the_pooled_factor() -> None:
    rng = np.random.default_rng(0)
    support = np.repeat([1.0, 4.0], [1000, 50])
    df = np.full(1050, 5.0)
    residual = rng.standard_t(5.0, size=1050) * np.repeat([2.0, 1.0], [1000, 50])
    made = calibrate(residual, np.ones(1050), df, support, min_rows_per_bin=200)
    one, few = SUPPORT_BINS.index("1"), SUPPORT_BINS.index("3-5")
    assert made.rows[one] == 1000
    assert made.rows[few] == 50
    at = STORED_LEVELS.index(0.95)
    assert BASES[made.basis[at, one]] == "bin"
    assert BASES[made.basis[at, few]] == "pooled"
    assert made.kappa[at, one] == pytest.approx(2.0, rel=0.2)
    np.testing.assert_allclose(made.kappa[at, few], risen(np.abs(residual), df, 0.95), rtol=1e-7)


def test_a_bin_with_too_few_rows_for_a_level_asks_all_rows_and_then_says_so() -> None:
    rng = np.random.default_rng(1)
    support = np.repeat([1.0, 4.0], [300, 600])
    made = calibrate(rng.normal(size=900), np.ones(900), np.full(900, 9.0), support, 200)
    one, four = SUPPORT_BINS.index("1"), SUPPORT_BINS.index("3-5")
    of = {b: [BASES[i] for i in made.basis[:, b]] for b in (one, four)}
    # 300 rows reach level 300/301, 600 rows 600/601, 900 rows 900/901
    for b, (own, everything) in {one: (0.9966, 0.9988), four: (0.9983, 0.9988)}.items():
        levels = np.array(STORED_LEVELS)
        assert {of[b][i] for i in np.flatnonzero(levels <= own)} == {"bin"}
        between = (levels > own) & (levels <= everything)
        assert {of[b][i] for i in np.flatnonzero(between)} == {"pooled"}
        beyond = np.flatnonzero(levels > everything)
        assert beyond.size and {of[b][i] for i in beyond} == {"none"}
        np.testing.assert_array_equal(made.kappa[beyond, b], made.kappa[beyond[0] - 1, b])


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 3000),
    df=st.floats(0.6, 1e6),
    levels=st.tuples(*[st.floats(LOWEST_LEVEL, HIGHEST_LEVEL)] * 2),
)
def test_a_higher_level_never_gives_a_narrower_window(
    seed: int, n: int, df: float, levels: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    left_df = np.exp(rng.uniform(0, 10, n))
    # one scale for each kind of tail, so that factors by themselves would fall and rise
    residual = rng.standard_t(1.5, n) * np.where(left_df > 50, 1.0, 0.2)
    support = rng.integers(1, 130, n).astype(float)
    made = calibrate(residual, np.ones(n), left_df, support, 100)
    wanted = np.array(sorted(levels))
    kappa = factors_at(made.levels, made.kappa, wanted)
    half = kappa * t_quantiles(np.array([df]), wanted)
    assert (half[1] >= half[0] * (1.0 - 1e-9)).all()
    assert (half > 0).all()


def test_without_the_rule_against_it_windows_would_narrow_with_the_level() -> None:
    # rows of one df end where those of a heavy tail begin
    df = np.repeat([1e6, 1.0], [900, 100])
    ratio = np.concatenate([np.linspace(0.1, 1.6, 900), np.full(100, 12.0)])
    z = normal_quantiles(np.array(STORED_LEVELS))
    assert (np.diff(conformal_factors(ratio, df) * z) < -1e-3).any()
    made = calibrate(ratio, np.ones(1000), df, np.ones(1000), 100)
    assert (np.diff(made.kappa * z[:, None], axis=0) > -1e-12).all()


def test_between_stored_levels_smooth_factors_are_read_to_a_two_thousandth() -> None:
    # where predictive and truth are both known, the factor at any level is a ratio of quantiles
    wanted = np.random.default_rng(2).uniform(LOWEST_LEVEL, HIGHEST_LEVEL, 500)
    stored = np.array(STORED_LEVELS)

    def true_factor(levels: np.ndarray) -> np.ndarray:
        p = 0.5 + 0.5 * levels
        return np.stack([stdtrit(2.0, p) / stdtrit(8.0, p), 0.6 * ndtri(p) / stdtrit(3.0, p)], 1)

    got = factors_at(stored, true_factor(stored), wanted)
    assert np.abs(got / true_factor(wanted) - 1).max() < 1e-4
    at_stored = factors_at(stored, true_factor(stored), stored)
    np.testing.assert_allclose(at_stored, true_factor(stored), rtol=1e-12)


def test_left_out_rows_at_any_level_are_covered_as_stated() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    df = np.exp(rng.uniform(1, 6, n))
    ratio = np.abs(rng.standard_t(3.0, n))
    kappa = conformal_factors(ratio, df)
    stored = np.array(STORED_LEVELS)
    for level in rng.uniform(LOWEST_LEVEL, HIGHEST_LEVEL, 25):
        factor = factors_at(stored, kappa[:, None], np.array([level]))[0, 0]
        inside = ratio <= factor * stdtrit(df, 0.5 + 0.5 * level)
        above = np.searchsorted(stored, level)
        assert stored[above - 1] <= inside.mean() <= stored[above] + 2.0 / n


def test_no_factor_beyond_the_stored_levels() -> None:
    levels, kappa = np.array([0.6, 0.9]), np.array([[1.0], [2.0]])
    got = factors_at(levels, kappa, np.array([0.59, 0.6, 0.9, 0.91]))[:, 0]
    np.testing.assert_array_equal(np.isnan(got), [True, False, False, True])
    alone = factors_at(levels[1:], kappa[1:], np.array([0.5, 0.9]))[:, 0]
    assert np.isnan(alone[0]) and alone[1] == pytest.approx(2.0, rel=1e-14)


def test_without_runs_to_leave_out_the_model_says_uncalibrated() -> None:
    assert uncalibrated().state == "uncalibrated"
    table = rt_tables.simulate(n_runs=1, samplesets=1, n_comps=5)
    settings = RidgeSettings(lambda_slopes=1.0, noise_df0=3.0, noise_scale0=0.01)
    summaries = train_ridge(
        "rt_rows",
        settings,
        WindowSettings(),
        rt_tables.register(table),
        model="m",
        fingerprint="f",
    )
    assert summaries.calibration == "uncalibrated"
    assert (summaries.kappa == 1).all()


def test_left_out_residuals_are_those_of_a_model_that_never_saw_the_fold() -> None:
    table = rt_tables.simulate(keep=0.8, n_runs=16)
    settings = RidgeSettings(lambda_slopes=0.1, noise_df0=3.0, noise_scale0=0.01)
    windows = WindowSettings(folds=3, min_rows_per_bin=1)
    rows, design = read_training("rt_rows", settings, rt_tables.register(table))
    full = fit_rows(rows, design, settings, windows, model="m", fingerprint="f")
    fold, folds = assign_folds(rows.runs("run"), 3, windows.seed)
    scores, dfs, supports = [], [], []
    for k in range(folds):
        ids = {name: values[fold != k] for name, values in rows.ids.items()}
        keys = (ids["species_cluster"] << 32) + ids["comp_id"]
        unique, start, count = np.unique(keys, return_index=True, return_counts=True)
        rest = type(rows)(ids, rows.y[fold != k], rows.x[fold != k], unique, start, count)
        part = fit_rows(rest, design, settings, windows, model="m", fingerprint="f")
        out_keys = (rows.ids["species_cluster"] << 32) + rows.ids["comp_id"]
        for i in np.flatnonzero(fold == k):
            if out_keys[i] not in part.keys:
                continue  # all rows of the group were in this fold: nothing to learn from
            g = np.searchsorted(part.keys, out_keys[i])
            x1 = np.concatenate([[1.0], rows.x[i]])
            scale = np.sqrt(part.scale2[g] + x1 @ part.beta_cov[g] @ x1)
            scores.append(abs(rows.y[i] - x1 @ part.beta_mean[g]) / scale)
            dfs.append(part.df[g])
            supports.append(part.n_train[g])
    bins = support_bin_index(supports)
    own_factor = 0
    for b in np.unique(bins):
        mine = bins == b
        ratio, df = np.array(scores)[mine], np.array(dfs)[mine]
        if not np.isnan(brute_force(ratio, df, 0.95)):
            got = full.kappa_at(np.array([0.95]))[0, b]
            np.testing.assert_allclose(got, risen(ratio, df, 0.95), rtol=1e-6)
            own_factor += 1
    assert own_factor >= 2
    np.testing.assert_array_equal(full.kappa_rows, np.bincount(bins, minlength=len(SUPPORT_BINS)))


@pytest.mark.parametrize("run_sd", [0.0, 1.5])
def test_windows_cover_new_runs_as_stated_even_with_run_effects(run_sd: float) -> None:
    table = rt_tables.simulate(
        4, n_comps=60, n_runs=240, samplesets=12, noise_df=4.0, run_sd=run_sd
    )
    first_half = table["task_id"] < 1120
    connection = rt_tables.register(rt_tables.rows(table, first_half))
    connection.register("new_runs", rt_tables.arrow(rt_tables.rows(table, ~first_half)))
    summaries = train_ridge(
        "rt_rows", RidgeSettings(), WindowSettings(), connection, model="m", fingerprint="f"
    )
    predictions = predict_table("new_runs", summaries, connection)
    overall = next(r for r in evaluate(predictions).to_pylist() if r["slice"] == "overall")
    assert overall["cov95"] == pytest.approx(0.95, abs=0.025)
    for level in (0.5, 0.8, 0.9, 0.975, 0.99):
        window = WindowRequest(level=level)
        covered = predict_table("new_runs", summaries, connection, window=window)["covered"]
        assert np.mean(covered.to_pylist()) == pytest.approx(level, abs=0.04)
