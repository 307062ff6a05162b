"""How long work to come will take, judged by earlier runs of the same steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compassign_core.contracts.errors import CompassignError
from compassign_core.pipeline.lineage import is_current
from compassign_core.pipeline.plan import Step, reads_of
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.pipeline.timing import expected_seconds, input_rows, times_of
from compassign_core.store.project import Project


@dataclass(frozen=True)
class Expected:
    """A piece of work to come.

    Attributes
    ----------
    title : what progress calls it.
    to_do : whether there is anything to do; what is current takes no time.
    seconds : how long it will take, None when no earlier run tells.
    """

    title: str
    to_do: bool
    seconds: float | None


def expect(project: Project, steps: Sequence[Step], force: Iterable[str] = ()) -> list[Expected]:
    """What is expected of each step.

    A step whose input is made again counts as work, although it may turn out to be current.
    """
    again = set(force)
    waiting: set[Step] = set()
    found = []
    for step in steps:
        if (
            step.name in again
            or not waiting.isdisjoint(reads_of(step))
            or not _is_current(project, step)
        ):
            waiting.add(step)
            rows = input_rows(project, ARTIFACTS[step.name], step.partition)
            seconds = expected_seconds(times_of(project, step.name), rows)
            found.append(Expected(str(step), True, seconds))
        else:
            found.append(Expected(str(step), False, 0.0))
    return found


def _is_current(project: Project, step: Step) -> bool:
    try:
        return is_current(project, step.name, step.partition)
    except CompassignError:  # whoever makes the step will say what is wrong
        return False


def weights(expected: Sequence[Expected]) -> list[float]:
    """Share of progress that each piece stands for: its seconds, or those of a usual piece."""
    known = [one.seconds for one in expected if one.to_do and one.seconds is not None]
    usual = sum(known) / len(known) if known and sum(known) else 1.0
    return [
        0.0 if not one.to_do else usual if one.seconds is None else one.seconds for one in expected
    ]


def sentence(expected: Sequence[Expected]) -> str:
    """The estimate in words; empty when there is nothing to do."""
    todo = [one for one in expected if one.to_do]
    known = [one.seconds for one in todo if one.seconds is not None]
    if not todo:
        return ""
    if not known:
        return f"{_steps(todo)} to do; no earlier run to judge by."
    total = duration(sum(known))
    if len(known) == len(todo):
        return f"{_steps(todo)} to do, about {total} (from earlier runs of these steps)."
    return (
        f"{_steps(todo)} to do, about {total} for {len(known)} of them (from earlier runs of "
        "these steps); no earlier run of the others to judge by."
    )


def _steps(todo: Sequence[Expected]) -> str:
    return f"{len(todo)} step" + ("" if len(todo) == 1 else "s")


def duration(seconds: float) -> str:
    """Seconds in words, as roughly as an estimate is."""
    if seconds < 1:
        return "1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
