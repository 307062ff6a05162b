"""What all figures are drawn with beside the theme: plain numbers, the line of a nominal value.

Every array goes into a figure as a plain, rounded list, so that the JSON is small, readable and the
same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from compassign_core.report import theme
from compassign_core.report.summaries import Share

NO_ROWS = "No held-out peaks were scored: nothing to show."


def listed(values: npt.NDArray[Any]) -> list[float | None]:
    """Values rounded to 5 decimals (well below a scan in minutes), NaN as None."""
    rounded = np.round(values.astype(np.float64), 5) + 0.0
    out: list[float | None] = [
        None if np.isnan(value) else (int(value) if value == int(value) else value)
        for value in rounded.tolist()
    ]
    return out


def significant(values: npt.NDArray[Any]) -> list[float | None]:
    """Values to four significant digits, for logarithmic axes; NaN as None."""
    return [None if np.isnan(v) else float(f"{v:.4g}") for v in values.astype(float).tolist()]


def error_bars(shares: Sequence[Share], colour: str) -> dict[str, Any]:
    """Bars of the intervals of shares; none where an interval is not known."""
    value, low, high = np.array(shares, dtype=np.float64).reshape(-1, 3).T
    return {
        "type": "data",
        "symmetric": False,
        "array": listed(high - value),
        "arrayminus": listed(value - low),
        "thickness": 1,
        "width": 3,
        "color": colour,
    }


def side_place(i: int, n: int, room: float = 0.7) -> float:
    """Sideways place of series `i` of `n` around a level, so that error bars stay apart."""
    return room * ((i + 0.5) / n - 0.5)


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


WIDE = 8.0
"""Widths whose largest is this many times their smallest get a logarithmic axis."""


def width_axis(widths: npt.NDArray[Any]) -> dict[str, Any]:
    """Axis of window widths in minutes, from zero; logarithmic when one model is far wider.

    A linear axis up to windows ten times as wide would leave nothing to see of the others.
    """
    shown = widths[np.isfinite(widths) & (widths > 0)]
    if not shown.size or shown.max() < WIDE * shown.min():
        return {**theme.AXIS, "title": "Mean full width (min)", "rangemode": "tozero"}
    low, high = float(np.log10(shown.min())), float(np.log10(shown.max()))
    return {**log_axis(low - 0.08, high + 0.08), "title": "Mean full width (min, log)"}


def log_axis(low: float, high: float) -> dict[str, Any]:
    """Look of a logarithmic axis from ``10**low`` to ``10**high``, with ticks at 1, 2 and 5."""
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    steps = (1, 2, 5) if high - low < 3.5 else (1,)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return {
        **theme.AXIS,
        "type": "log",
        "range": [round(low, 4), round(high, 4)],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def nominal_line(
    fig: go.Figure, yaxis: str, value: float, label: str = "95 %", xaxis: str | None = None
) -> None:
    """Draw a dashed, labelled line at `value` across the panel of `yaxis` and its own x axis."""
    xaxis = xaxis or "x" + yaxis[1:]
    fig.add_shape(
        type="line",
        x0=0,
        x1=1,
        xref=f"{xaxis} domain",
        y0=value,
        y1=value,
        yref=yaxis,
        line={"color": theme.MUTED, "dash": "dash", "width": 1},
    )
    fig.add_annotation(
        x=1,
        xref=f"{xaxis} domain",
        xanchor="right",
        y=value,
        yref=yaxis,
        yanchor="bottom",
        text=label,
        showarrow=False,
        font={"size": 11, "color": theme.MUTED},
        bgcolor="rgba(255,255,255,0.8)",
    )
