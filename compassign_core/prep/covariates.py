"""Run covariates: one row per injection with the retention times of its standards.

Rule: the species label is the folder's name; a row without a readable key is refused; identical
repeated rows count once; two *different* rows for one injection stop the step, because joining
peaks to either of them would be a guess and joining to both would multiply peaks.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.contracts.errors import CheckFailed
from compassign_core.contracts.identifiers import quote_name
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.tables import is_covariate
from compassign_core.prep.importers.native import covariate_shards, is_import
from compassign_core.prep.manifest import files, shards, shown_path
from compassign_core.store.sql import columns_of, count_rows, first_rows, names, whole_number

RUN_JOIN_KEY = ("sampleset_id", "task_id", "species_matrix_type")

_LABEL = "regexp_extract(filename, 'species_matrix_type=([^/]*)/', 1)"
# Folder names may be percent-encoded, since a label can hold characters that a path cannot.
_DECODED_LABEL = (
    f"CASE WHEN regexp_matches({_LABEL}, '%[0-9A-Fa-f]{{2}}') "
    f"THEN url_decode({_LABEL}) ELSE {_LABEL} END"
)


def build_run_covariates(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    folder: Path,
    lib: int,
    imported: str | None = None,
) -> StepResult:
    """Make `run_covariates` from the covariate shards, a merged file, or imported standards.

    Parameters
    ----------
    connection : the engine.
    manifest : SQL text of `export_manifest`.
    folder : folder of `libraries.toml`.
    lib : library, to select from a merged file.
    imported : SQL text of `imported_peaks`, read where the manifest lists results to import.

    Raises
    ------
    CheckFailed
        when an injection has two different covariate rows.
    """
    source, label, where = _source(connection, manifest, folder, lib, imported)
    covariates = sorted(filter(is_covariate, columns_of(connection, source)))
    if where:
        covariates = _with_values(connection, f"{source} {where}", covariates)
    numbers = ", ".join(f"CAST({quote_name(c)} AS DOUBLE) AS {quote_name(c)}" for c in covariates)
    read = f"""
        SELECT CAST(sample_set_id AS VARCHAR) AS sampleset_text,
               CAST(task_id AS VARCHAR) AS task_text,
               {whole_number("sample_set_id")} AS sampleset_id,
               {whole_number("task_id")} AS task_id,
               {label} AS species_matrix_type,
               {shown_path(folder)} AS source_file,
               {numbers}
        FROM {source} {where}"""
    key = names(RUN_JOIN_KEY)
    # A non-finite standard is a missing one; the model imputes it and counts it.
    finite = ", ".join(
        f"CASE WHEN isfinite({quote_name(c)}) THEN {quote_name(c)} END AS {quote_name(c)}"
        for c in covariates
    )
    readable = "sampleset_id IS NOT NULL AND task_id IS NOT NULL AND species_matrix_type <> ''"
    distinct = f"""
        SELECT DISTINCT {key}, {finite} FROM ({read}) WHERE {readable}"""
    ambiguous = (
        f"SELECT {key}, count(*) AS n_rows FROM ({distinct}) GROUP BY {key} HAVING count(*) > 1"
    )
    offenders, n_offenders = first_rows(connection, ambiguous, MAX_OFFENDERS)
    outcome = CheckOutcome(
        "one_covariate_row_per_run",
        n_offenders == 0,
        "every injection has one set of covariates."
        if not n_offenders
        else f"{n_offenders:,} injections have two or more different covariate rows.",
        "keep the right row of each injection in the covariate shards.",
        offenders,
        n_offenders,
    )
    if not outcome.passed:
        raise CheckFailed("run_covariates", [outcome])

    table = f"""(
        SELECT {key}, min(source_file) AS source_file,
               {", ".join(f"any_value({quote_name(c)}) AS {quote_name(c)}" for c in covariates)}
        FROM (SELECT {key}, source_file, {finite} FROM ({read}) WHERE {readable})
        GROUP BY {key})"""
    unreadable = f"NOT coalesce({readable}, false)"
    merged = bool(files(connection, manifest, "merged", folder))
    # In a merged file each peak repeats its run's covariates: repetition is no fault there.
    judged = (
        f"SELECT *, 'key_unreadable' AS reason FROM ({read}) WHERE {unreadable}"
        if merged
        else f"""
        SELECT *, CASE WHEN {unreadable} THEN 'key_unreadable' ELSE 'duplicate_row' END AS reason
        FROM (SELECT *, row_number() OVER (
                  PARTITION BY {key} ORDER BY source_file) AS place FROM ({read}))
        WHERE {unreadable} OR place > 1"""
    )
    return StepResult(
        table,
        rows_in=count_rows(connection, f"({read})"),
        rejects=f"""(
            SELECT reason, source_file, sampleset_text AS sampleset_id, NULL AS worksheet_id,
                   task_text AS task_id, NULL AS comp_id, species_matrix_type AS detail
            FROM ({judged}))""",
        set_aside=_repeats(connection, f"({read})", readable, key) if merged else {},
        checks=(lambda _source: outcome,),
        notes={"covariates": covariates},
    )


def _source(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    folder: Path,
    lib: int,
    imported: str | None,
) -> tuple[str, str, str]:
    """SQL of the shards, of the species label, and of the row filter."""
    if imported and is_import(connection, manifest, folder):
        return covariate_shards(connection, imported, folder, lib), "species_matrix_type", ""
    if files(connection, manifest, "merged", folder):
        merged = shards(connection, manifest, "merged", folder)
        return merged, "CAST(species_matrix_type AS VARCHAR)", f"WHERE lib_id = {lib:d}"
    return shards(connection, manifest, "covariates", folder), _DECODED_LABEL, ""


def _with_values(
    connection: duckdb.DuckDBPyConnection, rows: str, covariates: list[str]
) -> list[str]:
    """Covariates of one library: in a merged file those of the others are null throughout."""
    counts = ", ".join(f"count({quote_name(name)})" for name in covariates)
    (found,) = connection.execute(f"SELECT {counts} FROM {rows}").fetchall()
    return [name for name, n in zip(covariates, found, strict=True) if n] or covariates


def _repeats(
    connection: duckdb.DuckDBPyConnection, rows: str, readable: str, key: str
) -> dict[str, int]:
    """Rows of a merged file beyond the first of each run."""
    ((repeated,),) = connection.execute(
        f"""SELECT coalesce(sum(n - 1), 0)
            FROM (SELECT count(*) AS n FROM {rows} WHERE {readable} GROUP BY {key})"""
    ).fetchall()
    return {"repeated_in_merged_file": int(repeated)}
