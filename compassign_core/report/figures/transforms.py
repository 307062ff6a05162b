"""Figure of probability transforms: a histogram for each model, and what chance allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from scipy.stats import binom

from compassign_core.contracts.catalogue import PIT_BINS
from compassign_core.report import theme
from compassign_core.report.figures.drawing import NO_ROWS, listed, shortened
from compassign_core.report.summaries import Ints, model_names, pit_counts
from compassign_core.report.theme import plain

MOST_FREQUENT = 4.0
"""Highest relative frequency drawn; windows far too wide would leave the other bars flat."""

_BESIDE, _BESIDE_NARROW = 4, 2
_GAP, _GAP_NARROW = 0.03, 0.1
_LETTERS_NARROW = 22
_TITLE = 34
"""Pixels above a panel for its name."""


def expected_band(n: int) -> tuple[float, float]:
    """Relative frequencies between which 95 of 100 bins lie when the distribution is right.

    Quantiles of the binomial of `n` peaks that fall in a bin with 1 in 20, as if peaks were
    independent.
    """
    low, high = binom.ppf((0.025, 0.975), n, 1.0 / PIT_BINS)
    return float(low) * PIT_BINS / n, float(high) * PIT_BINS / n


def pit_panels(pit: pa.Table, default: str = "") -> go.Figure:
    """Where held-out times fall in their predictive distribution, a panel for each model.

    The default model comes first. Bars outside the band of `expected_band` are hatched.
    """
    models = sorted(model_names(pit), key=lambda name: (name != default, name))
    counts = {model: pit_counts(pit, model) for model in models}
    models = [model for model in models if counts[model].sum()]
    height = _height(len(models), _BESIDE)
    fig = theme.figure(height, columns=("place_in_distribution", "relative_frequency"), bargap=0.0)
    if not models:
        return theme.notice(fig, NO_ROWS)
    largest = max(float(c.max()) * PIT_BINS / float(c.sum()) for c in counts.values() if c.sum())
    top = round(1.05 * min(max(largest, 1.6), MOST_FREQUENT), 3)
    for panel, model in enumerate(models):
        _add_panel(fig, panel, counts[model], model, top)
    places = _places(len(models), _BESIDE, _GAP, height)
    fig.update_layout(
        {key.replace(".", "_"): value for key, value in places.items()},
        showlegend=False,
        margin={"l": 46, "r": 8, "t": _TITLE, "b": 44},
    )
    tall = _height(len(models), _BESIDE_NARROW)
    changes = _places(len(models), _BESIDE_NARROW, _GAP_NARROW, tall)
    for panel, model in enumerate(models):
        changes[f"annotations[{panel}].text"] = plain(shortened(model, _LETTERS_NARROW))
    fig.layout.meta["narrow"].update({"height": tall, **changes})
    return fig


def _add_panel(fig: go.Figure, panel: int, counts: Ints, model: str, top: float) -> None:
    suffix = "" if panel == 0 else str(panel + 1)
    n = int(counts.sum())
    height = counts * PIT_BINS / n
    low, high = expected_band(n)
    outside = (height < low) | (height > high)
    place = (np.arange(PIT_BINS) + 0.5) / PIT_BINS
    fig.add_bar(
        x=listed(place),
        y=listed(height),
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
        name=plain(model),
        marker={
            "color": [theme.ORANGE if out else theme.SKY for out in outside.tolist()],
            "line": {"color": "#ffffff", "width": 0.5},
            "pattern": {
                "shape": ["/" if out else "" for out in outside.tolist()],
                "size": 4,
                "solidity": 0.35,
                "fgcolor": theme.INK,
                "fillmode": "overlay",
            },
        },
        meta={"panel": model},
        hovertemplate="%{y:.2f}<extra></extra>",
    )
    fig.add_shape(
        type="rect",
        xref=f"x{suffix} domain",
        x0=0,
        x1=1,
        yref=f"y{suffix}",
        y0=round(low, 4),
        y1=round(high, 4),
        line={"width": 1, "color": theme.INK, "dash": "dot"},
        fillcolor="rgba(27,39,51,0.14)",
    )
    fig.add_annotation(
        text=plain(model),
        xref=f"x{suffix} domain",
        yref=f"y{suffix} domain",
        x=0,
        y=1,
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11},
    )
    fig.update_layout(
        {
            f"xaxis{suffix}": {
                **theme.AXIS,
                "range": [0, 1],
                "tickvals": [0, 0.5, 1],
                "showgrid": False,
                "anchor": f"y{suffix}",
            },
            f"yaxis{suffix}": {
                **theme.AXIS,
                "range": [0, top],
                "tickvals": [0, 1, 2, 3, 4],
                "anchor": f"x{suffix}",
            },
        }
    )


def _height(n: int, beside: int) -> int:
    """Height of the figure of n panels, so many beside each other."""
    return 60 + 190 * max(-(-n // beside), 1)


def _places(n: int, beside: int, gap: float, height: int) -> dict[str, Any]:
    """Domains of the panels, row by row; only outer axes are labelled."""
    rows = -(-n // beside)
    drawn = height - _TITLE - 44
    room = 44 / drawn
    tall = (1 - (rows - 1) * room) / rows
    wide = (1 - (beside - 1) * gap) / beside
    changes: dict[str, Any] = {}
    for panel in range(n):
        suffix = "" if panel == 0 else str(panel + 1)
        row, column = divmod(panel, beside)
        left, top = column * (wide + gap), 1 - row * (tall + room)
        changes[f"xaxis{suffix}.domain"] = [round(left, 4), round(min(left + wide, 1.0), 4)]
        changes[f"yaxis{suffix}.domain"] = [round(max(top - tall, 0.0), 4), round(top, 4)]
        changes[f"yaxis{suffix}.showticklabels"] = column == 0
        last = panel + beside >= n
        changes[f"xaxis{suffix}.showticklabels"] = last
        changes[f"yaxis{suffix}.title.text"] = "Relative frequency" if column == 0 else ""
    return changes
