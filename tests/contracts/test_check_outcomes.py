"""Outcomes of checks as sentences, and the error that carries them."""

from __future__ import annotations

from compassign_core.contracts.checks import CheckOutcome
from compassign_core.contracts.errors import CheckFailed, ContractError

NAME = "key_is_unique"


def test_a_passed_check_says_its_message_only():
    outcome = CheckOutcome(NAME, True, "all is well.", "nothing", [{"a": 1}], 1)
    assert outcome.sentence() == "key_is_unique: all is well."


def test_a_failed_check_lists_its_offenders():
    outcome = CheckOutcome(NAME, False, "two are wrong.", "", [{"a": 1, "b": "x"}, {"a": 2}], 2)
    assert outcome.sentence() == "key_is_unique: two are wrong. Offenders: a=1, b=x; a=2."


def test_a_failed_check_says_how_many_more_there_are():
    outcome = CheckOutcome(NAME, False, "many are wrong.", "", [{"a": 1}], 25)
    assert outcome.sentence() == "key_is_unique: many are wrong. Offenders: a=1; and 24 more."


def test_a_failed_check_without_offenders_says_its_message():
    assert CheckOutcome(NAME, False, "it is wrong.").sentence() == "key_is_unique: it is wrong."


def test_the_error_tells_what_failed_and_what_to_do_and_keeps_all_outcomes():
    outcomes = [
        CheckOutcome(NAME, False, "one.", "mend one."),
        CheckOutcome("rows_are_accounted_for", True, "fine.", "not this."),
        CheckOutcome("rejects_within_limit", False, "two.", "mend two."),
    ]
    error = CheckFailed("rt_table", outcomes)
    assert isinstance(error, ContractError)
    assert error.problem == "rt_table: key_is_unique: one. rejects_within_limit: two."
    assert error.advice == "mend one. mend two."
    assert error.outcomes == tuple(outcomes)


def test_only_the_named_warnings_let_the_data_go_on():
    assert CheckOutcome(NAME, False, "x").blocking
    assert not CheckOutcome("row_count_is_steady", False, "x").blocking
