"""CSV files that people open: a table written in its own order, spreadsheet formulas disarmed."""

from __future__ import annotations

from pathlib import Path

import duckdb

from compassign_core.contracts.identifiers import quote_name, quote_text

_FORMULA = "^[=+\\-@\\t\\r]"


def write_csv(connection: duckdb.DuckDBPyConnection, source: str, target: Path) -> int:
    """Write a table as CSV and return its number of rows.

    A text cell or a column name that a spreadsheet would run as a formula (beginning with
    ``=``, ``+``, ``-``, ``@``, tab or return) gets a leading apostrophe.

    Parameters
    ----------
    connection : the engine.
    source : SQL text of the table.
    target : file to write; see `compassign_core.store.atomic` for writing it aside.
    """
    columns = []
    for name, kind, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall():
        shown = f"'{name}" if name[:1] in "=+-@\t\r" else name
        value = quote_name(name)
        if kind == "VARCHAR":
            value = (
                f"CASE WHEN regexp_matches({value}, {quote_text(_FORMULA)}) "
                f"THEN concat('''', {value}) ELSE {value} END"
            )
        columns.append(f"{value} AS {quote_name(shown)}")
    written = connection.execute(
        f"COPY (SELECT {', '.join(columns)} FROM {source}) TO {quote_text(str(target))} "
        "(FORMAT csv, HEADER true)"
    ).fetchall()
    return int(written[0][0])
