"""The axis of runs: worksheets shaded and named, lines that break between them.

Here belongs what figures over runs share; the figures themselves are in `runs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from compassign_core.report import theme
from compassign_core.report.figures.drawing import listed
from compassign_core.report.summaries import Floats, Ints


def worksheet_breaks(worksheet: Ints) -> npt.NDArray[np.bool_]:
    """Where a new worksheet begins, the very first run excepted; shape ``(n,)``."""
    return np.asarray(np.diff(worksheet, prepend=worksheet[:1]) != 0, dtype=np.bool_)


def stretches(breaks: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last place of each stretch between breaks."""
    starts = [0, *np.flatnonzero(breaks).tolist()]
    return list(zip(starts, [*starts[1:], len(breaks)], strict=True))


def broken(values: npt.NDArray[Any], breaks: npt.NDArray[np.bool_]) -> list[float | None]:
    """Values as a list with a gap before each break, so that no line bridges worksheets."""
    return listed(np.insert(values.astype(np.float64), np.flatnonzero(breaks), np.nan))


def broken_text(labels: Sequence[str], breaks: npt.NDArray[np.bool_]) -> list[str]:
    """Labels as a list with an empty text before each break, to go with `broken`."""
    padded = np.insert(np.array(labels, dtype=object), np.flatnonzero(breaks), "")
    return [str(label) for label in padded]


def worksheet_bands(fig: go.Figure, place: Ints, worksheet: Ints) -> None:
    """Shade every second worksheet and name them when there is room."""
    parts = stretches(worksheet_breaks(worksheet))
    ends = [*(float(place[stop]) for _, stop in parts[:-1]), float(place[-1]) + 1]
    for i, ((start, _), end) in enumerate(zip(parts, ends, strict=True)):
        left, right = float(place[start]) + 0.5, end + 0.5
        if i % 2 == 0:
            fig.add_shape(
                type="rect",
                x0=left,
                x1=right,
                y0=0,
                y1=1,
                yref="paper",
                line={"width": 0},
                fillcolor=theme.SHADE,
                layer="below",
            )
        if len(parts) <= 8:
            fig.add_annotation(
                x=(left + right) / 2,
                y=1,
                yref="paper",
                yanchor="top",
                text=f"worksheet<br>{int(worksheet[start])}",
                showarrow=False,
                font={"size": 11, "color": theme.MUTED},
            )
    fig.update_xaxes(range=[float(place[0]) + 0.5, float(place[-1]) + 1.5])


def bare_axis() -> dict[str, Any]:
    """Look of an axis without a line at zero."""
    return {**theme.AXIS, "zeroline": False}


def robust_range(values: Floats) -> list[float] | None:
    """Axis range around the inner 99 % of the values, with room for labels above."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    low, high = np.quantile(finite, [0.005, 0.995])
    room = max(float(high - low), 1e-3)
    return [round(float(low) - 0.15 * room, 5), round(float(high) + 0.3 * room, 5)]
