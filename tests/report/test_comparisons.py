"""Differences from the baseline: judged in words and sign, drawn where they are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from compassign_core.contracts.catalogue import RT_COMPARISON
from compassign_core.report import theme
from compassign_core.report.comparisons import judged, signed
from compassign_core.report.figures.comparison import differences_from_baseline
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.page import render
from compassign_core.report.sections.comparison import comparison_section
from compassign_core.rt.arrow import arrow_schema

METRICS = ("rmse", "mae", "crps")


def row(low: float | None, high: float | None, **changes: Any) -> dict[str, Any]:
    """A row of a comparison with the given interval, its middle between the ends."""
    middle = 0.0 if low is None or high is None else (low + high) / 2
    given = {
        "model": "m",
        "baseline": "base",
        "slice": "overall",
        "level": "all",
        "metric": "rmse",
        "n_rows": 500,
        "n_units": 5,
        "baseline_value": 0.02,
        "model_value": 0.02 + middle,
        "difference": middle,
        "low": low,
        "high": high,
    }
    return {**given, **changes}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a comparison table."""
    return pa.Table.from_pylist(rows, schema=arrow_schema(RT_COMPARISON))


def drawn(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Traces of the figure of these rows."""
    names = {str(r["model"]) for r in rows}
    fig = differences_from_baseline(table(rows), "base", theme.style_by_name(list(names)), "m")
    traces: list[dict[str, Any]] = fig.to_plotly_json()["data"]
    return traces


@pytest.mark.parametrize(
    ("low", "high", "n_units", "words"),
    [
        (-0.002, -0.001, 5, "better"),
        (0.001, 0.002, 5, "worse"),
        (-0.001, 0.002, 5, "not clear"),
        (0.0, 0.002, 5, "not clear"),
        (-0.002, 0.0, 5, "not clear"),
        (-0.002, -0.002, 1, "too few sample sets"),
        (-0.002, -0.001, 2, "too few sample sets"),
        (None, None, 5, "too few sample sets"),
        (float("nan"), float("nan"), 5, "too few sample sets"),
    ],
)
def test_only_an_interval_without_zero_from_enough_sample_sets_is_clear(
    low: float | None, high: float | None, n_units: int, words: str
) -> None:
    assert judged(row(low, high, n_units=n_units)) == words


def test_differences_are_written_with_a_sign_that_a_spreadsheet_reader_sees() -> None:
    assert signed(0.00123) == "+0.00123"
    assert signed(-0.00123) == "\u22120.00123"
    assert signed(-1e-9) == signed(1e-9) == "0.00000"
    assert signed(float("nan")) == "–"


def test_the_figure_shows_every_difference_and_interval() -> None:
    rows = [
        row(low, high, model=model, metric=metric)
        for metric in METRICS
        for model, low, high in (("m", -0.003, -0.001), ("n", -0.001, 0.002), ("o", 0.001, 0.004))
    ]
    traces = drawn(rows)
    assert len(traces) == 9
    for trace, given in zip(traces, rows, strict=True):
        assert trace["name"] == given["model"]
        assert trace["meta"]["panel"] == f"{given['metric']}_min"
        middle = trace["x"][0]
        assert middle == pytest.approx(given["difference"], abs=1e-5)
        assert middle - trace["error_x"]["arrayminus"][0] == pytest.approx(given["low"], abs=1e-5)
        assert middle + trace["error_x"]["array"][0] == pytest.approx(given["high"], abs=1e-5)
        assert trace["text"] == [judged(given)]
        assert trace["marker"]["symbol"].endswith("-open") == (judged(given) == "not clear")
    assert [t["y"] for t in traces[:3]] == [[2], [1], [0]]


def test_a_model_far_off_is_drawn_at_the_edge_with_its_number_and_flattens_nobody() -> None:
    near = [row(-0.001 * k, 0.0005, model=f"m{k}") for k in (1, 2, 3)]
    traces = drawn([*near, row(0.04, 0.05, model="wide")])
    far = next(t for t in traces if t["name"] == "wide")
    assert far["text"] == ["+0.04500: worse"]
    assert far["meta"]["x"] == [0.045]
    assert far["x"][0] == pytest.approx(0.003)
    assert "error_x" not in far or far["error_x"] is None
    others = [t for t in traces if t is not far]
    assert [t["x"] for t in others] == [t["meta"]["x"] for t in others]


def test_a_row_without_an_interval_is_drawn_without_a_bar() -> None:
    (trace,) = drawn([row(float("nan"), float("nan"), difference=0.001)])
    assert trace.get("error_x") is None
    assert trace["x"] == [0.001]
    json.dumps(trace, allow_nan=False)


def test_the_section_holds_the_numbers_of_the_table(inputs: ReportInputs) -> None:
    html = render(inputs)
    part = html[html.index('<section id="comparison"') :]
    part = part[: part.index("</section>")]
    mask = (pc.field("slice") == "pair_support") & (pc.field("model") == "partial_pooling")
    by_bin = inputs.comparison.filter(mask).to_pylist()
    cells = {
        (unescape(r[0]), r[1]): r[2:]
        for r in (
            re.findall(r"<td[^>]*>(.*?)</td>", line, flags=re.S)
            for line in re.findall(r"<tr[^>]*>(.*?)</tr>", part, flags=re.S)
        )
        if r
    }
    assert set(cells) == {(r["level"], r["baseline"]) for r in by_bin}
    assert {baseline for _, baseline in cells} == {"lasso", "sklearn_ridge"}
    place = {"rmse": 2, "mae": 3, "crps": 4}
    for r in by_bin:
        if r["metric"] in place:
            shown = cells[r["level"], r["baseline"]]
            assert shown[:2] == [f"{r['n_rows']:,}", f"{r['n_units']:,}"]
            cell = shown[place[r["metric"]]]
            assert f"<div>{signed(r['difference'])}</div>" in cell
            assert judged(r) in cell
    found = re.search(r'id="comparison-data">(.*?)</script>', html, re.S)
    assert found
    saved = json.loads(found.group(1))
    values = {c["name"]: c["values"] for c in saved["columns"]}
    ordered = inputs.comparison.sort_by([(name, "ascending") for name in RT_COMPARISON.order_by])
    assert list(values) == list(RT_COMPARISON.names())
    np.testing.assert_allclose(values["difference"], ordered["difference"].to_pylist(), atol=1e-7)


def test_every_baseline_has_its_own_figure(inputs: ReportInputs) -> None:
    html = render(inputs)
    for i, baseline in enumerate(("sklearn_ridge", "lasso"), start=1):
        assert f"<h3>Models against {baseline}</h3>" in html
        found = re.search(rf'id="differences-from-baseline-{i}-data">(.*?)</script>', html, re.S)
        assert found
        drawn = {t["name"]: t for t in json.loads(found.group(1))["data"] if t["xaxis"] == "x"}
        assert baseline not in drawn and "partial_pooling" in drawn
        mask = (pc.field("slice") == "overall") & (pc.field("metric") == "rmse")
        rows = inputs.comparison.filter(mask & (pc.field("baseline") == baseline)).to_pylist()
        expected = {r["model"]: r["difference"] for r in rows}
        for name, trace in drawn.items():
            assert trace["meta"]["x"][0] == pytest.approx(expected[name], abs=1e-5)


def test_the_lead_says_how_the_model_shown_does(inputs: ReportInputs) -> None:
    rows = [row(-0.003, -0.001, model="partial_pooling", metric=m) for m in METRICS]
    compared = table([*rows, row(0.001, 0.003, model="lasso")])
    given = replace(inputs, comparison=compared, baselines=("base",))
    words = str(comparison_section(given)[0])
    assert "partial_pooling against base, on the same 500 peaks of 5 sample sets" in words
    assert "RMSE better (\u22120.00200 min, 10.0\u00a0% of its RMSE)" in words
    itself = str(comparison_section(replace(given, default_model="base"))[0])
    assert "base, is itself the baseline" in itself


def test_no_comparison_is_said(inputs: ReportInputs) -> None:
    given = replace(inputs, comparison=inputs.comparison.slice(0, 0))
    html = render(given)
    assert "No model was compared with a baseline on held-out peaks." in html
    fig = differences_from_baseline(given.comparison, "lasso", {}, "partial_pooling")
    assert not fig.data and "nothing to show" in fig.layout.annotations[0].text
