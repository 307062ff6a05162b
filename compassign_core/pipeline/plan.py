"""What has to be made for some targets, and making it in order, skipping what is current."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from compassign_core.contracts.errors import CompassignError
from compassign_core.pipeline.artifacts import upstream_first
from compassign_core.pipeline.lineage import is_current
from compassign_core.pipeline.make import make
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project


@dataclass(frozen=True)
class Step:
    """One artifact of one partition."""

    name: str
    partition: Partition

    def __str__(self) -> str:
        return f"{self.name}, {self.partition}"


@dataclass
class Outcome:
    """What a plan came to.

    Attributes
    ----------
    made, current : steps made, and steps skipped because nothing had changed.
    failed : the message of each failed step.
    skipped : steps not tried because something they read had failed.
    """

    made: list[Step]
    current: list[Step]
    failed: dict[Step, str]
    skipped: list[Step]


def steps_for(targets: Iterable[str], libs: Sequence[int], caps: Sequence[int]) -> list[Step]:
    """Everything that targets need, for some libraries and caps, in an order that works.

    Raises
    ------
    KeyError
        when there is no such artifact.
    """
    needed: set[str] = set()
    todo = list(targets)
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += ARTIFACTS[name].upstream
    ordered = upstream_first(needed)

    def of(n_dimensions: int) -> Iterator[str]:
        return (name for name in ordered if len(ARTIFACTS[name].dimensions) == n_dimensions)

    steps = [Step(name, Partition()) for name in of(0)]
    for lib in libs:
        steps += [Step(name, Partition(lib)) for name in of(1)]
        for cap in caps:
            steps += [Step(name, Partition(lib, cap)) for name in of(2)]
    return steps


def reads_of(step: Step) -> list[Step]:
    """Steps that make what a step reads, among those of one library and cap."""
    return [
        Step(name, place)
        for name in ARTIFACTS[step.name].upstream
        for place in (Partition(), Partition(step.partition.lib), step.partition)
    ]


def carry_out(
    project: Project,
    steps: Sequence[Step],
    *,
    force: Iterable[str] = (),
    before: Callable[[Step], None] = lambda _step: None,
) -> Outcome:
    """Make the steps that are not current; a failed step stops only what depends on it.

    Parameters
    ----------
    project : where.
    steps : as `steps_for` gives them.
    force : artifacts that are made although they are current.
    before : called before each step, for progress.
    """
    outcome = Outcome([], [], {}, [])
    again = set(force)
    for step in steps:
        before(step)
        if _blocked(step, outcome):
            outcome.skipped.append(step)
            continue
        try:
            if step.name not in again and is_current(project, step.name, step.partition):
                outcome.current.append(step)
                continue
            make(project, step.name, step.partition)
            outcome.made.append(step)
        except CompassignError as error:
            outcome.failed[step] = str(error)
    return outcome


def _blocked(step: Step, outcome: Outcome) -> bool:
    """Whether something that the step reads has failed or was skipped."""
    return not {*outcome.failed, *outcome.skipped}.isdisjoint(reads_of(step))
