"""The section on calibration: promised against measured coverage, probability transforms."""

from __future__ import annotations

from compassign_core.report.figures.calibration import calibration_curve
from compassign_core.report.figures.transforms import MOST_FREQUENT, pit_panels
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.sections.embedding import figure_block


def calibration_section(inputs: ReportInputs) -> list[object]:
    """Show the calibration curve and the PIT histograms."""
    curve = figure_block(
        inputs,
        "calibration-curve",
        "Promised and measured coverage",
        calibration_curve(inputs.evaluation, inputs.pit, inputs.default_model),
        "Below the diagonal windows are too narrow, above it too wide. Markers are the windows of "
        "50, 80, 95 and 99 % as they are made, with binomial intervals that take peaks as "
        "independent; lines are the Student-t distribution behind them, at every tenth.",
    )
    pit = figure_block(
        inputs,
        "pit-histogram",
        "Where peaks fall in their distribution (PIT)",
        pit_panels(inputs.pit, inputs.default_model),
        "A flat histogram within the dotted band is right; a hump in the middle means too wide, "
        "high ends too narrow, a slope biased. In the band fall 95 of 100 bars by chance when the "
        "distribution is right and peaks are independent; peaks of one run are not, so expect "
        f"more hatched bars than that. Bars above {MOST_FREQUENT:g} leave the panel.",
    )
    return [curve, pit]
