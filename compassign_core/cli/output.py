"""Showing tables in a terminal, and writing them to a file whose suffix says the format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from compassign_core.contracts.errors import SettingsError
from compassign_core.prep.csv_export import write_csv
from compassign_core.store.atomic import written_aside
from compassign_core.store.engine import connect


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table; every value in full."""
    table = Table(*columns, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    # A terminal wraps to its width; a pipe or a file gets the whole width of the rows.
    console.print(table) if console.is_terminal else Console(width=10_000).print(table, crop=False)


def rounded(value: Any) -> Any:
    """A number as it is printed, everything else as it is."""
    return f"{value:.4f}" if isinstance(value, float) else value


def save(table: pa.Table | pa.RecordBatchReader, target: Path) -> None:
    """Write a table as Parquet or CSV, atomically; a reader is written as it is read.

    Raises
    ------
    SettingsError
        when the suffix is neither ``.parquet`` nor ``.csv``.
    """
    suffix = target.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise SettingsError(
            f"--out {target.name} ends in neither .parquet nor .csv.", "choose one of the two."
        )
    with written_aside(target) as aside:
        if suffix == ".parquet":
            _write_parquet(table, aside)
        else:
            connection = connect()
            connection.register("result_to_write", table)
            try:
                write_csv(connection, "result_to_write", aside)
            finally:
                connection.unregister("result_to_write")


def _write_parquet(table: pa.Table | pa.RecordBatchReader, target: Path) -> None:
    # dictionaries of numbers that hardly repeat would cost more than the rest of writing
    words = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    with pq.ParquetWriter(target, table.schema, compression="zstd", use_dictionary=words) as writer:
        for batch in table.to_batches() if isinstance(table, pa.Table) else table:
            writer.write_batch(batch)
