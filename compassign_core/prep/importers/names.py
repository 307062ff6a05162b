"""Ids of names: sample sets, worksheets, runs and compounds keep theirs for life.

New names get the next ids in sorted order, in a registry that only grows (`prep.registry`). A
compound has the id of the library's list of compounds where there is one with ids. The lists that
a lab keeps may go by names, too: `metadata` by `sample_set`, `comp_chem` by `compound`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first, quote_name
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.csv_input import csv_source, named_columns, rows_of_lib
from compassign_core.prep.importers.id_columns import NAME_COLUMNS
from compassign_core.prep.manifest import csv_file
from compassign_core.prep.registry import NAME_KINDS, assign_ids
from compassign_core.store.sql import count_rows, whole_number

RUN_LABEL = (
    "concat_ws(' | ', "
    + ", ".join(
        f"replace(replace({name}, '\\', '\\\\'), '|', '\\|')"
        for name in ("sample_set", "worksheet", "coalesce(injection, run_name)")
    )
    + ")"
)
"""SQL of the name of a run among all of a library: names of runs repeat between batches."""

_LISTS = (("sample_set", "metadata"), ("compound", "comp_chem"), ("compound", "compounds"))
"""Kinds of names, and roles of the files that list them."""


@dataclass(frozen=True)
class NameSources:
    """Where names come from beside the results.

    Attributes
    ----------
    manifest : SQL text of `export_manifest`.
    folder : folder of `libraries.toml`.
    lib : library.
    registry : file of the registry of names.
    """

    manifest: str
    folder: Path
    lib: int
    registry: Path


def build_imported_names(
    connection: duckdb.DuckDBPyConnection,
    known: str | None,
    sources: NameSources,
    settings: ImportSettings | None,
) -> StepResult:
    """Make `imported_names`; empty for a library that imports nothing.

    Parameters
    ----------
    connection : the engine.
    known : SQL of `rows.known_rows`.
    sources : lists and registry.
    settings : which names are ids already.

    Raises
    ------
    InputError
        when the list of compounds gives one name two ids, or has no names.
    """
    if settings is None or known is None:
        return StepResult(_table([]), rows_in=0)
    columns = {
        "sample_set": "sample_set",
        "worksheet": "worksheet",
        "run": RUN_LABEL,
        "compound": "CASE WHEN is_peak THEN compound_name END",
    }
    given = _listed_compounds(connection, sources)
    registered = [
        kind
        for kind in NAME_KINDS
        if ("injection" if kind == "run" else kind) not in settings.numbered
        and not (kind == "compound" and given is not None)
    ]
    labels = {
        kind: [
            *_distinct(
                connection,
                f"SELECT {columns[kind]} AS name FROM ({known}) "
                "WHERE verdict IS NULL OR verdict IN ('not_found', 'rt_unreadable')",
            ),
            *_listed_names(connection, sources, kind),
        ]
        for kind in registered
    }
    ids = assign_ids(sources.registry, {kind: labels[kind] for kind in registered}, NAME_KINDS)
    rows = [(kind, name, number) for kind in registered for name, number in ids[kind].items()]
    rows += [("compound", name, number) for name, number in (given or {}).items()]
    return StepResult(_table(rows), rows_in=count_rows(connection, f"({known})"), expands=True)


def _table(rows: Sequence[tuple[str, str, int]]) -> pa.Table:
    kinds, names, ids = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "kind": pa.array(kinds, pa.string()),
            "name": pa.array(names, pa.string()),
            "id": pa.array(ids, pa.int64()),
        }
    )


def _distinct(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    found = connection.execute(f"SELECT DISTINCT name FROM ({query}) WHERE name <> ''").fetchall()
    return [row[0] for row in found]


def _listed_names(
    connection: duckdb.DuckDBPyConnection, sources: NameSources, kind: str
) -> list[str]:
    """Names that the lab's lists know: they have ids, too, so that every line can be read."""
    found: list[str] = []
    for role in (role for of, role in _LISTS if of == kind):
        file = csv_file(connection, sources.manifest, role, sources.folder)
        if file is None:
            continue
        columns = named_columns(connection, file, {}, optional=(*NAME_COLUMNS[kind], "lib_id"))
        name = next((columns[c] for c in NAME_COLUMNS[kind] if c in columns), None)
        if name is not None:
            found += _distinct(
                connection,
                f"SELECT trim({quote_name(name)}) AS name FROM {csv_source(file)} "
                f"WHERE {rows_of_lib(columns, 'lib_id', sources.lib)}",
            )
    return found


def _listed_compounds(
    connection: duckdb.DuckDBPyConnection, sources: NameSources
) -> dict[str, int] | None:
    """Ids by name of the library's list of compounds; None where it gives none."""
    file = csv_file(connection, sources.manifest, "compounds", sources.folder)
    if file is None:
        return None
    candidates = NAME_COLUMNS["compound"]
    optional = ("comp_id", *candidates, "lib_id")
    columns = named_columns(connection, file, {}, optional=optional)
    if "comp_id" not in columns:
        return None
    name = next((columns[c] for c in candidates if c in columns), None)
    if name is None:
        raise InputError(
            f"{file.name} gives ids of compounds, and no names; it needs a column "
            f"{' or '.join(candidates)}.",
            "add the names as the results write them.",
        )
    found = connection.execute(
        f"""SELECT name, min(id), count(DISTINCT id) FROM (
                SELECT trim({quote_name(name)}) AS name,
                       {whole_number(quote_name(columns["comp_id"]))} AS id
                FROM {csv_source(file)} WHERE {rows_of_lib(columns, "lib_id", sources.lib)})
            WHERE name <> '' AND id IS NOT NULL GROUP BY name ORDER BY name"""
    ).fetchall()
    twice = [row[0] for row in found if row[2] > 1]
    if twice:
        raise InputError(
            f"{file.name}: {len(twice):,} names have two or more comp_id: {first(twice, 5)}.",
            "give each entry a name of its own, as the results write it.",
        )
    return {label: int(number) for label, number, _ in found}
