"""Diagnostics and cells: on the page as they are in the tables, and judged by their rules."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from compassign_core.report.diagnostics import numbers_of_models, posterior_spreads
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import joined
from compassign_core.report.model_verdicts import cells_verdict, fit_verdict
from compassign_core.report.sections.diagnostics import diagnostics_section
from compassign_core.report.sections.tail import tail_section, verdict_of
from compassign_core.rt.coverage import CellCoverage

CELL = CellCoverage(0, "3-5", 500, 10, 0.95, 0.93, 0.97, 0.94, 0.96)
NARROW = replace(CELL, coverage=0.8, low=0.7, high=0.9, low_by_peaks=0.79, high_by_peaks=0.81)
WIDE = replace(CELL, coverage=0.99, low=0.97, high=1.0, low_by_peaks=0.98, high_by_peaks=1.0)
FEW = replace(NARROW, n_runs=4)


@pytest.mark.parametrize(
    ("cell", "verdict"),
    [
        (CELL, "holds"),
        (NARROW, "narrow"),
        (WIDE, "wide"),
        (FEW, "unjudged"),
        (replace(CELL, low=0.95), "holds"),
        (replace(CELL, high=0.95), "holds"),
    ],
)
def test_a_cell_holds_when_95_percent_lies_in_its_interval(
    cell: CellCoverage, verdict: str
) -> None:
    assert verdict_of(cell) == verdict


def test_nine_of_ten_cells_are_enough_and_eight_are_not() -> None:
    assert cells_verdict([CELL] * 9 + [NARROW]).status == "good"
    found = cells_verdict([CELL] * 8 + [NARROW] * 2 + [FEW] * 5)
    assert found.status == "look" and found.finding == "8 of 10 cells hold 95 %."
    assert cells_verdict([FEW]).status == cells_verdict([]).status == "none"


def test_cells_on_the_page_say_by_sign_and_number_what_they_say_by_colour(
    inputs: ReportInputs,
) -> None:
    cells = [
        CELL,
        replace(NARROW, support_bin="6-10"),
        replace(WIDE, species_cluster=1),
        replace(FEW, species_cluster=1, support_bin="6-10"),
        # counting runs it holds, counting peaks it does not
        replace(CELL, support_bin="0", low_by_peaks=0.951, high_by_peaks=0.96),
    ]
    html = joined(tail_section(replace(inputs, held_out=replace(inputs.held_out, cells=cells))))
    grid = html[html.index('class="cells"') :]
    shown = {kind: text for kind, text in re.findall(r'<td class="(\w+)"[^>]*>(.*?)</td>', grid)}
    assert "✓" in shown["holds"] and "95.0\u00a0%" in shown["holds"]
    assert "▼" in shown["narrow"] and "70.0–90.0; 500" in shown["narrow"]
    assert "▲" in shown["wide"] and "·" in shown["unjudged"]
    assert grid.count("(peaks: ") == 1 and "(peaks: 95.1–96.0)" in grid
    assert re.findall(r'<th scope="col">(.*?)</th>', grid)[1:] == ["0", "3-5", "6-10"]
    assert "3 of 4 cells hold 95 %." not in html and "2 of 4 cells hold 95 %." in html


def test_the_fit_is_as_good_as_its_worst_number(inputs: ReportInputs) -> None:
    given = inputs.diagnostics
    assert fit_verdict(given, "partial_pooling").status == "good"
    doubtful = fit_verdict(given, "lasso")
    assert doubtful.status == "look" and doubtful.finding == "40% stopped."
    failed = pc.replace_substring(given["judgement"], "ok", "fail")
    at = given.column_names.index("judgement")
    assert fit_verdict(given.set_column(at, "judgement", failed), "partial_pooling").status == "act"
    assert fit_verdict(given.slice(0, 0), "partial_pooling").status == "none"


def test_the_section_shows_every_number_of_a_fit_in_words(inputs: ReportInputs) -> None:
    html = joined(diagnostics_section(inputs))
    assert "1 of 2 numbers on the fits of 2 models are as they should be." in html
    rows = [
        [unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall("<td[^>]*>(.*?)</td>", line)]
        for line in re.findall("<tr[^>]*>(.*?)</tr>", html)
    ]
    assert [row for row in rows if row] == [
        ["partial_pooling", "map", "✓Good", "It stands at its mode.", "gradient_norm", "0.01"],
        ["partial_pooling", "map", "", "Evaluations: 30.", "evaluations", "30"],
        ["lasso", "coordinate descent", "!Look", "40% stopped.", "unconverged_share", "0.4"],
    ]


def test_the_model_shown_comes_first_and_the_worst_number_of_each(inputs: ReportInputs) -> None:
    rows = numbers_of_models(inputs.diagnostics, "lasso")
    assert [(row["model"], row["judgement"]) for row in rows] == [
        ("lasso", "warn"),
        ("partial_pooling", "ok"),
        ("partial_pooling", "info"),
    ]


def test_spreads_are_those_that_are_known(inputs: ReportInputs) -> None:
    found = posterior_spreads(inputs.diagnostics)
    assert set(found) == {"partial_pooling"}
    assert found["partial_pooling"] == {
        "slope": 0.1,
        "tau_b": 0.05,
        "tau_comp": 0.2,
        "tau_mu_super": 0.9,
        "tau_mu[1]": 7.0,
    }


def test_fits_without_diagnostics_are_told(inputs: ReportInputs) -> None:
    nothing: pa.Table = inputs.diagnostics.slice(0, 0)
    (only,) = diagnostics_section(replace(inputs, diagnostics=nothing))
    assert "The fits left no diagnostics." in str(only)
