"""`compassign import`: a look at results of another program, and bringing them in."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from compassign_core.cli.output import show
from compassign_core.cli.work import bring
from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.identifiers import first, parse_lib
from compassign_core.prep.importers.guess import Contents, guess_kind, proposal, try_to_look
from compassign_core.store.engine import connect
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project, current_project
from compassign_core.store.steps import STEP_FILE

app = typer.Typer(
    help="Results of Skyline, MassHunter, TargetLynx, mzTab-M or any long table as a library.",
    no_args_is_help=True,
)

_STEPS = ("imported_peaks", "run_covariates", "lib_training")
_SHOWN_NAMES = 5


@app.command("inspect")
def inspect(
    file: Annotated[Path, typer.Argument(help="A file of results.")],
    lib: Annotated[str, typer.Option(help="Number that the library shall have.")] = "1000",
) -> None:
    """Say what a file of results seems to be, and propose its entry for libraries.toml."""
    if not file.is_file():
        raise InputError(f"there is no file {file}.", "give the path of a file of results.")
    number = parse_lib(lib)
    guess = guess_kind(file)
    with TemporaryDirectory() as folder:
        contents, problem = try_to_look(connect(), file, guess, Path(folder))
    typer.echo(f"{file.name}: looks like {guess.kind}")
    if guess.names:
        typer.echo(f"  columns    {first(guess.names)}")
    if contents is None:
        typer.echo(f"  not read: {problem}")
    else:
        _say(contents)
    typer.echo("\nA beginning for libraries.toml (replace every …; docs/tutorials/import.md):\n")
    typer.echo(proposal(number, _shown(file), guess, contents))


@app.command("run")
def run(
    lib: Annotated[str, typer.Option(help="Library, for example 1000.")],
) -> None:
    """Bring a library's results in, and say what became of every row."""
    number = parse_lib(lib)
    project = current_project()
    if project.library(number).import_ is None:
        raise SettingsError(
            f"library {number} has no section [library.{number}.import].",
            "`compassign import inspect FILE` proposes one.",
        )
    place = Partition(number)
    bring(["lib_training"], [place])
    show(("step", "rows in", "rows out", "what became of the others"), _fates(project, place))


def _say(contents: Contents) -> None:
    found = f"{contents.n_found:,} with a retention time"
    typer.echo(f"  rows       {contents.n_rows:,}, {found}")
    typer.echo(f"  runs       {len(contents.runs):,}: {first(contents.runs, _SHOWN_NAMES)}")
    names = first(contents.compounds, _SHOWN_NAMES)
    typer.echo(f"  compounds  {len(contents.compounds):,}: {names}")
    if contents.rt is not None:
        low, middle, high = contents.rt
        unit = "seconds" if contents.in_seconds else "minutes"
        typer.echo(f"  times      {low:g} to {high:g}, median {middle:g}: probably {unit}")
    if contents.standards:
        typer.echo(
            f"  standards  {len(contents.standards):,}?: {first(contents.standards, _SHOWN_NAMES)}"
        )


def _shown(file: Path) -> str:
    """Path from the data folder, where the file lies in it."""
    data = current_project().data
    whole = file.resolve()
    return whole.relative_to(data).as_posix() if whole.is_relative_to(data) else file.name


def _fates(project: Project, place: Partition) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name in _STEPS:
        facts = json.loads(project.lake.need(name, place, STEP_FILE).read_text(encoding="utf-8"))
        others = [f"{n:,} set aside: {reason}" for reason, n in facts["set_aside"].items()]
        others += [f"{n:,} refused: {reason}" for reason, n in facts["rejects"].items()]
        rows.append((name, f"{facts['rows_in']:,}", f"{facts['rows_out']:,}", "\n".join(others)))
    return rows
