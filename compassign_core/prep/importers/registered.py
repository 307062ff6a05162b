"""Arrow data under a name that SQL can read, for as long as a block runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa


@contextmanager
def registered(
    connection: duckdb.DuckDBPyConnection, data: pa.Table | pa.RecordBatchReader
) -> Iterator[str]:
    """Yield the name; a reader can be read once.

    The engine turns an error of the reader into text; it is raised again as it was.
    """
    name = f"results_{uuid.uuid4().hex}"
    errors: list[Exception] = []
    if isinstance(data, pa.RecordBatchReader):
        data = pa.RecordBatchReader.from_batches(data.schema, _noting(data, errors))
    connection.register(name, data)
    try:
        yield name
    except duckdb.Error as error:
        if errors:
            raise errors[0] from error
        raise
    finally:
        connection.unregister(name)


def _noting(reader: pa.RecordBatchReader, errors: list[Exception]) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except Exception as error:
        errors.append(error)
        raise
