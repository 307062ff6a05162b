"""`compassign check EXPORT`: a verdict on an export before anything is made of it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from compassign_core.cli.output import show
from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.identifiers import parse_lib
from compassign_core.contracts.settings.libraries import (
    ChemistrySources,
    Libraries,
    LibrarySettings,
    load_libraries,
)
from compassign_core.pipeline.inspection import Finding, inspect_library, worst
from compassign_core.store.project import current_project

_SAYS = {
    "ok": "this export can be used.",
    "look": "this export can be used; look at the lines marked look first.",
    "stop": "this export cannot be used before the lines marked stop are mended.",
}
_METADATA = "metadata/sample_sets_lib{lib}.csv"
_COMP_CHEM = "mappings/lib_comp_chem_mapping_lib{lib}.csv"


def check(
    export: Annotated[
        Path | None,
        typer.Argument(help="Folder of an export; without it, a library of libraries.toml."),
    ] = None,
    lib: Annotated[str | None, typer.Option(help="Library; all of the folder by default.")] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="List of sample sets, when not in its usual place.")
    ] = None,
    comp_chem: Annotated[
        Path | None, typer.Option(help="List of chemicals, when not in its usual place.")
    ] = None,
    species_column: Annotated[
        str, typer.Option(help="Column of --metadata with the species.")
    ] = "species_matrix_type",
    group_column: Annotated[
        str, typer.Option(help="Column of --metadata with the supercategory.")
    ] = "group",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at an export and say whether it can be used; ends with code 1 when it cannot."""
    project = current_project()
    if export is None:
        if lib is None:
            raise SettingsError("there is nothing to check.", "give a folder, or --lib.")
        libraries, libs = project.libraries, [parse_lib(lib)]
    else:
        asked = parse_lib(lib) if lib else None
        found = _described(export.resolve(), asked)
        if found is None:
            lists = (metadata, comp_chem)
            found = _bare(export.resolve(), asked, lists, (species_column, group_column))
        libraries = found
        libs = [asked] if asked else list(libraries.library)
    verdicts = {one: inspect_library(libraries, one, project) for one in libs}
    if as_json:
        typer.echo(json.dumps({one: _record(found) for one, found in verdicts.items()}, indent=1))
    else:
        for one, findings in verdicts.items():
            show(
                ("verdict", "what", "finding", "what to do"),
                [(f.verdict, f.subject, escape(f.sentence), escape(f.advice)) for f in findings],
            )
            typer.echo(f"library {one}: {_SAYS[worst(findings)]}")
    if any(worst(findings) == "stop" for findings in verdicts.values()):
        raise typer.Exit(1)


def _record(findings: list[Finding]) -> dict[str, object]:
    return {"verdict": worst(findings), "findings": [asdict(one) for one in findings]}


def _described(folder: Path, lib: int | None) -> Libraries | None:
    """The export's own `libraries.toml`, where it has one."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}.", "correct the path of the export.")
    file = folder / "libraries.toml"
    libraries = load_libraries(file) if file.is_file() else None
    if libraries is not None and lib is not None:
        libraries.get(lib)
    return libraries


def _bare(
    folder: Path,
    lib: int | None,
    lists: tuple[Path | None, Path | None],
    columns: tuple[str, str],
) -> Libraries:
    """Describe an export that nobody has described: its lists in their usual places."""
    there = [path.name.partition("=")[2] for path in folder.glob("create_training_data/lib_id=*")]
    libs = [lib] if lib else sorted(map(parse_lib, there))
    if not libs:
        raise InputError(
            f"{folder} holds no create_training_data/lib_id=…/, so it is no export.",
            "give the folder in which create_training_data and combine_predictors are, or --lib.",
        )
    if len(libs) > 1 and any(lists):
        raise SettingsError(
            f"--metadata and --comp-chem are of one library; {folder.name} holds {libs}.",
            "add --lib.",
        )
    species, group = columns
    entries = {}
    for one in libs:
        named = {
            "metadata": lists[0] or folder / _METADATA.format(lib=one),
            "comp_chem": lists[1] or folder / _COMP_CHEM.format(lib=one),
        }
        for name, path in named.items():
            if not path.is_file():
                raise InputError(
                    f"library {one}: there is no {path}.",
                    f"put the list there, or name it with --{name.replace('_', '-')}.",
                )
        relative = {name: os.path.relpath(path, folder) for name, path in named.items()}
        entries[one] = LibrarySettings(
            title=folder.name, export=".", species_raw=species, group=group, **relative
        )
    chemistry = ChemistrySources(structures="structures.parquet")
    return Libraries(folder=folder, chemistry=chemistry, library=entries)
