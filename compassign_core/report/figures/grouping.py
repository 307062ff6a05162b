"""Figure of the three ways to group: error, coverage and width by training rows of the pair."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.comparisons import LEAST_SETS, interval
from compassign_core.report.figures.drawing import (
    NO_ROWS,
    error_bars,
    listed,
    nominal_line,
    side_place,
    width_axis,
)
from compassign_core.report.groupings import SLICE, contest
from compassign_core.report.inputs import Grouping
from compassign_core.report.summaries import Share, coverage, evaluation_rows, number_of
from compassign_core.report.theme import plain

_DOMAINS = ([0.7, 1.0], [0.35, 0.63], [0.0, 0.28])


def three_ways(
    evaluation: pa.Table, comparison: pa.Table, ways: Grouping, styles: Mapping[str, theme.Style]
) -> go.Figure:
    """RMSE less that of one group per supercategory, coverage, and width, by pair support.

    The first panel holds paired differences with their bootstrap intervals, none from fewer than
    `LEAST_SETS` sample sets; the second coverage with its binomial interval.
    """
    fig = theme.figure(
        760,
        columns=("training_rows_of_the_pair", "value"),
        narrow={"xaxis.title.text": "Training rows of the pair"},
    )
    rows = {
        (str(r["model"]), str(r["level"])): r
        for r in evaluation_rows(evaluation, SLICE)
        if r["n_scored"]
    }
    names = (ways.together, ways.apart, ways.pooled)
    levels = [b for b in SUPPORT_BINS if any((name, b) in rows for name in names)]
    if not levels:
        return theme.notice(fig, NO_ROWS)
    for i, name in enumerate(names):
        colour, symbol, _ = styles[name]
        common = {
            "mode": "markers",
            "marker": {"color": colour, "symbol": symbol, "size": 9},
            "name": plain(name),
            "legendgroup": name,
        }
        place = {b: round(k + side_place(i, 3, 0.5), 4) for k, b in enumerate(levels)}
        own = [b for b in levels if (name, b) in rows]
        mine = [rows[name, b] for b in own]
        if name != ways.together:
            paired = contest(comparison, name, ways.together).by_bin
            shown = [b for b in levels if b in paired]
            shares = [_difference(paired[b]) for b in shown]
            fig.add_scatter(
                x=[place[b] for b in shown],
                y=listed(np.array([share.value for share in shares])),
                error_y=error_bars(shares, colour),
                showlegend=False,
                text=[interval(paired[b]) for b in shown],
                meta={"panel": "rmse_difference_min", "x": shown},
                hovertemplate="%{y:.5f} min<br>%{text}",
                **common,
            )
        shares = [coverage(row) for row in mine]
        fig.add_scatter(
            x=[place[b] for b in own],
            y=listed(np.array([share.value for share in shares])),
            error_y=error_bars(shares, colour),
            yaxis="y2",
            text=[f"{number_of(row, 'n_scored'):,.0f} peaks" for row in mine],
            meta={"panel": "coverage", "x": own},
            hovertemplate="%{y:.1%} covered<br>%{text}",
            **common,
        )
        fig.add_scatter(
            x=[place[b] for b in own],
            y=listed(np.array([number_of(row, "width95") for row in mine])),
            yaxis="y3",
            showlegend=False,
            meta={"panel": "width_min", "x": own},
            hovertemplate="%{y:.4f} min",
            **common,
        )
    widths = np.array([number_of(rows[key], "width95") for key in rows if key[0] in names])
    fig.update_layout(
        xaxis={
            **theme.AXIS,
            "tickvals": list(range(len(levels))),
            "ticktext": levels,
            "range": [-0.5, len(levels) - 0.5],
            "zeroline": False,
            "anchor": "y3",
            "title": "Training rows of the pair (species, compound)",
        },
        yaxis={
            **theme.AXIS,
            "domain": _DOMAINS[0],
            "title": "RMSE difference (min)",
            "zeroline": True,
            "zerolinewidth": 2,
            "zerolinecolor": theme.MUTED,
        },
        yaxis2={
            **theme.AXIS,
            "domain": _DOMAINS[1],
            "title": "Share covered",
            "tickformat": ".0%",
            "anchor": "x",
        },
        yaxis3={**width_axis(widths), "domain": _DOMAINS[2], "anchor": "x"},
    )
    nominal_line(fig, "y", 0.0, label=plain(ways.together))
    nominal_line(fig, "y2", 0.95, xaxis="x")
    return fig


def _difference(row: Mapping[str, object]) -> Share:
    """A paired difference; its interval only where enough sample sets stand behind it."""
    middle = number_of(row, "difference")
    if number_of(row, "n_units") < LEAST_SETS:
        return Share(middle, float("nan"), float("nan"))
    return Share(middle, number_of(row, "low"), number_of(row, "high"))
