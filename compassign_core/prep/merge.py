"""Merge: peaks of all shards, judged one by one, joined with the covariates of their run.

Rule: a peak goes on when it is curated (status), not of an excluded sample type, has readable ids,
a finite positive retention time, covariates for its run, and is the only one of its (run, comp).
Every other row is refused with the first reason that applies, so that
rows in = rows out + rows refused.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.contracts.tables import is_covariate
from compassign_core.prep.importers.native import is_import, peak_shards
from compassign_core.prep.manifest import files, shards, shown_path
from compassign_core.store.sql import columns_of, count_rows, names, whole_number

_PAIR = ("sampleset_id", "worksheet_id", "task_id", "comp_id")


def build_lib_training(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    run_covariates: str,
    folder: Path,
    lib: int,
    settings: PrepSettings,
    imported: str | None = None,
) -> StepResult:
    """Make `lib_training` from the peak shards, or from one merged Parquet of several libraries.

    Parameters
    ----------
    connection : the engine.
    manifest, run_covariates : SQL text of these tables.
    folder : folder of `libraries.toml`.
    lib : library, to select from a merged file.
    settings : statuses kept and sample types refused.
    imported : SQL text of `imported_peaks`, read where the manifest lists results to import.

    Raises
    ------
    InputError
        when a merged file holds no row of the library.
    """
    read = _read(connection, manifest, folder, lib, imported)
    rows_in = count_rows(connection, f"({read})")
    if not rows_in:
        raise InputError(
            f"library {lib}: the export holds no peak row.",
            "check that the shards, or the lib_id column of the merged file, name this library.",
        )
    covariates = sorted(filter(is_covariate, columns_of(connection, run_covariates)))
    judged = _judged(read, run_covariates, settings)
    # Repeated (run, comp) rows are looked for among the good ones only, on narrow columns.
    repeated = f"""
        SELECT {names(_PAIR)}, min(rt) = max(rt) AS identical
        FROM ({judged}) WHERE reason IS NULL GROUP BY {names(_PAIR)} HAVING count(*) > 1"""
    full = f"""
        SELECT judged.*, repeated.identical,
               CASE WHEN judged.reason IS NOT NULL THEN judged.reason
                    WHEN repeated.identical IS NULL THEN NULL
                    WHEN NOT repeated.identical THEN 'conflicting_peaks'
                    WHEN row_number() OVER (
                        PARTITION BY {names(("reason", *_PAIR), "judged")}
                        ORDER BY judged.run_order, judged.sample_type, judged.cpd_group,
                                 judged.species_matrix_type, judged.source_file) > 1
                        THEN 'duplicate_row'
               END AS verdict
        FROM ({judged}) AS judged LEFT JOIN ({repeated}) AS repeated USING ({names(_PAIR)})"""
    any_repeated = count_rows(connection, f"({repeated})") > 0
    if not any_repeated:
        full = f"SELECT *, reason AS verdict FROM ({judged})"
    table = f"""(
        SELECT peaks.sampleset_id, peaks.worksheet_id, peaks.task_id, peaks.species_matrix_type,
               peaks.comp_id, peaks.rt, peaks.cpd_group, peaks.sample_type, peaks.run_order,
               peaks.source_file, {names(covariates, "runs")}
        FROM ({full}) AS peaks
        JOIN {run_covariates} AS runs USING (sampleset_id, task_id, species_matrix_type)
        WHERE peaks.verdict IS NULL)"""
    rejects = f"""(
        SELECT verdict AS reason, source_file, sampleset_text AS sampleset_id,
               worksheet_text AS worksheet_id, task_text AS task_id, comp_text AS comp_id,
               CASE verdict WHEN 'status_not_kept' THEN cpd_status
                    WHEN 'sample_type_excluded' THEN sample_type
                    ELSE concat('rt=', rt_text, ', species=', species_matrix_type) END AS detail
        FROM ({full}) WHERE verdict IS NOT NULL)"""
    return StepResult(table, rows_in, rejects)


def _read(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    folder: Path,
    lib: int,
    imported: str | None,
) -> str:
    """SQL of all peaks with readable names and types; optional columns are null when absent."""
    merged = bool(files(connection, manifest, "merged", folder))
    if imported and is_import(connection, manifest, folder):
        source = peak_shards(imported, folder)
    else:
        source = shards(connection, manifest, "merged" if merged else "peaks", folder)
    present = columns_of(connection, source)

    def either(*candidates: str) -> str:
        return next((quote_name(name) for name in candidates if name in present), "NULL")

    group = (
        either("cpd_group")
        if merged or "cpd_group" in present
        else "nullif(regexp_extract(filename, 'group=([^/]*)/', 1), '')"
    )
    # Imported files may differ in whether they have a status; shards of an export may not.
    has_status = "has_status" if "has_status" in present else str("cpd_status" in present).upper()
    return f"""
        SELECT CAST(sample_set_id AS VARCHAR) AS sampleset_text,
               CAST({either("worksheet_id", "batch")} AS VARCHAR) AS worksheet_text,
               CAST(task_id AS VARCHAR) AS task_text,
               CAST({either("correct", "comp_id")} AS VARCHAR) AS comp_text,
               CAST(apex_rt AS VARCHAR) AS rt_text,
               {whole_number("sample_set_id")} AS sampleset_id,
               {whole_number(either("worksheet_id", "batch"))} AS worksheet_id,
               {whole_number("task_id")} AS task_id,
               {whole_number(either("correct", "comp_id"))} AS comp_id,
               TRY_CAST(apex_rt AS DOUBLE) AS rt,
               CAST(species_matrix_type AS VARCHAR) AS species_matrix_type,
               CAST({either("cpd_status")} AS VARCHAR) AS cpd_status,
               {has_status} AS has_status,
               CAST({either("sample_type")} AS VARCHAR) AS sample_type,
               TRY_CAST({either("run_order")} AS DOUBLE) AS run_order,
               CAST({group} AS VARCHAR) AS cpd_group,
               {shown_path(folder)} AS source_file
        FROM {source} {f"WHERE lib_id = {lib:d}" if merged else ""}"""


def _judged(read: str, run_covariates: str, settings: PrepSettings) -> str:
    """SQL of all peaks with the first reason to refuse each, null for none."""
    statuses = ", ".join(quote_text(status) for status in settings.statuses)
    excluded = ", ".join(quote_text(kind) for kind in settings.excluded_sample_types) or "NULL"
    return f"""
        SELECT peaks.*,
               CASE WHEN has_status AND coalesce(cpd_status NOT IN ({statuses}), true)
                        THEN 'status_not_kept'
                    WHEN coalesce(sample_type IN ({excluded}), false) THEN 'sample_type_excluded'
                    WHEN peaks.sampleset_id IS NULL OR peaks.worksheet_id IS NULL
                        OR peaks.task_id IS NULL OR peaks.species_matrix_type IS NULL
                        THEN 'key_unreadable'
                    WHEN comp_id IS NULL THEN 'comp_unreadable'
                    WHEN rt IS NULL OR NOT isfinite(rt) THEN 'rt_not_finite'
                    WHEN rt <= 0 THEN 'rt_not_positive'
                    WHEN runs.found IS NULL THEN 'run_without_covariates'
               END AS reason
        FROM ({read}) AS peaks
        LEFT JOIN (SELECT sampleset_id, task_id, species_matrix_type, true AS found
                   FROM {run_covariates}) AS runs
            USING (sampleset_id, task_id, species_matrix_type)"""
