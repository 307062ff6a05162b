"""Checks that follow from a table contract alone: columns, nulls, bounds, values, key."""

from __future__ import annotations

import duckdb

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.contracts.tables import Column, TableContract, is_covariate
from compassign_core.store.ordering import is_ascending
from compassign_core.store.sql import columns_of, first_rows

COLUMN_CHECK = "values_keep_the_contract"
KEY_CHECK = "key_is_unique"


def contract_check_names(contract: TableContract) -> tuple[str, ...]:
    """Names of the outcomes that `violations` returns for a contract."""
    return (COLUMN_CHECK, KEY_CHECK) if contract.key else (COLUMN_CHECK,)


def violations(
    connection: duckdb.DuckDBPyConnection, source: str, contract: TableContract
) -> list[CheckOutcome]:
    """Check a table against its contract, one outcome for values and one for the key.

    Parameters
    ----------
    connection : the engine.
    source : SQL text of the table.
    contract : what it must keep.
    """
    outcomes = [_values(connection, source, contract)]
    if contract.key:
        outcomes.append(_key(connection, source, contract))
    return outcomes


def _rules(column: Column) -> list[tuple[str, str, str]]:
    """(SQL condition that a row *breaks* the rule, the rule in words, the column)."""
    name = quote_name(column.name)
    rules = []
    if not column.nullable:
        rules.append((f"{name} IS NULL", f"{column.name} is missing"))
    if column.type == "DOUBLE":
        rules.append((f"NOT isfinite({name})", f"{column.name} is not a finite number"))
    if column.minimum is not None:
        rules.append((f"{name} < {column.minimum}", f"{column.name} < {column.minimum:g}"))
    if column.exclusive_minimum is not None:
        bound = column.exclusive_minimum
        rules.append((f"{name} <= {bound}", f"{column.name} <= {bound:g}"))
    if column.maximum is not None:
        rules.append((f"{name} > {column.maximum:d}", f"{column.name} > {column.maximum:d}"))
    if column.values:
        allowed = ", ".join(quote_text(value) for value in column.values)
        rules.append((f"{name} NOT IN ({allowed})", f"{column.name} is none of {allowed}"))
    return [(condition, words, column.name) for condition, words in rules]


def _values(
    connection: duckdb.DuckDBPyConnection, source: str, contract: TableContract
) -> CheckOutcome:
    columns = list(contract.columns)
    if contract.covariates:
        present = columns_of(connection, source)
        columns += [
            Column(name, "DOUBLE", "run covariate", nullable=True)
            for name in present
            if is_covariate(name)
        ]
    rules = [rule for column in columns for rule in _rules(column)]
    counts: tuple[int, ...] = (0,)
    if rules:
        sums = ", ".join(f"count(*) FILTER ({condition})" for condition, _, _ in rules)
        counts = connection.execute(f"SELECT count(*), {sums} FROM {source}").fetchall()[0]
    broken = [(count, *rule) for count, rule in zip(counts[1:], rules, strict=True) if count]
    if not broken:
        return CheckOutcome(
            COLUMN_CHECK, True, f"all {counts[0]:,} rows keep the {len(rules)} rules of the table."
        )
    either = " OR ".join(f"({condition})" for _, condition, _, _ in broken)
    wrong = [name for _, _, _, name in broken]
    shown = ", ".join(quote_name(n) for n in dict.fromkeys((*contract.key, *wrong)))
    # A row may break several rules and is counted once.
    offenders, n_rows = first_rows(
        connection, f"SELECT {shown} FROM {source} WHERE {either}", MAX_OFFENDERS
    )
    return CheckOutcome(
        COLUMN_CHECK,
        False,
        "; ".join(f"{words} in {count:,} rows" for count, _, words, _ in broken) + ".",
        "correct these rows in the source, or refuse them with a reason.",
        offenders,
        n_rows,
    )


def _key(
    connection: duckdb.DuckDBPyConnection, source: str, contract: TableContract
) -> CheckOutcome:
    words = " × ".join(contract.key)
    unique = CheckOutcome(KEY_CHECK, True, f"every {words} occurs once.")
    # A file that ascends by its key holds no key twice, and seeing that takes no memory.
    by_key = contract.order_by[: len(contract.key)]
    if set(by_key) == set(contract.key) and is_ascending(connection, source, by_key):
        return unique
    key = ", ".join(quote_name(name) for name in contract.key)
    repeated = f"SELECT {key}, count(*) AS n_rows FROM {source} GROUP BY {key} HAVING count(*) > 1"
    offenders, n_keys = first_rows(connection, repeated, MAX_OFFENDERS)
    if not n_keys:
        return unique
    return CheckOutcome(
        KEY_CHECK,
        False,
        f"{n_keys:,} values of {words} occur more than once.",
        "remove the repeated rows at their source; a join on a repeated key multiplies rows.",
        offenders,
        n_keys,
    )
