"""Estimates from what earlier runs took: a history made up, and one that was run."""

from __future__ import annotations

import json

import pytest

from compassign_core.pipeline.estimate import Expected, duration, expect, sentence, weights
from compassign_core.pipeline.make import make
from compassign_core.pipeline.plan import Step, carry_out, steps_for
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.pipeline.timing import (
    FOLDER,
    Took,
    expected_seconds,
    input_rows,
    times_of,
)
from compassign_core.pipeline.trials.definition import Changes, define
from compassign_core.pipeline.trials.training import expect_trial
from compassign_core.store.lake import Partition
from tests.support.installation import CAP, LIB, lake_bytes

PLACE = Partition(LIB, CAP)


def note(project, name: str, lib: int, text: str) -> None:
    path = project.root / "lake" / FOLDER / name / Partition(lib, CAP).folder() / "time.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("history", "rows", "seconds"),
    [
        ([], 100, None),
        ([Took(4.0, None)], 100, 4.0),
        ([Took(4.0, 200), Took(8.0, 400)], 100, 2.0),  # seconds go with rows
        ([Took(4.0, 200), Took(8.0, None)], 100, 6.0),  # rows of one run unknown: the mean
        ([Took(4.0, 200), Took(8.0, 400)], None, 6.0),
        ([Took(4.0, 0)], 100, 4.0),
    ],
)
def test_seconds_are_the_mean_of_earlier_runs_scaled_by_rows(history, rows, seconds) -> None:
    assert expected_seconds(history, rows) == seconds


def test_an_estimate_comes_from_the_notes_in_the_lake(made) -> None:
    name = "species_ridge_coefficients"
    steps = steps_for([name], [LIB], [CAP])
    assert [one for one in expect(made, steps) if one.to_do] == []
    assert sentence(expect(made, steps)) == ""
    for path in (made.root / "lake" / FOLDER / name).rglob("*.json"):
        path.unlink()
    found = expect(made, steps, [name])
    assert found[-1] == Expected(f"{name}, lib {LIB} cap {CAP}", True, None)
    assert sentence(found) == "1 step to do; no earlier run to judge by."
    rows = input_rows(made, ARTIFACTS[name], PLACE)
    assert rows == made.lake.arrow("rt_table", PLACE).num_rows
    note(made, name, 100, json.dumps({"seconds": 10.0, "rows": 2 * rows}))
    note(made, name, 101, json.dumps({"seconds": 18.0, "rows": 2 * rows}))
    for lib, damaged in ((102, "{"), (103, "[]"), (104, json.dumps({"seconds": "soon"}))):
        note(made, name, lib, damaged)
    found = expect(made, steps, [name])
    assert found[-1].seconds == pytest.approx(7.0)
    assert sentence(found) == "1 step to do, about 7 s (from earlier runs of these steps)."


def test_what_reads_something_that_is_made_again_counts_as_work(made) -> None:
    steps = steps_for(["rt_evaluation"], [LIB], [CAP])
    found = expect(made, steps, ["rt_predictions"])
    assert {one.title.split(",")[0] for one in found if one.to_do} == {
        "rt_predictions", "rt_evaluation",
    }  # fmt: skip


def test_steps_without_a_history_are_told_apart_and_weigh_as_a_usual_one() -> None:
    some = [Expected("a", True, 2.0), Expected("b", False, 0.0), Expected("c", True, None)]
    assert weights([*some, Expected("d", True, 6.0)]) == [2.0, 0.0, 4.0, 6.0]
    assert weights(some[1:]) == [0.0, 1.0]
    assert sentence(some) == (
        "2 steps to do, about 2 s for 1 of them (from earlier runs of these steps); no earlier run "
        "of the others to judge by."
    )
    assert [duration(s) for s in (0.2, 14.4, 119.0, 600.0)] == ["1 s", "14 s", "119 s", "10 min"]


def test_time_is_noted_for_tables_and_files_and_changes_no_artifact(made) -> None:
    before = lake_bytes(made)
    for name in ("rt_table", "supercategory_mean_coefficients"):
        published = make(made, name, PLACE)
        notes = made.root / "lake" / FOLDER / name / PLACE.folder() / "time.json"
        assert json.loads(notes.read_text()) == {
            "seconds": round(published.seconds, 3),
            "rows": input_rows(made, ARTIFACTS[name], PLACE),
        }
        assert times_of(made, name)[-1].seconds == round(published.seconds, 3)
    assert lake_bytes(made) == before


def test_a_lost_history_costs_nothing_else(made) -> None:
    note(made, "rt_evaluation", LIB, "no number")
    outcome = carry_out(made, [Step("rt_evaluation", PLACE)], force=["rt_evaluation"])
    assert [step.name for step in outcome.made] == ["rt_evaluation"]


def test_a_trial_is_judged_by_its_kind_unless_its_method_differs(made) -> None:
    name = "partial_pooling_coefficients"
    rows = made.lake.arrow("rt_table", PLACE).num_rows
    for path in (made.root / "lake" / FOLDER / name).rglob("*.json"):
        path.unlink()
    note(made, name, 100, json.dumps({"seconds": 10.0, "rows": 2 * rows}))
    changed = define("partial_pooling", Changes({"rho": 0.3}))
    assert expect_trial(made, changed, PLACE, to_do=True).seconds == pytest.approx(5.0)
    cut = define("partial_pooling", Changes(limits={"max_train_rows": rows // 2}))
    expected = 10.0 * (rows // 2) / (2 * rows)
    assert expect_trial(made, cut, PLACE, to_do=True).seconds == pytest.approx(expected)
    other = define("partial_pooling", Changes({"method": "laplace"}))
    assert expect_trial(made, other, PLACE, to_do=True).seconds is None
    assert expect_trial(made, other, PLACE, to_do=False).to_do is False
