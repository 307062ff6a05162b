"""Figure of coverage and width by the levels of a slice: rare pairs, supercategories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.report import theme
from compassign_core.report.figures.drawing import (
    NO_ROWS,
    error_bars,
    listed,
    shortened,
    side_place,
    width_axis,
)
from compassign_core.report.summaries import (
    coverage,
    evaluation_rows,
    model_names,
    number_of,
)
from compassign_core.report.theme import plain

_ROOM = 0.8
_MOST_LETTERS = 34


def coverage_and_width_by_level(
    evaluation: pa.Table,
    slice_name: str,
    labels: Mapping[str, str],
    order: Sequence[str] = (),
) -> go.Figure:
    """Coverage with its binomial interval, and mean width, of all models at each level.

    Parameters
    ----------
    evaluation : `RT_EVALUATION`.
    slice_name : its slice.
    labels : words for the levels.
    order : levels from top to bottom; those not named come last, numbers by size.
    """
    rows = [r for r in evaluation_rows(evaluation, slice_name) if r["n_scored"]]
    place = {level: i for i, level in enumerate(order)}
    levels = sorted(
        {str(r["level"]) for r in rows},
        key=lambda level: (place.get(level, len(place)), _natural(level)),
        reverse=True,
    )
    models = theme.style_by_name(model_names(evaluation))
    height = 150 + len(levels) * (18 + 14 * len(models))
    fig = theme.figure(
        min(height, 1400),
        columns=("value", slice_name),
        narrow={
            # the legend has a line for every model there
            "height": min(2 * height, 2800) + 22 * len(models),
            "xaxis.domain": [0, 1],
            "xaxis2.domain": [0, 1],
            "yaxis.domain": [0.56, 1],
            "yaxis2.domain": [0, 0.44],
            "yaxis2.showticklabels": True,
            "xaxis.title.text": "Share covered",
        },
    )
    if not rows:
        return theme.notice(fig, NO_ROWS)
    words = {level: shortened(labels.get(level, level), _MOST_LETTERS) for level in levels}
    for i, (model, (colour, symbol, _)) in enumerate(models.items()):
        own = {str(r["level"]): r for r in rows if r["model"] == model}
        found = [level for level in levels if level in own]
        shares = [coverage(own[level]) for level in found]
        peaks = [number_of(own[level], "n_scored") for level in found]
        common = {
            "y": [
                round(levels.index(level) - side_place(i, len(models), _ROOM), 4) for level in found
            ],
            "mode": "markers",
            "name": plain(model),
            "legendgroup": model,
            "marker": {"color": colour, "symbol": symbol, "size": 8},
            "text": [
                f"{plain(words[k])}: {n:,.0f} peaks" for k, n in zip(found, peaks, strict=True)
            ],
        }
        fig.add_scatter(
            x=listed(np.array([share.value for share in shares])),
            error_x=error_bars(shares, colour),
            meta={"panel": "coverage", "y": [words[level] for level in found]},
            hovertemplate="%{x:.1%}<br>%{text}",
            **common,
        )
        fig.add_scatter(
            x=listed(np.array([number_of(own[level], "width95") for level in found])),
            xaxis="x2",
            yaxis="y2",
            showlegend=False,
            meta={"panel": "width_min", "y": [words[level] for level in found]},
            hovertemplate="%{x:.4f} min<br>%{text}",
            **common,
        )
    _set_axes(fig, levels, words, np.array([number_of(row, "width95") for row in rows]))
    return fig


def _set_axes(
    fig: go.Figure, levels: Sequence[str], words: Mapping[str, str], widths: np.ndarray
) -> None:
    fig.add_shape(
        type="line",
        x0=0.95,
        x1=0.95,
        y0=0,
        y1=1,
        yref="y domain",
        line={"color": theme.MUTED, "dash": "dash", "width": 1},
    )
    for i in range(1, len(levels)):
        for suffix in ("", "2"):
            fig.add_shape(
                type="line",
                xref=f"x{suffix} domain",
                yref=f"y{suffix}",
                x0=0,
                x1=1,
                y0=i - 0.5,
                y1=i - 0.5,
                line={"color": theme.RULE, "width": 1},
            )
    axis = {
        **theme.AXIS,
        "tickvals": list(range(len(levels))),
        "ticktext": [plain(words[level]) for level in levels],
        "range": [-0.6, len(levels) - 0.4],
        "showgrid": False,
        "zeroline": False,
    }
    fig.update_layout(
        xaxis={
            **theme.AXIS,
            "title": "Share covered by the 95 % window",
            "tickformat": ".0%",
            "domain": [0, 0.55],
        },
        xaxis2={**width_axis(widths), "domain": [0.62, 1], "anchor": "y2"},
        yaxis=axis,
        yaxis2={**axis, "anchor": "x2", "showticklabels": False},
    )


def _natural(level: str) -> tuple[int, str]:
    return (int(level), "") if level.isdecimal() else (1 << 62, level)
