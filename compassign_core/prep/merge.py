"""Merge: peaks of all shards, judged one by one, with the covariates of their run within reach.

Rule: a peak goes on when it is curated (status), not of an excluded sample type, has readable ids,
a finite positive retention time, covariates for its run, and is the only one of its (run, comp).
Every other row is refused with the first reason that applies, so that
rows in = rows out + rows refused.

Covariates stay in `run_covariates`, one row a run, until the tables that models read: repeated
beside every peak they would be most of the bytes of every table between.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.prep.covariates import RUN_JOIN_KEY
from compassign_core.prep.importers.native import is_import, peak_shards
from compassign_core.prep.manifest import files, shards, shown_path
from compassign_core.prep.repeats import PEAK_KEY, any_repeated, repeated_peaks
from compassign_core.store.sql import columns_of, count_rows, names, one_of, whole_number


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
    judged = _judged(connection, read, run_covariates, settings)
    good = f"(SELECT * FROM ({judged}) WHERE reason IS NULL)"
    kept, refused = good, f"SELECT *, reason AS verdict FROM ({judged}) WHERE reason IS NOT NULL"
    if any_repeated(connection, good, f"({read})", count_rows(connection, run_covariates)):
        repeats = repeated_peaks(good)
        kept = f"""(SELECT * FROM {good} ANTI JOIN {repeats.keys} AS keys USING ({names(PEAK_KEY)})
                    UNION ALL SELECT * EXCLUDE (verdict) FROM {repeats.rows}
                    WHERE verdict IS NULL)"""
        refused += f" UNION ALL SELECT * FROM {repeats.rows} WHERE verdict IS NOT NULL"
    table = f"""(
        SELECT sampleset_id, worksheet_id, task_id, run_label AS species_matrix_type, comp_id, rt,
               cpd_group, sample_type, run_order, source_file
        FROM {kept})"""
    rejects = f"""(
        SELECT verdict AS reason, source_file, CAST(sampleset_given AS VARCHAR) AS sampleset_id,
               CAST(worksheet_given AS VARCHAR) AS worksheet_id,
               CAST(task_given AS VARCHAR) AS task_id, CAST(comp_given AS VARCHAR) AS comp_id,
               CASE verdict WHEN 'status_not_kept' THEN cpd_status
                    WHEN 'sample_type_excluded' THEN sample_type
                    ELSE concat('rt=', CAST(rt_given AS VARCHAR),
                                ', species=', species_matrix_type) END AS detail
        FROM ({refused}))"""
    return StepResult(table, rows_in, rejects)


def _read(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    folder: Path,
    lib: int,
    imported: str | None,
) -> str:
    """SQL of all peaks with readable names and types; optional columns are null when absent.

    What a file's path says is kept as one of known values, since millions of rows share it. What
    the export gave stays as it is, and becomes text only in rows that are refused.
    """
    merged = bool(files(connection, manifest, "merged", folder))
    role = "merged" if merged else "peaks"
    paths = files(connection, manifest, role, folder)
    if imported and is_import(connection, manifest, folder):
        source = peak_shards(imported, folder)
    else:
        source = shards(connection, manifest, role, folder)
    present = columns_of(connection, source)

    def either(*candidates: str) -> str:
        return next((quote_name(name) for name in candidates if name in present), "NULL")

    if merged or "cpd_group" in present:
        group = f"CAST({either('cpd_group')} AS VARCHAR)"
    else:
        found = (re.search("group=([^/]*)/", path.as_posix()) for path in paths)
        group = one_of(
            "nullif(regexp_extract(filename, 'group=([^/]*)/', 1), '')",
            [match[1] for match in found if match and match[1]],
        )
    shown = one_of(shown_path(folder), [path.relative_to(folder).as_posix() for path in paths])
    # Imported files may differ in whether they have a status; shards of an export may not.
    has_status = "has_status" if "has_status" in present else str("cpd_status" in present).upper()
    return f"""
        SELECT sample_set_id AS sampleset_given,
               {either("worksheet_id", "batch")} AS worksheet_given,
               task_id AS task_given,
               {either("correct", "comp_id")} AS comp_given,
               apex_rt AS rt_given,
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
               {group} AS cpd_group,
               {shown} AS source_file
        FROM {source} {f"WHERE lib_id = {lib:d}" if merged else ""}"""


def _judged(
    connection: duckdb.DuckDBPyConnection, read: str, run_covariates: str, settings: PrepSettings
) -> str:
    """SQL of all peaks with the first reason to refuse each, null for none.

    `run_label` is the label of the run the peak was found to belong to, null for none.
    """
    statuses = ", ".join(quote_text(status) for status in settings.statuses)
    excluded = ", ".join(quote_text(kind) for kind in settings.excluded_sample_types) or "NULL"
    labels = connection.execute(
        f"SELECT DISTINCT species_matrix_type FROM {run_covariates}"
    ).fetchall()
    label = one_of("species_matrix_type", [row[0] for row in labels])
    return f"""
        SELECT peaks.*, runs.run_label,
               CASE WHEN has_status AND coalesce(cpd_status NOT IN ({statuses}), true)
                        THEN 'status_not_kept'
                    WHEN coalesce(sample_type IN ({excluded}), false) THEN 'sample_type_excluded'
                    WHEN peaks.sampleset_id IS NULL OR peaks.worksheet_id IS NULL
                        OR peaks.task_id IS NULL OR peaks.species_matrix_type IS NULL
                        THEN 'key_unreadable'
                    WHEN comp_id IS NULL THEN 'comp_unreadable'
                    WHEN rt IS NULL OR NOT isfinite(rt) THEN 'rt_not_finite'
                    WHEN rt <= 0 THEN 'rt_not_positive'
                    WHEN runs.run_label IS NULL THEN 'run_without_covariates'
               END AS reason
        FROM ({read}) AS peaks
        LEFT JOIN (SELECT {names(RUN_JOIN_KEY)}, {label} AS run_label
                   FROM {run_covariates}) AS runs
            USING ({names(RUN_JOIN_KEY)})"""
