from __future__ import annotations

import duckdb
import numpy as np
import pytest

from compassign_core.rt.checks import coverage_is_as_stated, default_model_does_not_lose


def coverage(covered: dict[int, list[list[bool]]]):
    """The check on peaks given by supercategory and run."""
    rows = [
        ("m", cluster, 1, 1, 100 * cluster + run, peak)
        for cluster, runs in covered.items()
        for run, peaks in enumerate(runs)
        for peak in peaks
    ]
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE p (model VARCHAR, species_cluster INT, sampleset_id INT, worksheet_id INT, "
        "task_id INT, covered BOOLEAN)"
    )
    connection.executemany("INSERT INTO p VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.execute(
        "INSERT INTO p VALUES ('m', 0, 1, 1, 999, NULL), ('other', 0, 1, 1, 1, false)"
    )
    return coverage_is_as_stated(connection, "p", "m", 0.95)


def test_coverage_near_its_level_passes_and_counts_runs() -> None:
    outcome = coverage({0: [[True] * 19 + [False]] * 20})
    assert outcome.passed
    assert "0: 95.0% ± 0.0% (20 runs)" in outcome.message
    assert outcome.metrics["coverage 0"] == pytest.approx(0.95)


def test_a_supercategory_that_is_not_covered_is_named() -> None:
    rng = np.random.default_rng(1)
    low = [(rng.random(40) < 0.7).tolist() for _ in range(20)]
    outcome = coverage({0: [[True] * 19 + [False]] * 20, 3: low})
    assert not outcome.passed and not outcome.blocking
    assert [row["species_cluster"] for row in outcome.offenders] == [3]
    assert outcome.offenders[0]["runs"] == 20


def test_a_supercategory_of_few_runs_is_shown_and_not_judged() -> None:
    outcome = coverage({0: [[True] * 19 + [False]] * 20, 1: [[True] * 10] * 4})
    assert outcome.passed
    assert "1: 100.0% ± 0.0% (4 runs)" in outcome.message


def test_one_run_that_misses_as_a_whole_widens_the_interval() -> None:
    runs = [[True] * 40 for _ in range(19)] + [[False] * 40]
    outcome = coverage({0: runs})
    p, n = 0.95, 800
    excess = [40 * (1 - p)] * 19 + [-40 * p]
    half = 1.96 * np.sqrt(np.square(excess).sum()) / n
    assert f"± {half:.1%}" in outcome.message
    assert outcome.passed


def compared(**rows: tuple[float, float]):
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE c (model VARCHAR, baseline VARCHAR, slice VARCHAR, metric VARCHAR, "
        "baseline_value DOUBLE, model_value DOUBLE, difference DOUBLE, low DOUBLE)"
    )
    for metric, (difference, low) in rows.items():
        connection.execute(
            "INSERT INTO c VALUES ('m', 'b', 'overall', ?, 0.1, ?, ?, ?)",
            [metric, 0.1 + difference, difference, low],
        )
    connection.execute("INSERT INTO c VALUES ('m', 'b', 'support_bin', 'rmse', 0.1, 9, 9, 9)")
    return default_model_does_not_lose(connection, "c", "m", 0.05)


def test_a_model_that_is_surely_worse_loses_and_stops_its_windows() -> None:
    outcome = compared(rmse=(0.02, 0.006), mae=(-0.01, -0.02))
    assert not outcome.passed and outcome.blocking
    assert [row["metric"] for row in outcome.offenders] == ["rmse"]


@pytest.mark.parametrize("low", [0.0049, 0.0, -0.01])
def test_a_small_or_uncertain_difference_is_no_loss(low: float) -> None:
    assert compared(rmse=(0.02, low)).passed


def test_nothing_to_compare_is_said_and_passes() -> None:
    outcome = compared()
    assert outcome.passed and "no held-out rows" in outcome.message
