"""Reader of TargetLynx results: the sectioned text export, or a long table.

A "Quantify Compound Summary Report" has a section per compound, which begins with
``Compound 1:  name``, then a header line and a line per injection. A "Quantify Sample Summary
Report" has a section per injection, ``Sample 1:  name``, with a line per compound.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.canonical import ROLES, canonical_rows, malformed
from compassign_core.prep.importers.cells import lines_of
from compassign_core.prep.importers.dialect import find_encoding, head_lines
from compassign_core.prep.importers.headers import match_columns
from compassign_core.prep.importers.long import read_long
from compassign_core.prep.importers.registered import registered

_HEAD_LINES = 60
_SECTION = r"^\s*(Compound|Sample)\s+\d+\s*:\s*(.*?)\s*$"
_QUOTED = r"^\"(.*)\"$"
_NAMED = {"Compound": "run", "Sample": "compound"}
"""What the column ``Name`` holds, by what a section is about."""


@contextmanager
def read_targetlynx(
    connection: duckdb.DuckDBPyConnection, path: Path, shown: str, settings: ImportSettings
) -> Iterator[str]:
    """SQL of the canonical table of a sectioned text export, or of a long table.

    Raises
    ------
    InputError
        when a section has no header line with retention times, or the two kinds of section are
        mixed.
    """
    if path.suffix.lower() == ".parquet" or not is_sectioned(path, shown, settings.encoding):
        with read_long(connection, path, shown, settings) as rows:
            yield rows
        return
    encoding = settings.encoding
    if encoding == "auto":
        encoding = find_encoding(path, shown)
    table = lines_of(path, shown, encoding)
    mark = "\t" if settings.delimiter == "auto" else settings.delimiter
    with registered(connection, table) as lines:
        sections = _sections(lines, mark)
        yield _canonical(connection, sections, shown, settings)


def is_sectioned(path: Path, shown: str, encoding: str = "auto") -> bool:
    """Whether a file is a sectioned text export."""
    if encoding == "auto":
        encoding = find_encoding(path, shown)
    head = head_lines(path, shown, encoding, _HEAD_LINES)
    return any(re.match(_SECTION, line.lstrip('"')) for line in head)


def _sections(lines: str, mark: str) -> str:
    """SQL of the lines of all sections: section and header carried down to each line of data."""
    section = quote_text(_SECTION)
    bare = f"regexp_replace(trim(cell), {quote_text(_QUOTED)}, '\\1')"
    return f"""
        SELECT number, line, cells, is_header, is_title,
               last_value(CASE WHEN is_title THEN regexp_extract(cells[1], {section}, 1) END
                          IGNORE NULLS) OVER carried AS word,
               last_value(CASE WHEN is_title THEN regexp_extract(cells[1], {section}, 2) END
                          IGNORE NULLS) OVER carried AS title,
               last_value(CASE WHEN is_header THEN cells END IGNORE NULLS) OVER carried AS header
        FROM (
            SELECT *, regexp_matches(cells[1], {section}) AS is_title,
                   list_contains(cells, 'RT') AND list_contains(cells, 'Name') AS is_header
            FROM (SELECT number, line,
                         list_transform(string_split(line, {quote_text(mark)}),
                                        lambda cell: {bare}) AS cells
                  FROM {lines}))
        WINDOW carried AS (ORDER BY number ROWS UNBOUNDED PRECEDING)"""


def _canonical(
    connection: duckdb.DuckDBPyConnection, sections: str, shown: str, settings: ImportSettings
) -> str:
    data = f"""(
        SELECT * FROM ({sections})
        WHERE title IS NOT NULL AND NOT is_title AND NOT is_header AND trim(line) <> '')"""
    words, headless, headers = connection.execute(
        f"""SELECT list(DISTINCT word ORDER BY word), min(number) FILTER (header IS NULL),
                   list(DISTINCT header ORDER BY header) FILTER (header IS NOT NULL)
            FROM {data}"""
    ).fetchall()[0]
    if headless is not None:
        raise InputError(
            f"{shown}, line {headless}: results before a header line with Name and RT.",
            "export the report with the columns Name and RT.",
        )
    if len(words or []) > 1:
        raise InputError(
            f"{shown} mixes sections by compound and by sample.", "export one kind of report."
        )
    word = (words or ["Compound"])[0]
    section_role = "compound" if word == "Compound" else "run"
    names = list(dict.fromkeys(itertools.chain.from_iterable(headers or [["Name", "RT"]])))
    roles = [role for role in ROLES if role not in (section_role, _NAMED[word])]
    found = match_columns(settings, names, shown, needed=["rt"], roles=roles)
    found.setdefault(_NAMED[word], ("Name",))

    def cell(name: str) -> str:
        return f"list_extract(cells, list_position(header, {quote_text(name)}))"

    cells = {role: cell(columns[0]) for role, columns in found.items()}
    cells[section_role] = "title"
    return canonical_rows(
        data,
        cells,
        row="number",
        fault=malformed("len(cells)", "len(header)"),
        detail="concat(len(cells), ' cells instead of ', len(header), ': ', line[:80])",
    )
