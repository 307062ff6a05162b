"""Figures of the evaluation: errors, coverage and width by model, support and supercategory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.figures.drawing import NO_ROWS, listed, nominal_line, width_axis
from compassign_core.report.summaries import (
    Floats,
    binomial_interval,
    evaluation_rows,
    model_names,
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
            y=listed(np.array([_value(rows[model], m) for m in ("rmse", "mae", "crps")])),
            name=plain(model),
            marker={"color": colour},
            legendgroup=model,
            meta={"panel": "error_min"},
            hovertemplate="%{x} %{y:.4f} min",
        )
        cover = np.array([_value(rows[model], "cov95")])
        fig.add_scatter(
            x=listed(np.array([_value(rows[model], "width95")])),
            y=listed(cover),
            error_y=_error_bars(cover, np.array([_value(rows[model], "n_scored")]), colour),
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
    fig = theme.figure(
        760 if stacked else 400,
        columns=("training_rows", "value"),
        narrow={} if stacked else {"height": 660, **_STACKED},
    )
    rows = [r for r in evaluation_rows(evaluation, "support_bin") if r["n_scored"]]
    if not rows:
        return theme.notice(fig, NO_ROWS)
    levels = [b for b in SUPPORT_BINS if any(r["level"] == b for r in rows)]
    for i, (model, (colour, symbol, dash)) in enumerate(models.items()):
        own = {str(r["level"]): r for r in rows if r["model"] == model}
        bins = [b for b in levels if b in own]
        cover, n = _metric(own, bins, "cov95"), _metric(own, bins, "n_scored")
        common = {
            "x": [round(levels.index(b) + _shift(i, len(models)), 4) for b in bins],
            "mode": "lines+markers",
            "line": {"color": colour, "width": theme.line_width(model, default), "dash": dash},
            "marker": {"symbol": symbol, "size": 9},
            "legendgroup": model,
            "zorder": 1 if model == default else 0,
            "text": [f"{b} training rows, {k:,.0f} peaks" for b, k in zip(bins, n, strict=True)],
        }
        fig.add_scatter(
            y=listed(cover),
            error_y=_error_bars(cover, n, colour),
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
    widths = np.array([_value(row, "width95") for row in rows])
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


def coverage_by_supercategory(
    evaluation: pa.Table, names: Mapping[str, str] | None = None
) -> go.Figure:
    """Coverage with its sampling error by supercategory; `names` are labels by level."""
    rows = [r for r in evaluation_rows(evaluation, "supercategory") if r["n_scored"]]
    levels = sorted({str(r["level"]) for r in rows}, key=_natural, reverse=True)
    models = theme.style_by_name(model_names(evaluation))
    height = 150 + len(levels) * (18 + 14 * len(models))
    fig = theme.figure(min(height, 1400), columns=("coverage", "supercategory"))
    if not rows:
        return theme.notice(fig, NO_ROWS)
    label = {level: _short((names or {}).get(level, level)) for level in levels}
    for i, (model, (colour, symbol, _)) in enumerate(models.items()):
        own = {str(r["level"]): r for r in rows if r["model"] == model}
        found = [level for level in levels if level in own]
        cover, n = _metric(own, found, "cov95"), _metric(own, found, "n_scored")
        fig.add_scatter(
            x=listed(cover),
            y=[round(levels.index(level) - _shift(i, len(models)), 4) for level in found],
            error_x=_error_bars(cover, n, colour),
            text=[f"{plain(label[k])}: {v:,.0f} peaks" for k, v in zip(found, n, strict=True)],
            mode="markers",
            name=plain(model),
            meta={"y": [label[level] for level in found]},
            marker={"color": colour, "symbol": symbol, "size": 9},
            hovertemplate="%{x:.1%}<br>%{text}",
        )
    fig.add_shape(
        type="line",
        x0=0.95,
        x1=0.95,
        y0=0,
        y1=1,
        yref="paper",
        line={"color": theme.MUTED, "dash": "dash", "width": 1},
    )
    fig.update_xaxes(title="Share covered", tickformat=".0%", **theme.AXIS)
    fig.update_yaxes(
        tickvals=list(range(len(levels))),
        ticktext=[plain(label[level]) for level in levels],
        range=[-0.6, len(levels) - 0.4],
        **theme.AXIS,
    )
    return fig


def _shift(i: int, n: int) -> float:
    """Sideways place of series `i` of `n` around a level, so that error bars stay apart."""
    room = 0.5 if n <= _MOST_BESIDE else 0.7
    return room * ((i + 0.5) / n - 0.5)


def _error_bars(share: Floats, n: Floats, colour: str) -> dict[str, Any]:
    low, high = binomial_interval(share, n)
    return {
        "type": "data",
        "symmetric": False,
        "array": listed(high - share),
        "arrayminus": listed(share - low),
        "thickness": 1,
        "width": 3,
        "color": colour,
    }


def _metric(rows: Mapping[str, Mapping[str, object]], levels: Sequence[str], name: str) -> Floats:
    return np.array([_value(rows[level], name) for level in levels], dtype=np.float64)


def _value(row: Mapping[str, object], name: str) -> float:
    value = row[name]
    return float(value) if isinstance(value, int | float) else float("nan")


def _natural(level: str) -> tuple[int, str]:
    return (int(level), "") if level.isdecimal() else (1 << 62, level)


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
