from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from compassign_core.rt.checks import (
    cells_cover,
    coverage_is_as_stated,
    default_model_does_not_lose,
    every_row_judged,
)


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


def compared(baseline: str = "b", **rows: tuple[float, float]):
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE c (model VARCHAR, baseline VARCHAR, slice VARCHAR, metric VARCHAR, "
        "baseline_value DOUBLE, model_value DOUBLE, difference DOUBLE, low DOUBLE)"
    )
    for metric, (difference, low) in rows.items():
        connection.execute(
            "INSERT INTO c VALUES ('m', ?, 'overall', ?, 0.1, ?, ?, ?)",
            [baseline, metric, 0.1 + difference, difference, low],
        )
    connection.execute("INSERT INTO c VALUES ('m', 'b', 'support_bin', 'rmse', 0.1, 9, 9, 9)")
    return default_model_does_not_lose(connection, "c", "m", 0.05)


def test_a_model_that_is_surely_worse_loses_and_stops_its_windows() -> None:
    outcome = compared(rmse=(0.02, 0.006), mae=(-0.01, -0.02))
    assert not outcome.passed and outcome.blocking
    assert [row["metric"] for row in outcome.offenders] == ["rmse"]


@pytest.mark.parametrize("baseline", ["supercategory_mean", "supercategory_ridge"])
def test_a_loss_to_any_baseline_is_a_loss_and_names_it(baseline: str) -> None:
    outcome = compared(baseline, rmse=(0.02, 0.006))
    assert not outcome.passed
    assert f"It loses to {baseline}" in outcome.message
    assert outcome.offenders[0]["baseline"] == baseline


@pytest.mark.parametrize("low", [0.0049, 0.0, -0.01])
def test_a_small_or_uncertain_difference_is_no_loss(low: float) -> None:
    assert compared(rmse=(0.02, low)).passed


def test_nothing_to_compare_is_said_and_passes() -> None:
    outcome = compared()
    assert outcome.passed and "no held-out rows" in outcome.message


def cells(shares: list[float], n_runs: int = 40, n_each: int = 25):
    """The check on cells with given coverage, of runs that are alike."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE p (model VARCHAR, species_cluster INT, pair_support_bin VARCHAR, "
        "sampleset_id INT, worksheet_id INT, task_id INT, covered BOOLEAN)"
    )
    rng = np.random.default_rng(4)
    n = n_runs * n_each
    for i, share in enumerate(shares):
        hit = rng.permutation(np.arange(n) < round(share * n))
        connection.register("hits", pa.table({"task": np.arange(n) % n_runs, "hit": hit}))
        connection.execute(
            "INSERT INTO p SELECT 'm', ?, ?, 1, 1, task, hit FROM hits", [i % 3, str(i // 3)]
        )
    connection.execute("INSERT INTO p VALUES ('m', 0, '0', 1, 1, 1, NULL)")
    connection.execute("INSERT INTO p VALUES ('other', 0, '0', 1, 1, 1, false)")
    return cells_cover(connection, "p", "m", 0.95)


def test_nine_of_ten_cells_are_enough_and_eight_are_not() -> None:
    good = cells([0.95] * 9 + [0.8])
    assert good.passed and not good.blocking
    assert good.metrics["share of cells that cover"] == pytest.approx(0.9)
    assert [row["coverage"] for row in good.offenders] == [0.8]
    bad = cells([0.95] * 8 + [0.8, 0.8])
    assert not bad.passed
    assert "8 of 10 cells (80%)" in bad.message
    assert {(row["species_cluster"], row["pair_support"]) for row in bad.offenders} == {
        (8 % 3, "2"), (9 % 3, "3"),
    }  # fmt: skip


def test_cells_of_few_runs_are_not_judged() -> None:
    outcome = cells([0.5, 0.5], n_runs=4)
    assert outcome.passed
    assert outcome.metrics["cells"] == 0
    assert "2 cells of fewer than 5 runs are not judged" in outcome.message


def test_rows_lost_or_judged_twice_are_seen() -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE p AS SELECT 'a' AS model, true AS scored FROM range(3)")
    connection.execute("INSERT INTO p SELECT 'b', i > 0 FROM range(3) t(i)")
    assert every_row_judged(connection, "p", 3, 2).passed
    assert every_row_judged(connection, "p", 3, 2).metrics["unscored"] == 1
    assert not every_row_judged(connection, "p", 2, 3).passed
    assert not every_row_judged(connection, "p", 4, 2).passed
