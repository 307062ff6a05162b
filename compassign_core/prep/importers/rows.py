"""Rows of all files of a library together: facts of their run, standards told from peaks.

A fact of a run comes from the first of these that knows it: the list of samples, a column that the
user named, a named group of `run_pattern`, of `file_pattern`, a constant, and last what the file
says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first, quote_text
from compassign_core.contracts.settings.imports import RUN_FACTS, ImportSettings, StandardRule
from compassign_core.prep.importers.canonical import MALFORMED, UNIDENTIFIED
from compassign_core.prep.importers.spool import Spooled

_NO_TEXT = ("", "#N/A", "null")
"""Cells of text that say nothing; more than these could be somebody's name."""
_SPACES = "[\\s\\x{00A0}\\x{202F}']"


def known_rows(
    connection: duckdb.DuckDBPyConnection,
    spooled: Sequence[Spooled],
    samples: str | None,
    settings: ImportSettings,
) -> str:
    """SQL of all rows, with facts of their run and the first reason, so far, not to go on.

    Parameters
    ----------
    connection : the engine.
    spooled : all files.
    samples : SQL text of the list of runs, or None.
    settings : where facts come from, and what is a standard.

    Raises
    ------
    InputError
        when a file has points and commas in its retention times.
    """
    read = _read(connection, spooled, settings)
    facts = ", ".join(f"{_fact(name, samples, settings)} AS {name}" for name in RUN_FACTS)
    listed = "s.run IS NOT NULL" if samples else "true"
    joined = (
        f"LEFT JOIN {samples} AS s ON s.run = r.run_name "
        "AND (s.file IS NULL OR s.file IN (r.file_name, r.source_file))"
        if samples
        else ""
    )
    standard, is_peak = _standards(settings.standards)
    return f"""
        SELECT *, {standard} AS standard, {is_peak} AS is_peak,
               CASE WHEN fault = '{MALFORMED}' THEN fault
                    WHEN run_name IS NULL THEN 'run_missing'
                    WHEN NOT is_listed THEN 'run_not_listed'
                    WHEN fault = '{UNIDENTIFIED}' THEN fault
                    WHEN compound_name IS NULL THEN 'compound_missing'
                    WHEN sample_set IS NULL OR species IS NULL THEN 'key_unreadable'
                    WHEN rt_text IS NULL THEN 'not_found'
                    WHEN rt IS NULL OR NOT isfinite(rt) THEN 'rt_unreadable'
               END AS verdict
        FROM (
            SELECT * REPLACE (coalesce(worksheet, sample_set) AS worksheet)
            FROM (SELECT r.* EXCLUDE (sample_set, worksheet, injection, species, sample_type,
                                      run_order),
                         {facts}, {listed} AS is_listed FROM ({read}) AS r {joined}))"""


def _read(
    connection: duckdb.DuckDBPyConnection, spooled: Sequence[Spooled], settings: ImportSettings
) -> str:
    """SQL of the canonical rows of all files, cells cleaned and numbers read."""
    paths = sorted({str(one.canonical) for one in spooled})
    listed = ", ".join(quote_text(path) for path in paths)
    source = f"read_parquet([{listed}], filename = true, hive_partitioning = false)"
    commas = _commas(connection, source, spooled, settings)
    files = ", ".join(
        f"({quote_text(str(one.canonical))}, {quote_text(one.shown)}, "
        f"{quote_text(one.shown.rpartition('/')[2])}, {str(commas[str(one.canonical)]).upper()})"
        for one in spooled
    )
    texts = ", ".join(
        f"{_text(f'''t.{chr(34)}{name}{chr(34)}''')} AS {name}" for name in (*RUN_FACTS, "status")
    )
    scale = " / 60.0" if settings.seconds else ""
    rt = _present("t.rt", settings)
    return f"""
        SELECT f.source_file, f.file_name, t."row" AS source_row, t.fault, t.detail, t.has_status,
               {_text("t.run")} AS run_name, {_text("t.compound")} AS compound_name, {texts},
               {_text('t."group"')} AS cpd_group, {_text("t.standard")} AS standard_text,
               {rt} AS rt_text, {_number(rt)}{scale} AS rt,
               {_number(_present("t.area", settings))} AS area
        FROM {source} AS t
        JOIN (VALUES {files}) AS f(filename, source_file, file_name, has_comma) USING (filename)"""


def _commas(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    spooled: Sequence[Spooled],
    settings: ImportSettings,
) -> dict[str, bool]:
    """Whether the decimals of each file stand after a comma."""
    if settings.decimal != "auto":
        return {str(one.canonical): settings.decimal == "," for one in spooled}
    rt = _present("rt", settings)
    found = connection.execute(
        f"""SELECT filename, coalesce(bool_or(contains({rt}, ',')), false),
                   coalesce(bool_or(contains({rt}, '.')), false),
                   min({rt}) FILTER (contains({rt}, ',')), min({rt}) FILTER (contains({rt}, '.'))
            FROM {source} GROUP BY filename"""
    ).fetchall()
    shown = {str(one.canonical): one.shown for one in spooled}
    for name, comma, point, with_comma, with_point in sorted(found):
        if comma and point:
            raise InputError(
                f"{shown[name]}: retention times with a comma ({with_comma!r}) and with a point "
                f"({with_point!r}).",
                'say which is the decimal sign, decimal = "," or decimal = ".", in '
                "[library.<id>.import].",
            )
    return {**dict.fromkeys(shown, False), **{name: comma for name, comma, *_ in found}}


def _fact(name: str, samples: str | None, settings: ImportSettings) -> str:
    known = [f"s.{name}"] if samples else []
    column_is_named = getattr(settings.columns, name) is not None
    if column_is_named:
        known.append(f"r.{name}")
    for pattern, column in (
        (settings.run_pattern, "r.run_name"),
        (settings.file_pattern, "r.file_name"),
    ):
        group = re.compile(pattern).groupindex.get(name) if pattern else None
        if pattern and group is not None:
            known.append(f"nullif(regexp_extract({column}, {quote_text(pattern)}, {group}), '')")
    constant = getattr(settings.constants, name, None)
    if constant is not None:
        known.append(quote_text(constant))
    if not column_is_named:
        known.append(f"r.{name}")
    return f"coalesce({', '.join(known)})"


def _standards(rules: Sequence[StandardRule]) -> tuple[str, str]:
    """SQL of the covariate that a row gives, null for none, and of whether it is a peak."""
    cases = [(_matches(rule), rule) for rule in rules]
    names = " ".join(
        f"WHEN {condition} THEN CASE WHEN starts_with(compound_name, {quote_text(rule.prefix)}) "
        f"THEN compound_name ELSE concat({quote_text(rule.prefix)}, compound_name) END"
        for condition, rule in cases
    )
    peaks = " ".join(f"WHEN {condition} THEN {rule.keep_as_peaks}" for condition, rule in cases)
    return f"CASE {names} END", f"CASE {peaks} ELSE true END"


def _matches(rule: StandardRule) -> str:
    conditions = []
    if rule.names:
        conditions.append(f"compound_name IN ({', '.join(map(quote_text, rule.names))})")
    if rule.pattern:
        conditions.append(f"regexp_matches(compound_name, {quote_text(rule.pattern)})")
    if rule.values:
        conditions.append(f"standard_text IN ({', '.join(map(quote_text, rule.values))})")
    return f"coalesce({' OR '.join(conditions)}, false)"


def _text(cell: str) -> str:
    nothing = ", ".join(map(quote_text, _NO_TEXT))
    return f"CASE WHEN trim({cell}) NOT IN ({nothing}) THEN trim({cell}) END"


def _present(cell: str, settings: ImportSettings) -> str:
    """SQL of a cell with a number, null where it says that there is none."""
    missing = ", ".join(quote_text(word.strip()) for word in ("", *settings.missing))
    return f"CASE WHEN trim({cell}) NOT IN ({missing}) THEN trim({cell}) END"


def _number(cell: str) -> str:
    """SQL that reads a number: without spaces and thousands, with a point."""
    bare = f"regexp_replace({cell}, {quote_text(_SPACES)}, '', 'g')"
    return (
        f"TRY_CAST(CASE WHEN f.has_comma THEN replace(replace({bare}, '.', ''), ',', '.') "
        f"ELSE replace({bare}, ',', '') END AS DOUBLE)"
    )


def no_standard(compounds: Sequence[str], lib: int) -> InputError:
    """The error of results in which no compound is a standard."""
    return InputError(
        f"library {lib}: none of the {len(compounds):,} compounds of the results is a standard: "
        f"{first(compounds, 10)}.",
        f"correct names, pattern or values under [[library.{lib}.import.standards]].",
    )
