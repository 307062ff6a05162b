"""Every check of the preparation can fail, and then says who offends; good tables pass."""

from __future__ import annotations

import pytest

from compassign_core.contracts.checks import MAX_OFFENDERS
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.libraries import ExpectedCounts
from compassign_core.prep import checks
from compassign_core.store.engine import connect


@pytest.fixture(scope="module")
def connection():
    return connect(EngineSettings())


def _table(columns, rows):
    """SQL text of a table of literals; no row makes an empty table with these columns."""
    values = ", ".join(
        "(" + ", ".join("NULL" if v is None else repr(v) for v in row) + ")"
        for row in rows or [[0] * len(columns.split(","))]
    )
    return f"(SELECT * FROM (VALUES {values}) AS t({columns}){'' if rows else ' WHERE false'})"


# -- folds ---------------------------------------------------------------------------------------


def test_rows_of_held_out_sample_sets_are_found(connection):
    folds = _table("sampleset_id, fold", [(n, "test" if n >= 100 else "train") for n in range(150)])
    check = checks.no_test_sample_set(connection, folds)
    good = check(_table("sampleset_id", [(n,) for n in range(100)]))
    assert good.passed and good.blocking and good.n_offenders == 0
    bad = check(_table("sampleset_id", [(n,) for n in range(99, 130) for _ in range(2)]))
    assert not bad.passed and bad.blocking
    assert bad.n_offenders == 30
    assert bad.offenders == [
        {"sampleset_id": n, "n_rows": 2} for n in range(100, 100 + MAX_OFFENDERS)
    ]
    assert "30 held-out sample sets are among the training rows" in bad.sentence()
    assert "sampleset_id=100, n_rows=2" in bad.sentence() and "and 10 more" in bad.sentence()


# -- support -------------------------------------------------------------------------------------

SUPPORT = [
    (0, 1, 10, 9, 7),
    (0, 1, 11, 3, 3),
    (0, 2, 10, 5, 0),
]  # cluster, species, comp, n, n_train
SUPPORT_COLUMNS = "species_cluster, species, comp_id, n_rows, n_train"
PAIR = "species_cluster, species, comp_id"


def _pairs(n_first, n_second, *more):
    return _table(PAIR, [(0, 1, 10)] * n_first + [(0, 1, 11)] * n_second + list(more))


def test_pairs_with_the_smaller_of_rows_and_cap_pass(connection):
    check = checks.pairs_match_support(connection, _table(SUPPORT_COLUMNS, SUPPORT), 5)
    outcome = check(_pairs(5, 3))
    assert outcome.passed and outcome.blocking
    assert outcome.metrics == {"rows_expected": 8.0, "rows_found": 8.0}
    assert "min(rows, 5)" in outcome.message


@pytest.mark.parametrize(
    ("rows", "offender"),
    [
        ((4, 3), {"comp_id": 10, "rows_expected": 5, "rows_found": 4}),
        ((6, 3), {"comp_id": 10, "rows_expected": 5, "rows_found": 6}),
        ((5, 0), {"comp_id": 11, "rows_expected": 3, "rows_found": 0}),
        ((5, 3, (0, 2, 10)), {"species": 2, "comp_id": 10, "rows_expected": 0, "rows_found": 1}),
        ((5, 3, (7, 7, 7)), {"species": 7, "comp_id": 7, "rows_expected": 0, "rows_found": 1}),
    ],
    ids=["lost row", "multiplied row", "lost pair", "held-out pair", "unknown pair"],
)
def test_a_pair_that_differs_from_its_support_is_named(connection, rows, offender):
    check = checks.pairs_match_support(connection, _table(SUPPORT_COLUMNS, SUPPORT), 5)
    outcome = check(_pairs(*rows))
    assert not outcome.passed and outcome.blocking and outcome.n_offenders == 1
    assert offender.items() <= dict(outcome.offenders[0]).items()
    assert "1 pairs differ from min(rows, 5)" in outcome.message
    assert "expected 8" in outcome.message


def test_equal_totals_do_not_hide_pairs_that_differ(connection):
    check = checks.pairs_match_support(connection, _table(SUPPORT_COLUMNS, SUPPORT), 5)
    outcome = check(_pairs(4, 4))
    assert not outcome.passed and outcome.n_offenders == 2


def test_an_empty_table_needs_an_empty_support(connection):
    empty = _table(SUPPORT_COLUMNS, [])
    assert checks.pairs_match_support(connection, empty, 5)(_table(PAIR, [])).passed
    full = _table(SUPPORT_COLUMNS, SUPPORT)
    assert not checks.pairs_match_support(connection, full, 5)(_table(PAIR, [])).passed


# -- caps ----------------------------------------------------------------------------------------

RANKED_COLUMNS = "species_cluster, species, comp_id, sampleset_id, worksheet_id, task_id, pair_rank"
RANKED = [(0, 1, comp, 50, 60, 100 * comp + rank, rank) for comp in (1, 2) for rank in range(1, 8)]
FIRST_THREE = [row for row in RANKED if row[-1] <= 3]


def _nested(connection, rows):
    check = checks.caps_nested(connection, 3, _table(RANKED_COLUMNS, RANKED))
    return check(_table(RANKED_COLUMNS, rows))


def test_the_first_rows_of_the_ranking_pass(connection):
    assert _nested(connection, FIRST_THREE).passed
    assert _nested(connection, FIRST_THREE[::-1]).passed


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        (FIRST_THREE[:-1], {"missing from the first 3"}),
        ([*FIRST_THREE, RANKED[3]], {"not among the first 3"}),
        (
            [*FIRST_THREE[:-1], RANKED[-1]],
            {"missing from the first 3", "not among the first 3", "ranks of the pair have gaps"},
        ),
        ([*FIRST_THREE, FIRST_THREE[0]], {"ranks of the pair have gaps"}),
        (FIRST_THREE[1:], {"missing from the first 3", "ranks of the pair have gaps"}),
        (
            [(*row[:5], row[5] + 1, row[6]) for row in FIRST_THREE[:1]] + FIRST_THREE[1:],
            {"missing from the first 3", "not among the first 3"},
        ),
    ],
    ids=["row lost", "row too many", "another row", "row twice", "first row lost", "another task"],
)
def test_rows_that_differ_from_the_ranking_are_named(connection, rows, faults):
    outcome = _nested(connection, rows)
    assert not outcome.passed and outcome.blocking
    assert {offender["fault"] for offender in outcome.offenders} == faults
    assert outcome.n_offenders == len(outcome.offenders) >= len(faults)


def test_offending_rows_are_counted_beyond_those_named(connection):
    ranked = _table(RANKED_COLUMNS, [(0, 1, c, 5, 6, 7, 1) for c in range(45)])
    outcome = checks.caps_nested(connection, 5, ranked)(_table(RANKED_COLUMNS, []))
    assert outcome.n_offenders == 45 and len(outcome.offenders) == MAX_OFFENDERS


# -- covariates ----------------------------------------------------------------------------------


def test_a_covariate_that_is_often_missing_is_warned_of(connection):
    rows = [(1.0, None if n < 3 else 2.0, None if n < 8 else 1.0) for n in range(10)]
    check = checks.covariates_present(connection, 0.3)
    outcome = check(_table('"IS_a", "RS1", "ES_x"', rows))
    assert not outcome.passed and not outcome.blocking
    assert outcome.offenders == [{"covariate": "ES_x", "null_share": 0.8}]
    assert outcome.n_offenders == 1 and outcome.metrics == {"worst_null_share": 0.8}
    assert "missing in 80.0%" in outcome.message
    # at the limit is not above it, and only covariates are looked at
    assert check(_table('"IS_a", "RS1", rt', rows)).passed


def test_no_rows_have_no_missing_covariates(connection):
    assert checks.covariates_present(connection, 0.0)(_table('"IS_a"', [])).passed


# -- stated counts -------------------------------------------------------------------------------

PEAKS = _table(
    "sampleset_id, worksheet_id, task_id, comp_id",
    [(1, 1, 1, 7), (1, 1, 1, 8), (1, 1, 2, 7), (2, 1, 3, 7)],
)


@pytest.mark.parametrize(
    ("field", "true"),
    [("rows_raw", 9), ("rows_training", 4), ("runs", 3), ("sample_sets", 2), ("comps", 2)],
)
def test_each_stated_count_of_the_peaks_is_compared(connection, field, true):
    def check(**stated):
        expected = ExpectedCounts(**stated)
        return checks.training_counts_as_stated(connection, 9, expected)(PEAKS)

    assert check(**{field: true}).passed
    for wrong in (true - 1, true + 1, 0):
        outcome = check(**{field: wrong})
        assert not outcome.passed and outcome.blocking and outcome.n_offenders == 1
        assert outcome.offenders == [{"count": field, "found": true, "stated": wrong}]
        assert f"{field} is {true}, stated {wrong}" in outcome.message
    assert check().passed and "states no count" in check().message


def test_a_tolerance_is_relative_to_the_stated_count(connection):
    def check(stated, tolerance):
        expected = ExpectedCounts(rows_raw=stated, tolerance=tolerance)
        return checks.training_counts_as_stated(connection, 95, expected)(PEAKS).passed

    assert check(100, 0.05) and not check(100, 0.04)


def test_the_counts_are_metrics_stated_or_not(connection):
    outcome = checks.training_counts_as_stated(connection, 9, ExpectedCounts())(PEAKS)
    assert outcome.metrics == {
        "rows_raw": 9.0,
        "rows_training": 4.0,
        "runs": 3.0,
        "sample_sets": 2.0,
        "comps": 2.0,
    }


@pytest.mark.parametrize(
    ("stated", "wrong"),
    [
        ({"pairs": 3, "species": 2, "cap": {5: {"sampled": 13}}}, None),
        ({"pairs": 4}, "pairs is 3, stated 4"),
        ({"species": 1}, "species is 2, stated 1"),
        ({"cap": {5: {"sampled": 13}, 10: {"sampled": 18}}}, "cap_10_sampled is 17, stated 18"),
    ],
)
def test_stated_counts_of_pairs_are_before_any_hold_out(connection, stated, wrong):
    expected = ExpectedCounts.model_validate(stated)
    source = _table(SUPPORT_COLUMNS, SUPPORT)
    outcome = checks.support_counts_as_stated(connection, expected)(source)
    assert outcome.passed == (wrong is None)
    assert wrong is None or wrong in outcome.message


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        ({"sampled": 13, "mapped": 10, "classed": 10}, None),
        ({"sampled": 13}, None),
        ({"sampled": 14, "mapped": 10}, ["sampled is 13, stated 14"]),
        (
            {"sampled": 13, "mapped": 11, "classed": 9},
            ["mapped is 10, stated 11", "classed is 10, stated 9"],
        ),
    ],
)
def test_stated_chemistry_counts_are_compared(connection, counts, wrong):
    expected = ExpectedCounts.model_validate({"cap": {5: counts}})
    outcome = checks.chemistry_counts_as_stated(
        connection,
        _table(SUPPORT_COLUMNS, SUPPORT),
        _table("comp_id, chem_id", [(10, 1), (12, 2)]),
        _table("chem_id, compound_class", [(1, 0)]),
        5,
        expected,
    )("no table")
    assert outcome.passed == (wrong is None)
    assert all(words in outcome.message for words in wrong or ())


def test_a_cap_without_stated_counts_passes(connection):
    outcome = checks.chemistry_counts_as_stated(
        connection,
        _table(SUPPORT_COLUMNS, SUPPORT),
        _table("comp_id, chem_id", []),
        _table("chem_id, compound_class", []),
        10,
        ExpectedCounts.model_validate({"cap": {5: {"sampled": 1}}}),
    )("no table")
    assert outcome.passed and outcome.metrics == {"sampled": 17.0, "mapped": 0.0, "classed": 0.0}
