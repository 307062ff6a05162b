"""The list of runs that a lab keeps: a CSV with a column `run`, and facts of each run."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.contracts.settings.imports import RUN_FACTS
from compassign_core.prep.importers.cells import column_names, text_rows
from compassign_core.prep.importers.dialect import find_dialect, head_rows
from compassign_core.prep.importers.headers import plain
from compassign_core.prep.importers.registered import registered

SAMPLE_COLUMNS = ("run", "file", *RUN_FACTS)


def read_samples(
    connection: duckdb.DuckDBPyConnection, path: Path, shown: str, encoding: str = "auto"
) -> pa.Table:
    """The list of runs: columns of `SAMPLE_COLUMNS` as text, null where empty; each run once.

    A `file` says of which file of results the run is, where names of runs repeat between files.

    Raises
    ------
    InputError
        when there is no column `run`, a row is malformed, or a run is listed twice with different
        facts.
    """
    dialect = find_dialect(path, shown, encoding)
    (header, *_) = head_rows(path, shown, dialect, 1)
    names = column_names(header)
    found = {plain(name): name for name in reversed(names)}
    if "run" not in found:
        raise InputError(
            f"{shown} (samples) lacks column run; it has {', '.join(names)}.",
            "name the column that holds the runs as the results name them `run`.",
        )
    table = text_rows(path, shown, dialect, names).read_all()
    faulty = table.filter(table["row_fault"].is_valid())
    if faulty.num_rows:
        raise InputError(
            f"{shown} (samples), row {faulty['row_number'][0]}: {faulty['row_detail'][0]} "
            f"({faulty.num_rows} such rows).",
            "give every row as many cells as the header.",
        )
    with registered(connection, table) as rows:
        columns = ", ".join(
            f"nullif(trim({_column(found, name)}), '') AS {name}" for name in SAMPLE_COLUMNS
        )
        listed = connection.sql(
            f"SELECT DISTINCT {columns} FROM {rows} WHERE trim({_column(found, 'run')}) <> '' "
            "ORDER BY ALL"
        ).to_arrow_table()
    _each_run_once(connection, listed, shown)
    return listed


def _column(found: dict[str, str], name: str) -> str:
    column = found.get(plain(name))
    return "NULL::VARCHAR" if column is None else '"' + column.replace('"', '""') + '"'


def _each_run_once(connection: duckdb.DuckDBPyConnection, listed: pa.Table, shown: str) -> None:
    with registered(connection, listed) as rows:
        twice = connection.execute(
            f"""SELECT run FROM {rows} GROUP BY run
                HAVING count(*) > count(DISTINCT file)
                   AND (count(*) > 1) ORDER BY run"""
        ).fetchall()
    if twice:
        raise InputError(
            f"{shown} (samples): {len(twice):,} runs are listed twice with different facts: "
            f"{first([row[0] for row in twice], 5)}.",
            "keep one row per run, or say in a column `file` which file of results each is of.",
        )
