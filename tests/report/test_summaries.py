"""The numbers behind the figures, against slow and obvious versions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compassign_core.report.inputs import ReportInputs, in_order
from compassign_core.report.summaries import (
    LEVELS,
    binomial_interval,
    coverage_error_by_runs,
    grouped_quantiles,
    missing_standards,
    observed_coverage,
    of_model,
    pit,
    residuals_by_run,
    standards_drift,
    trimmed_mean,
)
from compassign_core.rt.evaluation import evaluate


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5) | st.just(np.nan)), max_size=40))
def test_grouped_quantiles_are_those_of_numpy(rows: list[tuple[int, float]]) -> None:
    groups = np.array([g for g, _ in rows], dtype=np.int64)
    values = np.array([v for _, v in rows], dtype=np.float64)
    points, counts = grouped_quantiles(values, groups, 5, (0.1, 0.5, 0.9))
    for g in range(5):
        own = values[(groups == g) & np.isfinite(values)]
        assert counts[g] == len(own)
        expected = np.quantile(own, [0.1, 0.5, 0.9]) if len(own) else np.full(3, np.nan)
        np.testing.assert_allclose(points[g], expected, atol=1e-12)


def simulated(n: int, df: float, stated: float, seed: int = 3) -> pa.Table:
    """Predictions whose stated scale is `stated` times the true one."""
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.005, 0.05, n)
    return pa.table(
        {
            "model": ["m"] * n,
            "scored": [True] * n,
            "rt": 5.0 + scale * rng.standard_t(df, n),
            "rt_predicted": np.full(n, 5.0),
            "scale": scale * stated,
            "df": np.full(n, df),
        }
    )


def test_calibrated_predictions_lie_on_the_diagonal() -> None:
    n = 20_000
    levels = np.array(LEVELS)
    found = observed_coverage(pit(simulated(n, 5.0, 1.0)))
    assert np.abs(found - levels).max() < 4 * np.sqrt(0.25 / n)


def test_the_curve_meets_the_evaluation_at_95_percent() -> None:
    table = simulated(2000, 5.0, 0.8)
    zeros = pa.array(np.zeros(table.num_rows, dtype=np.int64))
    for name in ("species", "species_cluster"):
        table = table.append_column(name, zeros)
    for name in ("support_bin", "novelty"):
        table = table.append_column(name, zeros.cast(pa.string()))
    for percent in (50, 80, 99):
        table = table.append_column(f"half_width_{percent}", zeros.cast(pa.float64()))
    overall = next(row for row in evaluate(table).to_pylist() if row["slice"] == "overall")
    assert overall["cov95"] < 0.93
    assert observed_coverage(pit(table), [0.95]) == pytest.approx([overall["cov95"]])


def test_overconfident_predictions_lie_below_and_timid_ones_above_the_diagonal() -> None:
    levels = np.array(LEVELS)
    assert (observed_coverage(pit(simulated(5000, 5.0, 0.6))) < levels).all()
    assert (observed_coverage(pit(simulated(5000, 5.0, 1.7))) > levels).all()


def test_normal_predictions_have_infinite_degrees_of_freedom() -> None:
    table = simulated(20_000, 1e9, 1.0)
    infinite = table.set_column(5, "df", pa.array(np.full(20_000, np.inf)))
    np.testing.assert_allclose(pit(infinite), pit(table), atol=1e-6)


def test_rows_without_prediction_or_scale_are_left_out_of_the_transform() -> None:
    table = simulated(4, 5.0, 1.0)
    table = table.set_column(1, "scored", pa.array([True, False, True, True]))
    table = table.set_column(4, "scale", pa.array([0.01, 0.01, None, 0.01]))
    assert pit(table).shape == (2,)
    assert np.isnan(observed_coverage(np.empty(0))).all()


def test_wilsons_interval_has_known_values() -> None:
    low, high = binomial_interval(np.array([0.5, 1.0]), np.array([10.0, 10.0]))
    np.testing.assert_allclose(low, [0.2366, 0.7225], atol=1e-4)
    np.testing.assert_allclose(high, [0.7634, 1.0], atol=1e-4)


def test_coverage_error_by_runs_is_that_of_the_naive_loop(inputs: ReportInputs) -> None:
    frame = of_model(inputs.predictions, "partial_pooling").to_pandas()
    share = frame["covered"].astype(float).mean()
    sums = [
        (part["covered"].astype(float) - share).sum()
        for _, part in frame.groupby(["sampleset_id", "worksheet_id", "task_id"])
    ]
    expected = np.sqrt(len(sums) / (len(sums) - 1) * np.sum(np.square(sums))) / len(frame)
    error, n_runs = coverage_error_by_runs(inputs.predictions, "partial_pooling")
    assert n_runs == len(sums)
    assert error == pytest.approx(expected)


def test_a_run_that_misses_as_a_whole_widens_the_error(inputs: ReportInputs) -> None:
    before, _ = coverage_error_by_runs(inputs.predictions, "partial_pooling")
    task = inputs.predictions["task_id"][0].as_py()
    hit = pc.equal(inputs.predictions["task_id"], task)
    missed = pc.if_else(hit, pa.scalar(False), inputs.predictions["covered"])
    at = inputs.predictions.column_names.index("covered")
    after, _ = coverage_error_by_runs(
        inputs.predictions.set_column(at, "covered", missed), "partial_pooling"
    )
    assert after > 2 * before


def test_residuals_by_run_equal_the_naive_ones(inputs: ReportInputs) -> None:
    ready = in_order(inputs)
    found = residuals_by_run(ready.predictions, ready.runs, "lasso")
    frame = of_model(ready.predictions, "lasso").to_pandas()
    for i, place in enumerate(found.place):
        task = found.index.keys[place, 2]
        own = frame[(frame["task_id"] == task) & frame["scored"]]
        error = own["rt"] - own["rt_predicted"]
        assert found.n[i] == len(own)
        assert found.median[i] == pytest.approx(error.median())
        assert found.covered[i] == pytest.approx(own["covered"].astype(float).mean())
    order = found.index.run_order[found.place]
    assert (np.diff(order) > 0).all()


def test_runs_unknown_to_the_runs_table_are_still_shown(inputs: ReportInputs) -> None:
    ready = in_order(replace(inputs, runs=inputs.runs.slice(0, 0)))
    full = residuals_by_run(inputs.predictions, inputs.runs, "lasso")
    found = residuals_by_run(ready.predictions, ready.runs, "lasso")
    assert len(found.place) == len(full.place)
    assert np.isnan(found.index.run_order).all()
    assert "run order" not in found.index.labels()[0]


def test_drift_is_the_distance_from_the_standards_own_median(inputs: ReportInputs) -> None:
    drift = standards_drift(inputs.runs)
    np.testing.assert_allclose(np.nanmedian(drift.deviation, axis=0), 0, atol=1e-12)
    tasks = np.asarray(inputs.runs["task_id"]).tolist()
    rt = np.asarray(inputs.runs["IS_A_0_d7"])
    order = [tasks.index(task) for task in drift.index.keys[:, 2]]
    column = drift.names.index("IS_A_0_d7")
    np.testing.assert_allclose(drift.deviation[:, column], (rt - np.median(rt))[order])


def test_a_standard_that_was_never_found_is_left_out(inputs: ReportInputs) -> None:
    nothing = pa.nulls(inputs.runs.num_rows, pa.float64())
    runs = inputs.runs.append_column("ES_gone", nothing)
    assert "ES_gone" not in standards_drift(runs).names
    assert missing_standards(runs)["ES_gone"] == 1.0
    assert missing_standards(runs)["IS_A_0_d7"] == 0.0


def test_the_trimmed_mean_ignores_one_bad_standard_and_missing_ones() -> None:
    rows = np.array([[1.0, 2.0, 3.0, 4.0, 1e9], [1.0, np.nan, 3.0, np.nan, np.nan], [np.nan] * 5])
    np.testing.assert_allclose(trimmed_mean(rows), [3.0, 2.0, np.nan])
