"""Reader of mzTab-M 2: features (SMF) named by the small molecules (SML) that they belong to.

Retention times of features are in seconds, and *of a master or aggregate run*: the specification
gives the time in a single run as an optional column. So a file of one assay is read as it is, and
a file of several needs a column ``opt_assay[n]_…retention_time…`` for each; otherwise every run
would get the same time. Parsed here, section by section, because the sections are plain
tab-separated tables and the published reader brings a web client and its own model classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.canonical import MALFORMED, UNIDENTIFIED, canonical_rows
from compassign_core.prep.importers.cells import lines_of
from compassign_core.prep.importers.dialect import find_encoding
from compassign_core.prep.importers.registered import registered

_RUN_TIME = re.compile(r"opt_assay\[(\d+)\]_\S*retention_?time\S*", re.IGNORECASE)
_ADVICE = "write the file again with a program that follows mzTab-M 2.0."


@dataclass(frozen=True)
class _Assay:
    """A run of the file: what the metadata say, and the places of its columns in SMF, from 1."""

    name: str
    species: str | None
    time: int
    area: int | None

    def struct(self) -> str:
        """As SQL; a feature without abundance was not found in this run."""
        found = f"cells[{self.area}] NOT IN ('null', '')" if self.area else "true"
        return (
            f"{{'run': {quote_text(self.name)}, 'species': {_text(self.species)}, "
            f"'area': {f'cells[{self.area}]' if self.area else 'NULL::VARCHAR'}, "
            f"'rt': CASE WHEN {found} THEN cells[{self.time}] END}}"
        )


@contextmanager
def read_mztab_m(
    connection: duckdb.DuckDBPyConnection, path: Path, shown: str, settings: ImportSettings
) -> Iterator[str]:
    """SQL of the canonical table of an mzTab-M file.

    Raises
    ------
    InputError
        when the file is another version or lacks a section or column, or when it holds several
        runs without their own retention times.
    """
    encoding = settings.encoding if settings.encoding != "auto" else find_encoding(path, shown)
    with registered(connection, lines_of(path, shown, encoding)) as lines:
        rows = f"""(SELECT number, line, list_transform(string_split(line, '\t'),
                           lambda cell: trim(cell)) AS cells FROM {lines})"""
        metadata = _metadata(connection, rows)
        version = metadata.get("mzTab-version", "")
        if not re.fullmatch(r"2\.\d+(\.\d+)?-M", version):
            raise InputError(
                f"{shown} is mzTab {version or 'without version'}, not 2.x-M.", _ADVICE
            )
        features = _header(connection, rows, "SFH", shown)
        molecules = _header(connection, rows, "SMH", shown)
        assays = _assays(metadata, features, settings, shown)
        yield _canonical(rows, features, molecules, assays, metadata, settings, shown)


def _metadata(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, str]:
    """Keys and values of the metadata section."""
    found = connection.execute(
        f"SELECT cells[2], cells[3] FROM {rows} WHERE cells[1] = 'MTD' ORDER BY number"
    ).fetchall()
    return {key: value for key, value in found if key and value and value != "null"}


def _header(connection: duckdb.DuckDBPyConnection, rows: str, mark: str, shown: str) -> list[str]:
    """Columns of a section; the first cell is its mark."""
    found = connection.execute(
        f"SELECT cells FROM {rows} WHERE cells[1] = '{mark}' ORDER BY number LIMIT 1"
    ).fetchall()
    if not found:
        raise InputError(f"{shown} has no line {mark} (the header of a section).", _ADVICE)
    return list(found[0][0])


def _assays(
    metadata: Mapping[str, str], features: Sequence[str], settings: ImportSettings, shown: str
) -> list[_Assay]:
    """All runs, with the columns of their times and areas."""
    names = {
        int(found[1]): value
        for key, value in metadata.items()
        if (found := re.fullmatch(r"assay\[(\d+)\]", key))
    }
    if not names:
        raise InputError(f"{shown} names no assay[1-n] in its metadata.", _ADVICE)
    if len(set(names.values())) < len(names):
        raise InputError(
            f"{shown}: {len(names)} assays share {len(set(names.values()))} names.",
            "give each assay a name of its own.",
        )
    times = _time_columns(names, features, settings, shown)
    return [
        _Assay(
            name,
            _species(metadata, number),
            _place(features, times[number], shown),
            _place(features, f"abundance_assay[{number}]", shown, needed=False),
        )
        for number, name in sorted(names.items())
    ]


def _time_columns(
    names: Mapping[int, str], features: Sequence[str], settings: ImportSettings, shown: str
) -> dict[int, str]:
    """The column of each run's retention times."""
    if settings.columns.rt is not None:
        return {number: settings.columns.rt.replace("[n]", f"[{number}]") for number in names}
    own: dict[int, list[str]] = {}
    for column in features:
        found = _RUN_TIME.fullmatch(column)
        if found and not re.search(r"start|end|min|max|index|width", column, re.IGNORECASE):
            own.setdefault(int(found[1]), []).append(column)
    if all(len(own.get(number, [])) == 1 for number in names):
        return {number: own[number][0] for number in names}
    if len(names) == 1 and not own:
        return dict.fromkeys(names, "retention_time_in_seconds")
    lacking = [f"assay[{number}]" for number in names if len(own.get(number, [])) != 1]
    raise InputError(
        f"{shown} holds {len(names)} runs, and {len(lacking)} of them ({', '.join(lacking[:5])}) "
        "have no retention time of their own: retention_time_in_seconds is that of an aggregate "
        "run, the same for all.",
        "write one file per run, or add the optional column opt_assay[n]_retention_time to the "
        'SMF section; name it as columns.rt = "opt_assay[n]_…" when it is called otherwise.',
    )


def _species(metadata: Mapping[str, str], assay: int) -> str | None:
    """Name of the species of an assay's sample, from ``[CV, accession, name, value]``."""
    sample = metadata.get(f"assay[{assay}]-sample_ref", "")
    parameter = metadata.get(f"{sample}-species[1]", "")
    parts = [part.strip() for part in parameter.strip("[]").split(",")]
    return (parts[2] if len(parts) >= 3 else parameter) or None


def _canonical(
    rows: str,
    features: Sequence[str],
    molecules: Sequence[str],
    assays: Sequence[_Assay],
    metadata: Mapping[str, str],
    settings: ImportSettings,
    shown: str,
) -> str:
    given = settings.columns.compound or "chemical_name"
    named = [_place(molecules, c, shown) for c in ((given,) if isinstance(given, str) else given)]
    compound = ", ".join(f"nullif(cells[{place}], 'null')" for place in named)
    molecule_rows = f"""(
        SELECT unnest(string_split(cells[{_place(molecules, "SMF_ID_REFS", shown)}], '|')) AS id,
               nullif(concat_ws(' ', {compound}), '') AS compound
        FROM {rows} WHERE cells[1] = 'SML')"""
    faulty = f"len(cells) <> {len(features)}"
    structs = ", ".join(assay.struct() for assay in assays)
    feature_rows = f"""(
        SELECT number, len(cells) AS n_cells, line,
               cells[{_place(features, "SMF_ID", shown)}] AS id, {faulty} AS faulty,
               unnest(CASE WHEN {faulty} THEN [NULL] ELSE [{structs}] END) AS peak
        FROM {rows} WHERE cells[1] = 'SMF')"""
    # A malformed line is one row, whatever it seems to refer to.
    source = f"""(
        SELECT f.*, m.compound FROM {feature_rows} AS f
        LEFT JOIN (SELECT DISTINCT id, compound FROM {molecule_rows}) AS m
            ON m.id = f.id AND NOT f.faulty)"""
    cells = {role: f"peak.{role}" for role in ("run", "species", "area", "rt")}
    cells["compound"] = "compound"
    cells["sample_set"] = _text(metadata.get("mzTab-ID"))
    return canonical_rows(
        source,
        cells,
        row="number",
        fault=f"CASE WHEN faulty THEN '{MALFORMED}' "
        f"WHEN compound IS NULL THEN '{UNIDENTIFIED}' END",
        detail=f"CASE WHEN faulty THEN concat(n_cells, ' cells instead of {len(features)}: ', "
        "line[:80]) END",
    )


def _place(columns: Sequence[str], name: str, shown: str, *, needed: bool = True) -> int:
    """Place of a column, from 1; 0 when it is not there and need not be."""
    if name in columns:
        return list(columns).index(name) + 1
    if needed:
        raise InputError(
            f"{shown}: the section has no column {name}; it has {', '.join(columns)}.", _ADVICE
        )
    return 0


def _text(value: str | None) -> str:
    return quote_text(value) if value else "NULL::VARCHAR"
