"""What all figures are drawn with beside the theme: plain numbers, the line of a nominal value.

Every array goes into a figure as a plain, rounded list, so that the JSON is small, readable and the
same on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from compassign_core.report import theme

NO_ROWS = "No held-out peaks were scored: nothing to show."


def listed(values: npt.NDArray[Any]) -> list[float | None]:
    """Values rounded to 5 decimals (well below a scan in minutes), NaN as None."""
    rounded = np.round(values.astype(np.float64), 5) + 0.0
    out: list[float | None] = [
        None if np.isnan(value) else (int(value) if value == int(value) else value)
        for value in rounded.tolist()
    ]
    return out


def nominal_line(fig: go.Figure, yaxis: str, value: float, label: str = "95 %") -> None:
    """Draw a dashed, labelled line at `value` across the panel of `yaxis`."""
    xaxis = "x" + yaxis[1:]
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
