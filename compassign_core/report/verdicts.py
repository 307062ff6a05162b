"""Traffic lights: a number, the rule it is held against, and what to do.

The rules stand here as constants and are printed on the page beside each light. Bounds belong
to the better side, so exactly 2 points off is still good. Lights on the model alone stand in
`model_verdicts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from compassign_core.report.inputs import ReportInputs, StepCount
from compassign_core.report.light import Verdict, distance_rule, graded, nothing, share_rule
from compassign_core.report.markup import percent
from compassign_core.report.model_verdicts import cells_verdict, fit_verdict
from compassign_core.report.run_summaries import (
    STANDOUT_COVERAGE,
    STANDOUT_ROWS,
    RunResiduals,
    missing_standards,
    residuals_by_run,
)
from compassign_core.report.summaries import evaluation_rows

NOMINAL = 0.95
COVERAGE_POINTS = (0.02, 0.05)
BIN_POINTS = (0.05, 0.10)
BIN_ROWS = 50
UNSCORED_SHARES = (0.01, 0.05)
REJECT_SHARES = (0.05, 0.30)
MISSING_SHARES = (0.02, 0.10)
STANDOUT_SHARES = (0.0, 0.05)


def coverage_verdict(coverage: float | None, n_scored: int) -> Verdict:
    """Judge the overall coverage of the default model."""
    name = "Coverage of the windows"
    rule = distance_rule(COVERAGE_POINTS)
    if coverage is None or not n_scored or math.isnan(coverage):
        return nothing(name, rule, "No held-out peaks were scored, so coverage is unknown.")
    status = graded(abs(coverage - NOMINAL), COVERAGE_POINTS)
    finding = f"{percent(coverage)} of {n_scored:,} held-out peaks fall in their 95 % window."
    advice = ""
    if status != "good" and coverage < NOMINAL:
        advice = (
            "Windows are too narrow: widen search windows by hand for now, then look for drifted "
            "runs below and recalibrate with more held-out runs."
        )
    elif status != "good":
        advice = (
            "Windows are wider than needed: peaks are safe, but more wrong candidates fall in. "
            "Recalibrate with more held-out runs."
        )
    return Verdict(name, status, finding, rule, advice)


def bin_verdict(bins: Sequence[tuple[str, float, int]]) -> Verdict:
    """Judge the worst support bin; `bins` are (bin, coverage, scored rows)."""
    name = "Coverage where data are few"
    rule = f"{distance_rule(BIN_POINTS)} Bins with fewer than {BIN_ROWS} peaks are not judged."
    judged = [(b, c, n) for b, c, n in bins if n >= BIN_ROWS and not math.isnan(c)]
    if not judged:
        return nothing(name, rule, f"No support bin has {BIN_ROWS} scored held-out peaks.")
    worst, coverage, n = max(judged, key=lambda item: (abs(item[1] - NOMINAL), item[0]))
    status = graded(abs(coverage - NOMINAL), BIN_POINTS)
    finding = (
        f"Farthest from 95 %: {percent(coverage)} for compounds with {worst} training rows "
        f"({n:,} peaks)."
    )
    advice = (
        ""
        if status == "good"
        else "Treat windows of this bin with care and curate a few more peaks of these compounds."
    )
    return Verdict(name, status, finding, rule, advice)


def unscored_verdict(n_rows: int, n_unscored: int) -> Verdict:
    """Judge the share of held-out peaks that got no prediction."""
    name = "Peaks without prediction"
    rule = share_rule(UNSCORED_SHARES)
    if not n_rows:
        return nothing(name, rule, "There are no held-out peaks.")
    status = graded(n_unscored / n_rows, UNSCORED_SHARES)
    finding = (
        f"{n_unscored:,} of {n_rows:,} held-out peaks ({percent(n_unscored / n_rows)}) unscored."
    )
    advice = (
        ""
        if status == "good"
        else "See the novelty table: add training data for these compounds or use a model that "
        "scores unseen ones."
    )
    return Verdict(name, status, finding, rule, advice)


def rejects_verdict(steps: Sequence[StepCount]) -> Verdict:
    """Judge the step that refused the largest share of its rows as faulty."""
    name = "Rows refused on the way in"
    rule = (
        f"{share_rule(REJECT_SHARES)} The step that refuses most counts; rows that the lab's own "
        "curation leaves out do not."
    )
    read = [step for step in steps if step.rows_in > 0]
    if not read:
        return nothing(name, rule, "No step read any rows.")
    worst = max(read, key=lambda step: sum(step.faulty.values()) / step.rows_in)
    faulty = sum(worst.faulty.values())
    share = faulty / worst.rows_in
    status = graded(share, REJECT_SHARES)
    if not faulty:
        return Verdict(name, status, "No row was refused as faulty.", rule)
    reason = max(sorted(worst.faulty), key=lambda key: worst.faulty[key])
    finding = (
        f"{worst.step} refused {faulty:,} of {worst.rows_in:,} rows ({percent(share)}), "
        f"mostly for: {reason}."
    )
    advice = (
        ""
        if status == "good"
        else "Check that this is meant: open the step's rejects table, correct the export or the "
        "mapping, and run again."
    )
    return Verdict(name, status, finding, rule, advice)


def standards_verdict(missing: dict[str, float]) -> Verdict:
    """Judge the share of missing standards; `missing` is the share of runs by standard."""
    name = "Standards found"
    rule = share_rule(MISSING_SHARES, "missing values")
    shares = {key: share for key, share in sorted(missing.items()) if not math.isnan(share)}
    if not shares:
        return nothing(name, rule, "The runs carry no standards; drift cannot be corrected.")
    share = float(np.mean(list(shares.values())))
    status = graded(share, MISSING_SHARES)
    worst = max(shares, key=lambda key: shares[key])
    finding = f"{percent(share)} of the standards' retention times are missing"
    finding += (
        f"; worst is {worst} ({percent(shares[worst], 0)} of runs)." if shares[worst] > 0 else "."
    )
    advice = (
        ""
        if status == "good"
        else "Check spiking and peak picking of this standard; the model puts the training mean in "
        "its place, which corrects nothing."
    )
    return Verdict(name, status, finding, rule, advice)


def runs_verdict(runs: RunResiduals) -> Verdict:
    """Judge how many held-out runs fall outside their windows as a whole."""
    name = "Runs that stand out"
    rule = (
        f"A run stands out when under {percent(STANDOUT_COVERAGE, 0)} of {STANDOUT_ROWS} or "
        f"more peaks are covered. Good: none. Look: up to {percent(STANDOUT_SHARES[1], 0)} of runs."
    )
    judged = int(((runs.n >= STANDOUT_ROWS) & np.isfinite(runs.covered)).sum())
    if not judged:
        return nothing(name, rule, f"No held-out run has {STANDOUT_ROWS} scored peaks.")
    found = int(runs.stands_out.sum())
    status = graded(found / judged, STANDOUT_SHARES)
    finding = f"{found:,} of {judged:,} held-out runs stand out."
    advice = (
        ""
        if status == "good"
        else "Look at the standards of these runs (listed below the figure of residuals): column, "
        "gradient or injection trouble shows there first."
    )
    return Verdict(name, status, finding, rule, advice)


def calibration_verdict(calibrated: bool | None) -> Verdict:
    """Judge whether the default model's windows were corrected on runs it had not seen."""
    name = "Calibration"
    rule = "Good: windows were corrected on runs left out of the fit."
    if calibrated is None:
        return nothing(name, rule, "There is no model card for the default model.")
    if calibrated:
        return Verdict(name, "good", "Windows were corrected on runs left out of the fit.", rule)
    return Verdict(
        name,
        "look",
        "Windows come from the model alone, uncorrected.",
        rule,
        "Trust the measured coverage above, not the nominal one; turn calibration on.",
    )


def verdicts(inputs: ReportInputs) -> list[Verdict]:
    """All lights of a page, most important first; `inputs` as from `in_order`."""
    model = inputs.default_model
    overall = [r for r in evaluation_rows(inputs.evaluation, "overall") if r["model"] == model]
    bins = [r for r in evaluation_rows(inputs.evaluation, "support_bin") if r["model"] == model]
    row = overall[0] if overall else {"n_rows": 0, "n_scored": 0, "n_unscored": 0, "cov95": None}
    card = inputs.models.get(model)
    return [
        coverage_verdict(_number(row["cov95"]), int(str(row["n_scored"]))),
        bin_verdict(
            [(str(r["level"]), _number(r["cov95"]), int(str(r["n_scored"]))) for r in bins]
        ),
        runs_verdict(residuals_by_run(inputs.held_out.runs, inputs.runs, model)),
        unscored_verdict(int(str(row["n_rows"])), int(str(row["n_unscored"]))),
        cells_verdict(inputs.held_out.cells),
        fit_verdict(inputs.diagnostics, model),
        standards_verdict(missing_standards(inputs.runs)),
        rejects_verdict(inputs.steps),
        calibration_verdict(card.calibrated if card else None),
    ]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
