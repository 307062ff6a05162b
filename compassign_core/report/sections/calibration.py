"""The section on calibration: promised against measured coverage."""

from __future__ import annotations

from compassign_core.report.figures.calibration import (
    MOST_FREQUENT,
    calibration_curve,
    pit_histogram,
)
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import element
from compassign_core.report.sections.embedding import figure_block


def calibration_section(inputs: ReportInputs) -> list[object]:
    """Show the calibration curve and the PIT histogram."""
    curve = figure_block(
        inputs,
        "calibration-curve",
        "Promised and measured coverage",
        calibration_curve(inputs.predictions, inputs.default_model),
        "Below the diagonal windows are too narrow, above it too wide. The curve judges the "
        "Student-t distribution of each peak at every level; the windows in the table are judged "
        "at 95 % only.",
    )
    pit = figure_block(
        inputs,
        "pit-histogram",
        "Where peaks fall in their distribution",
        pit_histogram(inputs.predictions, inputs.default_model),
        "A flat line is right. A hump in the middle: too wide; high ends: too narrow; "
        f"a slope: biased. Lines that rise above {MOST_FREQUENT:g} leave the figure: far too wide.",
    )
    return [element("div", curve, pit, class_="pair")]
