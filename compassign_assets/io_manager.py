"""The DuckDB IO manager: publishes what assets make, and hands inputs over as they are asked for.

The gate stands here: a table is checked on its written file and renamed only when it keeps its
contract, so that a bad step stops everything downstream, in every run and backfill. An input is
loaded as its annotation says, see `compassign_core.pipeline.loading`.
"""

from __future__ import annotations

import dagster as dg

from compassign_assets.failures import failure
from compassign_assets.metadata import file_metadata, shown, step_metadata
from compassign_assets.partitions import read_key
from compassign_core.contracts.errors import CompassignError
from compassign_core.contracts.rejects import StepResult
from compassign_core.pipeline.artifacts import ARTIFACTS, FileResult
from compassign_core.pipeline.faults import told
from compassign_core.pipeline.loading import load
from compassign_core.pipeline.make import publish
from compassign_core.store.project import current_project
from compassign_core.store.steps import StagedStep, stage_step


class LakeIOManager(dg.IOManager):
    """Stores every asset of this code location in the lake of the current project."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Publish an asset's value and record its lineage; raises `Failure` when it is refused.

        A plain table (Ibis, relation, Arrow, pandas) passes through the same gate as a step.
        """
        if obj is None:
            return
        project = current_project()
        artifact = ARTIFACTS[context.asset_key.path[-1]]
        partition = read_key(context.partition_key if context.has_partition_key else None)
        try:
            if not isinstance(obj, StagedStep | FileResult):
                result = StepResult(obj, rows_in=0, expands=True)
                obj = stage_step(project.lake, artifact.name, partition, result)
            published = publish(project, artifact, partition, obj)
        except CompassignError as error:
            raise failure(error) from error
        if isinstance(obj, StagedStep):
            metadata = step_metadata(project, obj)
        else:
            metadata = {**file_metadata(project, published.path), **shown(obj.metadata)}
        context.add_output_metadata(
            {**metadata, "seconds": round(published.seconds, 3), "sha256": published.checksum}
        )

    def load_input(self, context: dg.InputContext) -> object:
        """An upstream artifact in the form that the input's annotation names."""
        project = current_project()
        name = context.asset_key.path[-1]
        keys: list[str | None] = [None]
        if context.has_asset_partitions:
            keys = [*sorted(context.asset_partition_keys)]
        try:
            file = ARTIFACTS[name].file
            paths = [project.lake.need(name, read_key(key), file) for key in keys]
            with told(project, f"what reads {name}", [(name, read_key(key)) for key in keys]):
                return load(project.lake, paths, context.dagster_type.typing_type)
        except CompassignError as error:
            raise failure(error) from error
