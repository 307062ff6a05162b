"""The column `embedding20`: its length, and its way from a list column to a matrix and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first

N_COMPONENTS = 20
"""Components of a chemical; the column is named after them."""

VECTOR_COLUMN = "embedding20"

_ADVICE = (
    f"give every chemical a list of exactly {N_COMPONENTS} finite numbers in {VECTOR_COLUMN}, "
    "or leave the chemical out."
)


def vector_table(chem_id: npt.NDArray[np.int64], vectors: npt.NDArray[np.float64]) -> pa.Table:
    """Make a table (chem_id, embedding20) from ids ``(n,)`` and vectors ``(n, 20)``."""
    offsets = np.arange(0, vectors.size + 1, N_COMPONENTS, dtype=np.int32)
    lists = pa.ListArray.from_arrays(offsets, np.ascontiguousarray(vectors).ravel())
    return pa.table({"chem_id": pa.array(chem_id, pa.int64()), VECTOR_COLUMN: lists})


def stack_vectors(
    table: pa.Table, where: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Ids ``(n,)`` and vectors ``(n, 20)`` of a table (chem_id, embedding20), by ascending id.

    Parameters
    ----------
    table : columns `chem_id` (any integer type) and `embedding20` (any list of numbers).
    where : where the table came from, for messages.

    Raises
    ------
    InputError
        naming `where`, the column, the first offending ids and their number, when a column is
        missing or of another type, an id is null, negative or repeated, or a vector is null, not
        of length 20 or not finite.
    """
    ids = _checked_ids(table, where)
    lists = _column(table, VECTOR_COLUMN, where)
    kind = lists.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (is_list or pa.types.is_fixed_size_list(kind)) or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        raise InputError(f"{where}: column {VECTOR_COLUMN} is {kind}, no list of numbers.", _ADVICE)
    lengths = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    _refuse(ids[lengths != N_COMPONENTS], where, f"no vector of length {N_COMPONENTS}")
    flat = pc.cast(pc.list_flatten(lists), pa.float64())
    # a null component becomes NaN here, so that one test finds both
    vectors = flat.to_numpy(zero_copy_only=False).reshape(-1, N_COMPONENTS)
    _refuse(ids[~np.isfinite(vectors).all(axis=1)], where, "a component that is no finite number")
    order = np.argsort(ids, kind="stable")
    return ids[order], vectors[order]


def _checked_ids(table: pa.Table, where: str) -> npt.NDArray[np.int64]:
    column = _column(table, "chem_id", where)
    if not pa.types.is_integer(column.type):
        raise InputError(
            f"{where}: column chem_id is {column.type}, no whole number.",
            "write chem_id as an integer column.",
        )
    if column.null_count:
        raise InputError(
            f"{where}: chem_id is null in {column.null_count} rows.", "give every row its id."
        )
    ids: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    for offenders, problem in (
        (ids[ids < 0], "is negative"),
        (repeated(ids), "stands in several rows"),
    ):
        if offenders.size:
            ids_shown = first(np.sort(offenders).tolist())
            raise InputError(
                f"{where}: chem_id {problem} for {offenders.size} ids: {ids_shown}.",
                "give every chemical one row and one non-negative id.",
            )
    return ids


def repeated(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Find the distinct values that `ids` holds more than once, ascending."""
    values, counts = np.unique(ids, return_counts=True)
    return values[counts > 1]


def _column(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise InputError(
            f"{where}: column {name} is missing; it has {', '.join(table.column_names)}.",
            f"write the columns chem_id and {VECTOR_COLUMN}.",
        )
    return table.column(name)


def _refuse(offenders: npt.NDArray[np.int64], where: str, problem: str) -> None:
    if offenders.size:
        ids = first(np.sort(offenders).tolist())
        raise InputError(
            f"{where}: column {VECTOR_COLUMN} has {problem} for {offenders.size} chemicals: "
            f"chem_id {ids}.",
            _ADVICE,
        )
