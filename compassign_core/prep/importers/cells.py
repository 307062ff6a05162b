"""Reading files cell by cell as text, in batches: delimited text, plain lines, Parquet.

A row with another number of cells than the header is not guessed at: it is handed on empty, with
a fault, so that it is refused and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from compassign_core.contracts.errors import InputError
from compassign_core.prep.importers.canonical import MALFORMED
from compassign_core.prep.importers.dialect import Dialect, not_this_encoding

_BLOCK_BYTES = 1 << 22
_SHOWN_TEXT = 80
_EXTRA = {"row_number": pa.int64(), "row_fault": pa.string(), "row_detail": pa.string()}
"""Columns beside the cells: number of the row in the file, from 1, and what is wrong with it."""


def column_names(header: Sequence[str]) -> list[str]:
    """Names of a header: trimmed, numbered where empty or repeated, so that each occurs once."""
    names: list[str] = []
    for place, cell in enumerate(header, start=1):
        name = cell.strip() or f"column {place}"
        names.append(name if name not in names else f"{name} (column {place})")
    return names


def text_rows(
    path: Path, shown: str, dialect: Dialect, names: Sequence[str], n_header: int = 1
) -> pa.RecordBatchReader:
    """Rows of delimited text, all cells as text; read as they are asked for.

    Beside the cells stand `row_number`, `row_fault` and `row_detail`.

    Raises
    ------
    InputError
        while reading: another encoding, or a quotation mark that is never closed.
    """
    schema = pa.schema({**dict.fromkeys(names, pa.string()), **_EXTRA})
    return pa.RecordBatchReader.from_batches(
        schema, _text_batches(path, shown, dialect, names, n_header, schema)
    )


def _text_batches(
    path: Path,
    shown: str,
    dialect: Dialect,
    names: Sequence[str],
    n_header: int,
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    odd: list[tuple[int, str]] = []
    unclosed: list[str] = []

    def note(row: Any) -> str:  # what is raised here would be lost
        if row.text.count('"') % 2:
            unclosed.append(
                f"{shown}, row {row.number}: a quotation mark is never closed; it would swallow "
                f"{row.text.count(chr(10)):,} lines: {row.text[:_SHOWN_TEXT]!r}."
            )
        text = f"{row.actual_columns} cells instead of {row.expected_columns}: "
        odd.append((row.number, text + row.text[:_SHOWN_TEXT]))
        return "skip"

    try:
        with pa_csv.open_csv(
            path,
            read_options=_read_options(dialect.encoding, names, n_header),
            parse_options=pa_csv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=_as_text(names),
        ) as reader:
            following = n_header + 1
            for batch in reader:
                skipped = np.array([number for number, _ in odd], dtype=np.int64)
                span = np.arange(following, following + batch.num_rows + len(skipped))
                numbers = np.setdiff1d(span, skipped)[: batch.num_rows]
                following = int(numbers[-1]) + 1 if len(numbers) else following
                none = pa.nulls(batch.num_rows, pa.string())
                columns = [*batch.columns, pa.array(numbers, pa.int64()), none, none]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise not_this_encoding(shown, dialect.encoding, str(error)) from error
    if unclosed:
        raise InputError(unclosed[0], "close or remove the quotation mark in this row.")
    if odd:
        none = pa.nulls(len(odd), pa.string())
        at, details = zip(*odd, strict=True)
        fault = pa.array([MALFORMED] * len(odd))
        columns = [*[none] * len(names), pa.array(at, pa.int64()), fault, pa.array(details)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def lines_of(path: Path, shown: str, encoding: str) -> pa.Table:
    """Every line of a text file: `number` from 1, and `line`.

    Raises
    ------
    InputError
        when the file is in another encoding.
    """
    try:
        table = pa_csv.read_csv(
            path,
            read_options=_read_options(encoding, ["line"], 0),
            # no file of results has this sign in it, so that a line is one cell
            parse_options=pa_csv.ParseOptions(
                delimiter="\x1f", quote_char=False, ignore_empty_lines=False
            ),
            convert_options=_as_text(["line"]),
        )
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise not_this_encoding(shown, encoding, str(error)) from error
    return table.append_column("number", pa.array(np.arange(1, table.num_rows + 1)))


def parquet_rows(path: Path, shown: str) -> tuple[list[str], pa.RecordBatchReader]:
    """Column names of a Parquet file, and its rows as `text_rows` gives them.

    Numbers become the shortest text that reads back as the same number.

    Raises
    ------
    InputError
        when the file is not readable, or a column is neither text nor number.
    """
    try:
        with pq.ParquetFile(path) as file:
            given = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{shown} is not a readable Parquet file ({str(error).splitlines()[0]}).",
            "copy it again from its source.",
        ) from error
    names = list(given.names)
    nested = [field.name for field in given if pa.types.is_nested(field.type)]
    if nested:
        raise InputError(
            f"{shown}: column {', '.join(nested)} is neither text nor number.",
            "write it without nested columns.",
        )
    schema = pa.schema({**dict.fromkeys(names, pa.string()), **_EXTRA})
    return names, pa.RecordBatchReader.from_batches(schema, _parquet_batches(path, schema))


def _parquet_batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    following = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            numbers = np.arange(following, following + batch.num_rows)
            following += batch.num_rows
            none = pa.nulls(batch.num_rows, pa.string())
            columns = [*map(_text, batch.columns), pa.array(numbers), none, none]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _text(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        column = column.cast(pa.float64())
    return column.cast(pa.string())


def _read_options(encoding: str, names: Sequence[str], n_header: int) -> pa_csv.ReadOptions:
    return pa_csv.ReadOptions(
        encoding="utf-8" if encoding == "utf-8-sig" else encoding,  # Arrow skips the mark itself
        use_threads=False,
        block_size=_BLOCK_BYTES,
        column_names=list(names),
        skip_rows_after_names=n_header,
    )


def _as_text(names: Sequence[str]) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
