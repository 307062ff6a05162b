"""The one table that every reader makes of a file: text, as it stands there."""

from __future__ import annotations

from collections.abc import Mapping

from compassign_core.contracts.identifiers import quote_text

ROLES = (
    "run",
    "compound",
    "rt",
    "area",
    "status",
    "sample_type",
    "run_order",
    "group",
    "standard",
    "sample_set",
    "worksheet",
    "injection",
    "species",
)
"""What a column of results can hold; the canonical table has a column for each."""

NEEDED = ("run", "compound", "rt")

MALFORMED = "row_malformed"
UNIDENTIFIED = "unidentified"
"""Faults that a reader finds: a row of another length, a feature without a compound."""


def canonical_rows(
    source: str, cells: Mapping[str, str], *, row: str = "row", fault: str = "", detail: str = ""
) -> str:
    """SQL of the canonical table.

    Parameters
    ----------
    source : SQL text of the rows.
    cells : SQL of the cell of each role that the file has; the others become null.
    row : SQL of the row's number in the file.
    fault, detail : SQL of a reader's fault and what it is about; null when empty.
    """
    columns = ", ".join(
        f"CAST({cells.get(role, 'NULL')} AS VARCHAR) AS {quote(role)}" for role in ROLES
    )
    return f"""
        SELECT CAST({row} AS BIGINT) AS "row", {columns},
               CAST({fault or "NULL"} AS VARCHAR) AS fault,
               CAST({detail or "NULL"} AS VARCHAR) AS detail,
               {str("status" in cells).upper()} AS has_status
        FROM {source}"""


def quote(role: str) -> str:
    """A role as a column name (``group`` is a word of SQL)."""
    return f'"{role}"'


def malformed(cells: str, expected: str) -> str:
    """SQL of the fault of a row with more cells than its header."""
    return f"CASE WHEN {cells} > {expected} THEN {quote_text(MALFORMED)} END"
