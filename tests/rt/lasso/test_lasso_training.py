"""The lasso baseline: known lines, scikit-learn group by group, small groups, determinism."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.settings.lasso import LASSO_MODEL_KINDS, LassoSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowRequest
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.folds import assign_folds
from compassign_core.rt.lasso.group import fit_group, penalties
from compassign_core.rt.lasso.train import fit_groups, train_lasso
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.student import t_quantiles
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.table import read_training
from tests.rt import rt_tables


def trained(table: dict[str, Any], **settings: Any) -> CoefficientSummaries:
    return train_lasso(
        "rt_rows",
        LassoSettings(**settings),
        rt_tables.register(table),
        model="supercategory_lasso",
        fingerprint="f",
    )


def read(table: dict[str, Any]) -> TrainingRows:
    return read_training("rt_rows", RidgeSettings(), rt_tables.register(table))[0]


def two_lines(noise: float = 0.0) -> dict[str, Any]:
    """One comp in two supercategories, rising in one, falling in the other."""
    rng = np.random.default_rng(3)
    n = 40
    cluster = np.repeat([0, 1], n // 2)
    x = 5.0 + rng.normal(size=(n, 2))
    rt = np.where(cluster == 0, 2.0 + 0.5 * x[:, 0], 9.0 - 0.25 * x[:, 0])
    whole = np.ones(n, dtype=np.int64)
    return {
        "sampleset_id": cluster,
        "worksheet_id": whole,
        "task_id": np.arange(n),
        "species": cluster,
        "species_cluster": cluster,
        "comp_id": 7 * whole,
        "compound": 70 * whole,
        "compound_class": whole,
        "rt": rt + noise * rng.normal(size=n),
        "IS_0": x[:, 0],
        "IS_1": x[:, 1],
    }


def test_each_supercategory_gets_its_own_line() -> None:
    table = two_lines(noise=0.001)
    summaries = trained(table)
    np.testing.assert_allclose(summaries.beta_mean[:, 1], [0.5, -0.25], atol=0.002)
    np.testing.assert_allclose(summaries.beta_mean[:, 2], [0.0, 0.0], atol=0.002)
    predicted = predict_table("rt_rows", summaries, rt_tables.register(table))
    np.testing.assert_allclose(predicted["rt_predicted"], table["rt"], atol=0.006)
    assert predicted["scored"].to_pylist() == [True] * 40


def test_every_group_is_the_lasso_of_scikit_learn_at_its_penalty() -> None:
    rows = read(rt_tables.simulate(n_runs=36, keep=0.7, missing=0.1, slope_sd=3.0))
    settings = LassoSettings(tolerance=1e-12)
    fits = fit_groups(rows, settings)
    alphas = {fit.alpha for fit in fits}
    assert len(alphas) == rows.keys.size  # each group has chosen for itself
    for start, count, fit in zip(rows.start, rows.count, fits, strict=True):
        x, y = rows.x[start : start + count], rows.y[start : start + count]
        sd = x.std(axis=0)
        reference = Lasso(alpha=fit.alpha, tol=1e-12, max_iter=100_000).fit(x / sd, y)
        np.testing.assert_allclose(fit.coefficients[1:], reference.coef_ / sd, atol=1e-7)
        np.testing.assert_allclose(fit.coefficients[0], reference.intercept_, atol=1e-7)


def test_held_out_residuals_and_the_penalty_are_those_of_refitting_without_each_fold() -> None:
    rows = read(rt_tables.simulate(n_comps=3, n_runs=36, slope_sd=3.0))
    settings = LassoSettings(tolerance=1e-12, n_alphas=7, cv_folds=4)
    for start, count, fit in zip(rows.start, rows.count, fit_groups(rows, settings), strict=True):
        part = slice(start, start + count)
        x, y = rows.x[part], rows.y[part]
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        fold, folds = assign_folds(rows.runs("run")[part], 4, settings.seed)
        assert folds == 4
        left = np.empty((count, 7))
        alphas = penalties(z, y, settings)
        for j, alpha in enumerate(alphas):
            for k in range(folds):
                lasso = Lasso(alpha=alpha, tol=1e-12, max_iter=100_000)
                lasso.fit(z[fold != k], y[fold != k])
                left[fold == k, j] = y[fold == k] - lasso.predict(z[fold == k])
        best = int(np.argmin((left**2).mean(axis=0)))
        assert fit.alpha == alphas[best]
        np.testing.assert_allclose(fit.held_out, left[:, best], atol=1e-7)


def test_rows_of_one_run_are_never_on_both_sides_of_a_fold() -> None:
    x = np.arange(12.0)[:, None] % 6
    y = 2.0 + x[:, 0] + np.repeat([0.0, 0.3], 6)
    run = np.tile(np.arange(6), 2)
    fit = fit_group(x, y, run, LassoSettings(min_runs=2, cv_folds=6, tolerance=1e-12))
    for r in range(6):
        out = run == r
        z = (x - x.mean()) / x.std()
        reference = Lasso(alpha=fit.alpha, tol=1e-12).fit(z[~out], y[~out])
        np.testing.assert_allclose(fit.held_out[out], y[out] - reference.predict(z[out]), atol=1e-9)


def test_the_largest_penalty_tried_leaves_no_slope_and_the_next_does() -> None:
    rows = read(rt_tables.simulate(n_comps=1, slope_sd=3.0))
    settings = LassoSettings(tolerance=1e-12)
    x, y = rows.x[: rows.count[0]], rows.y[: rows.count[0]]
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    alphas = penalties(z, y, settings)
    assert alphas.size == 50
    np.testing.assert_allclose(alphas[-1] / alphas[0], 1e-3)
    slopes = [np.abs(Lasso(alpha=a, tol=1e-12).fit(z, y).coef_).max() for a in alphas[:2]]
    assert slopes[0] < 1e-12 < slopes[1]


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_a_group_of_few_runs_takes_the_fixed_penalty(runs: int) -> None:
    table = two_lines()
    kept = np.concatenate([np.arange(runs), 20 + np.arange(20)])
    table = {name: values[kept] for name, values in table.items()}
    small, large = fit_groups(read(table), LassoSettings(small_group_alpha=0.02))
    assert small.alpha == 0.02
    assert large.alpha != 0.02
    assert small.held_out.size == (runs if runs > 1 else 0)
    assert np.isfinite(small.coefficients).all()


def test_a_group_of_one_row_is_its_retention_time_in_the_smallest_window() -> None:
    table = two_lines()
    kept = np.concatenate([[0], 20 + np.arange(20)])
    table = {name: values[kept] for name, values in table.items()}
    summaries = trained(table)
    assert summaries.n_train.tolist() == [1, 20]
    np.testing.assert_array_equal(summaries.beta_mean[0], [table["rt"][0], 0.0, 0.0])
    row = predict_table("rt_rows", summaries, rt_tables.register(table)).to_pylist()[0]
    assert row["rt_predicted"] == table["rt"][0]
    np.testing.assert_allclose(row["rt_high"] - row["rt_low"], 2 * 4 * 0.001, rtol=1e-9)


def test_equal_retention_times_make_a_flat_line_although_their_mean_is_not_exact() -> None:
    table = two_lines()
    flat = table["species_cluster"] == 0
    table["rt"] = np.where(flat, 2.681, table["rt"])
    assert table["rt"][flat].mean() != 2.681
    summaries = trained(table)
    np.testing.assert_allclose(summaries.beta_mean[0], [2.681, 0.0, 0.0], rtol=1e-14)
    # penalties scaled to the rounding error of a mean would let slopes run away
    assert fit_groups(read(table), LassoSettings())[0].alpha == LassoSettings().small_group_alpha
    assert summaries.constant_groups == 1
    half_width = np.sqrt(summaries.scale2[0]) * t_quantiles(summaries.df, summaries.levels)[0, 0]
    np.testing.assert_allclose(half_width, 4 * 0.001, rtol=1e-12)


def test_a_standard_that_is_constant_in_a_group_has_no_slope_there() -> None:
    table = two_lines(noise=0.001)
    table["IS_1"] = np.where(table["species_cluster"] == 0, 0.1 + 0.2, table["IS_1"])
    summaries = trained(table)
    assert summaries.beta_mean[0, 2] == 0.0
    np.testing.assert_allclose(summaries.beta_mean[0, 1], 0.5, atol=0.002)


def test_a_standard_that_varies_by_rounding_only_has_no_slope() -> None:
    table = two_lines(noise=0.001)
    table["IS_1"] = 0.3 + 1e-14 * table["rt"]  # would explain everything, once standardised
    summaries = trained(table)
    assert not summaries.beta_mean[:, 2].any()
    np.testing.assert_allclose(summaries.beta_mean[:, 1], [0.5, -0.25], atol=0.002)


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    table = rt_tables.simulate(n_runs=30, keep=0.6, missing=0.1)
    files = []
    for seed in (1, 2):
        files.append(tmp_path / f"{seed}.npz")
        trained(rt_tables.shuffled(table, seed)).save(files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_artifact_says_what_it_is_and_survives_saving(tmp_path: Path) -> None:
    table = rt_tables.simulate()
    made = trained(table)
    made.save(tmp_path / "lasso.npz")
    loaded = CoefficientSummaries.load(tmp_path / "lasso.npz")
    assert loaded.calibration == "production rule"
    settings = json.loads(loaded.settings)
    assert settings["window_rule"] == "production"
    assert settings["lasso"] == LassoSettings().model_dump(mode="json")
    assert not loaded.beta_cov.any()
    assert np.isnan([loaded.lambda_slopes, loaded.noise_df0, loaded.log_evidence]).all()
    connection = rt_tables.register(table)
    assert predict_table("rt_rows", loaded, connection).equals(
        predict_table("rt_rows", made, connection)
    )


def test_missing_standards_take_the_training_mean() -> None:
    table = two_lines(noise=0.001)
    summaries = trained(table)
    blank = dict(table, IS_0=np.full(40, np.nan))
    mean = dict(table, IS_0=np.full(40, table["IS_0"].mean()))
    predicted = [
        predict_table("rt_rows", summaries, rt_tables.register(t))["rt_predicted"].to_numpy()
        for t in (blank, mean)
    ]
    np.testing.assert_allclose(predicted[0], predicted[1], rtol=1e-12)


def test_species_groups_are_separate() -> None:
    table = two_lines(noise=0.001)
    table["species"] = np.arange(40) % 2 + 2 * table["species_cluster"]
    assert trained(table).n_groups == 2
    assert trained(table, group_col="species").group_id.tolist() == [0, 1, 2, 3]


def test_more_standards_than_rows_end_without_a_warning() -> None:
    table = rt_tables.simulate(n_comps=2, n_runs=12, features=14, slope_sd=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summaries = trained(table, max_iter=2)
    assert np.isfinite(summaries.beta_mean).all()


def test_a_table_without_standards_is_refused() -> None:
    table = two_lines()
    bare = {name: values for name, values in table.items() if not name.startswith("IS")}
    with pytest.raises(InputError, match="no covariate column"):
        trained(bare)


def test_the_evaluation_reads_the_rule_off_the_predictions() -> None:
    table = rt_tables.simulate(n_runs=40, noise_df=5.0)
    summaries = trained(table, window_multiplier=0.3)
    predicted = predict_table("rt_rows", summaries, rt_tables.register(table))
    overall = next(row for row in evaluate(predicted).to_pylist() if row["slice"] == "overall")
    covered = np.array(predicted["covered"].to_pylist())
    width = predicted["rt_high"].to_numpy() - predicted["rt_low"].to_numpy()
    assert 0.5 < overall["cov95"] < 1.0
    np.testing.assert_allclose(overall["cov95"], covered.mean(), rtol=1e-12)
    np.testing.assert_allclose(overall["width95"], width.mean(), rtol=1e-9)


def test_windows_of_another_coverage_are_refused_since_the_rule_states_none() -> None:
    table = two_lines()
    with pytest.raises(SettingsError, match=r"level=0\.9"):
        predict_table(
            "rt_rows", trained(table), rt_tables.register(table), window=WindowRequest(level=0.9)
        )


def test_the_rule_cannot_be_asked_again_of_windows_that_it_made() -> None:
    table = two_lines()
    with pytest.raises(SettingsError, match="made by such a rule in training"):
        predict_table(
            "rt_rows",
            trained(table),
            rt_tables.register(table),
            window=WindowRequest(rule="production", window_multiplier=1.0),
        )


def test_settings_refuse_what_cannot_be() -> None:
    for wrong in ({"covariates": "none"}, {"cv_folds": 1}, {"alpha_ratio": 1.0}, {"lambda": 1}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            LassoSettings.parse(wrong, "test")
    assert LASSO_MODEL_KINDS["supercategory_lasso"] == LassoSettings()
