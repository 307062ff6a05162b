"""Figures over the runs of a library: drift of the standards, residuals of held-out runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.report import theme
from compassign_core.report.figures.drawing import NO_ROWS, listed
from compassign_core.report.figures.run_axis import (
    bare_axis,
    broken,
    broken_text,
    robust_range,
    stretches,
    worksheet_bands,
    worksheet_breaks,
)
from compassign_core.report.run_summaries import Drift, residuals_by_run
from compassign_core.report.run_summaries import standards_drift as drift_of
from compassign_core.report.summaries import Floats, Ints, grouped_quantiles
from compassign_core.report.theme import plain

MOST_RUNS = 400
"""Runs shown one by one; more are drawn as medians of neighbouring runs."""

MOST_STANDARDS = 40
"""Standards shown; of more, those that vary most."""


def standards_drift(runs: pa.Table) -> go.Figure:
    """Each standard's RT minus its own median, in minutes, over the runs by worksheet."""
    drift = drift_of(runs)
    n_listed = min(len(drift.names), MOST_STANDARDS) + 1
    fig = theme.figure(columns=("run", "deviation_min"), narrow={"height": 400 + 20 * n_listed})
    if not drift.names:
        return theme.notice(fig, "The runs carry no standards.")
    names, values, middle, place, labels, worksheet = _thinned(drift)
    few = len(names) <= 10
    breaks = worksheet_breaks(worksheet)
    x = broken(place + 1, breaks)
    # names of runs are long and the same for all lines: the page puts them to each
    fig.layout.meta["text"] = broken_text(labels, breaks)
    for i, name in enumerate(names):
        fig.add_scatter(
            x=x,
            y=broken(values[:, i], breaks),
            name=plain(name),
            meta={"shares_text": True},
            mode="lines+markers" if few else "lines",
            line={
                "color": theme.PALETTE[i % len(theme.PALETTE)],
                "width": 1,
                "dash": theme.DASHES[i // len(theme.PALETTE) % len(theme.DASHES)],
            },
            marker={"size": 3},
            opacity=0.6 if few else 0.35,
            hovertemplate="%{y:.4f} min<br>%{text}",
        )
    fig.add_scatter(
        x=x,
        y=broken(middle, breaks),
        name="trimmed mean of all",
        meta={"shares_text": True},
        mode="lines",
        line={"color": theme.BLACK, "width": 2.5},
        hovertemplate="%{y:.4f} min<br>%{text}",
    )
    worksheet_bands(fig, place, worksheet)
    fig.update_yaxes(
        title="RT minus median (min)", range=robust_range(values), zeroline=True, **theme.AXIS
    )
    fig.update_xaxes(title="Run, by worksheet and run order", showgrid=False, **bare_axis())
    only_middle = ["legendonly"] * len(names) + [True]
    fig.update_layout(
        height=420 + 20 * -(-n_listed // 4),
        legend={"yref": "container", "y": 0, "yanchor": "bottom"},
        margin={"t": 64, "l": 60, "r": 16, "b": 50},
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
                "x": 0,
                "xanchor": "left",
                "y": 1.2,
                "yanchor": "top",
                "pad": {"t": 0, "b": 0},
                "bgcolor": "#ffffff",
                "bordercolor": theme.RULE,
                "showactive": True,
                "buttons": [
                    {
                        "label": "All standards",
                        "method": "restyle",
                        "args": [{"visible": [True] * (len(names) + 1)}],
                    },
                    {
                        "label": "Trimmed mean only",
                        "method": "restyle",
                        "args": [{"visible": only_middle}],
                    },
                ],
            }
        ],
    )
    return fig


def residuals_by_run_order(held_out: pa.Table, runs: pa.Table, model: str) -> go.Figure:
    """Median and 10-90 % band of the residuals of each held-out run, in minutes."""
    fig = theme.figure(400, columns=("run", "residual_min"))
    found = residuals_by_run(held_out, runs, model)
    if not len(found.place):
        return theme.notice(fig, NO_ROWS)
    worksheet = found.index.worksheet[found.place]
    # Held-out runs are a few blocks of the sequence: a line across a gap would claim runs
    # that are not there.
    breaks = worksheet_breaks(worksheet) | (np.diff(found.place, prepend=found.place[0]) > 5)
    breaks[0] = False
    x = broken(found.place + 1, breaks)
    band = {"mode": "lines", "line": {"width": 0.5, "color": theme.SKY}, "hoverinfo": "skip"}
    for start, stop in stretches(breaks):
        part = slice(start, stop)
        shape = {**band, "x": (found.place[part] + 1).tolist(), "legendgroup": "band"}
        fig.add_scatter(y=listed(found.low[part]), name="10 %", showlegend=False, **shape)
        fig.add_scatter(
            y=listed(found.high[part]),
            name="90 %",
            showlegend=False,
            fill="tonexty",
            fillcolor="rgba(86,180,233,0.25)",
            **shape,
        )
    fig.add_scatter(
        x=[None],
        y=[None],
        name="10-90 % of peaks",
        legendgroup="band",
        mode="markers",
        marker={"symbol": "square", "size": 12, "color": "rgba(86,180,233,0.5)"},
        meta={"csv": False},
    )
    fig.add_scatter(
        x=x,
        y=broken(found.median, breaks),
        mode="lines",
        line={"color": theme.BLUE, "width": 1.2},
        showlegend=False,
        hoverinfo="skip",
        meta={"csv": False},
    )
    labels = found.index.labels()
    texts = [
        f"{labels[p]}<br>{n:,} peaks, {c:.0%} covered"
        for p, n, c in zip(found.place, found.n, found.covered, strict=True)
    ]
    out = found.stands_out
    for chosen, name, colour, symbol, size in (
        (~out, "median of a run", theme.BLUE, "circle", 6),
        (out, "run that stands out", theme.VERMILLION, "diamond", 10),
    ):
        if chosen.any():
            fig.add_scatter(
                x=(found.place[chosen] + 1).tolist(),
                y=listed(found.median[chosen]),
                text=[text for text, keep in zip(texts, chosen, strict=True) if keep],
                name=name,
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": size},
                hovertemplate="%{y:.4f} min<br>%{text}<extra></extra>",
            )
    everywhere = np.arange(len(found.index.keys))
    worksheet_bands(fig, everywhere, found.index.worksheet)
    reach = np.stack([found.low, found.high], axis=1)
    fig.update_yaxes(
        title="Observed - predicted (min)",
        range=robust_range(reach),
        zeroline=True,
        zerolinewidth=1.5,
        **{**theme.AXIS, "zerolinecolor": theme.MUTED},
    )
    fig.update_xaxes(title="Run, by worksheet and run order", showgrid=False, **bare_axis())
    return fig


def _thinned(
    drift: Drift,
) -> tuple[list[str], Floats, Floats, Ints, list[str], npt.NDArray[np.int64]]:
    """At most `MOST_STANDARDS` standards and about `MOST_RUNS` places, as medians of stretches."""
    spread = np.nanmax(drift.deviation, axis=0) - np.nanmin(drift.deviation, axis=0)
    widest = np.sort(np.argsort(-spread, kind="stable")[:MOST_STANDARDS])
    names = [drift.names[i] for i in widest]
    values, worksheet = drift.deviation[:, widest], drift.index.worksheet
    n_runs = len(worksheet)
    if n_runs <= MOST_RUNS:
        return names, values, drift.middle, np.arange(n_runs), drift.index.labels(), worksheet
    stretch = np.arange(n_runs) // -(-n_runs // MOST_RUNS)
    pieces, first, group = np.unique(
        np.stack([worksheet, stretch], axis=1), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first, kind="stable")
    group = np.argsort(order, kind="stable")[group.reshape(-1)]
    first = first[order]
    columns = [
        grouped_quantiles(column, group, len(pieces), (0.5,))[0][:, 0]
        for column in (*values.T, drift.middle)
    ]
    labels = [f"median of runs from {label}" for label in _taken(drift.index.labels(), first)]
    return names, np.stack(columns[:-1], axis=1), columns[-1], first, labels, worksheet[first]


def _taken(items: list[str], places: Ints) -> list[str]:
    return [items[place] for place in places.tolist()]
