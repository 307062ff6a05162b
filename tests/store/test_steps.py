"""The gate: a step is published whole or not at all, and its rows must add up."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from compassign_core.contracts.checks import CheckOutcome
from compassign_core.contracts.errors import CheckFailed, ContractError
from compassign_core.contracts.rejects import REJECT_COLUMNS, StepResult
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.store import atomic
from compassign_core.store.lake import Partition
from compassign_core.store.steps import (
    REFUSED_FILE,
    STEP_CHECKS,
    StepReport,
    rejects_within_limit,
    row_count_is_steady,
    rows_are_accounted_for,
    stage_step,
)
from tests.support.pipeline import published, refused

PARTITION = Partition(7)
TABLE = "comp_chem_mapping"


def _table(n_rows):
    return pa.table({"comp_id": range(n_rows), "chem_id": range(n_rows)})


def _rejects(**reasons):
    listed = [reason for reason, n in reasons.items() for _ in range(n)]
    nulls = {c.name: pa.nulls(len(listed), pa.string()) for c in REJECT_COLUMNS[1:]}
    return pa.table({"reason": pa.array(listed, pa.string()), **nulls})


def _stage(lake, result, **settings):
    return stage_step(lake, TABLE, PARTITION, result, PrepSettings(**settings))


def _report(rows_in, rows_out, set_aside=None, **rejects):
    return StepReport("lib_training", rows_in, rows_out, rejects, set_aside or {}, {})


# -- publishing ----------------------------------------------------------------------------------


def test_a_step_publishes_its_table_and_its_rejects(lake):
    result = StepResult(_table(95), 100, _rejects(b=2, a=3), notes={"x": 1})
    staged = _stage(lake, result)
    assert not lake.exists(TABLE, PARTITION)
    assert staged.failed == [] and staged.report.rejects == {"a": 3, "b": 2}
    assert staged.publish() == lake.file(TABLE, PARTITION)
    assert lake.arrow(TABLE, PARTITION).num_rows == 95
    reasons = lake.connection.execute(
        f"SELECT reason FROM read_parquet('{lake.file(TABLE + '_rejects', PARTITION)}')"
    ).fetchall()
    assert reasons == [("a",)] * 3 + [("b",)] * 2
    assert not [name for name in published(lake.root) if name.endswith(".aside")]


def test_the_names_of_all_checks_are_told(lake):
    staged = _stage(lake, StepResult(_table(1), 1))
    assert [o.name for o in staged.outcomes] == [
        "values_keep_the_contract",
        "key_is_unique",
        *STEP_CHECKS,
    ]
    staged.refuse()


def _blocking(passed):
    def check(_source):
        return CheckOutcome("no_test_sample_set", passed, "3 rows are wrong.", "mend them.")

    return check


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (StepResult(_table(9), 10), "rows_are_accounted_for"),
        (StepResult(_table(5), 10, _rejects(bad=5)), "rejects_within_limit"),
        (StepResult(_table(10), 10, checks=[_blocking(False)]), "no_test_sample_set"),
        (
            StepResult(pa.table({"comp_id": [1, 1], "chem_id": [2, 3]}), 2),
            "key_is_unique",
        ),
        (StepResult(pa.table({"comp_id": [1], "chem_id": [-3]}), 1), "values_keep_the_contract"),
    ],
)
def test_a_blocking_check_that_fails_publishes_nothing(lake, result, name):
    _stage(lake, StepResult(_table(10), 11, _rejects(bad=1))).publish()
    before = published(lake.root)
    staged = _stage(lake, result)
    assert [outcome.name for outcome in staged.failed] == [name]
    with pytest.raises(CheckFailed, match=f"{TABLE}: {name}") as error:
        staged.publish()
    assert error.value.advice == staged.failed[0].advice != ""
    assert published(lake.root) == before
    folder = f"{TABLE}_rejects/lib_id=7"
    assert refused(lake.root) == ({f"{folder}/{REFUSED_FILE}"} if result.rejects else set())


def test_a_warning_does_not_stop_the_step(lake):
    def check(_source):
        return CheckOutcome("covariates_present", False, "half are missing.")

    staged = _stage(lake, StepResult(_table(3), 3, checks=[check]))
    assert staged.failed == []
    staged.publish()
    assert lake.exists(TABLE, PARTITION)


def test_checks_read_the_written_file(lake):
    seen = []

    def check(source):
        rows = lake.connection.execute(f"SELECT count(*) FROM {source}").fetchall()
        seen.append((".aside" in source, rows[0][0]))
        return CheckOutcome("no_test_sample_set", True, "fine.")

    _stage(lake, StepResult(_table(3), 3, checks=[check])).publish()
    assert seen == [(True, 3)]


def _raises(_source):
    raise RuntimeError("the check itself is broken")


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (StepResult(_table(3), 3, checks=[_raises]), RuntimeError),
        (StepResult(_table(3), 3, pa.table({"reason": ["a"]})), ContractError),
        (StepResult(pa.table({"comp_id": [1]}), 1), ContractError),
    ],
    ids=["check", "rejects", "table"],
)
def test_what_fails_while_staging_leaves_no_file_aside(lake, result, error):
    _stage(lake, StepResult(_table(10), 10)).publish()
    before = published(lake.root)
    with pytest.raises(error):
        _stage(lake, result)
    assert published(lake.root) == before


def test_a_rename_that_fails_keeps_the_last_good_table(lake, monkeypatch):
    _stage(lake, StepResult(_table(10), 11, _rejects(bad=1))).publish()
    before = lake.file(TABLE, PARTITION).read_bytes()
    staged = _stage(lake, StepResult(_table(19), 20, _rejects(bad=1)))
    calls = []

    def replace(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("the disk is gone")
        source.rename(target)

    monkeypatch.setattr(atomic.os, "replace", replace)
    with pytest.raises(OSError, match="the disk is gone"):
        staged.publish()
    # the table is renamed last, so that it never stands without its rejects
    assert calls[-1] == lake.file(TABLE, PARTITION)
    assert lake.file(TABLE, PARTITION).read_bytes() == before


def test_rejects_of_a_refused_attempt_stay_until_the_step_is_mended(lake):
    """They are what its user must look at, and never what a reader takes for the rejects."""
    _stage(lake, StepResult(_table(19), 20, _rejects(bad=1))).publish()
    with pytest.raises(CheckFailed):
        _stage(lake, StepResult(_table(5), 10, _rejects(worse=5))).publish()
    file = lake.file(f"{TABLE}_rejects", PARTITION, REFUSED_FILE)
    reasons = lake.connection.execute(f"SELECT reason FROM read_parquet('{file}')").fetchall()
    assert reasons == [("worse",)] * 5
    assert lake.arrow(f"{TABLE}_rejects", PARTITION)["reason"].to_pylist() == ["bad"]
    for mended in (StepResult(_table(19), 20, _rejects(bad=1)), StepResult(_table(20), 20)):
        file.write_bytes(b"of an earlier attempt")
        _stage(lake, mended).publish()
        assert refused(lake.root) == set()


def test_rejects_that_no_longer_occur_are_removed(lake):
    _stage(lake, StepResult(_table(19), 20, _rejects(bad=1))).publish()
    assert lake.exists(f"{TABLE}_rejects", PARTITION)
    _stage(lake, StepResult(_table(20), 20)).publish()
    assert not lake.exists(f"{TABLE}_rejects", PARTITION)


def test_the_report_says_the_same_whatever_the_clock_says():
    report = StepReport("lib_training", 5, 3, {"b": 1, "a": 1}, {}, {"y": 1, "x": 2}, seconds=1.5)
    again = StepReport("lib_training", 5, 3, {"a": 1, "b": 1}, {}, {"x": 2, "y": 1}, seconds=9.0)
    assert report.to_json() == again.to_json()
    assert report.n_rejected == 2
    assert json.loads(report.to_json())["rejects"] == {"a": 1, "b": 1}


# -- the checks of every step --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows_in", "rows_out", "rejected", "set_aside", "left_over"),
    [(10, 6, 3, 1, 0), (0, 0, 0, 0, 0), (10, 6, 3, 0, 1), (10, 12, 0, 0, -2), (10, 10, 1, 0, -1)],
)
def test_rows_must_add_up(rows_in, rows_out, rejected, set_aside, left_over):
    report = _report(rows_in, rows_out, {"held_out": set_aside}, bad=rejected)
    outcome = rows_are_accounted_for(report, expands=False)
    assert outcome.passed == (left_over == 0) and outcome.blocking
    assert f"{rows_in} read = {rows_out} kept + {rejected} refused + {set_aside} set aside" in (
        outcome.message
    )
    assert outcome.passed or f"leaves {left_over} over" in outcome.message
    assert rows_are_accounted_for(report, expands=True).passed


def test_the_limit_looks_at_faults_only():
    report = _report(100, 40, status_not_kept=40, sample_type_excluded=10, bad=6, worse=4)
    at, above = rejects_within_limit(report, 0.2), rejects_within_limit(report, 0.19)
    assert at.passed and not above.passed and above.blocking
    assert above.metrics == {"reject_share": 0.2}
    assert "20.00% of 50 rows" in above.message and "bad 6, worse 4" in above.message
    assert "status_not_kept" not in above.message
    assert "lib_training_rejects" in above.advice


def test_no_rows_have_no_faults():
    assert rejects_within_limit(_report(0, 0), 0.0).passed
    assert rejects_within_limit(_report(9, 0, status_not_kept=9), 0.0).passed


@pytest.mark.parametrize(("now", "steady"), [(80, True), (120, True), (79, False), (121, False)])
def test_a_row_count_that_moves_much_is_warned_of(lake, now, steady):
    _stage(lake, StepResult(_table(100), 100)).publish()
    last = lake.file(TABLE, PARTITION)
    outcome = row_count_is_steady(_report(now, now), last, 0.2)
    assert outcome.passed == steady and not outcome.blocking
    assert f"100 rows before, {now} now" in outcome.message


def test_the_first_table_has_nothing_to_move_from(tmp_path):
    assert row_count_is_steady(_report(5, 5), tmp_path / "none", 0.2).passed


def test_an_unreadable_last_table_is_warned_of_and_replaced(lake):
    _stage(lake, StepResult(_table(5), 5)).publish()
    lake.file(TABLE, PARTITION).write_bytes(b"no parquet")
    staged = _stage(lake, StepResult(_table(5), 5))
    assert [o.name for o in staged.outcomes if not o.passed] == ["row_count_is_steady"]
    staged.publish()
    assert lake.arrow(TABLE, PARTITION).num_rows == 5
