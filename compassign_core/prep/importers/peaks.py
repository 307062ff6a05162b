"""Peaks of imported results: rows with ids, in minutes, and what was refused or set aside.

Refused is what cannot be read or is not on the lab's lists; set aside is what is no peak (nothing
found in this run, a feature without a compound, a smaller peak of the same compound). Whether a
peak goes on to training is judged later, as for every export.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.canonical import UNIDENTIFIED
from compassign_core.prep.importers.names import RUN_LABEL
from compassign_core.prep.importers.spool import kept_query
from compassign_core.store.sql import whole_number

_ASIDE = ("not_found", UNIDENTIFIED, "smaller_peak")
_PEAK = "source_file, sample_set, worksheet, run_name, compound_name, standard"
"""What rows of one peak share; a second file is judged as a second export, not as a choice."""


def build_imported_peaks(
    connection: duckdb.DuckDBPyConnection,
    known: str | None,
    names: str,
    settings: ImportSettings | None,
    place: Path,
) -> StepResult:
    """Make `imported_peaks`; empty for a library that imports nothing.

    Parameters
    ----------
    connection : the engine.
    known : SQL of `rows.known_rows`.
    names : SQL text of `imported_names`.
    settings : which names are ids, and which of several peaks goes on.
    place : folder for the judged rows, which several queries read.

    Raises
    ------
    InputError
        when the largest of several peaks is asked for, and no area is given.
    """
    if settings is None or known is None:
        return StepResult(_EMPTY, rows_in=0)
    judged = _judged(known, names, settings)
    if settings.largest_area:
        judged = f"""
            SELECT * REPLACE (
                CASE WHEN verdict IS NULL AND row_number() OVER (
                         PARTITION BY {_PEAK}, verdict
                         ORDER BY area DESC NULLS LAST, rt, source_row) > 1
                     THEN 'smaller_peak' ELSE verdict END AS verdict)
            FROM ({judged})"""
    judged = kept_query(connection, judged, place / "judged.parquet")
    if settings.largest_area:
        _need_areas(connection, judged)
    counts = dict(
        connection.execute(
            f"SELECT coalesce(verdict, ''), count(*) FROM ({judged}) GROUP BY 1 ORDER BY 1"
        ).fetchall()
    )
    if counts and "" not in counts:
        raise _nothing_left(connection, judged, counts)
    aside = ", ".join(f"'{reason}'" for reason in _ASIDE)
    table = f"""(
        SELECT sampleset_id, worksheet_id, task_id, species AS species_matrix_type,
               CASE WHEN is_peak THEN comp_id END AS comp_id, standard, rt AS apex_rt,
               CASE WHEN isfinite(area) THEN area END AS area, status AS cpd_status, has_status,
               sample_type, TRY_CAST(run_order AS DOUBLE) AS run_order, cpd_group, run_name,
               compound_name, source_file, source_row
        FROM ({judged}) WHERE verdict IS NULL)"""
    rejects = f"""(
        SELECT verdict AS reason, source_file, sample_set AS sampleset_id,
               worksheet AS worksheet_id, coalesce(injection, run_name) AS task_id,
               compound_name AS comp_id,
               concat('row ', source_row, ', ', coalesce(detail, concat(
                   'run=', run_name, ', compound=', compound_name, ', rt=', rt_text,
                   ', species=', species))) AS detail
        FROM ({judged}) WHERE verdict NOT IN ({aside}))"""
    return StepResult(
        table,
        rows_in=sum(counts.values()),
        rejects=rejects,
        set_aside={reason: counts[reason] for reason in _ASIDE if reason in counts},
        notes=_notes(connection, judged),
    )


def _judged(known: str, names: str, settings: ImportSettings) -> str:
    """SQL of all rows with ids, and the first reason not to go on."""

    def number(kind: str, name: str, given: str) -> str:
        if given in settings.numbered:
            plain = f"coalesce(injection, {name})" if given == "injection" else name
            return whole_number(plain)
        return f"{kind}_ids.id"

    def join(kind: str, name: str) -> str:
        source = f"(SELECT name, id FROM {names} WHERE kind = '{kind}')"
        return f"LEFT JOIN {source} AS {kind}_ids ON {kind}_ids.name = {name}"

    unknown = "comp_unreadable" if "compound" in settings.numbered else "compound_not_listed"
    return f"""
        SELECT * REPLACE (
            CASE WHEN verdict IS NOT NULL THEN verdict
                 WHEN sampleset_id IS NULL OR worksheet_id IS NULL OR task_id IS NULL
                     THEN 'key_unreadable'
                 WHEN is_peak AND comp_id IS NULL THEN '{unknown}'
            END AS verdict)
        FROM (
            SELECT k.*, {number("sample_set", "sample_set", "sample_set")} AS sampleset_id,
                   {number("worksheet", "worksheet", "worksheet")} AS worksheet_id,
                   {number("run", "run_name", "injection")} AS task_id,
                   {number("compound", "compound_name", "compound")} AS comp_id
            FROM (SELECT *, {RUN_LABEL} AS run_label FROM ({known})) AS k
            {join("sample_set", "k.sample_set")} {join("worksheet", "k.worksheet")}
            {join("run", "k.run_label")} {join("compound", "k.compound_name")})"""


def _need_areas(connection: duckdb.DuckDBPyConnection, judged: str) -> None:
    several = connection.execute(
        f"""SELECT source_file, run_name, compound_name, count(*) FROM ({judged})
            WHERE coalesce(verdict, '') IN ('', 'smaller_peak') GROUP BY {_PEAK}
            HAVING count(area) = 0 AND min(rt) < max(rt) ORDER BY ALL"""
    ).fetchall()
    if several:
        file, run, compound, count = several[0]
        raise InputError(
            f"{file}: {compound!r} has {count} peaks in run {run!r} and no area to choose by "
            f"({len(several):,} such compounds and runs).",
            'export the peak areas and name their column as columns.area, or set peaks = "all" '
            "and tell the peaks apart by columns.compound.",
        )


def _nothing_left(
    connection: duckdb.DuckDBPyConnection, judged: str, counts: dict[str, int]
) -> InputError:
    """The error of results of which no row can be used."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
    file, row, run, compound = connection.execute(
        f"""SELECT source_file, source_row, run_name, compound_name FROM ({judged})
            ORDER BY verdict = 'not_found', source_file, source_row LIMIT 1"""
    ).fetchall()[0]
    return InputError(
        f"none of the {sum(counts.values()):,} rows of the results can be used ({reasons}); the "
        f"first is row {row} of {file}, run {run!r}, compound {compound!r}.",
        "make the list of samples, run_pattern, or the list of compounds fit these names; the "
        "reasons stand in docs/libraries.md.",
    )


def _notes(connection: duckdb.DuckDBPyConnection, judged: str) -> dict[str, object]:
    """What was found, for people: counts and the names of standards."""
    found = connection.execute(
        f"""SELECT count(DISTINCT source_file), count(DISTINCT task_id),
                   count(DISTINCT comp_id) FILTER (is_peak),
                   list(DISTINCT standard ORDER BY standard) FILTER (standard IS NOT NULL)
            FROM ({judged}) WHERE verdict IS NULL"""
    ).fetchall()[0]
    files, runs, compounds, standards = found
    return {
        "files": files,
        "runs": runs,
        "compounds": compounds,
        "standards": first(standards or [], 50),
    }


_EMPTY = """(
    SELECT 0 AS sampleset_id, 0 AS worksheet_id, 0 AS task_id, '' AS species_matrix_type,
           0 AS comp_id, '' AS standard, 0.0 AS apex_rt, 0.0 AS area, '' AS cpd_status,
           false AS has_status, '' AS sample_type, 0.0 AS run_order, '' AS cpd_group,
           '' AS run_name, '' AS compound_name, '' AS source_file, 0 AS source_row
    WHERE false)"""
