"""Doing what is not current, with an estimate before it and progress along it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from compassign_core.contracts.errors import CompassignError, SettingsError
from compassign_core.contracts.identifiers import parse_cap, parse_lib
from compassign_core.contracts.settings.models import MODELS
from compassign_core.pipeline.estimate import Expected, expect, sentence, weights
from compassign_core.pipeline.plan import carry_out, steps_for
from compassign_core.pipeline.trials.definition import Trial
from compassign_core.pipeline.trials.shelf import Stored, check_same_definition, find
from compassign_core.pipeline.trials.training import expect_trial, is_current, train_trial
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

Libs = Annotated[str, typer.Option(help="Libraries, comma separated, for example 100,109.")]
Caps = Annotated[str, typer.Option("--cap", help="Caps, comma separated: 5, 10, 20, 50, 100.")]
Force = Annotated[bool, typer.Option("--force", help="Make it again although it is current.")]
Kinds = Annotated[list[str] | None, typer.Option(help="Model kind; repeat for several.")]


def places_of(libs: str, caps: str) -> list[Partition]:
    """Libraries × caps as they were written, for example ``100,109`` and ``5``."""
    cap_ids = [parse_cap(text.strip()) for text in caps.split(",")]
    return [
        Partition(lib, cap)
        for lib in [parse_lib(text.strip()) for text in libs.split(",")]
        for cap in cap_ids
    ]


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse what is no model kind."""
    unknown = [kind for kind in kinds if kind not in MODELS]
    if unknown:
        raise SettingsError(
            f"--model {unknown[0]!r} is no model kind.", f"choose from {', '.join(MODELS)}."
        )


def bring(
    targets: Sequence[str],
    places: Sequence[Partition],
    force: bool = False,
    trials: Sequence[Trial] = (),
) -> dict[tuple[str, Partition], Stored]:
    """Make the targets with all they need, then train the trials; what is current is skipped.

    Returns the trials by name and place.

    Raises
    ------
    CompassignError
        when a step failed; names each.
    """
    project = current_project()
    for trial in trials:
        check_same_definition(project.lake, trial)
    libs = list(dict.fromkeys(place.lib for place in places if place.lib is not None))
    caps = list(dict.fromkeys(place.cap for place in places if place.cap is not None))
    steps = steps_for(targets, libs, caps)
    again = [] if trials or not force else targets
    expected = expect(project, steps, again)
    waits = any(one.to_do for one in expected)
    runs = [(trial, place) for place in places for trial in trials]
    expected += [
        expect_trial(
            project, trial, place, to_do=force or waits or not is_current(project, trial, place)
        )
        for trial, place in runs
    ]
    if said := sentence(expected):
        typer.echo(said, err=True)
    found = {}
    trained = 0
    with _progress(expected) as begin:
        outcome = carry_out(project, steps, force=again, before=lambda _step: begin())
        if not outcome.failed:
            for trial, place in runs:
                begin()
                stored = find(project.lake, trial.name, place)
                if force or stored is None or not is_current(project, trial, place):
                    stored = train_trial(project, trial, place)
                    trained += 1
                found[trial.name, place] = stored
    typer.echo(
        f"{len(outcome.made)} artifacts made, {len(outcome.current)} were current"
        + (f", {len(outcome.skipped)} not tried" if outcome.skipped else "")
        + (f"; {trained} of {len(found)} trials trained" if found else "")
        + "."
    )
    if outcome.failed:
        raise CompassignError("\n".join(f"{s}: {m}" for s, m in outcome.failed.items()))
    return found


@contextmanager
def _progress(expected: Sequence[Expected]) -> Iterator[Callable[[], None]]:
    """A bar on stderr; the function given is called before each piece of work, in order."""
    sizes = weights(expected)
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[place]}"),
        TimeRemainingColumn(), transient=True, console=console, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=sum(sizes), place="")
        begun = 0

        def begin() -> None:
            nonlocal begun
            bar.update(
                task,
                completed=sum(sizes[:begun]),
                description=expected[begun].title,
                place=f"{begun + 1} of {len(expected)}",
            )
            begun += 1

        yield begin
