"""Reader of MassHunter Quant batch tables: two header rows, one block of columns per compound.

The first header row names the blocks (``Sample``, ``<compound> Method``, ``<compound> Results``,
``Qualifier (…) Results``), the second the columns in each. The table can also be turned: a row per
compound and a block per sample. Results of quantifiers are read; methods and qualifiers are not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.canonical import NEEDED, ROLES, canonical_rows
from compassign_core.prep.importers.cells import text_rows
from compassign_core.prep.importers.dialect import Dialect, find_dialect, head_rows
from compassign_core.prep.importers.headers import match_columns, plain
from compassign_core.prep.importers.long import read_long, without_folder_suffix
from compassign_core.prep.importers.registered import registered

_OF_ROW = {"Sample": "run", "Compound Method": "compound", "Compound": "compound"}
"""What a row is, by the name of the first block."""
_PEAK_ROLES = ("rt", "area", "status")
_NOT_RESULTS = re.compile(r"( Method|^Qualifier \(.*)$")


@contextmanager
def read_masshunter(
    connection: duckdb.DuckDBPyConnection, path: Path, shown: str, settings: ImportSettings
) -> Iterator[str]:
    """SQL of the canonical table of a batch table, or of a long table.

    Raises
    ------
    InputError
        when no column with retention times is found, or a block occurs twice.
    """
    if path.suffix.lower() == ".parquet":
        with read_long(connection, path, shown, settings) as rows:
            yield rows
        return
    dialect = find_dialect(path, shown, settings.encoding, settings.delimiter)
    header = head_rows(path, shown, dialect, 2)
    if not is_batch_table(header):
        with read_long(connection, path, shown, settings) as rows:
            yield rows
        return
    with _read_batch(connection, path, shown, settings, dialect, header) as rows:
        yield rows


def is_batch_table(header: Sequence[Sequence[str]]) -> bool:
    """Whether the first two rows are the header of a batch table."""
    return (
        len(header) == 2
        and next((cell.strip() for cell in header[0] if cell.strip()), "") in _OF_ROW
        and any(plain(cell) == "rt" for cell in header[1])
    )


@contextmanager
def _read_batch(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    shown: str,
    settings: ImportSettings,
    dialect: Dialect,
    header: Sequence[Sequence[str]],
) -> Iterator[str]:
    blocks, names = _blocks(header)
    first = next(iter(blocks))
    row_role = _OF_ROW[first]
    block_role = "compound" if row_role == "run" else "run"
    keys = [names[place] for place in blocks[first]]
    # A row's own columns are looked for by the names they have; blocks hold the peaks.
    roles = [role for role in ROLES if role not in (*_PEAK_ROLES, block_role)]
    found = match_columns(settings, keys, shown, needed=[row_role], roles=roles)
    cells = {role: f"c{blocks[first][keys.index(columns[0])]}" for role, columns in found.items()}
    peaks = _peaks(blocks, names, first, settings, shown)
    columns = [f"c{place}" for place in range(len(names))]
    structs = ", ".join(
        f"{{'block': {quote_text(label)}, "
        + ", ".join(f"'{role}': c{place}" for role, place in places.items())
        + "}"
        for label, places in peaks.items()
    )
    reader = text_rows(path, shown, dialect, columns, n_header=2)
    # A malformed row is one row, not one for each block.
    with registered(connection, reader) as rows:
        spread = f"""(
            SELECT * REPLACE (CASE WHEN row_fault IS NULL OR place = 1 THEN peak END AS peak)
            FROM (SELECT *, unnest([{structs}]) AS peak,
                         unnest(range(1, {len(peaks) + 1})) AS place FROM {rows})
            WHERE row_fault IS NULL OR place = 1)"""
        given = {role for places in peaks.values() for role in places}
        cells |= {role: f"peak.{role}" for role in given}
        cells[block_role] = "peak.block"
        cells["run"] = without_folder_suffix(cells["run"])
        yield canonical_rows(
            spread, cells, row="row_number", fault="row_fault", detail="row_detail"
        )


def _blocks(header: Sequence[Sequence[str]]) -> tuple[dict[str, list[int]], list[str]]:
    """Places of the columns of each block, and the names of all columns."""
    width = max(map(len, header))
    tops, names = ([*row, *[""] * (width - len(row))] for row in header)
    carried: Iterable[str] = accumulate((cell.strip() for cell in tops), _carry)
    blocks: dict[str, list[int]] = {}
    for place, label in enumerate(carried):
        if label and names[place].strip():
            blocks.setdefault(label, []).append(place)
    return blocks, [name.strip() for name in names]


def _carry(last: str, cell: str) -> str:
    return cell or last


def _peaks(
    blocks: dict[str, list[int]],
    names: Sequence[str],
    first: str,
    settings: ImportSettings,
    shown: str,
) -> dict[str, dict[str, int]]:
    """Place of retention time, area and status in each block of results, by what it is of."""
    peaks: dict[str, dict[str, int]] = {}
    for label, places in blocks.items():
        if label == first or _NOT_RESULTS.search(label):
            continue
        columns = [names[place] for place in places]
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if twice:
            raise InputError(
                f"{shown}: {label!r} has {twice[0]!r} twice in the header.",
                "give each compound of the method a name of its own, and export again.",
            )
        found = match_columns(settings, columns, shown, needed=(), roles=_PEAK_ROLES)
        if NEEDED[-1] in found:
            of = label.removesuffix(" Results")
            peaks[of] = {role: places[columns.index(name[0])] for role, name in found.items()}
    if not peaks:
        raise InputError(
            f"{shown}: no compound has a column RT among its results.",
            "add RT to the columns of the compounds in MassHunter, and export again.",
        )
    same = {frozenset(places) for places in peaks.values()}
    if len(same) > 1:
        raise InputError(
            f"{shown}: only some compounds have a column for each of {sorted(set().union(*same))}.",
            "export the same columns for all compounds.",
        )
    return peaks
