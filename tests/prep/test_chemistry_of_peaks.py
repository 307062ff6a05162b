"""Peaks without chemistry: -1 or refused, by setting, and counted either way."""

from __future__ import annotations

import pytest

from compassign_core.contracts.identifiers import CAPS


@pytest.fixture
def dropping(copy):
    """The tiny export, with peaks without chemistry refused."""
    text = copy.libraries_file.read_text().replace('"fill"', '"drop"')
    copy.libraries_file.write_text(f"{text}max_reject_share = 0.05\n")
    return copy


@pytest.mark.parametrize("cap", [CAPS[0], CAPS[-1]])
def test_dropping_refuses_what_filling_marks(simulated, dropping, cap):
    filled = simulated.pipeline
    for table in ("chemclass_training", "rt_table"):
        dropping.run(table, cap)
    kept = "SELECT * FROM {} WHERE compound_class >= 0"
    assert dropping.rows(f"SELECT * FROM {dropping.source('rt_table', cap)}") == filled.rows(
        kept.format(filled.source("rt_table", cap))
    )
    marked = filled.rows(
        f"""SELECT count(*) FILTER (compound < 0),
                   count(*) FILTER (compound >= 0 AND compound_class < 0)
            FROM {filled.source("rt_table", cap)}"""
    )[0]
    assert min(marked) > 0
    assert dropping.reports["chemclass_training", cap].rejects == dict(
        zip(("comp_without_chemical", "chemical_without_class"), marked, strict=True)
    )


def test_dropping_is_a_rule_and_no_fault_of_the_data(dropping):
    dropping.run("chemclass_training", 5)
    report = dropping.reports["chemclass_training", 5]
    assert report.n_rejected > 0.05 * report.rows_in
    outcome = dropping.outcome("chemclass_training", "rejects_within_limit", 5)
    assert outcome.passed and outcome.metrics == {"reject_share": 0.0}


def test_held_out_peaks_follow_the_same_rule(simulated, dropping):
    filled = simulated.pipeline
    dropping.run("realtest_table")
    n_classed = filled.value(
        f"SELECT count(*) FILTER (compound_class >= 0) FROM {filled.source('realtest_table')}"
    )
    assert dropping.count("realtest_table") == n_classed < filled.count("realtest_table")


def test_rejects_of_an_earlier_rule_do_not_outlive_it(dropping):
    dropping.run("chemclass_training", 5)
    assert dropping.rejects("chemclass_training", 5)
    text = dropping.libraries_file.read_text().replace('"drop"', '"fill"')
    dropping.libraries_file.write_text(text)
    dropping.run("chemclass_training", 5)
    assert not dropping.lake.exists("chemclass_training_rejects", dropping.partition("rt_table", 5))
