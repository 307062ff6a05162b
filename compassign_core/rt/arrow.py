"""Arrow tables of the RT contracts: schema and assembly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.tables import TableContract

_TYPES = {
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
}


def arrow_schema(contract: TableContract, without: tuple[str, ...] = ()) -> Any:
    """Arrow schema of a contract's fixed columns, less those named."""
    return pa.schema([(c.name, _TYPES[c.type]) for c in contract.columns if c.name not in without])


def arrow_batch(values: Mapping[str, Any], schema: Any) -> Any:
    """A record batch of the columns of `schema`; NaN in a DOUBLE becomes null."""
    return pa.record_batch(
        [pa.array(values[field.name], type=field.type, from_pandas=True) for field in schema],
        schema=schema,
    )


def labels(words: tuple[str, ...], index: npt.NDArray[np.int64]) -> Any:
    """Text column of ``words[index]``."""
    codes = pa.array(index.astype(np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array(words)).cast(pa.string())


def nullable_booleans(values: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Any:
    """Boolean column that is null where not `known`."""
    return pa.array(values, mask=~known)


def float_column(table: Any, name: str) -> npt.NDArray[np.float64]:
    """A DOUBLE column as an array, nulls as NaN."""
    column = pc.fill_null(table[name].cast(pa.float64()), float("nan"))
    return np.asarray(column.to_numpy(), dtype=np.float64)
