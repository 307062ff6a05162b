"""`compassign rt train`: models of all kinds, or trials with changed settings or fewer rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from compassign_core.cli.judging import evaluation_settings, show_accuracy
from compassign_core.cli.setting_flags import EVALUATION_FLAGS, TRIAL_FLAGS, with_flags
from compassign_core.cli.trial_request import Name, Quick, TrialRequest
from compassign_core.cli.work import Caps, Force, Kinds, Libs, bring, check_kinds, places_of
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.models import DEFAULT_MODEL, MODELS
from compassign_core.pipeline.evaluation import COMPARISON
from compassign_core.pipeline.models import COEFFICIENTS_FILE, coefficients_name
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project


@with_flags((*TRIAL_FLAGS, *EVALUATION_FLAGS))
def train(
    libs: Libs,
    cap: Caps = "100",
    model: Kinds = None,
    name: Name = None,
    quick: Quick = False,
    force: Force = False,
    *,
    given: dict[str, Any],
) -> None:
    """Train models and everything before them that is not current.

    A changed setting or a limit makes a trial, of the default model unless --model names another
    kind: it lies beside the models of the kinds and replaces none of them. Its accuracy on the
    held-out rows is printed with that of the default model and the baselines.
    """
    check_kinds(model or ())
    request = TrialRequest.of(given, model or (), name, quick)
    places = places_of(libs, cap)
    if request.wanted:
        _train_trials(request, places, force)
        return
    if request.evaluation:
        raise SettingsError(
            f"{', '.join(request.evaluation)}: only trials are judged after training, but nothing "
            "was changed.",
            "change a setting or limit the training rows, or use `compassign rt evaluate`.",
        )
    kinds = model or list(MODELS)
    bring([coefficients_name(kind) for kind in kinds], places, force)
    lake = current_project().lake
    for place in places:
        for kind in kinds:
            path = lake.need(coefficients_name(kind), place, COEFFICIENTS_FILE)
            typer.echo(f"{place} · {kind} · {path}")


def _train_trials(request: TrialRequest, places: Sequence[Partition], force: bool) -> None:
    trials = request.trials()
    evaluation = evaluation_settings(request)
    request.say_what_was_cut(evaluation)
    found = bring(request.targets(), places, force, trials)
    for (name, place), stored in found.items():
        facts = stored.facts
        typer.echo(
            f"{place} · {name} · {facts['rows']:,} of {facts['input_rows']:,} rows, "
            f"{facts['groups']:,} groups, {facts['seconds']:.1f} s · {stored.model}"
        )
    lake = current_project().lake
    kinds = dict.fromkeys((DEFAULT_MODEL, *COMPARISON.baselines))
    models: dict[Partition, dict[str, Path]] = {}
    for place in places:
        models[place] = {one.name: found[one.name, place].model for one in trials} | {
            kind: lake.file(coefficients_name(kind), place, COEFFICIENTS_FILE)
            for kind in kinds
            if lake.exists(coefficients_name(kind), place, COEFFICIENTS_FILE)
        }
    show_accuracy(models, evaluation)
