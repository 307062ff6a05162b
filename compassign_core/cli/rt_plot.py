"""`compassign rt plot`: the reports of the lake, or a page with trials on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from compassign_core.cli.judging import Trials, is_own_look, line_up
from compassign_core.cli.rt_evaluate import Baselines
from compassign_core.cli.setting_flags import EVALUATION_FLAGS, TRIAL_FLAGS, with_flags
from compassign_core.cli.trial_request import Quick, TrialRequest
from compassign_core.cli.work import Caps, Force, Kinds, Libs, bring, places_of
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.models import MODELS
from compassign_core.pipeline.evaluation import COMPARISON
from compassign_core.pipeline.trials.judging import baselines_for
from compassign_core.pipeline.trials.page import PAGE_READS, write_trial_report
from compassign_core.pipeline.trials.quick import RESAMPLES
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project


@with_flags((*TRIAL_FLAGS, *EVALUATION_FLAGS))
def plot(
    libs: Libs,
    cap: Caps = "100",
    model: Kinds = None,
    trial: Trials = None,
    baseline: Baselines = None,
    quick: Quick = False,
    out: Annotated[Path | None, typer.Option(help="Page with trials on it (.html).")] = None,
    force: Force = False,
    *,
    given: dict[str, Any],
) -> None:
    """Make the HTML reports with all figures and print where they are.

    With trials it is one page for one library and cap, written to --out; the first trial is the
    model whose windows, scales and residuals are shown.
    """
    request = TrialRequest.of(given, model or (), None, quick)
    places = places_of(libs, cap)
    lake = current_project().lake
    if not (is_own_look(request, trial) or baseline or out):
        for place in bring_reports(places, force):
            typer.echo(str(lake.need("rt_report", place, "report.html")))
        return
    place, target = _page_of(request, trial or (), places, out)
    beside = [name for name in (*(baseline or ()), *COMPARISON.baselines) if name in MODELS]
    models = line_up(
        request, trial or (), [place], force=force, extra_kinds=beside, extra_targets=PAGE_READS
    )
    chosen = COMPARISON.model_copy(
        update={
            "baselines": baselines_for(models.tried, models.names, baseline or ()),
            **({"n_bootstrap": RESAMPLES} if quick else {}),
        }
    )
    write_trial_report(
        current_project(),
        place,
        list(models.trials.values()),
        {kind: path for kind, path in models.at(place).items() if kind in models.kinds},
        models.evaluation,
        chosen,
        target,
    )
    typer.echo(str(target))


def bring_reports(places: Sequence[Partition], force: bool) -> Sequence[Partition]:
    """Make the stored reports."""
    bring(["rt_report"], places, force)
    return places


def _page_of(
    request: TrialRequest, named: Sequence[str], places: Sequence[Partition], out: Path | None
) -> tuple[Partition, Path]:
    """The library and cap of a page with trials, and its file.

    Raises
    ------
    SettingsError
        when there is no trial to show, no file, or more than one library and cap.
    """
    if not (request.wanted or named):
        raise SettingsError(
            "--out, --model, --baseline and --max-test-rows are for a page with trials, but there "
            "is no trial.",
            "name one with --trial, change a setting, or leave these options out.",
        )
    if out is None or out.suffix.lower() != ".html":
        raise SettingsError(
            f"a page with trials needs a file to write to, got --out {out}.",
            "name one that ends in .html; reports in the lake are made without trials.",
        )
    if len(places) != 1:
        raise SettingsError(
            f"--out {out.name} holds the page of one library and cap, but there are {len(places)}.",
            "name one library with --libs and one cap with --cap.",
        )
    if out.resolve().is_relative_to((current_project().root / "lake").resolve()):
        raise SettingsError(
            f"--out {out} lies in the lake, whose reports are made without trials.",
            "choose a path outside it.",
        )
    return places[0], out
