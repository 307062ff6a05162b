"""Labelled rows for a model that is already trained: read, made features, and refused where wrong.

Belongs here: what new rows must be. They go through the *stored* design (its covariates, centre
and imputation), and none may be behind the model already.
"""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.rt.design_arrays import design_of
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.held import ROW_KEY, Hashes, hash_rows, settings_of
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.table import read_training

Ints = npt.NDArray[np.int64]


def read_new_rows(
    source: str,
    summaries: PoolingSummaries,
    known: Hashes,
    connection: duckdb.DuckDBPyConnection,
) -> TrainingRows:
    """Read rows with the columns of `RT_TABLE` and the model's covariates.

    Parameters
    ----------
    source : SQL text of the table.
    summaries : the model that the rows are for.
    known : sorted hashes of the rows behind it, see `held.row_keys`.
    connection : the engine.

    Raises
    ------
    InputError
        when a column is missing or holds something unusable, the table is empty, a peak (run and
        comp) stands twice in it or is behind the model already, or a species or comp has another
        parent than the model knows.
    """
    settings = settings_of(summaries).design()
    rows, _ = read_training(source, settings, connection, design=design_of(summaries))
    _check_parents(rows.ids, summaries, source)
    _check_new(rows.ids, known, source)
    return rows


def digest(rows: TrainingRows) -> str:
    """SHA-256 of what the rows hold, the same in any order they were given in."""
    made = hashlib.sha256()
    for name in sorted(rows.ids):
        made.update(np.ascontiguousarray(rows.ids[name], dtype="<i8").tobytes())
    for values in (rows.y, rows.x):
        made.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return made.hexdigest()


def _check_parents(ids: dict[str, Ints], summaries: PoolingSummaries, source: str) -> None:
    """Refuse a species or comp with another parent in the rows than in the model."""
    for child, parent, trained in (
        ("species", "species_cluster", (summaries.species, summaries.species_cluster)),
        ("comp_id", "compound", (summaries.comps, summaries.compound)),
    ):
        pairs = np.concatenate(
            [np.column_stack([ids[child], ids[parent]]), np.column_stack(trained)]
        )
        values, counts = np.unique(np.unique(pairs, axis=0)[:, 0], return_counts=True)
        torn = values[counts > 1]
        if torn.size:
            raise InputError(
                f"{source}: {torn.size} value(s) of {child} have another {parent} than in the "
                f"model: {first(torn.tolist())}.",
                f"correct the mapping, or train again if the {parent} of the library has changed.",
            )


def _check_new(ids: dict[str, Ints], known: Hashes, source: str) -> None:
    """Refuse peaks that stand twice, and those that the model has learned from."""
    rows = np.column_stack([ids[name] for name in ROW_KEY])
    unique, count = np.unique(rows, axis=0, return_counts=True)
    if unique.shape[0] < rows.shape[0]:
        _refuse(source, unique[count > 1], "stand more than once in the table", "leave one of each")
    hashes = hash_rows(unique)
    if known.size:
        place = np.minimum(np.searchsorted(known, hashes), known.size - 1)
        there = known[place] == hashes
        if there.any():
            _refuse(
                source,
                unique[there],
                "are behind the model already and would count twice",
                "leave them out; to correct a label, train again",
            )


def _refuse(source: str, rows: Ints, what: str, advice: str) -> None:
    keys = [f"({', '.join(map(str, row))})" for row in rows[:20].tolist()]
    more = f" and {rows.shape[0] - 20} more" if rows.shape[0] > 20 else ""
    raise InputError(
        f"{source}: {rows.shape[0]:,} peak(s) {what}; ({', '.join(ROW_KEY)}): "
        f"{', '.join(keys)}{more}.",
        f"{advice}.",
    )
