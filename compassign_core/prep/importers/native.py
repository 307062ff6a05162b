"""Imported peaks in the form of an export's shards, for the steps that also read exports."""

from __future__ import annotations

from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first, quote_name, quote_text
from compassign_core.prep.importers.rows import no_standard
from compassign_core.prep.manifest import files


def is_import(connection: duckdb.DuckDBPyConnection, manifest: str, folder: Path) -> bool:
    """Whether a library's manifest lists results to import."""
    return bool(files(connection, manifest, "results", folder))


def peak_shards(imported: str, folder: Path) -> str:
    """SQL of imported peaks with the columns of peak shards, and where each comes from."""
    return f"""(
        SELECT sampleset_id AS sample_set_id, worksheet_id, task_id, species_matrix_type,
               comp_id AS correct, apex_rt, cpd_status, has_status, sample_type, run_order,
               cpd_group, {_file_name(folder)}
        FROM {imported} WHERE comp_id IS NOT NULL)"""


def covariate_shards(
    connection: duckdb.DuckDBPyConnection, imported: str, folder: Path, lib: int
) -> str:
    """SQL of the standards of imported results with the columns of covariate shards.

    A run has a row when at least one of its standards was found.

    Raises
    ------
    InputError
        when no compound is a standard, or a standard has two retention times in one run.
    """
    standards = [
        row[0]
        for row in connection.execute(
            f"SELECT DISTINCT standard FROM {imported} WHERE standard IS NOT NULL ORDER BY 1"
        ).fetchall()
    ]
    if not standards:
        compounds = connection.execute(
            f"SELECT DISTINCT compound_name FROM {imported} ORDER BY 1"
        ).fetchall()
        raise no_standard([row[0] for row in compounds], lib)
    _one_time_each(connection, imported)
    columns = ", ".join(
        f"max(apex_rt) FILTER (standard = {quote_text(name)}) AS {quote_name(name)}"
        for name in standards
    )
    return f"""(
        SELECT sampleset_id AS sample_set_id, task_id, species_matrix_type,
               min(filename) AS filename, {columns}
        FROM (SELECT *, {_file_name(folder)} FROM {imported} WHERE standard IS NOT NULL)
        GROUP BY ALL)"""


def _one_time_each(connection: duckdb.DuckDBPyConnection, imported: str) -> None:
    several = connection.execute(
        f"""SELECT run_name, standard, list(DISTINCT apex_rt ORDER BY apex_rt),
                   min(source_file), list(source_row ORDER BY source_row)
            FROM {imported} WHERE standard IS NOT NULL
            GROUP BY sampleset_id, task_id, species_matrix_type, run_name, standard
            HAVING min(apex_rt) < max(apex_rt) ORDER BY ALL"""
    ).fetchall()
    if several:
        run, standard, times, file, rows = several[0]
        raise InputError(
            f"{file}: standard {standard!r} has {len(times)} retention times in run {run!r} "
            f"({first(times, 4)} min; rows {first(rows, 4)}); {len(several):,} such standards and "
            "runs.",
            'keep the right peak of each, or set peaks = "largest_area" in [library.<id>.import].',
        )


def _file_name(folder: Path) -> str:
    prefix = f"{folder.as_posix().rstrip('/')}/"
    return f"concat({quote_text(prefix)}, source_file) AS filename"
