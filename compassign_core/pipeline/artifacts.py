"""What an artifact is, and the decorators that declare one.

`table_artifact` is for a step that makes a table: partitions, schema, description and the checks
that every table has come from its contract. `file_artifact` is for a model, a CSV file or a report.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from compassign_core.contracts.catalogue import contract as find_contract
from compassign_core.contracts.rejects import StepResult
from compassign_core.store.contract_checks import contract_check_names
from compassign_core.store.lake import TABLE_FILE, Partition
from compassign_core.store.project import Project
from compassign_core.store.steps import STEP_CHECKS

Inputs = Callable[[Project, Partition], Mapping[str, str]]
Gathers = Mapping[str, Sequence[str]]
"""A parameter of an artifact's function, and the artifacts whose files it maps by name."""

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Markdown:
    """Text with tables or pictures, to be shown as such."""

    text: str


@dataclass(frozen=True)
class Link:
    """An address to open."""

    url: str


@dataclass(frozen=True)
class FileResult:
    """An artifact that is no table: how to write it, and what to show of it.

    Attributes
    ----------
    write : writes the file at the path it is given.
    metadata : facts to show: numbers, texts, mappings, `Markdown` or `Link`.
    summary : a few words for the progress line.
    seconds : time that making it took, filled in by whoever runs the artifact.
    """

    write: Callable[[Path], object]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    seconds: float = 0.0


def _no_inputs(_project: Project, _partition: Partition) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Artifact:
    """One artifact of the lake.

    Attributes
    ----------
    name : artifact name.
    dimensions : partition dimensions, as in its contract.
    file : name of its file in the partition's folder.
    group : stage it belongs to.
    function : makes it from (project, partition, **artifacts read).
    reads : artifacts it reads, and the types they are loaded as.
    gathers : parameters of the function that stand for several artifacts.
    packages : packages of `compassign_core` whose code decides its content.
    inputs : files outside the lake that it reads, and settings, as name to fingerprint.
    checks : names of the checks that guard it, for tables.
    kinds : technologies, for the UI.
    description : what it is, for a newcomer.
    pool : concurrency pool.
    """

    name: str
    dimensions: tuple[str, ...]
    file: str
    group: str
    function: Callable[..., StepResult | FileResult]
    reads: Mapping[str, type]
    gathers: Gathers
    packages: tuple[str, ...]
    inputs: Inputs
    checks: tuple[str, ...]
    kinds: frozenset[str]
    description: str
    pool: str | None

    @property
    def upstream(self) -> tuple[str, ...]:
        """Names of the artifacts it reads."""
        return tuple(self.reads)

    @property
    def is_table(self) -> bool:
        """Whether it has a table contract."""
        return self.file == TABLE_FILE

    def call(
        self, project: Project, partition: Partition, values: Mapping[str, Any]
    ) -> StepResult | FileResult:
        """Run the function on loaded artifacts, by name."""
        several = {name for names in self.gathers.values() for name in names}
        arguments = {name: value for name, value in values.items() if name not in several}
        for parameter, names in self.gathers.items():
            arguments[parameter] = {name: values[name] for name in names}
        return self.function(project, partition, **arguments)


ARTIFACTS: dict[str, Artifact] = {}
"""All artifacts by name; filled by the decorators when the stages are imported."""

_F = TypeVar("_F", bound=Callable[..., Any])


def table_artifact(
    *,
    group: str,
    packages: tuple[str, ...],
    checks: tuple[str, ...] = (),
    inputs: Inputs = _no_inputs,
    gathers: Gathers = _NONE,
    pool: str | None = None,
) -> Callable[[_F], _F]:
    """Declare that a function, named as a table contract, makes that table.

    Parameters
    ----------
    group, packages, inputs, gathers, pool : see `Artifact`.
    checks : names of the checks that the step itself adds to those of every table.
    """

    def declare(function: _F) -> _F:
        contract = find_contract(function.__name__)
        _add(
            Artifact(
                name=contract.name,
                dimensions=contract.partitions,
                file=TABLE_FILE,
                group=group,
                function=function,
                reads=_reads(function, gathers),
                gathers=gathers,
                packages=packages,
                inputs=inputs,
                checks=(*contract_check_names(contract), *STEP_CHECKS, *checks),
                kinds=frozenset({"duckdb", "parquet"}),
                description=contract.description,
                pool=pool,
            )
        )
        return function

    return declare


def file_artifact(
    *,
    file: str,
    dimensions: tuple[str, ...],
    group: str,
    packages: tuple[str, ...],
    kinds: Iterable[str],
    inputs: Inputs = _no_inputs,
    gathers: Gathers = _NONE,
    name: str | None = None,
    description: str | None = None,
    pool: str | None = None,
) -> Callable[[_F], _F]:
    """Declare that a function makes a file; parameters as in `Artifact`."""

    def declare(function: _F) -> _F:
        _add(
            Artifact(
                name=name or function.__name__,
                dimensions=dimensions,
                file=file,
                group=group,
                function=function,
                reads=_reads(function, gathers),
                gathers=gathers,
                packages=packages,
                inputs=inputs,
                checks=(),
                kinds=frozenset(kinds),
                description=description or inspect.getdoc(function) or "",
                pool=pool,
            )
        )
        return function

    return declare


def upstream_first(names: Iterable[str]) -> tuple[str, ...]:
    """Names in an order in which each stands after all it reads, the same in every process."""
    wanted = set(names)
    graph = {name: sorted(ARTIFACTS[name].upstream) for name in sorted(ARTIFACTS)}
    return tuple(name for name in TopologicalSorter(graph).static_order() if name in wanted)


def _add(artifact: Artifact) -> None:
    if artifact.name in ARTIFACTS:
        raise ValueError(f"artifact {artifact.name} is declared twice")
    ARTIFACTS[artifact.name] = artifact


def _reads(function: Callable[..., object], gathers: Gathers) -> dict[str, type]:
    """Artifacts read and their types: all parameters after project and partition."""
    hints = typing.get_type_hints(function)
    given = list(inspect.signature(function).parameters)
    if given[:2] != ["project", "partition"]:
        raise TypeError(f"{function.__name__} must begin with (project, partition)")
    reads = {name: hints[name] for name in given[2:] if name not in gathers}
    for names in gathers.values():
        reads |= dict.fromkeys(names, Path)
    return reads
