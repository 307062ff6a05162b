"""The lake: one file per artifact and partition, checked before it replaces the last good one.

Layout: ``<root>/<artifact>/lib_id=<lib>/row_cap=<cap>/<file>``. A table is written beside its
target (`Lake.stage`), its contract and further rules are checked on the written file, and only
then is it renamed (`Lake.publish`). Whatever fails before leaves the last good file in place.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from compassign_core.contracts.catalogue import contract as find_contract
from compassign_core.contracts.checks import CheckOutcome
from compassign_core.contracts.errors import ContractError, MissingArtifactError
from compassign_core.contracts.identifiers import check_artifact_name, quote_text
from compassign_core.contracts.tables import TableContract
from compassign_core.store.atomic import publish as rename_onto
from compassign_core.store.atomic import stage_path
from compassign_core.store.contract_checks import violations
from compassign_core.store.engine import one_thread
from compassign_core.store.ordering import Widened, is_ascending, ordered_query, widened_query
from compassign_core.store.sql import types_of

TABLE_FILE = "data.parquet"
_ROW_GROUP_ROWS = 122_880


@dataclass(frozen=True)
class Partition:
    """Which library, and which cap, an artifact belongs to; None where it has no such dimension."""

    lib: int | None = None
    cap: int | None = None

    def folder(self) -> Path:
        """Folder below the artifact's own."""
        parts = []
        if self.lib is not None:
            parts.append(f"lib_id={self.lib:d}")
        if self.cap is not None:
            parts.append(f"row_cap={self.cap:d}")
        return Path(*parts)

    def __str__(self) -> str:
        words = []
        if self.lib is not None:
            words.append(f"lib {self.lib}")
        if self.cap is not None:
            words.append(f"cap {self.cap}")
        return " ".join(words) or "all libraries"


class TableSource(str):
    """SQL text that reads a table, for example ``read_parquet('…')``; nothing is loaded yet."""

    __slots__ = ()


@dataclass(frozen=True)
class StagedTable:
    """A table written aside, not yet published."""

    contract: TableContract
    aside: Path
    target: Path
    n_rows: int
    seconds: float

    @property
    def source(self) -> TableSource:
        """SQL text that reads the staged file."""
        return parquet_source(self.aside)

    def discard(self) -> None:
        """Remove the staged file."""
        self.aside.unlink(missing_ok=True)


def parquet_source(*paths: Path) -> TableSource:
    """SQL text that reads Parquet files by their own columns."""
    listed = ", ".join(quote_text(str(path)) for path in paths)
    return TableSource(f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)")


class Lake:
    """All artifacts below one folder.

    Parameters
    ----------
    root : the lake's folder; made when first written to.
    connection : the process's engine, see `compassign_core.store.engine.connect`.
    """

    def __init__(self, root: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.root = root
        self.connection = connection

    # -- where things are ------------------------------------------------------------------

    def file(self, artifact: str, partition: Partition, name: str = TABLE_FILE) -> Path:
        """Where an artifact's file is, or would be."""
        return self.root / check_artifact_name(artifact) / partition.folder() / name

    def exists(self, artifact: str, partition: Partition, name: str = TABLE_FILE) -> bool:
        """Whether the artifact has been made."""
        return self.file(artifact, partition, name).is_file()

    def need(self, artifact: str, partition: Partition, name: str = TABLE_FILE) -> Path:
        """The artifact's file.

        Raises
        ------
        MissingArtifactError
            when it has not been made; names artifact, partition and path.
        """
        path = self.file(artifact, partition, name)
        if not path.is_file():
            raise MissingArtifactError(
                f"{artifact} for {partition} has not been made yet ({path} does not exist).",
                f"materialise {artifact} for this partition first, with everything before it.",
            )
        return path

    def source(self, artifact: str, partition: Partition) -> TableSource:
        """SQL text that reads a table; raises `MissingArtifactError` when it is absent."""
        return parquet_source(self.need(artifact, partition))

    # -- reading ---------------------------------------------------------------------------

    def relation(self, artifact: str, partition: Partition) -> duckdb.DuckDBPyRelation:
        """The table as a lazy DuckDB relation."""
        return self.connection.sql(f"SELECT * FROM {self.source(artifact, partition)}")

    def arrow(self, artifact: str, partition: Partition) -> pa.Table:
        """The table in memory."""
        return self.relation(artifact, partition).to_arrow_table()

    def ibis(self, artifact: str, partition: Partition) -> ibis.Table:
        """The table as a lazy Ibis expression on the same engine."""
        return ibis_table(self.connection, self.need(artifact, partition))

    # -- writing ---------------------------------------------------------------------------

    def stage(self, data: Any, table: TableContract | str, partition: Partition) -> StagedTable:
        """Write a table aside, cast and selected by its contract's column names.

        Parameters
        ----------
        data : a DuckDB relation, Ibis table, Arrow table, Arrow record batch reader, pandas frame,
            SQL text of a table (for example ``read_parquet('…')`` or a query in brackets), or a
            `Widened` table. A reader is taken batch by batch and may be larger than memory.
        table : the contract or its name.
        partition : where it will be published.

        Raises
        ------
        ContractError
            when a column is missing or a value does not fit its type.
        """
        contract = find_contract(table) if isinstance(table, str) else table
        target = self.file(contract.name, partition)
        aside = stage_path(target)
        started = time.perf_counter()
        try:
            if isinstance(data, Widened):
                self._write_widened(data, contract, aside)
            else:
                with _spooled(data, target) as held, self._as_view(held) as view:
                    self._write(view, contract, aside)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        n_rows = pq.ParquetFile(aside).metadata.num_rows
        return StagedTable(contract, aside, target, n_rows, time.perf_counter() - started)

    def check_contract(self, staged: StagedTable) -> list[CheckOutcome]:
        """Check the staged file against its contract; every outcome is blocking."""
        return violations(self.connection, staged.source, staged.contract)

    def publish(self, staged: StagedTable) -> None:
        """Check the contract on the written file and rename it onto the last good one.

        Raises
        ------
        ContractError
            when the file does not keep its contract; the last good file stays.
        """
        failed = [outcome for outcome in self.check_contract(staged) if not outcome.passed]
        if failed:
            staged.discard()
            raise ContractError(
                f"{staged.contract.name}: " + " ".join(o.sentence() for o in failed),
                " ".join(o.advice for o in failed),
            )
        rename_onto(staged.aside, staged.target)

    @contextmanager
    def _as_view(self, data: Any) -> Iterator[str]:
        """Give `data` a name that SQL can read."""
        if isinstance(data, str):
            yield data
            return
        name = "staged_" + hashlib.sha256(str(time.perf_counter_ns()).encode()).hexdigest()[:16]
        if isinstance(data, duckdb.DuckDBPyRelation | ibis.Table):
            if isinstance(data, ibis.Table):
                engine = ibis.duckdb.from_connection(self.connection)
                engine.create_view(name, data)  # registers tables in memory, too
            else:
                data.create_view(name, replace=True)
            try:
                yield name
            finally:
                self.connection.execute(f"DROP VIEW IF EXISTS {name}")
            return
        if not isinstance(data, pa.Table | pd.DataFrame):
            raise TypeError(f"cannot store a {type(data).__name__} as a table")
        self.connection.register(name, data)
        try:
            yield name
        finally:
            self.connection.unregister(name)

    def _write(self, view: str, contract: TableContract, aside: Path) -> None:
        present = types_of(self.connection, view)
        _need(contract, present)
        self._copy(ordered_query(contract, view, present), contract, aside)

    def _write_widened(self, wide: Widened, contract: TableContract, aside: Path) -> None:
        present = types_of(self.connection, wide.rows)
        _need(contract, present)
        further = types_of(self.connection, wide.further)
        with one_thread(self.connection):
            self._copy(widened_query(contract, wide, present, further), contract, aside)
        if not is_ascending(self.connection, parquet_source(aside), contract.order_by):
            self._write(wide.joined, contract, aside)

    def _copy(self, query: str, contract: TableContract, aside: Path) -> None:
        try:
            self.connection.execute(
                f"COPY ({query}) TO {quote_text(str(aside))} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP_ROWS})"
            )
        except duckdb.ConversionException as error:
            raise ContractError(
                f"{contract.name}: a value does not fit its column's type: {error}.",
                "look up the value in the source named by source_file and correct it there.",
            ) from error


@contextmanager
def _spooled(data: Any, target: Path) -> Iterator[Any]:
    """Data that can be sorted: batches that come one by one are put in a file beside the target.

    The engine cannot take them directly, because what makes them may read with the same engine.
    """
    if not isinstance(data, pa.RecordBatchReader):
        yield data
        return
    spool = stage_path(target)
    try:
        with pq.ParquetWriter(spool, data.schema, compression="lz4") as writer:
            for batch in data:
                writer.write_batch(batch)
        yield parquet_source(spool)
    finally:
        spool.unlink(missing_ok=True)


def _need(contract: TableContract, present: Mapping[str, str]) -> None:
    """Refuse a table that lacks a column of its contract."""
    missing = [name for name in contract.names() if name not in present]
    if missing:
        raise ContractError(
            f"{contract.name}: column {', '.join(missing)} is missing; the step gave "
            f"{', '.join(present)}.",
            "the step that makes this table must produce every column of its contract.",
        )


def ibis_table(connection: duckdb.DuckDBPyConnection, *paths: Path) -> ibis.Table:
    """Parquet files as one lazy Ibis table on an open DuckDB connection."""
    return ibis_source(connection, parquet_source(*paths))


def ibis_source(connection: duckdb.DuckDBPyConnection, source: str) -> ibis.Table:
    """SQL text of a table as a lazy Ibis table on an open DuckDB connection."""
    return ibis.duckdb.from_connection(connection).sql(f"SELECT * FROM {source}")
