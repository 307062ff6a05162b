"""The key figures as small PNG images for the orchestrator's UI."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.figures.transforms import expected_band
from compassign_core.report.inputs import ReportInputs, in_order
from compassign_core.report.run_summaries import residuals_by_run
from compassign_core.report.summaries import (
    central_coverage,
    evaluation_rows,
    model_names,
    pit_counts,
)

_MIN_BIN_ROWS = 20
_MARKERS = ("o", "s", "D", "^", "X", "*", "P", "v", "d")
_LINES = ("-", "--", ":", "-.", (0, (8, 2)), (0, (8, 2, 1, 2)))


def key_figures(inputs: ReportInputs) -> dict[str, bytes]:
    """Coverage by support, calibration, PIT and residuals by run; each a PNG below 40 kB.

    The bytes are the same for the same inputs: neither software nor date is written into them.
    """
    inputs = in_order(inputs)
    return {
        "coverage_by_support": _coverage_by_support(inputs),
        "calibration": _calibration(inputs),
        "probability_transforms": _transforms(inputs),
        "residuals_by_run": _residuals_by_run(inputs),
    }


def _coverage_by_support(inputs: ReportInputs) -> bytes:
    figure, axes = _canvas("Coverage by training rows", "training rows", "share covered")
    # A small picture has no room for error bars, so bins too small to mean anything are left out.
    rows = [
        row
        for row in evaluation_rows(inputs.evaluation, "support_bin")
        if int(str(row["n_scored"])) >= _MIN_BIN_ROWS
    ]
    levels = [b for b in SUPPORT_BINS if any(r["level"] == b for r in rows)]
    for i, model in enumerate(model_names(inputs.evaluation)):
        own = {r["level"]: r["cov95"] for r in rows if r["model"] == model}
        heights = [np.nan if own.get(b) is None else float(str(own[b])) for b in levels]
        axes.plot(range(len(levels)), heights, label=model, **_style(i))
    axes.axhline(0.95, color=theme.MUTED, linestyle="--", linewidth=1)
    axes.set_xticks(range(len(levels)), levels)
    return _png(figure, axes, empty=not levels)


def _calibration(inputs: ReportInputs) -> bytes:
    figure, axes = _canvas("Calibration", "promised share", "measured share")
    axes.plot([0, 1], [0, 1], color=theme.MUTED, linestyle="--", linewidth=1)
    drawn = 0
    for i, model in enumerate(model_names(inputs.pit)):
        counts = pit_counts(inputs.pit, model)
        if counts.sum():
            axes.plot(*central_coverage(counts), label=model, **_style(i))
            drawn += 1
    return _png(figure, axes, empty=not drawn)


def _transforms(inputs: ReportInputs) -> bytes:
    title = f"Place in the predictive distribution, {inputs.default_model}"
    figure, axes = _canvas(title, "probability transform", "relative frequency")
    counts = pit_counts(inputs.pit, inputs.default_model)
    n = int(counts.sum())
    if n:
        place = (np.arange(counts.size) + 0.5) / counts.size
        axes.bar(place, counts * counts.size / n, width=0.9 / counts.size, color=theme.SKY)
        axes.axhspan(*expected_band(n), color=theme.INK, alpha=0.15, label="expected")
    return _png(figure, axes, empty=not n)


def _residuals_by_run(inputs: ReportInputs) -> bytes:
    title = f"Residuals by run, {inputs.default_model}"
    figure, axes = _canvas(title, "run, in run order", "observed - predicted (min)")
    found = residuals_by_run(inputs.held_out.runs, inputs.runs, inputs.default_model)
    error = np.stack([found.median - found.low, found.high - found.median])
    axes.errorbar(
        found.place,
        found.median,
        yerr=error,
        fmt="o",
        markersize=3,
        linewidth=1,
        color=theme.BLUE,
        ecolor=theme.SKY,
        label="median and 10-90 %",
    )
    axes.axhline(0, color=theme.MUTED, linewidth=1)
    return _png(figure, axes, empty=not len(found.place))


def _canvas(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 3.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11, loc="left", color=theme.INK, parse_math=False)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e8ecf0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(i: int) -> dict[str, Any]:
    return {
        "color": theme.PALETTE[i % len(theme.PALETTE)],
        "marker": _MARKERS[i % len(_MARKERS)],
        "markersize": 4,
        "linestyle": _LINES[i % len(_LINES)],
        "linewidth": 1.3,
    }


def _png(figure: Figure, axes: Axes, empty: bool) -> bytes:
    if empty:
        axes.text(0.5, 0.5, "no held-out peaks were scored", ha="center", transform=axes.transAxes)
    elif axes.get_legend_handles_labels()[1]:
        legend = axes.legend(fontsize=8, frameon=False)
        for label in legend.get_texts():
            label.set_parse_math(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]
    # 64 colours are enough for lines on white and make the file a quarter of its size.
    small = drawn.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
