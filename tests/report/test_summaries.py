"""The numbers behind the figures, against slow and obvious versions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from compassign_core.report.held_out import HeldOut
from compassign_core.report.inputs import ReportInputs, in_order
from compassign_core.report.run_summaries import (
    coverage_error_by_runs,
    missing_standards,
    residuals_by_run,
    standards_drift,
    trimmed_mean,
)
from compassign_core.report.summaries import (
    central_coverage,
    coverage,
    grouped_quantiles,
    of_model,
    pit_counts,
)


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


def transforms(values: np.ndarray) -> np.ndarray:
    """Counts of probability transforms by twentieth."""
    return np.histogram(values, bins=20, range=(0.0, 1.0))[0].astype(np.int64)


def test_coverage_of_central_intervals_is_that_of_the_transforms() -> None:
    values = np.random.default_rng(3).beta(0.7, 0.9, 50_000)
    nominal, observed = central_coverage(transforms(values))
    np.testing.assert_allclose(nominal, np.arange(1, 10) / 10)
    expected = [(np.abs(2 * values - 1) <= level).mean() for level in nominal]
    np.testing.assert_allclose(observed, expected)


def test_even_transforms_lie_on_the_diagonal_and_no_transforms_nowhere() -> None:
    nominal, observed = central_coverage(np.full(20, 37))
    np.testing.assert_allclose(observed, nominal)
    assert np.isnan(central_coverage(np.zeros(20, dtype=np.int64))[1]).all()


def test_pit_counts_are_those_of_the_table(inputs: ReportInputs, predictions: pa.Table) -> None:
    frame = predictions.to_pandas()
    for model in ("lasso", "partial_pooling"):
        own = frame[(frame["model"] == model) & frame["scored"]]
        values = stats.t.cdf((own["rt"] - own["rt_predicted"]) / own["scale"], own["df"])
        assert pit_counts(inputs.pit, model).tolist() == transforms(values).tolist()
    assert not pit_counts(inputs.pit, "unheard").any()


def test_a_coverage_is_read_with_its_interval(inputs: ReportInputs) -> None:
    row = next(r for r in inputs.evaluation.to_pylist() if r["slice"] == "overall")
    for level in (50, 80, 95, 99):
        found = coverage(row, level)
        assert found.low < found.value < found.high
        assert list(found) == [row[f"cov{level}{end}"] for end in ("", "_low", "_high")]
    assert np.isnan(coverage({**row, "cov95": None, "cov95_low": None}).value)


def test_coverage_error_by_runs_is_that_of_the_naive_loop(
    inputs: ReportInputs, predictions: pa.Table
) -> None:
    frame = of_model(predictions, "partial_pooling").to_pandas()
    share = frame["covered"].astype(float).mean()
    sums = [
        (part["covered"].astype(float) - share).sum()
        for _, part in frame.groupby(["sampleset_id", "worksheet_id", "task_id"])
    ]
    expected = np.sqrt(len(sums) / (len(sums) - 1) * np.sum(np.square(sums))) / len(frame)
    error, n_runs = coverage_error_by_runs(inputs.held_out.runs, "partial_pooling")
    assert n_runs == len(sums)
    assert error == pytest.approx(expected)


def test_a_run_that_misses_as_a_whole_widens_the_error(inputs: ReportInputs) -> None:
    runs = inputs.held_out.runs
    before, _ = coverage_error_by_runs(runs, "partial_pooling")
    hit = pc.equal(runs["task_id"], runs["task_id"][0].as_py())
    missed = pc.if_else(hit, pa.scalar(0, pa.int64()), runs["n_covered"])
    at = runs.column_names.index("n_covered")
    after, _ = coverage_error_by_runs(runs.set_column(at, "n_covered", missed), "partial_pooling")
    assert after > 2 * before


def test_residuals_by_run_equal_the_naive_ones(
    inputs: ReportInputs,
    predictions: pa.Table,
    held_out_of: Callable[[pa.Table, str], HeldOut],
) -> None:
    ready = in_order(inputs)
    found = residuals_by_run(held_out_of(predictions, "lasso").runs, ready.runs, "lasso")
    frame = of_model(predictions, "lasso").to_pandas()
    for i, place in enumerate(found.place):
        task = found.index.keys[place, 2]
        own = frame[(frame["task_id"] == task) & frame["scored"]]
        error = own["rt"] - own["rt_predicted"]
        assert found.n[i] == len(own)
        assert found.median[i] == pytest.approx(error.median())
        assert found.low[i] == pytest.approx(np.quantile(error, 0.1))
        assert found.high[i] == pytest.approx(np.quantile(error, 0.9))
        assert found.covered[i] == pytest.approx(own["covered"].astype(float).mean())
    order = found.index.run_order[found.place]
    assert (np.diff(order) > 0).all()


def test_runs_unknown_to_the_runs_table_are_still_shown(inputs: ReportInputs) -> None:
    ready = in_order(replace(inputs, runs=inputs.runs.slice(0, 0)))
    full = residuals_by_run(inputs.held_out.runs, inputs.runs, "lasso")
    found = residuals_by_run(ready.held_out.runs, ready.runs, "lasso")
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
