"""`compassign rt evaluate` and `compare`: the stored kinds, or trials together with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from compassign_core.cli.judging import (
    ACCURACY,
    Out,
    Trials,
    check_value,
    is_own_look,
    line_up,
    show_rows,
    summarised,
)
from compassign_core.cli.setting_flags import EVALUATION_FLAGS, TRIAL_FLAGS, with_flags
from compassign_core.cli.trial_request import Quick, TrialRequest
from compassign_core.cli.work import Caps, Force, Kinds, Libs, bring, places_of
from compassign_core.contracts.catalogue import (
    COMPARISON_SLICES,
    EVALUATION_SLICES,
    RT_COMPARISON,
    RT_EVALUATION,
)
from compassign_core.contracts.settings.models import MODELS
from compassign_core.pipeline.evaluation import COMPARISON
from compassign_core.pipeline.trials.judging import baselines_for
from compassign_core.pipeline.trials.quick import RESAMPLES
from compassign_core.store.project import current_project

_DIFFERENCES = (
    "model", "baseline", "level", "n_rows", "n_units", "baseline_value", "model_value",
    "difference", "low", "high",
)  # fmt: skip

Baselines = Annotated[
    list[str] | None,
    typer.Option("--baseline", help="Kind or trial to compare with; repeat for several."),
]


@with_flags((*TRIAL_FLAGS, *EVALUATION_FLAGS))
def evaluate(
    libs: Libs,
    cap: Caps = "100",
    by: Annotated[str, typer.Option(help=", ".join(EVALUATION_SLICES))] = "overall",
    model: Kinds = None,
    trial: Trials = None,
    quick: Quick = False,
    out: Out = None,
    force: Force = False,
    *,
    given: dict[str, Any],
) -> None:
    """Evaluate models on the held-out sample sets (times in minutes).

    Without further options these are the stored figures of all kinds. Trials, those named with
    --trial and those that changed settings make, are judged together with the stored kinds (or
    those named with --model) and nothing of it is kept.
    """
    check_value("--by", by, RT_EVALUATION, "slice")
    request = TrialRequest.of(given, model or (), None, quick)
    places = places_of(libs, cap)
    lake = current_project().lake
    if is_own_look(request, trial):
        from compassign_core.rt.evaluation import evaluate as judge

        models = line_up(request, trial or (), places, force=force)
        tables = summarised(
            {place: models.at(place) for place in places},
            models.evaluation,
            lambda rows: judge(rows.predictions, lake.connection),
        )
    else:
        bring(["rt_evaluation"], places, force)
        tables = {place: lake.arrow("rt_evaluation", place) for place in places}
    show_rows(tables, {"slice": by}, ACCURACY, out)


@with_flags((*TRIAL_FLAGS, *EVALUATION_FLAGS))
def compare(
    libs: Libs,
    cap: Caps = "100",
    by: Annotated[str, typer.Option(help=", ".join(COMPARISON_SLICES))] = "overall",
    metric: Annotated[str, typer.Option(help="rmse, mae, crps, width95 or cov95.")] = "rmse",
    model: Kinds = None,
    trial: Trials = None,
    baseline: Baselines = None,
    quick: Quick = False,
    out: Out = None,
    force: Force = False,
    *,
    given: dict[str, Any],
) -> None:
    """Compare models with baselines on the same peaks, with 95 % intervals by sample set.

    Without further options these are the stored figures of all kinds. A trial is compared with the
    kind it was made from and with the usual baselines, unless --baseline names others; the
    differences of stored kinds are printed beside it only if --model names them.
    """
    check_value("--by", by, RT_COMPARISON, "slice")
    check_value("--metric", metric, RT_COMPARISON, "metric")
    request = TrialRequest.of(given, model or (), None, quick)
    places = places_of(libs, cap)
    lake = current_project().lake
    printed: Sequence[str]
    if is_own_look(request, trial) or baseline:
        from compassign_core.rt.comparison import compare as judge

        beside = [name for name in (*(baseline or ()), *COMPARISON.baselines) if name in MODELS]
        models = line_up(request, trial or (), places, force=force, extra_kinds=beside)
        chosen = COMPARISON.model_copy(
            update={
                "baselines": baselines_for(models.tried, models.names, baseline or ()),
                **({"n_bootstrap": RESAMPLES} if quick else {}),
            }
        )
        tables = summarised(
            {place: models.at(place) for place in places},
            models.evaluation,
            lambda rows: judge(rows.predictions, chosen, lake.connection),
        )
        printed = () if not models.tried else [*(one.name for one in models.tried), *request.kinds]
    else:
        printed = ()
        bring(["rt_comparison"], places, force)
        tables = {place: lake.arrow("rt_comparison", place) for place in places}
    show_rows(tables, {"slice": by, "metric": metric}, _DIFFERENCES, out, printed)
