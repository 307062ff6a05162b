"""The DuckDB IO manager: publishes what assets make, and hands inputs over as they are asked for.

The gate stands here: a table is checked on its written file and renamed only when it keeps its
contract, so that a bad step stops everything downstream, in every run and backfill. An input is
loaded as its annotation says: `TableSource` (SQL text, nothing read), `duckdb.DuckDBPyRelation`,
`ibis.Table`, `pyarrow.Table`, `pandas.DataFrame`, `pathlib.Path`, or `CoefficientSummaries`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import ibis
import pandas as pd
import pyarrow as pa

from compassign_assets.lineage import RECORDS, write_lineage
from compassign_assets.metadata import file_metadata, step_metadata
from compassign_assets.partitions import read_key
from compassign_core.contracts.errors import CompassignError
from compassign_core.store.atomic import written_aside
from compassign_core.store.lake import Lake, Partition, TableSource, parquet_source
from compassign_core.store.project import Project, current_project
from compassign_core.store.steps import StagedStep

progress = logging.getLogger("compassign.progress")
"""One line a published artifact, for whoever wants to show it."""


@dataclass(frozen=True)
class FileResult:
    """An artifact that is no table: how to write it, and what to show of it."""

    write: Callable[[Path], object]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""


def failure(error: CompassignError) -> dg.Failure:
    """An error a user can act on as the orchestrator's own; trying again would not help."""
    return dg.Failure(
        description=error.problem,
        metadata={"what to do": error.advice or "see the message"},
        allow_retries=False,
    )


class LakeIOManager(dg.IOManager):
    """Stores every asset of this code location in the lake of the current project."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Publish an asset's value and record its lineage; raises `Failure` when it is refused."""
        if obj is None:
            return
        project = current_project()
        name = context.asset_key.path[-1]
        partition = read_key(context.partition_key if context.has_partition_key else None)
        started = time.perf_counter()
        try:
            metadata, summary = self._publish(project, name, partition, obj)
        except CompassignError as error:
            raise failure(error) from error
        checksum = write_lineage(project, name, partition)
        metadata["seconds"] = round(metadata.get("seconds", 0) + time.perf_counter() - started, 3)
        context.add_output_metadata({**metadata, "sha256": checksum})
        progress.info("%s · %s · %s · %.1f s", partition, name, summary, metadata["seconds"])

    def _publish(
        self, project: Project, name: str, partition: Partition, obj: object
    ) -> tuple[dict[str, Any], str]:
        lake = project.lake
        if isinstance(obj, FileResult):
            target = lake.file(name, partition, RECORDS[name].file)
            with written_aside(target) as aside:
                obj.write(aside)
            return {**file_metadata(project, target), **obj.metadata}, obj.summary
        if isinstance(obj, StagedStep):
            target = obj.publish()
            metadata = step_metadata(project, obj)
            refused = f", {obj.report.n_rejected:,} refused" if obj.report.n_rejected else ""
            return metadata, f"{obj.report.rows_in:,} → {obj.report.rows_out:,} rows{refused}"
        staged = lake.stage(obj, name, partition)
        lake.publish(staged)
        return (
            {**file_metadata(project, staged.target), "dagster/row_count": staged.n_rows},
            f"{staged.n_rows:,} rows",
        )

    def load_input(self, context: dg.InputContext) -> object:
        """An upstream artifact in the form that the input's annotation names."""
        project = current_project()
        name = context.asset_key.path[-1]
        keys: list[str | None] = [None]
        if context.has_asset_partitions:
            keys = [*sorted(context.asset_partition_keys)]
        wanted = context.dagster_type.typing_type
        try:
            paths = [project.lake.need(name, read_key(key), RECORDS[name].file) for key in keys]
            return load(project.lake, paths, wanted)
        except CompassignError as error:
            raise failure(error) from error


def load(lake: Lake, paths: list[Path], wanted: type) -> object:
    """Files of one artifact as an object of type `wanted`.

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
        ibis.Table: lambda: ibis.duckdb.from_connection(lake.connection).sql(query),
        pa.Table: lambda: lake.connection.sql(query).to_arrow_table(),
        pd.DataFrame: lambda: lake.connection.sql(query).df(),
        Path: lambda: paths[0] if len(paths) == 1 else paths,
    }
    if wanted in loaders:
        return loaders[wanted]()
    if getattr(wanted, "__name__", "") == "CoefficientSummaries" and len(paths) == 1:
        return wanted.load(paths[0])  # type: ignore[attr-defined]
    raise TypeError(
        f"an input cannot be loaded as {wanted}; annotate it as TableSource, DuckDBPyRelation, "
        "ibis.Table, pyarrow.Table, pandas.DataFrame, Path or CoefficientSummaries"
    )
