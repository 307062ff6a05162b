"""Handing an artifact over in the form that its reader's annotation names.

`TableSource` (SQL text, nothing read), `duckdb.DuckDBPyRelation`, `ibis.Table`, `pyarrow.Table`,
`pandas.DataFrame` or `pathlib.Path`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import ibis
import pandas as pd
import pyarrow as pa

from compassign_core.store.lake import Lake, TableSource, ibis_source, parquet_source


def load(lake: Lake, paths: Sequence[Path], wanted: type) -> object:
    """Files of one artifact as an object of type `wanted`; several partitions become one table.

    Raises
    ------
    TypeError
        for a type that no artifact can be loaded as.
    """
    source = parquet_source(*paths)
    query = f"SELECT * FROM {source}"
    loaders: dict[type, Callable[[], object]] = {
        TableSource: lambda: source,
        duckdb.DuckDBPyRelation: lambda: lake.connection.sql(query),
        ibis.Table: lambda: ibis_source(lake.connection, source),
        pa.Table: lambda: lake.connection.sql(query).to_arrow_table(),
        pd.DataFrame: lambda: lake.connection.sql(query).df(),
        Path: lambda: paths[0] if len(paths) == 1 else list(paths),
    }
    if wanted not in loaders:
        names = ", ".join(kind.__name__ for kind in loaders)
        raise TypeError(f"an artifact cannot be loaded as {wanted}; annotate one of {names}")
    return loaders[wanted]()
