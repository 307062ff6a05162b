"""Figures of predictive distributions held against held-out peaks: calibration, PIT, residuals."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.report import theme
from compassign_core.report.figures.drawing import NO_ROWS, listed, nominal_line
from compassign_core.report.summaries import (
    LEVELS,
    model_names,
    observed_coverage,
    of_model,
    pit,
    residuals,
)
from compassign_core.report.theme import plain

_MOST_MARKERS = 8
"""Markers drawn on one line: they tell lines apart, and all of them would hide the lines."""

MOST_FREQUENT = 4.0
"""Highest relative frequency drawn; windows far too wide would leave the other lines flat."""


def calibration_curve(predictions: pa.Table, default: str = "") -> go.Figure:
    """Observed against nominal coverage of the central Student-t intervals, by model.

    The line of the default model is thicker.
    """
    fig = theme.figure(500, columns=("nominal_coverage", "observed_coverage"))
    transforms = {m: pit(of_model(predictions, m)) for m in model_names(predictions)}
    if not any(values.size for values in transforms.values()):
        return theme.notice(fig, NO_ROWS)
    fig.add_scatter(
        x=[0, 0.98, 1, 1, 0.02, 0, 0],
        y=[0.02, 1, 1, 0.98, 0, 0, 0.02],
        fill="toself",
        fillcolor="rgba(91,104,117,0.12)",
        line={"width": 0},
        mode="lines",
        name="within 2 points",
        hoverinfo="skip",
        meta={"csv": False},
    )
    fig.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": theme.MUTED, "dash": "dash", "width": 1},
        name="exact",
        hoverinfo="skip",
        meta={"csv": False},
    )
    for model, (colour, symbol, dash) in theme.style_by_name(list(transforms)).items():
        values = transforms[model]
        if values.size:
            fig.add_scatter(
                x=list(LEVELS),
                y=listed(observed_coverage(values)),
                mode="lines+markers",
                name=plain(model),
                line={"color": colour, "width": theme.line_width(model, default), "dash": dash},
                marker={"symbol": symbol, "size": 7, "maxdisplayed": _MOST_MARKERS},
                zorder=1 if model == default else 0,
                hovertemplate="nominal %{x:.0%}, observed %{y:.1%}",
            )
    fig.update_layout(legend={"font": {"size": 11}})
    fig.update_xaxes(
        title="Promised share", range=[0, 1.01], tickformat=".0%", dtick=0.2, **theme.AXIS
    )
    fig.update_yaxes(
        title="Measured share", range=[0, 1.01], tickformat=".0%", dtick=0.2, **theme.AXIS
    )
    return fig


def pit_histogram(predictions: pa.Table, default: str = "", bins: int = 20) -> go.Figure:
    """Where observations fall in their predictive distribution; flat when it is right."""
    fig = theme.figure(500, columns=("place_in_distribution", "relative_frequency"))
    transforms = {m: pit(of_model(predictions, m)) for m in model_names(predictions)}
    if not any(values.size for values in transforms.values()):
        return theme.notice(fig, NO_ROWS)
    for model, (colour, _, dash) in theme.style_by_name(list(transforms)).items():
        values = transforms[model]
        if values.size:
            counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
            fig.add_scatter(
                x=listed((edges[1:] + edges[:-1]) / 2),
                y=listed(counts * bins / values.size),
                mode="lines",
                name=plain(model),
                line={
                    "color": colour,
                    "shape": "hvh",
                    "width": theme.line_width(model, default),
                    "dash": dash,
                },
                zorder=1 if model == default else 0,
                hovertemplate="%{y:.2f}",
            )
    nominal_line(fig, "y", 1.0, label="even")
    highest = max(max(trace.y) for trace in fig.data)
    fig.update_layout(legend={"font": {"size": 11}})
    fig.update_xaxes(title="Place in the predictive distribution", range=[0, 1], **theme.AXIS)
    fig.update_yaxes(
        title="Relative frequency",
        range=[0, round(1.05 * min(highest, MOST_FREQUENT), 4)],
        **theme.AXIS,
    )
    return fig


def residual_histogram(predictions: pa.Table, model: str, bins: int = 60) -> go.Figure:
    """Distribution of one model's residuals in minutes; the outermost 1 % is cut off."""
    fig = theme.figure(340, columns=("residual_min", "peaks"), bargap=0.03)
    error = residuals(of_model(predictions, model))
    error = error[np.isfinite(error)]
    if not error.size:
        return theme.notice(fig, NO_ROWS)
    edge = float(np.quantile(np.abs(error), 0.99)) or 1e-6
    counts, edges = np.histogram(error, bins=bins, range=(-edge, edge))
    fig.add_bar(
        x=listed((edges[1:] + edges[:-1]) / 2),
        y=counts.tolist(),
        name=plain(model),
        marker={"color": theme.BLUE},
        hovertemplate="%{x:.4f} min: %{y:,} peaks<extra></extra>",
    )
    fig.update_xaxes(title="Observed - predicted (min)", **theme.AXIS)
    fig.update_yaxes(title="Peaks", **theme.AXIS)
    return fig
