"""The sections over runs: residuals of held-out runs, drift of the standards."""

from __future__ import annotations

from compassign_core.report.figures.calibration import residual_histogram
from compassign_core.report.figures.runs import residuals_by_run_order, standards_drift
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import count, minutes, percent, table
from compassign_core.report.run_summaries import missing_standards, residuals_by_run
from compassign_core.report.sections.embedding import figure_block


def residuals_section(inputs: ReportInputs) -> list[object]:
    """Show residuals over run order, the runs that stand out, and their histogram."""
    found = residuals_by_run(inputs.held_out.runs, inputs.runs, inputs.default_model)
    figure = figure_block(
        inputs,
        "residuals-by-run",
        f"Residuals of {inputs.default_model} over run order",
        residuals_by_run_order(inputs.held_out.runs, inputs.runs, inputs.default_model),
        "Each point is a held-out run: the median over its peaks; the band holds the middle 80 % "
        "of them. A step or slope that the standards below share is drift the model left over.",
    )
    histogram = figure_block(
        inputs,
        "residual-histogram",
        f"Residuals of {inputs.default_model}",
        residual_histogram(inputs.held_out, inputs.default_model),
        "Observed minus predicted retention time; the outermost 1 % is not drawn.",
    )
    out = found.stands_out
    if not out.any():
        return [figure, histogram]
    order = found.covered[out].argsort(kind="stable")
    labels = found.index.labels()
    rows = [
        [labels[p], count(int(n)), minutes(float(m)), percent(float(c))]
        for p, n, m, c in zip(
            found.place[out][order],
            found.n[out][order],
            found.median[out][order],
            found.covered[out][order],
            strict=True,
        )
    ]
    header = ["Run", "Peaks", "Median residual (min)", "Covered"]
    caption = "Runs that stand out, worst first (up to 50)"
    return [figure, table(header, rows[:50], caption=caption), histogram]


def standards_section(inputs: ReportInputs) -> list[object]:
    """Show the drift of the standards, and those that are missing in some runs."""
    figure = figure_block(
        inputs,
        "standards-drift",
        "Drift of the standards",
        standards_drift(inputs.runs),
        "Each line is one standard, as the distance from its own median over all runs; the thick "
        "line is their mean without the lowest and highest fifth. Click a "
        "name to hide it, double-click to see it alone. The axis shows the inner 99 %; "
        "double-click the figure to see everything.",
    )
    missing = missing_standards(inputs.runs)
    ranked = sorted(missing.items(), key=lambda item: (-item[1], item[0]))
    rows = [[name, percent(share)] for name, share in ranked if share > 0]
    if not rows:
        return [figure]
    header = ["Standard", "Runs without it"]
    return [figure, table(header, rows, caption="Standards that are missing in some runs")]
