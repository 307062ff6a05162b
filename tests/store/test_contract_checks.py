"""The checks that follow from a contract: each can fail and then names rows; good tables pass."""

from __future__ import annotations

import pytest

from compassign_core.contracts.catalogue import CONTRACTS, rejects_contract
from compassign_core.contracts.checks import MAX_OFFENDERS
from compassign_core.contracts.tables import Column, TableContract
from compassign_core.store.contract_checks import contract_check_names, violations

CONTRACT = TableContract(
    "things",
    "Things.",
    (),
    (
        Column("id", "BIGINT", "id", minimum=0),
        Column("rt", "DOUBLE", "time", "min", exclusive_minimum=0.0),
        Column("label", "VARCHAR", "label", nullable=True, values=("a", "it's")),
        Column("width", "DOUBLE", "width", nullable=True, minimum=-1.5),
        Column("free", "VARCHAR", "any text", nullable=True),
    ),
    key=("id",),
    order_by=("id",),
)
GOOD = """(SELECT range AS id, 1e-9 AS rt, 'it''s' AS label, NULL::DOUBLE AS width,
                  NULL AS free FROM range(3))"""


def _checked(lake, source, contract=CONTRACT):
    values, key = violations(lake.connection, source, contract)
    return values, key


def _with(**columns):
    changed = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    return f"(SELECT * REPLACE ({changed}) FROM {GOOD})"


def test_a_good_table_passes_and_says_how_much_was_looked_at(lake):
    values, key = _checked(lake, GOOD)
    assert values.passed and key.passed and values.blocking and key.blocking
    assert values.message == "all 3 rows keep the 8 rules of the table."
    assert key.message == "every id occurs once."
    assert [values.name, key.name] == list(contract_check_names(CONTRACT))


@pytest.mark.parametrize("source", [f"(SELECT * FROM {GOOD} WHERE false)"])
def test_a_table_of_no_rows_passes(lake, source):
    values, key = _checked(lake, source)
    assert values.passed and key.passed


@pytest.mark.parametrize(
    ("columns", "words", "offender"),
    [
        ({"id": "nullif(id, 1)"}, "id is missing in 1 rows", {"id": None}),
        ({"id": "id - 2"}, "id < 0 in 2 rows", {"id": -2}),
        ({"rt": "nullif(1.0, id::DOUBLE)"}, "rt is missing in 1 rows", {"id": 1, "rt": None}),
        ({"rt": "id::DOUBLE"}, "rt <= 0 in 1 rows", {"id": 0, "rt": 0.0}),
        ({"rt": "1 - id::DOUBLE"}, "rt <= 0 in 2 rows", {"id": 1, "rt": 0.0}),
        ({"rt": "'inf'::DOUBLE"}, "rt is not a finite number in 3 rows", {"id": 0}),
        ({"width": "'nan'::DOUBLE"}, "width is not a finite number in 3 rows", {"id": 0}),
        ({"width": "(id / 5 - 1.6)::DOUBLE"}, "width < -1.5 in 1 rows", {"id": 0, "width": -1.6}),
        ({"label": "'b'"}, "label is none of 'a', 'it''s' in 3 rows", {"id": 0, "label": "b"}),
    ],
)
def test_each_rule_can_be_broken_and_names_the_row_and_its_value(lake, columns, words, offender):
    values, _ = _checked(lake, _with(**columns))
    assert not values.passed and values.blocking
    assert words in values.message
    assert offender.items() <= dict(values.offenders[0]).items()
    assert set(values.offenders[0]) == {"id", *columns}
    assert values.advice


def test_a_row_that_breaks_two_rules_is_one_offender(lake):
    values, _ = _checked(lake, _with(rt="CASE WHEN id = 1 THEN '-inf'::DOUBLE ELSE 1 END"))
    assert "rt is not a finite number in 1 rows; rt <= 0 in 1 rows" in values.message
    assert values.n_offenders == len(values.offenders) == 1


def test_offenders_are_counted_beyond_those_named(lake):
    many = GOOD.replace("range(3)", "range(50)")
    values, _ = _checked(lake, f"(SELECT * REPLACE (-id AS id) FROM {many})")
    assert values.n_offenders == 49 and len(values.offenders) == MAX_OFFENDERS
    assert [row["id"] for row in values.offenders] == list(range(-49, -29))
    assert "and 29 more" in values.sentence()


def test_a_repeated_key_is_named_with_its_rows(lake):
    source = f"(SELECT * FROM {GOOD} UNION ALL SELECT * FROM {GOOD} WHERE id <> 1)"
    values, key = _checked(lake, source)
    assert values.passed and not key.passed and key.blocking
    assert key.offenders == [{"id": 0, "n_rows": 2}, {"id": 2, "n_rows": 2}]
    assert key.message == "2 values of id occur more than once."


def test_a_key_of_several_columns_repeats_only_as_a_whole(lake):
    contract = TableContract(
        "pairs", "", (), (Column("a", "BIGINT", ""), Column("b", "BIGINT", "")), key=("a", "b")
    )
    good = "(SELECT * FROM (VALUES (1, 1), (1, 2), (2, 1)) AS t(a, b))"
    assert _checked(lake, good, contract)[1].passed
    bad = "(SELECT * FROM (VALUES (1, 1), (1, 2), (1, 2)) AS t(a, b))"
    outcome = _checked(lake, bad, contract)[1]
    assert not outcome.passed and outcome.offenders == [{"a": 1, "b": 2, "n_rows": 2}]
    assert "a × b" in outcome.message


@pytest.mark.parametrize("name", [*CONTRACTS, *(f"{name}_rejects" for name in CONTRACTS)])
def test_every_contract_can_be_checked(lake, name):
    step = name.removesuffix("_rejects")
    contract = CONTRACTS[step] if step == name else rejects_contract(step)
    columns = ", ".join(f'CAST(NULL AS {c.type}) AS "{c.name}"' for c in contract.columns)
    empty = violations(lake.connection, f"(SELECT {columns} WHERE false)", contract)
    assert [o.name for o in empty] == list(contract_check_names(contract))
    assert all(outcome.passed for outcome in empty)
    # a row of nulls breaks every rule that something is there
    values = violations(lake.connection, f"(SELECT {columns})", contract)[0]
    required = [c.name for c in contract.columns if not c.nullable]
    assert all(f"{column} is missing in 1 rows" in values.message for column in required)
    assert values.passed == (not required)
