"""Files of results in canonical form, kept by checksum, so that only changed files are read again.

They lie in `.imports/` of the lake, one Parquet file per file of results, named by the checksums of
its content, of the settings that decide how it is read, and of the code that reads it. Whatever
is found there under this name is right; it can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.readers import READERS
from compassign_core.prep.importers.samples import read_samples
from compassign_core.store.atomic import written_aside
from compassign_core.store.lake import parquet_source

_DECIDES_READING = {"kind", "columns", "encoding", "delimiter"}


@dataclass(frozen=True)
class Spooled:
    """A file of results: its path in the data folder, and its canonical form."""

    shown: str
    canonical: Path


def spool_folder(lake: Path, lib: int) -> Path:
    """Where the canonical forms of a library's files lie."""
    return lake / ".imports" / f"lib_id={lib:d}"


def spool_results(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    folder: Path,
    place: Path,
    settings: ImportSettings,
) -> list[Spooled]:
    """Canonical forms of all files of results, reading those that are new or have changed.

    Parameters
    ----------
    connection : the engine.
    manifest : SQL text of `export_manifest`.
    folder : folder of `libraries.toml`.
    place : where canonical forms are kept.
    settings : how the files are read.

    Raises
    ------
    InputError
        when a file cannot be read, or is not the one that was listed.
    """
    listed = connection.execute(
        f"SELECT path, sha256 FROM {manifest} WHERE role = 'results' ORDER BY path"
    ).fetchall()
    reading = _reading(settings)
    found = []
    for shown, checksum in listed:
        target = place / f"{_name(checksum, reading)}.parquet"
        if not target.is_file():
            _spool(connection, folder / shown, shown, checksum, target, settings)
        found.append(Spooled(shown, target))
    return found


def _spool(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    shown: str,
    checksum: str,
    target: Path,
    settings: ImportSettings,
) -> None:
    _same_file(path, shown, checksum)
    try:
        with (
            READERS[settings.kind](connection, path, shown, settings) as rows,
            written_aside(target) as aside,
        ):
            copy(connection, rows, aside)
    except duckdb.Error as error:
        raise InputError(
            f"{shown} cannot be read: {error}.", "export it again, and report this message."
        ) from error


def _same_file(path: Path, shown: str, checksum: str) -> None:
    """Refuse a file that is not the one that was listed."""
    if not path.is_file():
        raise InputError(
            f"{shown} was listed in the manifest but is gone.",
            "materialise export_manifest again, then this table.",
        )
    with path.open("rb") as file:
        now = hashlib.file_digest(file, "sha256").hexdigest()
    if now != checksum:
        raise InputError(
            f"{shown} has changed since it was listed in the manifest.",
            "materialise export_manifest again, then this table.",
        )


def _reading(settings: ImportSettings) -> str:
    return json.dumps(settings.model_dump(mode="json", include=_DECIDES_READING), sort_keys=True)


def _name(checksum: str, reading: str) -> str:
    return hashlib.sha256(f"{checksum}\n{reading}\n{_code()}".encode()).hexdigest()[:32]


@cache
def _code() -> str:
    """A hash of the code of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def spool_samples(
    connection: duckdb.DuckDBPyConnection,
    manifest: str,
    folder: Path,
    place: Path,
    encoding: str,
) -> Path | None:
    """The list of runs as a Parquet file; None when the library has none; see `read_samples`."""
    listed = connection.execute(
        f"SELECT path, sha256 FROM {manifest} WHERE role = 'samples' ORDER BY path"
    ).fetchall()
    if not listed:
        return None
    ((shown, checksum),) = listed
    target = place / f"{_name(checksum, 'samples ' + encoding)}.parquet"
    if not target.is_file():
        _same_file(folder / shown, shown, checksum)
        table = read_samples(connection, folder / shown, shown, encoding)
        with written_aside(target) as aside:
            pq.write_table(table, aside)
    return target


def copy(connection: duckdb.DuckDBPyConnection, query: str, file: Path) -> None:
    """Run a query into a Parquet file."""
    target = quote_text(str(file))
    connection.execute(f"COPY ({query}) TO {target} (FORMAT parquet, COMPRESSION zstd)")


def kept_query(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> str:
    """Run a query into a file, and give SQL that reads it; for what several queries read."""
    with written_aside(target) as aside:
        copy(connection, query, aside)
    return f"SELECT * FROM {parquet_source(target)}"


def sweep(place: Path, used: Iterable[Path]) -> None:
    """Remove what was made of files that are gone or have changed."""
    for path in set(place.glob("*.parquet")) - set(used):
        path.unlink(missing_ok=True)
