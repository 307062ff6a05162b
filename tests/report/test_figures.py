"""Figures show what the tables say, thinned where data are large."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import matplotlib.image
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.figures import calibration, evaluation, levels, runs, transforms
from compassign_core.report.inputs import ReportInputs, StepCount
from compassign_core.report.tables import evaluation_markdown, steps_markdown
from compassign_core.report.thumbnails import key_figures

Shuffle = Callable[[ReportInputs], ReportInputs]


def traces(fig: Any) -> list[dict[str, Any]]:
    """The traces of a figure as plain data."""
    data: list[dict[str, Any]] = fig.to_plotly_json()["data"]
    return data


def test_support_figure_shows_the_evaluation_in_the_order_of_the_bins(
    inputs: ReportInputs,
) -> None:
    drawn = traces(evaluation.coverage_and_width_by_support(inputs.evaluation))
    rows = {
        (r["model"], r["level"]): r
        for r in inputs.evaluation.to_pylist()
        if r["slice"] == "support_bin"
    }
    for trace in drawn:
        bins = trace["meta"]["x"]
        assert bins == [b for b in SUPPORT_BINS if b in bins]
        metric = "cov95" if trace["meta"]["panel"] == "coverage" else "width95"
        expected = [rows[trace["name"], b][metric] for b in bins]
        np.testing.assert_allclose(trace["y"], expected, atol=1e-5)
    assert len(drawn) == 6


def many_models(given: pa.Table, wide: float) -> pa.Table:
    """The evaluation of one model under six names, the last of them `wide` times as wide."""
    own = given.filter(pc.field("model") == "partial_pooling")
    parts = []
    for i in range(6):
        width = pc.multiply(own["width95"], wide if i == 5 else 1.0 + 0.01 * i)
        part = own.set_column(own.column_names.index("width95"), "width95", width)
        names = pa.array([f"model_{i}"] * own.num_rows)
        parts.append(part.set_column(own.column_names.index("model"), "model", names))
    return pa.concat_tables(parts)


def test_six_models_differ_in_colour_marker_and_dashes_and_stand_apart(
    inputs: ReportInputs,
) -> None:
    fig = evaluation.coverage_and_width_by_support(many_models(inputs.evaluation, 1.2), "model_3")
    drawn = [t for t in traces(fig) if t["meta"]["panel"] == "coverage"]
    for part in ("line.color", "marker.symbol", "line.dash"):
        outer, inner = part.split(".")
        assert len({t[outer][inner] for t in drawn}) == 6
    assert len({x for t in drawn for x in t["x"]}) == sum(len(t["x"]) for t in drawn)
    thickest = max(drawn, key=lambda t: t["line"]["width"])
    assert thickest["name"] == "model_3"
    assert fig.layout.xaxis.domain == fig.layout.xaxis2.domain == (0, 1)


@pytest.mark.parametrize(("wide", "kind"), [(1.5, None), (12.0, "log")])
def test_a_model_with_far_wider_windows_does_not_flatten_the_others(
    inputs: ReportInputs, wide: float, kind: str | None
) -> None:
    table = many_models(inputs.evaluation, wide)
    axes = (
        evaluation.coverage_and_width_by_support(table).layout.yaxis2,
        evaluation.model_comparison(table).layout.xaxis2,
    )
    widths = [r["width95"] for r in table.to_pylist() if r["slice"] == "support_bin"]
    for axis in axes:
        assert axis.type == kind
        if kind == "log":
            assert "log" in axis.title.text
    if kind == "log":
        low, high = axes[0].range
        assert 10**low < min(widths) and max(widths) < 10**high
        shown = [t for t in axes[0].tickvals if 10**low < t < 10**high]
        assert len(shown) >= 3


def test_model_comparison_shows_every_models_errors(inputs: ReportInputs) -> None:
    bars = [t for t in traces(evaluation.model_comparison(inputs.evaluation)) if t["type"] == "bar"]
    overall = {r["model"]: r for r in inputs.evaluation.to_pylist() if r["slice"] == "overall"}
    assert {bar["name"] for bar in bars} == set(overall)
    for bar in bars:
        row = overall[bar["name"]]
        np.testing.assert_allclose(bar["y"], [row["rmse"], row["mae"], row["crps"]], atol=1e-5)


def test_histogram_counts_all_but_the_outermost_residuals(inputs: ReportInputs) -> None:
    drawn = traces(calibration.residual_histogram(inputs.held_out, "partial_pooling"))
    assert sum(drawn[0]["y"]) == pytest.approx(720 * 0.99, abs=2)


def test_the_histogram_is_that_of_numpy(inputs: ReportInputs, predictions: pa.Table) -> None:
    frame = predictions.to_pandas()
    own = frame[(frame["model"] == "partial_pooling") & frame["scored"]]
    error = (own["rt"] - own["rt_predicted"]).to_numpy()
    edge = np.quantile(np.abs(error), 0.99)
    counts, edges = np.histogram(error, bins=60, range=(-edge, edge))
    (trace,) = traces(calibration.residual_histogram(inputs.held_out, "partial_pooling"))
    assert trace["y"] == counts.tolist()
    np.testing.assert_allclose(trace["x"], (edges[1:] + edges[:-1]) / 2, atol=1e-5)


def test_pit_panels_show_every_model_the_default_one_first(inputs: ReportInputs) -> None:
    drawn = traces(transforms.pit_panels(inputs.pit, "sklearn_ridge"))
    assert [t["name"] for t in drawn] == ["sklearn_ridge", "lasso", "partial_pooling"]
    rows = {(r["model"], r["bin"]): r for r in inputs.pit.to_pylist() if r["slice"] == "overall"}
    for trace in drawn:
        expected = [20 * rows[trace["name"], b]["share"] for b in range(1, 21)]
        np.testing.assert_allclose(trace["y"], expected, atol=1e-5)


def test_bars_are_hatched_where_chance_does_not_lead(inputs: ReportInputs) -> None:
    low, high = transforms.expected_band(720)
    for trace in traces(transforms.pit_panels(inputs.pit)):
        if trace["name"] == "lasso":  # it scored fewer peaks
            continue
        hatched = [shape == "/" for shape in trace["marker"]["pattern"]["shape"]]
        assert hatched == [not low - 1e-5 <= y <= high + 1e-5 for y in trace["y"]]


def test_in_the_band_fall_95_of_100_bins_of_an_even_distribution() -> None:
    n = 3000
    low, high = transforms.expected_band(n)
    counts = np.random.default_rng(3).multinomial(n, np.full(20, 0.05), size=2000)
    inside = (counts * 20 / n >= low) & (counts * 20 / n <= high)
    assert 0.945 <= inside.mean() <= 0.97


def test_windows_in_the_calibration_figure_have_the_intervals_of_the_evaluation(
    inputs: ReportInputs,
) -> None:
    rows = {r["model"]: r for r in inputs.evaluation.to_pylist() if r["slice"] == "overall"}
    drawn = traces(calibration.calibration_curve(inputs.evaluation, inputs.pit))
    windows = [t for t in drawn if t.get("meta", {}).get("panel") == "windows"]
    assert {t["name"] for t in windows} == set(rows)
    for trace in windows:
        row = rows[trace["name"]]
        assert trace["x"] == [0.5, 0.8, 0.95, 0.99]
        for i, level in enumerate((50, 80, 95, 99)):
            top = trace["y"][i] + trace["error_y"]["array"][i]
            bottom = trace["y"][i] - trace["error_y"]["arrayminus"][i]
            assert trace["y"][i] == pytest.approx(row[f"cov{level}"], abs=1e-5)
            assert top == pytest.approx(row[f"cov{level}_high"], abs=2e-5)
            assert bottom == pytest.approx(row[f"cov{level}_low"], abs=2e-5)


@pytest.mark.parametrize("slice_name", ["tail", "supercategory"])
def test_levels_show_coverage_with_its_interval_and_width(
    inputs: ReportInputs, slice_name: str
) -> None:
    rows = {
        (r["model"], r["level"]): r
        for r in inputs.evaluation.to_pylist()
        if r["slice"] == slice_name and r["n_scored"]
    }
    drawn = traces(levels.coverage_and_width_by_level(inputs.evaluation, slice_name, {}))
    seen = set()
    for trace in drawn:
        metric = "cov95" if trace["meta"]["panel"] == "coverage" else "width95"
        for i, level in enumerate(trace["meta"]["y"]):
            row = rows[trace["name"], level]
            seen.add((trace["name"], level))
            assert trace["x"][i] == pytest.approx(row[metric], abs=1e-5)
            if metric == "cov95":
                top = trace["x"][i] + trace["error_x"]["array"][i]
                assert top == pytest.approx(row["cov95_high"], abs=2e-5)
    assert seen == set(rows)


def test_rare_pairs_stand_in_the_order_given(inputs: ReportInputs) -> None:
    fig = levels.coverage_and_width_by_level(
        inputs.evaluation, "tail", {"0": "never"}, ("0", "1-5", ">5")
    )
    assert list(fig.layout.yaxis.ticktext) == ["&gt;5", "1-5", "never"]  # from the bottom up


def test_nine_models_look_different() -> None:
    styles = theme.style_by_name([f"m{i}" for i in range(9)])
    assert len({(style.colour, style.symbol) for style in styles.values()}) == 9


def test_residual_points_are_one_per_held_out_run(inputs: ReportInputs) -> None:
    drawn = traces(
        runs.residuals_by_run_order(inputs.held_out.runs, inputs.runs, "partial_pooling")
    )
    points = [t for t in drawn if t["mode"] == "markers" and len(t["x"]) > 1]
    assert sum(len(t["x"]) for t in points) == 18


def test_no_line_bridges_two_worksheets(inputs: ReportInputs) -> None:
    trace = traces(runs.standards_drift(inputs.runs))[0]
    gaps = [i for i, x in enumerate(trace["x"]) if x is None]
    assert gaps == [20, 41]
    assert all(trace["y"][i] is None for i in gaps)


def test_names_of_runs_are_written_once_for_all_standards(inputs: ReportInputs) -> None:
    fig = runs.standards_drift(inputs.runs)
    drawn = traces(fig)
    assert len(fig.layout.meta["text"]) == len(drawn[0]["x"])
    assert all("text" not in t and t["meta"]["shares_text"] for t in drawn)


def test_many_runs_and_standards_are_thinned(inputs: ReportInputs) -> None:
    n = 3000
    i = np.arange(n)
    columns = {
        "sampleset_id": i // 10,
        "worksheet_id": i * 5 // n,
        "task_id": i,
        "run_order": i.astype(float),
        "species_matrix_type": ["x"] * n,
    }
    columns |= {f"IS_{s:02d}": 3.0 + 1e-4 * i * (s == 7) + 0.01 * (i % 7) for s in range(60)}
    drawn = traces(runs.standards_drift(pa.table(columns)))
    assert len(drawn) == runs.MOST_STANDARDS + 1
    assert max(len(t["x"]) for t in drawn) < 1.1 * runs.MOST_RUNS
    assert "IS_07" in {t["name"] for t in drawn}
    rising = next(t for t in drawn if t["name"] == "IS_07")
    values = [y for y in rising["y"] if y is not None]
    assert values[0] == pytest.approx(-0.15, abs=0.03)
    assert values[-1] == pytest.approx(0.15, abs=0.03)
    assert (np.diff(values) > -0.05).all()


def test_figures_of_empty_tables_say_so(without_held_out: ReportInputs) -> None:
    given = without_held_out
    for fig in (
        runs.residuals_by_run_order(given.held_out.runs, given.runs, "lasso"),
        evaluation.coverage_and_width_by_support(given.evaluation),
        calibration.calibration_curve(given.evaluation, given.pit),
        evaluation.model_comparison(given.evaluation),
        levels.coverage_and_width_by_level(given.evaluation, "supercategory", {}),
        calibration.residual_histogram(given.held_out, "lasso"),
        transforms.pit_panels(given.pit),
    ):
        assert not fig.data
        assert "nothing to show" in fig.layout.annotations[0].text


def test_figures_hold_plain_json(inputs: ReportInputs) -> None:
    fig = levels.coverage_and_width_by_level(
        inputs.evaluation, "supercategory", {"0": "<b>plasma</b>"}
    )
    written = json.dumps(fig.to_plotly_json(), allow_nan=False)
    assert "bdata" not in written
    assert "&lt;b&gt;plasma" in fig.layout.yaxis.ticktext[1]


def test_thumbnails_are_small_png_and_the_same_every_time(
    inputs: ReportInputs, shuffled: Shuffle
) -> None:
    images = key_figures(inputs)
    assert key_figures(shuffled(inputs)) == images
    for name, image in images.items():
        assert len(image) < 40_000, name
        assert b"tEXt" not in image and b"tIME" not in image
        assert matplotlib.image.imread(io.BytesIO(image)).shape[:2] == (320, 520)


def test_thumbnails_without_held_out_rows_differ_from_those_with(
    inputs: ReportInputs, without_held_out: ReportInputs
) -> None:
    assert key_figures(without_held_out).keys() == key_figures(inputs).keys()
    assert key_figures(without_held_out) != key_figures(inputs)


def test_evaluation_markdown_has_one_row_per_model(inputs: ReportInputs) -> None:
    lines = evaluation_markdown(inputs.evaluation).splitlines()
    assert len(lines) == 2 + 3
    row = next(
        r
        for r in inputs.evaluation.to_pylist()
        if r["slice"] == "overall" and r["model"] == "lasso"
    )
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[:5] == ["lasso", "720", str(row["n_scored"]), str(row["n_unscored"]), cells[4]]
    assert float(cells[4]) == pytest.approx(row["rmse"], abs=5.1e-5)


def test_markdown_cells_cannot_break_their_table() -> None:
    hostile = "a|b\n| <script> [x](y) `z`"
    written = steps_markdown([StepCount("s", 10, 8, {hostile: 2})])
    lines = written.splitlines()
    assert len(lines) == 3
    assert lines[2].replace("\\|", "").count("|") == 7
    assert "<script" not in written.replace("\\<", "")


def test_markdown_of_nothing_says_so(without_held_out: ReportInputs) -> None:
    assert evaluation_markdown(without_held_out.evaluation) == "No held-out rows were evaluated."
    assert steps_markdown([]) == "No steps were recorded."


def test_reasons_stand_most_frequent_first() -> None:
    step = StepCount("s", 10, 1, {"b": 2, "a": 2, "c": 5, "never": 0})
    assert steps_markdown([replace(step)]).endswith("| c: 5; a: 2; b: 2 |")
