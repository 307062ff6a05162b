"""The experiment of three ways to group: verdicts follow from the intervals, whatever they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from compassign_core.contracts.catalogue import RT_COMPARISON
from compassign_core.report import theme
from compassign_core.report.figures.grouping import three_ways
from compassign_core.report.groupings import contest, contests, listing, sentence
from compassign_core.report.inputs import Grouping, ReportInputs
from compassign_core.report.markup import joined
from compassign_core.report.sections.grouping import grouping_section
from compassign_core.rt.arrow import arrow_schema

WAYS = Grouping("wide", "apart", "pooled")


def row(level: str, low: float, high: float, n_units: int = 5, **changes: Any) -> dict[str, Any]:
    """A row of a comparison of `pooled` with `wide`, its difference in the middle."""
    given = {
        "model": "pooled",
        "baseline": "wide",
        "slice": "overall" if level == "all" else "pair_support",
        "level": level,
        "metric": "rmse",
        "n_rows": 100,
        "n_units": n_units,
        "baseline_value": 0.02,
        "model_value": 0.02 + (low + high) / 2,
        "difference": (low + high) / 2,
        "low": low,
        "high": high,
    }
    return {**given, **changes}


def table(*rows: dict[str, Any]) -> pa.Table:
    """Rows as a comparison."""
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(RT_COMPARISON))


def test_the_sentence_says_where_who_is_clearly_better() -> None:
    given = table(
        row("all", -0.002, -0.001),
        row("6-10", -0.002, 0.001),
        row("3-5", -0.004, -0.002),
        row("1", -0.004, -0.002),
        row("0", 0.001, 0.003),
        row("2", -0.004, -0.002, n_units=2),
    )
    words = sentence(contest(given, "pooled", "wide"))
    assert "pooled is clearly better over all peaks (RMSE \u22120.00150 min" in words
    assert "it is clearly better at 1 and 3-5; it is clearly worse at 0;" in words
    assert (
        "the difference is not clear at 6-10; there are too few sample sets to tell at 2." in words
    )


def test_the_sentence_turns_when_the_data_turn() -> None:
    given = table(row("all", 0.001, 0.002), row("1", 0.004, 0.006), row("2", 0.001, 0.002))
    words = sentence(contest(given, "pooled", "wide"))
    assert "clearly worse over all peaks (RMSE +0.00150 min" in words
    assert "it is clearly better nowhere; it is clearly worse at 1 and 2." in words


def test_nothing_clear_is_said_once() -> None:
    given = table(row("all", -0.001, 0.002), row("1", -0.004, 0.006))
    words = sentence(contest(given, "pooled", "wide"))
    assert "not clearly different over all peaks" in words
    assert "it is nowhere clearly better or worse; the difference is not clear at 1." in words


def test_models_that_were_not_compared_are_told() -> None:
    found = contests(table(row("all", -0.002, -0.001)), WAYS)
    assert [(one.model, one.other) for one in found] == [
        ("pooled", "wide"),
        ("pooled", "apart"),
        ("apart", "wide"),
    ]
    assert sentence(found[1]) == "pooled was not compared with apart on any peak."


@pytest.mark.parametrize(
    ("words", "written"), [(["1"], "1"), (["1", "2"], "1 and 2"), (["0", "1", "2"], "0, 1 and 2")]
)
def test_lists_read_as_a_sentence(words: list[str], written: str) -> None:
    assert listing(words) == written


def test_the_figure_shows_paired_differences_coverage_and_width(inputs: ReportInputs) -> None:
    ways = inputs.grouping
    names = (ways.together, ways.apart, ways.pooled)
    fig = three_ways(inputs.evaluation, inputs.comparison, ways, theme.style_by_name(names))
    evaluated = {
        (r["model"], r["level"]): r
        for r in inputs.evaluation.to_pylist()
        if r["slice"] == "pair_support"
    }
    compared = {
        (r["model"], r["level"]): r
        for r in inputs.comparison.to_pylist()
        if (r["slice"], r["metric"], r["baseline"]) == ("pair_support", "rmse", ways.together)
    }
    panels: dict[str, set[str]] = {}
    for trace in fig.to_plotly_json()["data"]:
        panel = trace["meta"]["panel"]
        panels.setdefault(panel, set()).add(trace["name"])
        for i, level in enumerate(trace["meta"]["x"]):
            key = (trace["name"], level)
            if panel == "rmse_difference_min":
                assert trace["y"][i] == pytest.approx(compared[key]["difference"], abs=1e-5)
                top = trace["y"][i] + trace["error_y"]["array"][i]
                assert top == pytest.approx(compared[key]["high"], abs=2e-5)
            else:
                metric = "cov95" if panel == "coverage" else "width95"
                assert trace["y"][i] == pytest.approx(evaluated[key][metric], abs=1e-5)
    assert panels["coverage"] == panels["width_min"] == set(names)
    assert panels["rmse_difference_min"] == {ways.apart, ways.pooled}


def test_few_sample_sets_have_no_bar(inputs: ReportInputs) -> None:
    few = np.full(inputs.comparison.num_rows, 2)
    at = inputs.comparison.column_names.index("n_units")
    given = inputs.comparison.set_column(at, "n_units", pa.array(few))
    styles = theme.style_by_name(["lasso", "partial_pooling", "sklearn_ridge"])
    fig = three_ways(inputs.evaluation, given, inputs.grouping, styles)
    drawn = [t for t in fig.to_plotly_json()["data"] if t["meta"]["panel"] == "rmse_difference_min"]
    assert drawn and all(set(t["error_y"]["array"]) == {None} for t in drawn)


def test_pairs_that_never_trained_are_counted_by_way(inputs: ReportInputs) -> None:
    rows = {
        r["model"]: r
        for r in inputs.evaluation.to_pylist()
        if (r["slice"], r["level"]) == ("pair_support", "0")
    }
    html = joined(grouping_section(inputs))
    for name in ("sklearn_ridge", "lasso", "partial_pooling"):
        assert f"{name} predicts {rows[name]['n_scored']:,} of {rows[name]['n_rows']:,}" in html
    assert rows["lasso"]["n_scored"] < rows["lasso"]["n_rows"]


def test_a_way_that_was_not_evaluated_leaves_the_section_empty(inputs: ReportInputs) -> None:
    given = replace(inputs, grouping=replace(inputs.grouping, apart="absent"))
    (only,) = grouping_section(given)
    assert "absent" in str(only) and "nothing to compare" in str(only)
