"""Looking at a file of results: what wrote it, what is in it, and how `libraries.toml` names it.

Everything here is a guess for a person to check; nothing of it is used when results are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from compassign_core.contracts.errors import CompassignError
from compassign_core.contracts.settings.imports import (
    ImportColumns,
    ImportKind,
    ImportSettings,
    StandardRule,
)
from compassign_core.prep.importers.canonical import NEEDED
from compassign_core.prep.importers.cells import column_names, parquet_rows
from compassign_core.prep.importers.dialect import find_dialect, head_lines, head_rows
from compassign_core.prep.importers.headers import BY_KIND, plain
from compassign_core.prep.importers.masshunter import is_batch_table
from compassign_core.prep.importers.readers import READERS
from compassign_core.prep.importers.rows import known_rows
from compassign_core.prep.importers.spool import Spooled, copy
from compassign_core.prep.importers.targetlynx import is_sectioned
from compassign_core.store.atomic import written_aside

_LONG_WORDS = {
    "rt": ("retentiontime", "apexrt", "rt", "rettime", "time"),
    "run": (
        "replicate",
        "rawfile",
        "datafile",
        "injection",
        "acquisition",
        "run",
        "sample",
        "file",
    ),
    "compound": ("compound", "molecule", "metabolite", "lipid", "analyte", "feature", "name"),
    "area": ("area", "intensity", "abundance"),
    "status": ("cpdstatus", "status"),
}
_STANDARD_PATTERNS = (
    r"\bISTD\b",
    r"\(IS\)",
    r"^IS[ _-]",
    r"[(\[][dD]\d+[)\]]",
    r"[-_ ][dD]\d+$",
    r"13C|15N",
    r"[iI]nternal [sS]tandard",
)
"""Ways to write that a compound is a standard; none matches ``Cer d18:1/16:0``."""
_LONG_IN_MINUTES = 100.0
"""Few chromatograms are longer than this many minutes, and most than as many seconds."""


@dataclass(frozen=True)
class Guess:
    """What a file of results seems to be.

    Attributes
    ----------
    kind : kind of results.
    columns : columns to be named, for the kind ``long``.
    names : columns of the file, empty where it has no one header.
    """

    kind: ImportKind
    columns: dict[str, str]
    names: Sequence[str]

    @property
    def readable(self) -> bool:
        """Whether enough is known to read the file."""
        return self.kind != "long" or set(NEEDED) <= set(self.columns)


@dataclass(frozen=True)
class Contents:
    """What is in a file of results.

    Attributes
    ----------
    n_rows, n_found : rows, and those with a retention time.
    runs, compounds : names, sorted.
    rt : smallest, median and largest retention time as written; None without any.
    pattern : a pattern that some compounds match as standards do; None when none does.
    standards : compounds that match it.
    """

    n_rows: int
    n_found: int
    runs: Sequence[str]
    compounds: Sequence[str]
    rt: tuple[float, float, float] | None
    pattern: str | None
    standards: Sequence[str]

    @property
    def in_seconds(self) -> bool:
        """Whether the retention times look like seconds."""
        return self.rt is not None and self.rt[1] > _LONG_IN_MINUTES


def guess_kind(path: Path) -> Guess:
    """What wrote a file.

    Raises
    ------
    InputError
        when it is no text and no Parquet file.
    """
    if path.suffix.lower() == ".parquet":
        names, _ = parquet_rows(path, path.name)
        return Guess("long", _long_columns(names), names)
    dialect = find_dialect(path, path.name)
    lines = head_lines(path, path.name, dialect.encoding, 1)
    if lines and lines[0].split("\t")[0].strip('"') in ("MTD", "COM"):
        return Guess("mztab_m", {}, [])
    if is_sectioned(path, path.name):
        return Guess("targetlynx", {}, [])
    header = head_rows(path, path.name, dialect, 2)
    if is_batch_table(header):
        return Guess("masshunter", {}, [])
    names = column_names(header[0]) if header else []
    present = {plain(name) for name in names}
    kinds: tuple[ImportKind, ...] = ("skyline", "masshunter", "targetlynx")
    for kind in kinds:
        known = BY_KIND[kind]
        if all(present & {plain(name) for name in known[role]} for role in NEEDED):
            return Guess(kind, {}, names)
    return Guess("long", _long_columns(names), names)


def look(connection: duckdb.DuckDBPyConnection, path: Path, guess: Guess, place: Path) -> Contents:
    """Read a file as guessed, and say what is in it.

    Parameters
    ----------
    connection : the engine.
    path : the file.
    guess : how it is read.
    place : a folder for the canonical form, which is removed again.
    """
    settings = ImportSettings(
        kind=guess.kind,
        files=(path.name,),
        columns=ImportColumns.model_validate(guess.columns),
        standards=(StandardRule(names=("",)),),
    )
    canonical = place / "looked_at.parquet"
    try:
        with (
            READERS[guess.kind](connection, path, path.name, settings) as rows,
            written_aside(canonical) as aside,
        ):
            copy(connection, rows, aside)
        known = known_rows(connection, [Spooled(path.name, canonical)], None, settings)
        return _contents(connection, known, settings)
    finally:
        canonical.unlink(missing_ok=True)


def _contents(
    connection: duckdb.DuckDBPyConnection, known: str, settings: ImportSettings
) -> Contents:
    scale = 60.0 if settings.seconds else 1.0
    n_rows, n_found, runs, compounds, low, middle, high = connection.execute(
        f"""SELECT count(*), count(rt), list(DISTINCT run_name ORDER BY run_name),
                   list(DISTINCT compound_name ORDER BY compound_name),
                   min(rt), median(rt), max(rt) FROM ({known})"""
    ).fetchall()[0]
    compounds = [name for name in compounds if name is not None]
    pattern = "|".join(p for p in _STANDARD_PATTERNS if any(re.search(p, n) for n in compounds))
    standards = [name for name in compounds if pattern and re.search(pattern, name)]
    if len(standards) == len(compounds):
        pattern = ""
    rt = None if middle is None else (low * scale, middle * scale, high * scale)
    runs = [name for name in runs if name is not None]
    return Contents(
        n_rows, n_found, runs, compounds, rt, pattern or None, standards if pattern else []
    )


def proposal(lib: int, shown: str, guess: Guess, contents: Contents | None) -> str:
    """A section for `libraries.toml`; what only a person can know stands as ``…``."""
    lines = [
        f"[library.{lib}]",
        'title = "…"',
        'metadata = "…"                      # CSV: sample_set, species_matrix_type, group',
        'comp_chem = "…"                     # CSV: compound, chemical_id',
        "",
        f"[library.{lib}.import]",
        f'kind = "{guess.kind}"',
        f'files = ["{shown}"]                 # or a pattern, such as "results/*.csv"',
    ]
    if guess.kind == "long":
        given = {role: guess.columns.get(role, "…") for role in (*NEEDED, *guess.columns)}
        columns = ", ".join(f"{role} = {_toml(name)}" for role, name in given.items())
        lines.append(f"columns = {{ {columns} }}")
        if contents is None or contents.in_seconds:
            lines.append('rt_unit = "s"' if contents else 'rt_unit = "min"')
    elif guess.kind != "mztab_m" and contents is not None and contents.in_seconds:
        lines.append('rt_unit = "s"')
    run = contents.runs[0] if contents and contents.runs else "…"
    lines += [
        f'# facts of a run from its name, such as {run!r}; or samples = "samples.csv"',
        "run_pattern = '^(?P<sample_set>…)_(?P<injection>…)$'",
        'constants.species = "…"',
        "",
        f"[[library.{lib}.import.standards]]",
        f"pattern = '{contents.pattern}'"
        if contents and contents.pattern
        else 'names = ["…"]                     # the internal standards',
    ]
    return "\n".join(lines) + "\n"


def try_to_look(
    connection: duckdb.DuckDBPyConnection, path: Path, guess: Guess, place: Path
) -> tuple[Contents | None, str]:
    """What is in a file, or why it cannot be said."""
    if not guess.readable:
        absent = [role for role in NEEDED if role not in guess.columns]
        return None, f"no column seems to hold {', '.join(absent)}."
    try:
        return look(connection, path, guess, place), ""
    except CompassignError as error:
        return None, str(error)


def _long_columns(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, words in _LONG_WORDS.items():
        free = [name for name in names if name not in found.values()]
        exact = [name for word in words for name in free if plain(name) == word]
        part = [name for word in words for name in free if len(word) > 2 and word in plain(name)]
        if exact or part:
            found[role] = (exact or part)[0]
    return found


def _toml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
