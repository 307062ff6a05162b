"""Folds of runs and the correction measured on them."""

from __future__ import annotations

import numpy as np
import pytest

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.conformal import (
    BASES,
    calibrate,
    conformal_quantile,
    t_quantiles,
    uncalibrated,
)
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.folds import assign_folds, keyed_hash
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.rows import read_training
from compassign_core.rt.support import support_bin_index
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


def test_the_conformal_quantile_is_the_rank_that_guarantees_coverage() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 200.0))  # 199 scores
    assert conformal_quantile(scores, 0.95) == 190.0
    assert conformal_quantile(scores[:10], 0.95) is None
    assert conformal_quantile(np.zeros(50), 0.5) is None


def test_bins_with_few_rows_take_the_pooled_factor() -> None:
    rng = np.random.default_rng(0)
    support = np.repeat([1.0, 4.0], [1000, 50])
    df = np.full(1050, 5.0)
    residual = rng.standard_t(5.0, size=1050) * np.repeat([2.0, 1.0], [1000, 50])
    made = calibrate(residual, np.ones(1050), df, support, min_rows_per_bin=200)
    one, few = SUPPORT_BINS.index("1"), SUPPORT_BINS.index("3-5")
    assert made.rows[one] == 1000
    assert made.rows[few] == 50
    assert BASES[made.basis[3, one]] == "bin"
    assert BASES[made.basis[3, few]] == "pooled"
    assert made.kappa[3, one] == pytest.approx(2.0, rel=0.2)
    pooled = conformal_quantile(np.abs(residual) / t_quantiles(df, np.array([0.95]))[0], 0.95)
    assert made.kappa[3, few] == pooled


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
    scores, supports = [], []
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
            scores.append(abs(rows.y[i] - x1 @ part.beta_mean[g]) / (scale * part.t_quantile[3, g]))
            supports.append(part.n_train[g])
    bins = support_bin_index(supports)
    own_factor = 0
    for b in np.unique(bins):
        expected = conformal_quantile(np.array(scores)[bins == b], 0.95)
        if expected is not None:
            np.testing.assert_allclose(full.kappa[3, b], expected, rtol=1e-7)
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
    for level in (0.5, 0.8, 0.9, 0.99):
        covered = predict_table("new_runs", summaries, connection, level=level)["covered"]
        assert np.mean(covered.to_pylist()) == pytest.approx(level, abs=0.04)
