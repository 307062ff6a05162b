"""Training a trial: on what the artifacts of its kind are trained on, into a place of its own."""

from __future__ import annotations

import json
import time

import pyarrow as pa

from compassign_core.pipeline.estimate import Expected
from compassign_core.pipeline.lineage import code_version, file_hash
from compassign_core.pipeline.models import COEFFICIENTS_FILE, coefficients_name, fit
from compassign_core.pipeline.timing import Took, expected_seconds, table_rows, times_of
from compassign_core.pipeline.trials.definition import Trial
from compassign_core.pipeline.trials.shelf import (
    TRIAL_FILE,
    Stored,
    check_same_definition,
    find,
    inputs_now,
    reads,
    stored_trials,
    trial_folder,
)
from compassign_core.store.atomic import write_text
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project


def train_trial(project: Project, trial: Trial, place: Partition) -> Stored:
    """Train a trial for a library and cap, and put it in the place of an older one.

    Raises
    ------
    SettingsError
        when another trial has this name.
    MissingArtifactError
        when the RT table or the descriptors have not been made.
    InputError
        when the table cannot be trained on.
    """
    lake = project.lake
    check_same_definition(lake, trial)
    started = time.perf_counter()
    inputs = inputs_now(project, trial, place)
    table = lake.source("rt_table", place)
    descriptors: pa.Table | None = None
    if "chem_descriptors" in reads(trial):
        descriptors = lake.arrow("chem_descriptors", Partition())
    model = fit(
        project,
        trial.settings,
        table,
        descriptors,
        model=trial.name,
        fingerprint=str(inputs),
        windows=trial.windows,
        limits=trial.limits,
    )
    folder = trial_folder(lake, trial.name, place)
    model.save(folder / COEFFICIENTS_FILE)
    facts = {
        "name": trial.name,
        **trial.definition(),
        "changed": trial.changed(),
        "inputs": inputs,
        "code": code_version(("rt",)),
        "output": file_hash(folder / COEFFICIENTS_FILE),
        "groups": model.n_groups,
        "rows": int(model.n_train.sum()),
        "input_rows": table_rows([lake.need("rt_table", place)]),
        "seconds": round(time.perf_counter() - started, 3),
    }
    # The record comes last and names the checksum of the model: with a run that was cut off in
    # between they do not fit, and the trial counts as not current.
    write_text(folder / TRIAL_FILE, json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return Stored(trial, place, folder / COEFFICIENTS_FILE, facts)


def is_current(project: Project, trial: Trial, place: Partition) -> bool:
    """Whether training the trial again could change nothing."""
    found = find(project.lake, trial.name, place)
    return (
        found is not None
        and found.trial == trial
        and found.facts["inputs"] == inputs_now(project, trial, place)
        and found.facts["code"] == code_version(("rt",))
        and found.facts["output"] == file_hash(found.model)
    )


def expect_trial(project: Project, trial: Trial, place: Partition, *, to_do: bool) -> Expected:
    """How long training will take, by earlier trials of the same kind and method, and the kind."""
    title = f"{trial.name}, {place}"
    if not to_do:
        return Expected(title, False, 0.0)
    rows = table_rows([project.lake.file("rt_table", place)])
    method = getattr(trial.settings, "method", None)
    history = [
        Took(float(one.facts["seconds"]), int(one.facts["rows"]))
        for one in stored_trials(project.lake)
        if one.trial.kind == trial.kind and getattr(one.trial.settings, "method", None) == method
    ]
    if "method" not in trial.changed():
        history += times_of(project, coefficients_name(trial.kind))
    if rows is not None and trial.limits.max_train_rows:
        rows = min(rows, trial.limits.max_train_rows)
    return Expected(title, True, expected_seconds(history, rows))
