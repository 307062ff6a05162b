"""The decorators that turn a function of the core into an asset of the lake.

`table_asset` is for a step that makes a table: partitions, schema, description and the checks that
every table has come from its contract. `file_asset` is for a model, a CSV file or a report. Both
note in `lineage.RECORDS` what the asset reads.
"""

import inspect
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg

from compassign_assets.io_manager import FileResult, failure
from compassign_assets.lineage import RECORDS, AssetRecord, code_version
from compassign_assets.metadata import check_result, column_schema, not_reached
from compassign_assets.partitions import DEFINITIONS, read_key
from compassign_core.contracts.catalogue import contract as find_contract
from compassign_core.contracts.check_rules import RULES, is_blocking
from compassign_core.contracts.errors import CheckFailed, CompassignError
from compassign_core.contracts.rejects import StepResult
from compassign_core.store.contract_checks import contract_check_names
from compassign_core.store.lake import TABLE_FILE, Partition
from compassign_core.store.project import Project, current_project
from compassign_core.store.steps import STEP_CHECKS, stage_step

OWNERS = ["team:compassign"]

Inputs = Callable[[Project, Partition], Mapping[str, str]]
Gathers = Mapping[str, Sequence[str]]
"""A parameter of an asset's function, and the assets whose files it maps by name."""


def _no_inputs(_project: Project, _partition: Partition) -> Mapping[str, str]:
    return {}


def _reads(function: Callable[..., object], gathers: Gathers) -> dict[str, type]:
    """Upstream assets and the types they are loaded as.

    These are all parameters after project and partition; a parameter in `gathers` stands for
    several assets, which arrive as one mapping by name.
    """
    hints = typing.get_type_hints(function)
    given = list(inspect.signature(function).parameters)
    if given[:2] != ["project", "partition"]:
        raise TypeError(f"{function.__name__} must begin with (project, partition)")
    reads = {name: hints[name] for name in given[2:] if name not in gathers}
    for names in gathers.values():
        reads |= dict.fromkeys(names, Path)
    return reads


def _gathered(values: dict[str, Any], gathers: Gathers) -> dict[str, Any]:
    """Arguments of the asset's function from the values of its upstream assets."""
    several = {name for names in gathers.values() for name in names}
    arguments = {name: value for name, value in values.items() if name not in several}
    for parameter, names in gathers.items():
        arguments[parameter] = {name: values[name] for name in names}
    return arguments


def _partition(context: dg.AssetExecutionContext) -> Partition:
    return read_key(context.partition_key if context.has_partition_key else None)


def table_asset(
    *,
    group: str,
    packages: tuple[str, ...],
    checks: tuple[str, ...] = (),
    inputs: Inputs = _no_inputs,
    gathers: Gathers = MappingProxyType({}),
    pool: str | None = None,
) -> Callable[[Callable[..., StepResult]], dg.AssetsDefinition]:
    """Make an asset of a function that returns a `StepResult`.

    Parameters
    ----------
    group : stage in the lineage graph.
    packages : packages of `compassign_core` whose code decides the content.
    checks : names of the checks that the step itself adds to those of every table.
    inputs : fingerprints of files and settings that are no assets.
    gathers : parameters that stand for the files of several assets.
    pool : concurrency pool.
    """

    def decorate(function: Callable[..., StepResult]) -> dg.AssetsDefinition:
        contract = find_contract(function.__name__)
        partitions = DEFINITIONS[contract.partitions]
        names = (*contract_check_names(contract), *STEP_CHECKS, *checks)

        def compute(context: dg.AssetExecutionContext, **values: Any) -> Iterator[Any]:
            project, partition = current_project(), _partition(context)
            try:
                limits = project.library(partition.lib).prep if partition.lib else None
                result = function(project, partition, **_gathered(values, gathers))
                staged = stage_step(project.lake, contract.name, partition, result, limits)
            except CheckFailed as error:
                yield from map(check_result, error.outcomes)
                reached = {outcome.name for outcome in error.outcomes}
                yield from (not_reached(name) for name in names if name not in reached)
                raise failure(error) from error
            except CompassignError as error:
                raise failure(error) from error
            yield from map(check_result, staged.outcomes)
            if staged.failed:
                staged.refuse()
                raise failure(CheckFailed(contract.name, staged.failed))
            yield dg.Output(staged)

        return _define(
            compute,
            AssetRecord(
                contract.name,
                contract.partitions,
                TABLE_FILE,
                tuple(_reads(function, gathers)),
                packages,
                inputs,
            ),
            group=group,
            reads=_reads(function, gathers),
            pool=pool,
            kinds={"duckdb", "parquet"},
            description=contract.description,
            metadata={"dagster/column_schema": column_schema(contract)},
            check_specs=[_check_spec(name, contract.name, partitions) for name in names],
        )

    return decorate


def file_asset(
    *,
    file: str,
    dimensions: tuple[str, ...],
    group: str,
    packages: tuple[str, ...],
    kinds: set[str],
    inputs: Inputs = _no_inputs,
    gathers: Gathers = MappingProxyType({}),
    name: str | None = None,
    description: str | None = None,
    pool: str | None = None,
) -> Callable[[Callable[..., FileResult]], dg.AssetsDefinition]:
    """Make an asset of a function that returns a `FileResult`; parameters as in `table_asset`."""

    def decorate(function: Callable[..., FileResult]) -> dg.AssetsDefinition:
        def compute(context: dg.AssetExecutionContext, **values: Any) -> Iterator[Any]:
            try:
                arguments = _gathered(values, gathers)
                yield dg.Output(function(current_project(), _partition(context), **arguments))
            except CompassignError as error:
                raise failure(error) from error

        return _define(
            compute,
            AssetRecord(
                name or function.__name__,
                dimensions,
                file,
                tuple(_reads(function, gathers)),
                packages,
                inputs,
            ),
            group=group,
            reads=_reads(function, gathers),
            pool=pool,
            kinds=kinds,
            description=description or inspect.getdoc(function),
            metadata={},
            check_specs=[],
        )

    return decorate


def _define(
    compute: Callable[..., Iterator[Any]],
    record: AssetRecord,
    *,
    reads: Mapping[str, type],
    group: str,
    pool: str | None,
    kinds: set[str],
    description: str | None,
    metadata: Mapping[str, Any],
    check_specs: list[dg.AssetCheckSpec],
) -> dg.AssetsDefinition:
    RECORDS[record.name] = record
    return dg.asset(
        name=record.name,
        ins={name: dg.AssetIn(dagster_type=_loaded_type(wanted)) for name, wanted in reads.items()},
        partitions_def=DEFINITIONS[record.dimensions],
        group_name=group,
        owners=OWNERS,
        kinds=kinds,
        description=description,
        metadata=metadata,
        code_version=code_version(record.packages),
        check_specs=check_specs,
        io_manager_key="io_manager",
        pool=pool,
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


__all__ = ["FileResult", "file_asset", "table_asset"]
