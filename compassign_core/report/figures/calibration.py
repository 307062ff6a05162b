"""Figures of promised against measured coverage, and of the residuals."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.report import theme
from compassign_core.report.figures.drawing import NO_ROWS, error_bars, listed
from compassign_core.report.held_out import HISTOGRAM_BINS, HeldOut
from compassign_core.report.summaries import (
    WINDOW_LEVELS,
    central_coverage,
    coverage,
    evaluation_rows,
    pit_counts,
)
from compassign_core.report.theme import plain


def calibration_curve(evaluation: pa.Table, pit: pa.Table, default: str = "") -> go.Figure:
    """Observed against nominal coverage, by model: of the distribution, and of the windows.

    Lines are the central intervals of the predictive distribution, markers the windows with their
    binomial intervals. The line of the default model is thicker.
    """
    fig = theme.figure(
        500, columns=("nominal_coverage", "observed_coverage"), narrow={"height": 700}
    )
    rows = {str(r["model"]): r for r in evaluation_rows(evaluation, "overall") if r["n_scored"]}
    if not rows:
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
    promised = np.array(WINDOW_LEVELS) / 100
    for model, (colour, symbol, dash) in theme.style_by_name(list(rows)).items():
        nominal, observed = central_coverage(pit_counts(pit, model))
        shares = [coverage(rows[model], level) for level in WINDOW_LEVELS]
        same = {"name": plain(model), "legendgroup": model, "zorder": int(model == default)}
        fig.add_scatter(
            x=listed(nominal),
            y=listed(observed),
            mode="lines",
            line={"color": colour, "width": theme.line_width(model, default), "dash": dash},
            showlegend=False,
            meta={"panel": "distribution"},
            hovertemplate="distribution: nominal %{x:.0%}, observed %{y:.1%}",
            **same,
        )
        fig.add_scatter(
            x=listed(promised),
            y=listed(np.array([share.value for share in shares])),
            error_y=error_bars(shares, colour),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 8},
            meta={"panel": "windows"},
            hovertemplate="window: nominal %{x:.0%}, observed %{y:.1%}",
            **same,
        )
    fig.update_layout(legend={"font": {"size": 11}})
    fig.update_xaxes(
        title="Promised share", range=[0, 1.01], tickformat=".0%", dtick=0.2, **theme.AXIS
    )
    fig.update_yaxes(
        title="Measured share", range=[0, 1.01], tickformat=".0%", dtick=0.2, **theme.AXIS
    )
    return fig


def residual_histogram(held_out: HeldOut, model: str) -> go.Figure:
    """Distribution of the shown model's residuals in minutes; the outermost 1 % is cut off."""
    fig = theme.figure(340, columns=("residual_min", "peaks"), bargap=0.03)
    if not held_out.counts:
        return theme.notice(fig, NO_ROWS)
    edges = np.linspace(-held_out.edge, held_out.edge, HISTOGRAM_BINS + 1)
    fig.add_bar(
        x=listed((edges[1:] + edges[:-1]) / 2),
        y=list(held_out.counts),
        name=plain(model),
        marker={"color": theme.BLUE},
        hovertemplate="%{x:.4f} min: %{y:,} peaks<extra></extra>",
    )
    fig.update_xaxes(title="Observed - predicted (min)", **theme.AXIS)
    fig.update_yaxes(title="Peaks", **theme.AXIS)
    return fig
