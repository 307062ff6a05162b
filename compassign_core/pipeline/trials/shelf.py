"""Where trials lie in the lake, and what is on record of each: finding, listing, removing."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compassign_core.contracts.errors import InputError, MissingArtifactError, SettingsError
from compassign_core.contracts.identifiers import check_trial_name, parse_cap, parse_lib
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.pipeline.lineage import checksums
from compassign_core.pipeline.models import COEFFICIENTS_FILE
from compassign_core.pipeline.trials.definition import Trial, from_definition
from compassign_core.store.lake import Lake, Partition
from compassign_core.store.project import Project

FOLDER = "trials"
TRIAL_FILE = "trial.json"


@dataclass(frozen=True)
class Stored:
    """A trial that was trained for a library and cap.

    Attributes
    ----------
    trial, place : what, and for which library and cap.
    model : file of its coefficient summaries.
    facts : what else is on record: ``inputs``, ``code`` and ``output`` as checksums, ``changed``,
        ``rows`` and ``groups`` trained on, ``input_rows``, ``seconds``.
    """

    trial: Trial
    place: Partition
    model: Path
    facts: dict[str, Any]


def trial_folder(lake: Lake, name: str, place: Partition) -> Path:
    """Where a trial of a library and cap is, or would be."""
    return lake.root / FOLDER / check_trial_name(name) / place.folder()


def reads(trial: Trial) -> tuple[str, ...]:
    """Artifacts that a trial is trained on."""
    chemistry = isinstance(trial.settings, PoolingSettings) and trial.settings.chemistry
    return ("rt_table", "chem_descriptors") if chemistry else ("rt_table",)


def inputs_now(project: Project, trial: Trial, place: Partition) -> dict[str, str]:
    """Checksums of what the trial would be trained on now."""
    return checksums(project, reads(trial), place)


def find(lake: Lake, name: str, place: Partition) -> Stored | None:
    """The trial of this name as it was trained for a library and cap, if it was.

    Raises
    ------
    InputError, SettingsError
        when what is on record cannot be read.
    """
    path = trial_folder(lake, name, place) / TRIAL_FILE
    return _read(path, name, place) if path.is_file() else None


def need(project: Project, name: str, place: Partition) -> Stored:
    """The trial of this name, trained on what is in the lake now.

    Raises
    ------
    MissingArtifactError
        when it was not trained for this library and cap; names those it was trained for.
    InputError
        when it was trained on other data: rows that are held out now may have been among them.
    """
    found = find(project.lake, name, place)
    if found is None or not found.model.is_file():
        places = [str(place) for _, _, place in _records(project.lake, name)]
        known = sorted({one for _, one, _ in _records(project.lake)})
        raise MissingArtifactError(
            f"trial {name!r} has not been trained for {place}"
            + (f", only for {', '.join(places)}." if places else "."),
            "train it with `compassign rt train` and its settings"
            + (f"; there are {', '.join(known)}." if known else "; there is no trial yet."),
        )
    if found.facts["inputs"] != inputs_now(project, found.trial, place):
        raise InputError(
            f"trial {name!r} was trained for {place} on a table that has changed since.",
            f"train it again with the same flags and --name {name}, or remove it with "
            f"`compassign rt trials --remove {name}`.",
        )
    return found


def stored_trials(lake: Lake, name: str | None = None) -> list[Stored]:
    """Trials of the lake, or those of one name; records that cannot be read are left out."""
    found = []
    for path, known, place in _records(lake, name):
        try:
            found.append(_read(path, known, place))
        except (InputError, SettingsError):
            continue
    return found


def unreadable(lake: Lake) -> dict[str, str]:
    """What is wrong with records that cannot be read, by the name of their trial."""
    found = {}
    for path, name, place in _records(lake):
        try:
            _read(path, name, place)
        except (InputError, SettingsError) as error:
            found[name] = error.problem
    return found


def remove(lake: Lake, name: str) -> list[Partition]:
    """Delete a trial for all libraries and caps; returns for which it was there.

    Raises
    ------
    MissingArtifactError
        when there is no trial of this name.
    """
    folder = lake.root / FOLDER / check_trial_name(name)
    if not folder.is_dir():
        known = sorted({name for _, name, _ in _records(lake)})
        raise MissingArtifactError(
            f"there is no trial {name!r}.",
            f"choose one of {', '.join(known)}." if known else "there is no trial at all.",
        )
    places = [place for _, _, place in _records(lake, name)]
    # Renamed first, so that a removal that is cut off leaves no half of a trial behind.
    going = folder.with_name(f".{name}.removed")
    shutil.rmtree(going, ignore_errors=True)
    folder.rename(going)
    shutil.rmtree(going)
    return places


def check_same_definition(lake: Lake, trial: Trial) -> None:
    """Refuse a name under which another trial lies; one name means one thing for all libraries.

    Raises
    ------
    SettingsError
        naming what lies there.
    """
    for one in stored_trials(lake, trial.name):
        if one.trial != trial:
            raise SettingsError(
                f"trial {trial.name!r} is there already for {one.place}, as "
                f"{one.trial.describe()}.",
                "choose another --name, or remove that one first with `compassign rt trials "
                f"--remove {trial.name}`.",
            )


def _records(lake: Lake, name: str | None = None) -> list[tuple[Path, str, Partition]]:
    """Record, name and place of every trial, or of those of one name, in that order."""
    found = []
    pattern = f"{'*' if name is None else check_trial_name(name)}/lib_id=*/row_cap=*/{TRIAL_FILE}"
    for path in (lake.root / FOLDER).glob(pattern):
        cap, lib, known = (folder.name for folder in path.parents[:3])
        try:
            place = Partition(parse_lib(lib.partition("=")[2]), parse_cap(cap.partition("=")[2]))
            found.append((path, check_trial_name(known), place))
        except SettingsError:
            continue  # nothing that training wrote
    return sorted(found, key=lambda one: (one[1], one[2].lib or 0, one[2].cap or 0))


def _read(path: Path, name: str, place: Partition) -> Stored:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        trial = from_definition(name, facts, str(path))
        if not {"inputs", "code", "output", "seconds", "rows", "input_rows"} <= facts.keys():
            raise ValueError("a field is missing")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read as the record of a trial: {error}.",
            "delete the folder of this trial and train it again.",
        ) from error
    return Stored(trial, place, path.with_name(COEFFICIENTS_FILE), facts)
