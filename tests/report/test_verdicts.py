"""Traffic lights at the edges of their rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compassign_core.report.inputs import ReportInputs, StepCount, in_order
from compassign_core.report.light import graded
from compassign_core.report.run_summaries import RunIndex, RunResiduals
from compassign_core.report.verdicts import (
    bin_verdict,
    calibration_verdict,
    coverage_verdict,
    rejects_verdict,
    runs_verdict,
    standards_verdict,
    unscored_verdict,
    verdicts,
)


@pytest.mark.parametrize(
    ("coverage", "status"),
    [
        (0.95, "good"),
        (0.93, "good"),
        (0.97, "good"),
        (0.9299, "look"),
        (0.9701, "look"),
        (0.90, "look"),
        (1.0, "look"),
        (0.8999, "act"),
        (0.0, "act"),
    ],
)
def test_coverage_is_good_within_two_points_and_usable_within_five(
    coverage: float, status: str
) -> None:
    assert coverage_verdict(coverage, 100).status == status


def test_advice_tells_too_narrow_from_too_wide() -> None:
    assert "too narrow" in coverage_verdict(0.91, 9).advice
    assert "wider than needed" in coverage_verdict(0.99, 9).advice
    assert coverage_verdict(0.95, 9).advice == ""


@pytest.mark.parametrize(("coverage", "n"), [(None, 10), (0.95, 0), (float("nan"), 10)])
def test_coverage_without_scored_peaks_is_not_judged(coverage: float | None, n: int) -> None:
    assert coverage_verdict(coverage, n).status == "none"


def test_a_bin_counts_from_fifty_peaks() -> None:
    assert bin_verdict([("1", 0.5, 49), ("2", 0.95, 50)]).status == "good"
    worst = bin_verdict([("1", 0.5, 50), ("2", 0.95, 50)])
    assert worst.status == "act" and "with 1 training rows" in worst.finding
    assert bin_verdict([("1", 0.90, 50)]).status == "good"
    assert bin_verdict([("1", 0.85, 50)]).status == "look"
    assert bin_verdict([("1", 0.5, 49)]).status == "none"


@pytest.mark.parametrize(
    ("unscored", "status"), [(0, "good"), (10, "good"), (11, "look"), (50, "look"), (51, "act")]
)
def test_unscored_share(unscored: int, status: str) -> None:
    assert unscored_verdict(1000, unscored).status == status
    assert unscored_verdict(0, 0).status == "none"


@pytest.mark.parametrize(
    ("rejected", "status"), [(0, "good"), (50, "good"), (51, "look"), (300, "look"), (301, "act")]
)
def test_the_step_that_refuses_most_decides(rejected: int, status: str) -> None:
    steps = [StepCount("a", 10_000, 10_000), StepCount("b", 1000, 900, {"why": rejected})]
    assert rejects_verdict(steps).status == status
    assert rejects_verdict(list(reversed(steps))).status == status


def test_rejects_name_step_and_commonest_reason_and_ignore_unread_steps() -> None:
    verdict = rejects_verdict([StepCount("z", 100, 10, {"rare": 1, "common": 80})])
    assert "z refused 81 of 100" in verdict.finding and "common" in verdict.finding
    assert rejects_verdict([StepCount("z", 0, 0)]).status == "none"


@pytest.mark.parametrize(("share", "status"), [(0.02, "good"), (0.021, "look"), (0.11, "act")])
def test_missing_standards(share: float, status: str) -> None:
    assert standards_verdict({"IS_a": 2 * share, "IS_b": 0.0}).status == status
    assert "IS_a" in standards_verdict({"IS_a": 2 * share, "IS_b": 0.0}).finding
    assert standards_verdict({}).status == "none"


def _runs(n: list[int], covered: list[float]) -> RunResiduals:
    size = len(n)
    zeros = np.zeros(size)
    index = RunIndex(np.zeros((size, 3), dtype=np.int64), zeros)
    return RunResiduals(index, np.arange(size), zeros, zeros, zeros, np.array(n), np.array(covered))


def test_a_run_stands_out_below_eighty_percent_of_twenty_peaks() -> None:
    assert runs_verdict(_runs([20, 20], [0.8, 1.0])).status == "good"
    assert runs_verdict(_runs([19, 20], [0.1, 1.0])).status == "good"
    assert runs_verdict(_runs([20] * 20, [0.79] + [1.0] * 19)).status == "look"
    assert runs_verdict(_runs([20] * 19, [0.79] + [1.0] * 18)).status == "act"
    assert runs_verdict(_runs([19], [0.1])).status == "none"


def test_calibration_is_told_apart_from_unknown() -> None:
    assert [calibration_verdict(c).status for c in (True, False, None)] == ["good", "look", "none"]


def test_nothing_to_grade_is_no_grade() -> None:
    assert graded(float("nan"), (0.1, 0.2)) == "none"


def test_lights_follow_the_default_model(inputs: ReportInputs) -> None:
    good = {v.name: v.status for v in verdicts(in_order(inputs))}
    bad = {v.name: v.status for v in verdicts(in_order(replace(inputs, default_model="lasso")))}
    assert good["Coverage of the windows"] == "good"
    assert bad["Coverage of the windows"] == "act"
    assert (good["Peaks without prediction"], bad["Peaks without prediction"]) == ("good", "look")
    assert (good["Calibration"], bad["Calibration"]) == ("good", "look")
