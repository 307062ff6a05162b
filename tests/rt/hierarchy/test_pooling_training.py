"""From an RT table to a model: recovery of the truth, invariance, updates, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.fit import find_mode, laplace_covariance, warm_start
from compassign_core.rt.hierarchy.noise import fit_f_prior, fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.scales import Noise
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.train import fit_rows, make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.hierarchy.update import update_rows
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.table import read_training
from tests.rt.hierarchy import tables


def read(drawn: tables.Drawn, settings: PoolingSettings, rows: Any = None) -> Any:
    table = drawn.table if rows is None else tables.subset(drawn.table, rows)
    return read_training("rt_rows", settings.design(), tables.connect(table))


def test_scales_are_those_the_data_were_drawn_with() -> None:
    drawn = tables.draw(3, n_species=16, n_comps=60, n_runs=160, keep=0.7)
    made = tables.train(drawn.table, drawn.embeddings, noise="global")
    found = dict(zip(made.scale_names.tolist(), made.scales.tolist(), strict=True))
    for name, tolerance in (("sigma_y", 0.05), ("slope", 0.05), ("tau_b", 0.1), ("tau_comp", 0.3)):
        assert found[name] == pytest.approx(drawn.truth[name], rel=tolerance), name
    for family in ("tau_mu", "tau_w"):
        for i in range(2):
            assert found[f"{family}[{i}]"] == pytest.approx(drawn.truth[family], rel=0.6)


def test_even_noise_leaves_one_variance_and_loses_nothing() -> None:
    drawn = tables.draw(4, n_comps=40, n_runs=96)
    even = tables.train(drawn.table, drawn.embeddings, noise="global")
    uneven = tables.train(drawn.table, drawn.embeddings)
    assert (uneven.noise_df > 30).all()
    ratio = uneven.posterior.noise_variance / even.posterior.noise_variance
    assert np.std(ratio) < 0.1
    # coefficients move by a small part of what is unknown about them
    moved = uneven.posterior.beta_mean - even.posterior.beta_mean
    diagonal = np.cumsum(np.arange(moved.shape[1]) + 1) - 1
    spread = np.sqrt(even.posterior.beta_cov_packed[:, diagonal])
    assert np.sqrt(np.mean((moved / spread) ** 2)) < 0.1


def test_noise_of_compounds_is_found() -> None:
    drawn = tables.draw(5, n_comps=40, n_runs=160, noise_sd=0.5)
    made = tables.train(drawn.table, drawn.embeddings, noise="per_compound")
    _, first = np.unique(drawn.table["comp_id"], return_index=True)
    error = 0.5 * np.log(made.posterior.pair_variance) - np.log(drawn.sigma[first])
    assert np.sqrt(np.mean(error**2)) < 0.15
    # the variance of log sigma², 4 × 0.5², is trigamma(d0 / 2) at d0 = 2.9
    assert 1.5 < made.noise_df[0] < 5.5


@pytest.mark.parametrize("d0", [1.3, 6.0])
def test_the_f_prior_recovers_its_parameters_and_leaves_out_copies_of_covariates(d0) -> None:
    rng = np.random.default_rng(0)
    df = rng.integers(5, 60, size=4000).astype(float)
    s0 = 4e-4
    variance = s0 * (rng.chisquare(df) / df) / (rng.chisquare(d0, size=df.size) / d0)
    found = fit_f_prior(variance, df)
    assert found is not None
    assert found[0] == pytest.approx(s0, rel=0.05)
    assert found[1] == pytest.approx(d0, rel=0.1)
    # some are exact copies, some nearly so
    variance[:100], variance[100:200] = 1e-16, 1e-4 * s0
    without = fit_f_prior(variance, df)
    assert without is not None
    assert without[1] == pytest.approx(d0, rel=0.15)
    assert fit_f_prior(variance, 0.1 * np.ones(df.size)) is None


@pytest.mark.parametrize("noise", ["global", "per_compound", "per_compound_and_group"])
def test_rows_without_replicates_leave_the_noise_at_its_prior(noise: str) -> None:
    drawn = tables.draw(0)
    few = tables.subset(drawn.table, np.array([0, 1, 2]))
    made = tables.train(few, drawn.embeddings, noise=noise)
    assert np.sqrt(made.posterior.noise_variance) == pytest.approx(0.05, rel=0.2)
    assert (made.posterior.noise_df < 3).all()
    assert made.calibration == "uncalibrated"


def test_a_model_is_the_same_bytes_in_any_row_order_and_block_size(tmp_path: Path) -> None:
    drawn = tables.draw(6, missing=0.1)
    order = np.random.default_rng(0).permutation(drawn.table["rt"].size)
    for name, table in (("a", drawn.table), ("b", tables.subset(drawn.table, order))):
        tables.train(table, drawn.embeddings).save(tmp_path / name)
    settings = PoolingSettings()
    rows, design = read(drawn, settings)
    fit_rows(
        rows, design, Embeddings.of(drawn.embeddings), settings, WindowSettings(),
        model="pooled", fingerprint="f", block_values=50,
    ).save(tmp_path / "c")  # fmt: skip
    first = (tmp_path / "a").read_bytes()
    assert first == (tmp_path / "b").read_bytes()
    assert first == (tmp_path / "c").read_bytes()


def test_a_saved_model_comes_back_whole(tmp_path: Path) -> None:
    drawn = tables.draw(7)
    made = tables.train(drawn.table, drawn.embeddings, method="laplace")
    made.save(tmp_path / "one.npz")
    back = PoolingSummaries.load(tmp_path / "one.npz")
    back.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert back.model == "pooled"
    assert back.n_groups == back.keys.size == back.n_train.size
    assert np.linalg.eigvalsh(back.scale_log_cov).min() > 0


def test_a_file_of_another_kind_or_damaged_is_refused(tmp_path: Path) -> None:
    drawn = tables.draw(7)
    made = tables.train(drawn.table, drawn.embeddings)
    np.savez(tmp_path / "other.npz", format=np.array("something"))
    with pytest.raises(InputError, match="format"):
        PoolingSummaries.load(tmp_path / "other.npz")
    torn = replace(made, posterior=replace(made.posterior, eb=made.posterior.eb[1:]))
    torn.save(tmp_path / "torn.npz")
    with pytest.raises(InputError, match="eb"):
        PoolingSummaries.load(tmp_path / "torn.npz")


def test_chemistry_without_descriptors_is_refused() -> None:
    drawn = tables.draw(7)
    with pytest.raises(InputError, match="chemistry"):
        tables.train(drawn.table, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="embedding20"):
        tables.train(drawn.table, drawn.embeddings.drop_columns(["embedding20"]))


@pytest.mark.parametrize("noise", ["global", "per_compound", "per_compound_and_group"])
def test_an_update_equals_the_posterior_of_all_rows_with_scales_held(noise: str) -> None:
    drawn = tables.draw(8, n_species=9, n_super=3)
    settings = PoolingSettings(noise=noise)
    table = drawn.table
    # later runs bring a new compound, a new species and, with it, a new supercategory
    late = (table["task_id"] % 4 == 0) | (table["comp_id"] == 7)
    late |= (table["species_cluster"] == 3) & (table["species"] < 100)
    whole, design = read(drawn, settings)
    early, _ = read(drawn, settings, ~late)
    later, _ = read(drawn, settings, late)
    # the design of the model that is updated: here, of all rows
    early, later = (recentred(part, table, m) for part, m in ((early, ~late), (later, late)))
    assert early.x.shape[1] == len(design.columns)
    chemistry = Embeddings.of(drawn.embeddings)
    problem = make_problem(early, "species", chemistry)
    fitted = fit_model(problem, scale_set(problem, settings))
    larger, updated = update_rows(problem, fitted, later)
    assert larger.tree.sizes == make_problem(whole, "species", chemistry).tree.sizes
    # from scratch: the same tree, statistics of all rows at once
    offsets = larger.tree.offset[larger.tree.comp_of]
    fresh = replace(larger, spectra=decompose(whole, offsets))
    done, moments = fresh.evaluate(updated.scales, updated.mode.phi, updated.noise)
    assert updated.done.log_marginal == pytest.approx(done.log_marginal, rel=1e-9)
    posts = [
        export_posterior(p, f)
        for p, f in (
            (larger, updated),
            (fresh, replace(updated, done=done, moments=moments)),
        )
    ]
    for name in ("beta_mean", "beta_cov_packed", "node_mean", "node_cov", "alpha", "theta"):
        found, expected = (getattr(p, name) for p in posts)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8, err_msg=name)


def recentred(rows: TrainingRows, table: dict[str, Any], mask: np.ndarray) -> TrainingRows:
    """Rows about the mean of the whole table instead of their own."""
    names = [n for n in table if n.startswith("IS_")]
    shift = [np.mean(table[n][mask]) - np.mean(table[n]) for n in names]
    return replace(rows, x=rows.x + np.array(shift))


def test_a_warm_start_from_a_sample_of_compounds_reaches_the_same_mode() -> None:
    drawn = tables.draw(9, n_comps=80, n_runs=96)
    settings = PoolingSettings(noise="global")
    rows, _ = read(drawn, settings)
    problem = make_problem(rows, "species", Embeddings.of(drawn.embeddings))
    scales = scale_set(problem, settings)
    cold = find_mode(problem, scales, Noise(), warm_start(problem, scales))
    warm = find_mode(problem, scales, Noise(), warm_start(problem, scales, most=10))
    assert warm.log_posterior == pytest.approx(cold.log_posterior, abs=0.02)
    spread = np.sqrt(np.diag(laplace_covariance(problem, scales, cold.phi, Noise())))
    assert (np.abs(warm.phi - cold.phi) < 0.2 * spread).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"group_col": "species_cluster", "intercept_prior": "flat", "slope_head_mode": "none"},
        {"intercept_prior": "flat"},
        {"intercept_prior": "flat", "slope_head_mode": "none", "noise": "global"},
        {"slope_head_mode": "none", "lambda_slopes": 3e-4, "noise": "global"},
        {"slope_head_mode": "none", "covariates": "none"},
    ],
)
def test_every_legal_structure_trains_and_predicts_its_rows(settings: dict[str, Any]) -> None:
    drawn = tables.draw(10)
    made = tables.train(drawn.table, drawn.embeddings, chemistry=False, **settings)
    assert np.isfinite(made.posterior.beta_mean).all()
    assert (made.posterior.noise_variance > 0).all()
    assert made.calibration == "calibrated"
