"""The table of diagnostics, its judgements, and the checks on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from compassign_core.contracts.catalogue import RT_DIAGNOSTICS
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.convergence import ConvergenceSettings
from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.checks import default_fit_converged, fits_converged
from compassign_core.rt.diagnostics import diagnostics_table, plain_numbers
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.convergence import diagnostics_of
from compassign_core.rt.hierarchy.held import held_of, statistics_of
from compassign_core.rt.judgement import judge
from compassign_core.rt.lasso.train import train_lasso
from compassign_core.rt.train import train_ridge
from tests.rt import rt_tables
from tests.rt.hierarchy import tables

SETTINGS = ConvergenceSettings()


@pytest.mark.parametrize(
    ("quantity", "value", "expected"),
    [
        ("gradient_norm", 0.5, "ok"),
        ("gradient_norm", 0.51, "warn"),
        ("gradient_norm", 2.01, "fail"),
        ("gradient_norm", None, "warn"),
        ("hessian_condition", 1e6, "ok"),
        ("hessian_condition", None, "warn"),
        ("noise_change", 0.04, "ok"),
        ("noise_change", 3.0, "warn"),
        ("rhat_max", 1.01, "ok"),
        ("rhat_max", 1.011, "warn"),
        ("rhat_max", 1.06, "fail"),
        ("rhat_max", float("nan"), "fail"),
        ("ess_bulk_min", 400.0, "ok"),
        ("ess_tail_min", 399.0, "warn"),
        ("ess_bulk_min", 99.0, "fail"),
        ("ess_bulk_min", None, "fail"),
        ("divergence_share", 0.0, "ok"),
        ("divergence_share", 1e-4, "warn"),
        ("divergence_share", 0.02, "fail"),
        ("elbo_drift", 0.1, "ok"),
        ("elbo_drift", 0.5, "warn"),
        ("elbo_drift", 2.0, "fail"),
        ("unconverged_share", 0.0, "ok"),
        ("unconverged_share", 0.2, "warn"),
        ("evaluations", 12.0, "info"),
    ],
)
def test_numbers_are_judged_by_their_thresholds(
    quantity: str, value: float | None, expected: str
) -> None:
    judged = judge(quantity, value, SETTINGS, "tau_b")
    assert judged.judgement == expected
    assert judged.sentence.endswith(".") and judged.sentence[0].isupper()


def test_a_method_that_does_not_stop_at_a_mode_is_not_judged_by_its_gradient() -> None:
    assert judge("gradient_norm", 9.0, SETTINGS, "tau_b", optimum=False).judgement == "info"


@pytest.mark.parametrize(
    ("name", "warn", "fail", "said"),
    [("gradient", 2.0, 1.0, "above"), ("ess", 100.0, 400.0, "below"), ("rhat", 1.1, 1.1, "above")],
)
def test_a_failure_that_is_no_worse_than_a_warning_is_refused(
    name: str, warn: float, fail: float, said: str
) -> None:
    with pytest.raises(SettingsError, match=f"{name}_fail={fail} must lie {said} {name}_warn"):
        ConvergenceSettings.parse({f"{name}_warn": warn, f"{name}_fail": fail}, "here")


def ridge(**settings: Any) -> Any:
    return train_ridge(
        "rt_rows", RidgeSettings(**settings), WindowSettings(),
        rt_tables.register(rt_tables.simulate(noise_df=6.0)), model="ridge", fingerprint="f",
    )  # fmt: skip


def test_learned_scalars_stand_at_the_maximum_of_the_evidence() -> None:
    stored = json.loads(ridge().diagnostics)
    assert set(stored) == {
        "gradient:lambda_slopes", "gradient:noise_df0", "gradient:noise_scale0", "gradient_norm"
    }  # fmt: skip
    assert stored["gradient_norm"] == max(stored.values()) < 1e-3


def test_scalars_that_are_given_have_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"lambda_slopes": 1.0, "noise_df0": 5.0, "noise_scale0": 0.01}
    method, numbers = plain_numbers(ridge(**given), SETTINGS)
    assert (method, [n.judged.judgement for n in numbers]) == ("closed form", ["info"])
    # a search that does nothing leaves the start, which is far off
    monkeypatch.setattr(
        "compassign_core.rt.evidence._maximise", lambda spectra, start, free, bounds: (start, 0.0)
    )
    _, numbers = plain_numbers(ridge(), SETTINGS)
    assert [n.judged.judgement for n in numbers] == ["fail"]
    assert "shared scalars" in numbers[0].judged.sentence


def test_lasso_groups_that_stopped_short_are_counted() -> None:
    def share(**settings: Any) -> Any:
        table = rt_tables.simulate(n_comps=5)
        model = train_lasso(
            "rt_rows", LassoSettings(**settings), rt_tables.register(table), model="lasso",
            fingerprint="f",
        )  # fmt: skip
        method, (number,) = plain_numbers(model, SETTINGS)
        assert method == "coordinate descent"
        return number

    assert (share().value, share().judged.judgement) == (0.0, "ok")
    short = share(max_iter=1, tolerance=1e-12)
    assert short.value > 0.05 and short.judged.judgement == "warn"


@pytest.fixture(scope="module")
def pooled() -> PoolingSummaries:
    drawn = tables.draw(1, n_comps=30, n_runs=64)
    return tables.train(drawn.table, drawn.embeddings, noise="global")


def moved(model: PoolingSummaries, by: float) -> PoolingSummaries:
    """The model as a fit would have left it whose first scale is off by `by` in the logarithm."""
    held, known = held_of(model, "model")
    wrong = replace(held, phi=held.phi + by * np.eye(held.phi.size)[0])
    numbers = diagnostics_of(wrong.problem, wrong.fitted())
    return replace(model, diagnostics=json.dumps(numbers), statistics=statistics_of(wrong, known))


def table_of(folder: Path, *models: Any) -> pa.Table:
    paths = {}
    for i, model in enumerate(models):
        paths[f"m{i}"] = folder / f"{i}.npz"
        model.save(paths[f"m{i}"])
    return diagnostics_table(paths, SETTINGS)


def checks(table: pa.Table, default: str = "pooled") -> Any:
    connection = duckdb.connect()
    connection.register("d", table)
    return default_fit_converged(connection, "d", default), fits_converged(connection, "d")


def test_a_good_fit_passes_both_checks_in_a_sentence(
    pooled: PoolingSummaries, tmp_path: Path
) -> None:
    table = table_of(tmp_path, pooled, ridge())
    rows = table.to_pylist()
    keys = [(row["model"], row["quantity"], row["scale"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert table.column_names == list(RT_DIAGNOSTICS.names())
    estimates = {r["scale"]: r["value"] for r in rows if r["quantity"] == "estimate"}
    assert estimates == dict(zip(pooled.scale_names.tolist(), pooled.scales.tolist(), strict=True))
    for quantity in ("prior_scale", "log_sd", "distance"):
        assert {r["scale"] for r in rows if r["quantity"] == quantity} == set(estimates)
    default, every = checks(table)
    assert default.passed and default.blocking and every.passed and not every.blocking
    assert default.message.startswith("pooled (map): ")
    assert "standard errors from its mode" in default.message
    assert "3 of 3 numbers on the fits of 2 models are as they should be." in every.message


def test_a_fit_that_ended_elsewhere_is_named_and_stops_the_windows(
    pooled: PoolingSummaries, tmp_path: Path
) -> None:
    default, every = checks(table_of(tmp_path, moved(pooled, 0.5)))
    assert not default.passed and default.blocking
    assert "sigma_y, the furthest of" in default.message.lower()
    assert [row["quantity"] for row in default.offenders] == ["gradient_norm"]
    assert not every.passed and "Pooled" not in every.message
    # of a model that is not the default, it only warns
    default, every = checks(table_of(tmp_path, moved(pooled, 0.5)), "other")
    assert default.passed and not every.passed


def test_a_sampled_model_is_judged_by_its_chains(pooled: PoolingSummaries, tmp_path: Path) -> None:
    numbers = json.loads(pooled.diagnostics)
    settings = json.loads(pooled.settings)
    settings["pooling"]["method"] = "nuts"
    numbers |= {"rhat_max": 1.02, "ess_bulk_min": 500.0, "ess_tail_min": 90.0, "divergences": 3.0,
                "draws": 1000.0}  # fmt: skip
    model = replace(pooled, diagnostics=json.dumps(numbers), settings=json.dumps(settings))
    rows = {r["quantity"]: r["judgement"] for r in table_of(tmp_path, model).to_pylist()
            if r["scale"] == "all"}  # fmt: skip
    assert rows["rhat_max"] == rows["divergence_share"] == "warn"
    assert rows["ess_bulk_min"] == "ok" and rows["ess_tail_min"] == "fail"
    assert rows["gradient_norm"] == "info"
