"""Student-t rows: weights, what they are learned from, and what they are good for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.design_arrays import design_of
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.calibrate import calibrate_pooling
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.held import held_of
from compassign_core.rt.hierarchy.marginal import forward
from compassign_core.rt.hierarchy.moments import backward
from compassign_core.rt.hierarchy.new_rows import read_new_rows
from compassign_core.rt.hierarchy.noise import Fitted, fit_model, shrink
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import Predictive, locate, predict
from compassign_core.rt.hierarchy.row_weights import RowWeights
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.student_fit import fit_student_rows
from compassign_core.rt.hierarchy.student_t import (
    expected_weights,
    inverse_trigamma,
    marginal_bound,
    predictive_noise,
    unweighted,
)
from compassign_core.rt.hierarchy.train import fit_rows, make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.hierarchy.update_file import add_rows
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.summaries import unpack
from compassign_core.rt.table import open_training, read_training
from tests.rt.hierarchy import tables
from tests.rt.hierarchy.dense import Dense, case, variances

FEW_FOLDS = WindowSettings(folds=2)
LARGE = {"n_species": 6, "n_super": 2, "n_comps": 40, "n_runs": 600, "features": 3}


def drawn_with(rows: str, seed: int = 1, **sizes: Any) -> tuple[tables.Drawn, np.ndarray]:
    """A table whose rows scatter as `rows` says, and its times without any noise."""
    drawn = tables.draw(seed, sigma=1e-12, **{"noise_sd": 0.4, **LARGE, **sizes})
    rng = np.random.default_rng(seed + 99)
    n = drawn.sigma.size
    made = {
        "normal": rng.normal(size=n),
        "outliers": rng.normal(size=n) * np.where(rng.uniform(size=n) < 0.01, 10.0, 1.0),
        "t5": rng.standard_t(5.0, size=n),
        "t10": rng.standard_t(10.0, size=n),
    }[rows]
    quiet = drawn.table["rt"]
    table = {**drawn.table, "rt": quiet + 1e10 * drawn.sigma * made}
    return replace(drawn, table=table), quiet


def trained(drawn: tables.Drawn, part: Any = None, /, **settings: Any) -> PoolingSummaries:
    table = drawn.table if part is None else tables.subset(drawn.table, part)
    return tables.train(table, drawn.embeddings, windows=FEW_FOLDS, **settings)


def numbers(model: PoolingSummaries) -> dict[str, float]:
    return json.loads(model.diagnostics)


def predicted(model: PoolingSummaries, table: dict[str, Any]) -> Predictive:
    """Predictions of the model itself, before any conformal correction."""
    ids = [table[name] for name in (model.group_col, "species_cluster", "comp_id", "compound")]
    x = design_of(model).matrix(np.column_stack([v for n, v in table.items() if n[:3] == "IS_"]))
    return predict(model.posterior, locate(model.posterior, *ids), x)


def weights_of(problem: Problem, fitted: Fitted, row_df: float) -> RowWeights:
    post = export_posterior(problem, fitted)
    return RowWeights(
        post.keys, post.beta_mean, post.beta_cov_packed, fitted.state.variance, row_df
    )


@pytest.mark.parametrize(("seed", "features"), [(0, 2), (3, 8)])
def test_weights_follow_from_the_dense_posterior_of_weighted_rows(seed: int, features: int) -> None:
    made = case(seed, features)
    rows, tree = made.rows, Hierarchy.of(made.rows, "species", made.embeddings)
    v = variances(tree, features, seed)
    omega = np.exp(np.random.default_rng(seed).normal(size=rows.y.size))
    spectra = decompose(
        rows, tree.offset[tree.comp_of], weights=lambda part: omega[part.ids["task_id"]]
    )
    dense = Dense(rows, tree, v)
    loads = np.stack([dense.x1[i] @ dense.group(g) for i, g in enumerate(dense.of_row)])
    covariance = (loads * dense.prior) @ loads.T + np.diag(v.sigma2[dense.of_row] / omega)
    gain = np.linalg.solve(covariance, loads * dense.prior).T
    dense.mean, dense.cov = gain @ rows.y, np.diag(dense.prior) - gain @ (loads * dense.prior)
    done = forward(spectra, tree, v)
    problem = Problem(spectra, tree)
    scales = replace(scale_set(problem, PoolingSettings()), global_noise=False)
    moments = backward(spectra, tree, done)
    state = shrink(tree, spectra.n, moments, "per_compound_and_group", unspoken=1e-4)
    start = scales.start(0.01)
    fitted = fit_model(problem, scale_set(problem, PoolingSettings(noise="global")))
    fitted = replace(
        fitted, scales=scales, mode=replace(fitted.mode, phi=start), noise=state.as_noise,
        state=replace(state, variance=v.sigma2, row_df=5.0), done=done, moments=moments,
    )  # fmt: skip
    weights = weights_of(problem, fitted, 5.0)
    found = weights(rows)
    for i, g in enumerate(dense.of_row):
        mean, cov = dense.moments(dense.x1[i : i + 1] @ dense.group(g))
        squared = float((rows.y[i] - mean[0]) ** 2 + cov[0, 0])
        np.testing.assert_allclose(found[i], 6.0 / (5.0 + squared / v.sigma2[g]), rtol=1e-6)
    # and in any chunk of whole groups
    parts = np.concatenate([weights(part) for part in rows.chunks(1)])
    np.testing.assert_allclose(parts, found, rtol=1e-12)


def test_the_expected_weight_is_the_mean_of_its_posterior() -> None:
    nu, r2, sigma2 = 4.5, 0.3, 0.02

    def posterior(omega: float, power: int) -> float:
        likelihood = np.sqrt(omega) * np.exp(-0.5 * omega * r2 / sigma2)
        return omega**power * likelihood * stats.gamma.pdf(omega, nu / 2, scale=2 / nu)

    mean = integrate.quad(posterior, 0, 9, (1,))[0] / integrate.quad(posterior, 0, 9, (0,))[0]
    found = expected_weights(np.array([r2 / sigma2]), nu)
    np.testing.assert_allclose(found, mean, rtol=1e-6)
    np.testing.assert_array_equal(expected_weights(np.array([0.0, 1e6]), np.inf), 1.0)


def test_inverse_trigamma_undoes_trigamma() -> None:
    y = np.geomspace(0.05, 1e6, 300)
    np.testing.assert_allclose(inverse_trigamma(special.polygamma(1, y)), y, rtol=1e-9)


@pytest.mark.parametrize("nu", [2.5, 4.0, 10.0])
@pytest.mark.parametrize("df", [5.0, 12.0, 100.0])
def test_half_widths_of_the_predictive_are_nearly_right(nu: float, df: float) -> None:
    scale2, joint = predictive_noise(np.array([1.0]), np.array([df]), nu)
    u = (np.arange(4000) + 0.5) / 4000  # quantiles of the uncertain sigma
    sigma = np.sqrt(df / stats.chi2.ppf(u, df))
    for level in (0.5, 0.8, 0.95):
        half = float(stats.t.ppf(0.5 + level / 2, joint[0]) * np.sqrt(scale2[0]))
        covered = np.mean(2 * stats.t.cdf(half / sigma, nu) - 1)
        assert covered == pytest.approx(level, abs=0.008)


def test_normal_rows_leave_the_predictive_as_it_is() -> None:
    variance, df = np.array([0.1, 0.2]), np.array([3.0, 40.0])
    assert predictive_noise(variance, df, np.inf) == (variance, df)


@pytest.mark.parametrize("nu", [3.0, 8.0])
def test_one_scoring_step_goes_from_a_wrong_scale_to_the_likelihoods_maximum(nu: float) -> None:
    r = np.random.default_rng(0).standard_t(nu, size=200_000)
    for wrong in (0.8, 1.25):
        omega = expected_weights(r**2 / wrong, nu)
        rss, n = np.array([(omega * r**2).sum()]), np.array([float(r.size)])
        made, df = unweighted(rss, n, rss / wrong, nu)
        np.testing.assert_allclose(made / df, 1.0, atol=0.03)
        assert abs(float(rss[0] / n[0]) - 1.0) > 0.05  # what it would be without
        np.testing.assert_allclose(df / n, nu / (nu + 3.0))
        # at the maximum it stays
        fixed, _ = unweighted(n, n, n, nu)
        np.testing.assert_allclose(fixed / df, 1.0)


def test_the_bound_lies_closely_below_the_exact_marginal() -> None:
    # two rows about a mean with a normal prior; omega integrated out on a grid
    y, sigma2, prior, nu = np.array([0.3, 2.4]), 0.5, 0.7, 5.0
    u = (np.arange(400) + 0.5) / 400
    omega = stats.gamma.ppf(u, nu / 2, scale=2 / nu)
    a, b = (w.ravel() for w in np.meshgrid(omega, omega))

    def log_marginal(a: Any, b: Any) -> Any:
        va, vb = prior + sigma2 / a, prior + sigma2 / b
        det = va * vb - prior**2
        quad = (vb * y[0] ** 2 - 2 * prior * y[0] * y[1] + va * y[1] ** 2) / det
        return -np.log(2 * np.pi) - 0.5 * (np.log(det) + quad)

    exact = float(special.logsumexp(log_marginal(a, b)) - np.log(a.size))
    best = -np.inf
    weights = np.ones(2)
    for _ in range(200):
        precision = 1 / prior + weights.sum() / sigma2
        mean = (weights * y).sum() / sigma2 / precision
        weights = expected_weights(((y - mean) ** 2 + 1 / precision) / sigma2, nu)
        bound = marginal_bound(
            float(log_marginal(*weights)), 2.0, weights.sum(), np.log(weights).sum(), nu
        )
        assert bound > best - 1e-9  # every round raises it
        best = bound
    assert exact - 0.25 < best < exact
    assert marginal_bound(-3.0, 2.0, 2.0, 0.0, np.inf) == -3.0
    assert marginal_bound(-3.0, 2.0, 2.0, 0.0, 1e7) == pytest.approx(-3.0, abs=1e-5)


@pytest.mark.parametrize(("rows", "low", "high"), [("t5", 4.0, 7.0), ("t10", 7.0, 18.0)])
def test_degrees_of_freedom_and_scales_are_found(rows: str, low: float, high: float) -> None:
    drawn, _ = drawn_with(rows)
    made = trained(drawn, rows="student_t")
    assert low < numbers(made)["row_df"] < high
    assert numbers(made)["weight_change"] < 0.02
    assert numbers(made)["row_df_gain"] > 5
    _, first = np.unique(drawn.table["comp_id"], return_index=True)
    log_ratio = 0.5 * np.log(made.statistics["noise.pair_variance"]) - np.log(
        1e10 * drawn.sigma[first]
    )
    assert abs(np.mean(log_ratio)) < 0.05
    assert np.std(log_ratio) < 0.12


def test_one_percent_of_outliers_cost_less_than_with_normal_rows() -> None:
    drawn, quiet = drawn_with("outliers", seed=2)
    late = drawn.table["task_id"] % 5 == 0
    found = {}
    for rows in ("normal", "student_t"):
        made = trained(drawn, ~late, rows=rows)
        scored = predicted(made, tables.subset(drawn.table, late))
        error = scored.mean - quiet[late]
        width = 2 * stats.t.ppf(0.975, scored.df) * scored.scale
        covered = np.abs(drawn.table["rt"][late] - scored.mean) < width / 2
        found[rows] = np.sqrt(np.mean(error**2)), width.mean(), covered.mean()
    rmse, width, covered = (np.array([f[i] for f in found.values()]) for i in range(3))
    assert rmse[1] < 0.95 * rmse[0]
    assert width[1] < 0.95 * width[0]
    np.testing.assert_allclose(covered, 0.955, atol=0.015)


def test_windows_of_student_rows_cover_what_they_say_before_any_correction() -> None:
    drawn, _ = drawn_with("t5", seed=3)
    late = drawn.table["task_id"] % 5 < 2
    made = trained(drawn, ~late, rows="student_t")
    scored = predicted(made, tables.subset(drawn.table, late))
    error = np.abs(drawn.table["rt"][late] - scored.mean)
    for level in (0.5, 0.8, 0.95, 0.99):
        half = stats.t.ppf(0.5 + level / 2, scored.df) * scored.scale
        # rows of a group share what is wrong with it: three times the binomial error
        assert np.mean(error < half) == pytest.approx(level, abs=0.015), level


@pytest.mark.parametrize("noise", ["global", "per_compound_and_group"])
def test_clean_rows_come_out_as_normal_rows_bit_for_bit(noise: str) -> None:
    spread = 0.0 if noise == "global" else 0.4
    drawn, _ = drawn_with("normal", seed=4, n_runs=200, noise_sd=spread)
    plain, made = (trained(drawn, rows=rows, noise=noise) for rows in ("normal", "student_t"))
    for name in ("beta_mean", "beta_cov_packed", "noise_variance", "noise_df"):
        np.testing.assert_array_equal(
            getattr(made.posterior, name), getattr(plain.posterior, name), err_msg=name
        )
    np.testing.assert_array_equal(made.kappa, plain.kappa)
    assert numbers(made) == {**numbers(plain), "row_rounds": 0.0}


def test_with_many_degrees_of_freedom_nothing_is_lost() -> None:
    drawn, _ = drawn_with("normal", seed=5, n_runs=200)
    plain, made = trained(drawn), trained(drawn, rows="student_t", rows_df=1e5)
    diagonal = np.cumsum(np.arange(plain.posterior.beta_mean.shape[1]) + 1) - 1
    spread = np.sqrt(plain.posterior.beta_cov_packed[:, diagonal])
    moved = (made.posterior.beta_mean - plain.posterior.beta_mean) / spread
    assert np.abs(moved).max() < 0.05
    ratio = made.posterior.noise_variance / plain.posterior.noise_variance
    np.testing.assert_allclose(ratio, 1.0, rtol=0.05)
    bound = numbers(made)["log_marginal_bound"]
    assert bound == pytest.approx(plain.log_marginal, abs=2.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"noise": "global"},
        {"noise": "per_compound"},
        {"slope_head_mode": "compound_supercat"},
        {"intercept_prior": "flat", "chemistry": False},
        {"method": "laplace"},
    ],
)
def test_every_structure_trains_with_student_rows(settings: dict[str, Any]) -> None:
    drawn, _ = drawn_with("outliers", seed=6, n_runs=240, n_comps=20)
    plain, made = trained(drawn, **settings), trained(drawn, rows="student_t", **settings)
    assert numbers(made)["row_df"] < 12
    assert np.isfinite(made.posterior.beta_cov_packed).all()
    # the outliers are no longer in the noise
    assert np.median(made.posterior.noise_variance / plain.posterior.noise_variance) < 0.95
    weights = made.statistics["spectra.weight"].sum() / made.statistics["spectra.n"].sum()
    assert weights == pytest.approx(1.0, abs=0.05)


def test_a_given_number_of_degrees_of_freedom_is_kept() -> None:
    drawn, _ = drawn_with("t5", seed=7, n_runs=120)
    made = trained(drawn, rows="student_t", rows_df=8.0)
    assert numbers(made)["row_df"] == 8.0
    assert made.statistics["noise.row_df"] == 8.0
    assert "row_df_gain" not in numbers(made)


def test_bytes_do_not_depend_on_row_order_blocks_or_chunks(tmp_path: Path) -> None:
    drawn, _ = drawn_with("outliers", seed=8, n_runs=240, n_comps=20)
    settings = PoolingSettings(rows="student_t")
    order = np.random.default_rng(0).permutation(drawn.table["rt"].size)
    trained(drawn, rows="student_t").save(tmp_path / "a")
    trained(drawn, order, rows="student_t").save(tmp_path / "b")
    chemistry = Embeddings.of(drawn.embeddings)
    connection = tables.connect(drawn.table)
    for name, values in (("c", {"held_values": 0, "chunk_values": 900}), ("d", {})):
        with open_training("rt_rows", settings.design(), connection, **values) as read:
            fit_rows(
                read.data, read.design, chemistry, settings, FEW_FOLDS,
                model="pooled", fingerprint="f", block_values=1 << 22 if name == "c" else 500,
            ).save(tmp_path / name)  # fmt: skip
    first = (tmp_path / "a").read_bytes()
    for name in "bcd":
        assert (tmp_path / name).read_bytes() == first, name
    assert numbers(PoolingSummaries.load(tmp_path / "a"))["row_rounds"] > 1


def test_folds_are_refitted_with_the_weights_of_the_fit() -> None:
    drawn, _ = drawn_with("outliers", seed=9, n_runs=240, n_comps=20)
    settings = PoolingSettings(rows="student_t")
    rows, _ = read_training("rt_rows", settings.design(), tables.connect(drawn.table))
    problem = make_problem(rows, "species", Embeddings.of(drawn.embeddings))
    fitted = fit_model(problem, scale_set(problem, settings))
    problem, fitted, _ = fit_student_rows(rows, problem, fitted)
    assert fitted.weights is not None
    again = decompose(rows, problem.tree.offset[problem.tree.comp_of], weights=fitted.weights)
    np.testing.assert_array_equal(again.yy, problem.spectra.yy)
    at_95 = [
        calibrate_pooling(rows, problem, each, FEW_FOLDS).trained.kappa
        for each in (fitted, replace(fitted, weights=None))
    ]
    assert np.abs(at_95[0] - at_95[1]).max() > 0.01


def test_the_noise_prior_of_student_rows_is_that_of_their_scales() -> None:
    # compounds of one scale: with t rows a fit of normal ones sees scales that differ
    drawn, _ = drawn_with("t5", seed=10)
    rng = np.random.default_rng(3)
    quiet = tables.draw(10, sigma=1e-12, **LARGE).table
    table = {**quiet, "rt": quiet["rt"] + 0.01 * rng.standard_t(5.0, size=quiet["rt"].size)}
    plain, made = (
        tables.train(table, drawn.embeddings, windows=FEW_FOLDS, rows=rows)
        for rows in ("normal", "student_t")
    )
    assert (made.noise_df > 2 * plain.noise_df).all()


class TestUpdates:
    SMALL: dict[str, Any] = {"n_runs": 240, "n_comps": 12}  # noqa: RUF012

    def setting(self, seed: int) -> tuple[PoolingSummaries, TrainingRows, dict[str, Any]]:
        drawn, _ = drawn_with("outliers", seed=seed, **self.SMALL)
        table = drawn.table
        late = table["task_id"] % 8 == 0
        pair = table["comp_id"][0], table["species"][0]  # never trained
        late |= (table["comp_id"] == pair[0]) & (table["species"] == pair[1])
        model = trained(drawn, ~late, rows="student_t")
        far = np.flatnonzero(late)[5]
        table["rt"][far] += 0.5
        held = held_of(model, "model")
        connection = tables.connect(tables.subset(table, late), "more")
        rows = read_new_rows("more", model, held[1], connection)
        return model, rows, {name: values[far] for name, values in table.items()}

    def test_new_rows_weigh_what_the_posterior_with_them_says(self) -> None:
        model, rows, far = self.setting(11)
        updated = add_rows(model, rows)
        held, _ = held_of(updated, "updated")
        old, _ = held_of(model, "model")
        post, state = updated.posterior, held.state
        assert state.row_df == old.state.row_df < 12
        weights = RowWeights(
            post.keys, post.beta_mean, post.beta_cov_packed, state.variance, state.row_df
        )(rows)
        place = np.flatnonzero(
            (rows.ids["task_id"] == far["task_id"]) & (rows.ids["comp_id"] == far["comp_id"])
        )
        assert weights[place] < 0.05
        at = np.searchsorted(held.problem.tree.keys, rows.keys)
        before = np.zeros(rows.keys.size)
        known = np.isin(rows.keys, old.problem.tree.keys)
        assert (~known).any()
        before[known] = old.problem.spectra.log_weight[
            np.searchsorted(old.problem.tree.keys, rows.keys[known])
        ]
        found = held.problem.spectra.log_weight[at] - before
        expected = np.add.reduceat(np.log(weights), rows.start)
        np.testing.assert_allclose(found, expected, atol=2e-3)

    def test_with_hierarchy_it_is_the_posterior_of_all_weighted_rows(self) -> None:
        model, rows, _ = self.setting(12)
        quick, whole = add_rows(model, rows), add_rows(model, rows, hierarchy=True)
        for name in ("spectra.weight", "spectra.log_weight", "spectra.yy"):
            np.testing.assert_array_equal(quick.statistics[name], whole.statistics[name])
        held, _ = held_of(whole, "whole")
        expected = export_posterior(held.problem, held.fitted())
        np.testing.assert_array_equal(whole.posterior.beta_mean, expected.beta_mean)
        np.testing.assert_array_equal(whole.posterior.noise_df, expected.noise_df)
        # groups without new rows learn only from their neighbours
        spread = np.sqrt(unpack(quick.posterior.beta_cov_packed)[:, 0, 0])
        moved = np.abs(whole.posterior.beta_mean - quick.posterior.beta_mean)[:, 0] / spread
        assert np.median(moved) < 0.2

    def test_rows_of_a_new_compound_weigh_one(self) -> None:
        drawn, _ = drawn_with("outliers", seed=13, **self.SMALL)
        new = drawn.table["comp_id"] == 9
        model = trained(drawn, ~new, rows="student_t")
        _, known = held_of(model, "model")
        connection = tables.connect(tables.subset(drawn.table, new), "more")
        updated = add_rows(model, read_new_rows("more", model, known, connection), hierarchy=True)
        of_new = updated.statistics["tree.keys"] % 2**32 == 9
        np.testing.assert_array_equal(
            updated.statistics["spectra.weight"][of_new], updated.statistics["spectra.n"][of_new]
        )
