"""Figures of the evaluation: errors, coverage and width by model and support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.figures.drawing import (
    NO_ROWS,
    error_bars,
    listed,
    nominal_line,
    side_place,
    width_axis,
)
from compassign_core.report.summaries import (
    Floats,
    coverage,
    evaluation_rows,
    model_names,
    number_of,
)
from compassign_core.report.theme import plain

_MOST_BESIDE = 3
_STACKED = {
    "xaxis.domain": [0, 1],
    "xaxis2.domain": [0, 1],
    "yaxis.domain": [0.58, 1],
    "yaxis2.domain": [0, 0.42],
}
"""Layout of two panels, one above the other."""


def model_comparison(evaluation: pa.Table) -> go.Figure:
    """Errors by model, and what each model pays in width for its coverage."""
    fig = theme.figure(
        380,
        columns=("measure", "value"),
        barmode="group",
        narrow={
            "height": 660,
            **_STACKED,
        },
    )
    rows = {str(r["model"]): r for r in evaluation_rows(evaluation, "overall") if r["n_scored"]}
    if not rows:
        return theme.notice(fig, NO_ROWS)
    for model, (colour, symbol, _) in theme.style_by_name(model_names(evaluation)).items():
        if model not in rows:
            continue
        fig.add_bar(
            x=["RMSE", "MAE", "CRPS"],
            y=listed(np.array([number_of(rows[model], m) for m in ("rmse", "mae", "crps")])),
            name=plain(model),
            marker={"color": colour},
            legendgroup=model,
            meta={"panel": "error_min"},
            hovertemplate="%{x} %{y:.4f} min",
        )
        share = coverage(rows[model])
        fig.add_scatter(
            x=listed(np.array([number_of(rows[model], "width95")])),
            y=listed(np.array([share.value])),
            error_y=error_bars([share], colour),
            xaxis="x2",
            yaxis="y2",
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            name=plain(model),
            legendgroup=model,
            showlegend=False,
            meta={"panel": "width_min_and_coverage"},
            hovertemplate="width %{x:.4f} min, %{y:.1%} covered",
        )
    nominal_line(fig, "y2", 0.95)
    widths = _metric(rows, list(rows), "width95")
    fig.update_layout(
        xaxis={**theme.AXIS, "domain": [0, 0.44]},
        xaxis2={**width_axis(widths), "domain": [0.56, 1], "anchor": "y2"},
        yaxis={**theme.AXIS, "title": "Error (min)"},
        yaxis2={**theme.AXIS, "title": "Share covered", "tickformat": ".1%", "anchor": "x2"},
    )
    return fig


def coverage_and_width_by_support(evaluation: pa.Table, default: str = "") -> go.Figure:
    """Coverage, with its sampling error, and mean width of the windows by support bin.

    Few models stand side by side, many get panels of the full width, so that bars stay apart; the
    line of the default model is thicker.
    """
    models = theme.style_by_name(model_names(evaluation))
    stacked = len(models) > _MOST_BESIDE
    room = 0.7 if stacked else 0.5
    fig = theme.figure(
        760 if stacked else 400,
        columns=("training_rows", "value"),
        narrow={"height": 980} if stacked else {"height": 660, **_STACKED},
    )
    rows = [r for r in evaluation_rows(evaluation, "support_bin") if r["n_scored"]]
    if not rows:
        return theme.notice(fig, NO_ROWS)
    levels = [b for b in SUPPORT_BINS if any(r["level"] == b for r in rows)]
    for i, (model, (colour, symbol, dash)) in enumerate(models.items()):
        own = {str(r["level"]): r for r in rows if r["model"] == model}
        bins = [b for b in levels if b in own]
        n = _metric(own, bins, "n_scored")
        common = {
            "x": [round(levels.index(b) + side_place(i, len(models), room), 4) for b in bins],
            "mode": "lines+markers",
            "line": {"color": colour, "width": theme.line_width(model, default), "dash": dash},
            "marker": {"symbol": symbol, "size": 9},
            "legendgroup": model,
            "zorder": 1 if model == default else 0,
            "text": [f"{b} training rows, {k:,.0f} peaks" for b, k in zip(bins, n, strict=True)],
        }
        fig.add_scatter(
            y=listed(_metric(own, bins, "cov95")),
            error_y=error_bars([coverage(own[b]) for b in bins], colour),
            name=plain(model),
            meta={"panel": "coverage", "x": bins},
            hovertemplate="%{y:.1%} covered<br>%{text}",
            **common,
        )
        fig.add_scatter(
            y=listed(_metric(own, bins, "width95")),
            xaxis="x2",
            yaxis="y2",
            name=plain(model),
            showlegend=False,
            meta={"panel": "width_min", "x": bins},
            hovertemplate="%{y:.4f} min<br>%{text}",
            **common,
        )
    nominal_line(fig, "y", 0.95)
    widths = np.array([number_of(row, "width95") for row in rows])
    bins_axis = {
        **theme.AXIS,
        "tickvals": list(range(len(levels))),
        "ticktext": levels,
        "range": [-0.5, len(levels) - 0.5],
        "zeroline": False,
        "title": "Training rows in the group",
    }
    fig.update_layout(
        xaxis={**bins_axis, "domain": [0, 0.44]},
        xaxis2={**bins_axis, "domain": [0.56, 1], "anchor": "y2"},
        yaxis={**theme.AXIS, "title": "Share covered", "tickformat": ".0%"},
        yaxis2={**width_axis(widths), "anchor": "x2"},
    )
    if stacked:
        fig.update_layout(
            {key.replace(".", "_"): value for key, value in _STACKED.items()},
        )
    return fig


def _metric(rows: Mapping[str, Mapping[str, object]], levels: Sequence[str], name: str) -> Floats:
    return np.array([number_of(rows[level], name) for level in levels], dtype=np.float64)
