"""The assets: one per artifact of the core, wrapped without adding anything but Dagster's words.

Checks run inside the asset, on the written file and before it is published: a blocking asset check
of Dagster's own stops only its own run, while nothing that fails here ever reaches the lake.
"""

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import dagster as dg

from compassign_assets.failures import failure
from compassign_assets.lost_runs import hold
from compassign_assets.metadata import check_result, column_schema, not_reached
from compassign_assets.partitions import DEFINITIONS, read_key
from compassign_core.contracts.catalogue import CONTRACTS
from compassign_core.contracts.check_rules import RULES, is_blocking
from compassign_core.contracts.errors import CheckFailed, CompassignError
from compassign_core.pipeline.artifacts import Artifact
from compassign_core.pipeline.lineage import code_version
from compassign_core.pipeline.make import run
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.store.project import current_project
from compassign_core.store.steps import StagedStep

OWNERS = ["team:compassign"]


def as_asset(artifact: Artifact) -> dg.AssetsDefinition:
    """The asset that makes an artifact."""
    partitions = DEFINITIONS[artifact.dimensions]

    def compute(context: dg.AssetExecutionContext, **values: Any) -> Iterator[Any]:
        partition = read_key(context.partition_key if context.has_partition_key else None)
        hold(context.run.run_id)
        try:
            made = run(current_project(), artifact, partition, values)
        except CheckFailed as error:
            yield from map(check_result, error.outcomes)
            reached = {outcome.name for outcome in error.outcomes}
            yield from (not_reached(name) for name in artifact.checks if name not in reached)
            raise failure(error) from error
        except CompassignError as error:
            raise failure(error) from error
        if isinstance(made, StagedStep):
            yield from map(check_result, made.outcomes)
            if made.failed:
                made.refuse()
                raise failure(CheckFailed(artifact.name, made.failed))
        yield dg.Output(made)

    schema = {}
    if artifact.name in CONTRACTS:
        schema = {"dagster/column_schema": column_schema(CONTRACTS[artifact.name])}
    return dg.asset(
        name=artifact.name,
        ins={
            name: dg.AssetIn(dagster_type=_loaded_type(wanted))
            for name, wanted in artifact.reads.items()
        },
        partitions_def=partitions,
        group_name=artifact.group,
        owners=OWNERS,
        kinds=set(artifact.kinds),
        description=artifact.description,
        metadata=schema,
        code_version=code_version(artifact.packages),
        check_specs=[_check_spec(name, artifact.name, partitions) for name in artifact.checks],
        io_manager_key="io_manager",
        pool=artifact.pool,
    )(compute)


@cache
def _loaded_type(wanted: type) -> dg.DagsterType:
    """One type per class, named with its package: Arrow and Ibis both call theirs Table."""
    return dg.PythonObjectDagsterType(
        wanted, name=f"{wanted.__module__.partition('.')[0]}_{wanted.__name__}"
    )


def _check_spec(
    name: str, asset: str, partitions: dg.PartitionsDefinition | None
) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Partitioned checks are marked as a preview in 1.13; a test pins what we rely on.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=asset,
            blocking=is_blocking(name),
            partitions_def=partitions,
            description=RULES[name],
        )


ASSETS = [as_asset(artifact) for artifact in ARTIFACTS.values()]
