"""The figures of the page: one function each, tables in, `plotly.graph_objects.Figure` out.

Numbers come from `summaries`; here is only drawing. Every array goes into a figure as a plain,
rounded list, so that the JSON is small, readable and the same on every machine. Large data are
thinned: residuals are summed up per run, long series of runs per stretch of runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.summaries import (
    LEVELS,
    Drift,
    Floats,
    Ints,
    binomial_interval,
    evaluation_rows,
    grouped_quantiles,
    model_names,
    observed_coverage,
    of_model,
    pit,
    residuals,
    residuals_by_run,
)
from compassign_core.report.summaries import standards_drift as drift_of
from compassign_core.report.theme import plain

MOST_RUNS = 400
"""Runs shown one by one; more are drawn as medians of neighbouring runs."""

MOST_STANDARDS = 40
"""Standards shown; of more, those that vary most."""

NO_ROWS = "No held-out peaks were scored: nothing to show."


def standards_drift(runs: pa.Table) -> go.Figure:
    """Each standard's RT minus its own median, in minutes, over the runs by worksheet."""
    drift = drift_of(runs)
    n_listed = min(len(drift.names), MOST_STANDARDS) + 1
    fig = theme.figure(columns=("run", "deviation_min"), narrow={"height": 400 + 20 * n_listed})
    if not drift.names:
        return theme.notice(fig, "The runs carry no standards.")
    names, values, middle, place, labels, worksheet = _thinned(drift)
    few = len(names) <= 10
    breaks = _worksheet_breaks(worksheet)
    x, text = _broken(place + 1, breaks), _broken_text(labels, breaks)
    for i, name in enumerate(names):
        fig.add_scatter(
            x=x,
            y=_broken(values[:, i], breaks),
            text=text,
            name=plain(name),
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
        y=_broken(middle, breaks),
        text=text,
        name="trimmed mean of all",
        mode="lines",
        line={"color": theme.BLACK, "width": 2.5},
        hovertemplate="%{y:.4f} min<br>%{text}",
    )
    _worksheet_bands(fig, place, worksheet)
    fig.update_yaxes(
        title="RT minus median (min)", range=_robust_range(values), zeroline=True, **theme.AXIS
    )
    fig.update_xaxes(title="Run, by worksheet and run order", showgrid=False, **_bare_axis())
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


def residuals_by_run_order(predictions: pa.Table, runs: pa.Table, model: str) -> go.Figure:
    """Median and 10-90 % band of the residuals of each held-out run, in minutes."""
    fig = theme.figure(400, columns=("run", "residual_min"))
    found = residuals_by_run(predictions, runs, model)
    if not len(found.place):
        return theme.notice(fig, NO_ROWS)
    worksheet = found.index.worksheet[found.place]
    # Held-out runs are a few blocks of the sequence: a line across a gap would claim runs
    # that are not there.
    breaks = _worksheet_breaks(worksheet) | (np.diff(found.place, prepend=found.place[0]) > 5)
    breaks[0] = False
    x = _broken(found.place + 1, breaks)
    band = {"mode": "lines", "line": {"width": 0.5, "color": theme.SKY}, "hoverinfo": "skip"}
    for start, stop in _stretches(breaks):
        part = slice(start, stop)
        shape = {**band, "x": (found.place[part] + 1).tolist(), "legendgroup": "band"}
        fig.add_scatter(y=_listed(found.low[part]), name="10 %", showlegend=False, **shape)
        fig.add_scatter(
            y=_listed(found.high[part]),
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
        y=_broken(found.median, breaks),
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
                y=_listed(found.median[chosen]),
                text=[text for text, keep in zip(texts, chosen, strict=True) if keep],
                name=name,
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": size},
                hovertemplate="%{y:.4f} min<br>%{text}<extra></extra>",
            )
    everywhere = np.arange(len(found.index.keys))
    _worksheet_bands(fig, everywhere, found.index.worksheet)
    reach = np.stack([found.low, found.high], axis=1)
    fig.update_yaxes(
        title="Observed - predicted (min)",
        range=_robust_range(reach),
        zeroline=True,
        zerolinewidth=1.5,
        **{**theme.AXIS, "zerolinecolor": theme.MUTED},
    )
    fig.update_xaxes(title="Run, by worksheet and run order", showgrid=False, **_bare_axis())
    return fig


def coverage_and_width_by_support(evaluation: pa.Table) -> go.Figure:
    """Coverage, with its sampling error, and mean width of the windows by support bin."""
    fig = theme.figure(
        400,
        columns=("training_rows", "value"),
        narrow={
            "height": 660,
            "xaxis.domain": [0, 1],
            "xaxis2.domain": [0, 1],
            "yaxis.domain": [0.6, 1],
            "yaxis2.domain": [0, 0.42],
        },
    )
    rows = [r for r in evaluation_rows(evaluation, "support_bin") if r["n_scored"]]
    if not rows:
        return theme.notice(fig, NO_ROWS)
    levels = [b for b in SUPPORT_BINS if any(r["level"] == b for r in rows)]
    models = theme.style_by_name(model_names(evaluation))
    for i, (model, (colour, symbol)) in enumerate(models.items()):
        own = {str(r["level"]): r for r in rows if r["model"] == model}
        bins = [b for b in levels if b in own]
        cover, n = _metric(own, bins, "cov95"), _metric(own, bins, "n_scored")
        common = {
            "x": [round(levels.index(b) + _shift(i, len(models)), 4) for b in bins],
            "mode": "lines+markers",
            "line": {"color": colour, "width": 1.5},
            "marker": {"symbol": symbol, "size": 8},
            "legendgroup": model,
            "text": [f"{b} training rows, {k:,.0f} peaks" for b, k in zip(bins, n, strict=True)],
        }
        fig.add_scatter(
            y=_listed(cover),
            error_y=_error_bars(cover, n, colour),
            name=plain(model),
            meta={"panel": "coverage", "x": bins},
            hovertemplate="%{y:.1%} covered<br>%{text}",
            **common,
        )
        fig.add_scatter(
            y=_listed(_metric(own, bins, "width95")),
            xaxis="x2",
            yaxis="y2",
            name=plain(model),
            showlegend=False,
            meta={"panel": "width_min", "x": bins},
            hovertemplate="%{y:.4f} min<br>%{text}",
            **common,
        )
    _nominal_line(fig, "y", 0.95)
    bins_axis = {
        **theme.AXIS,
        "tickvals": list(range(len(levels))),
        "ticktext": levels,
        "zeroline": False,
        "title": "Training rows in the group",
    }
    fig.update_layout(
        xaxis={**bins_axis, "domain": [0, 0.44]},
        xaxis2={**bins_axis, "domain": [0.56, 1], "anchor": "y2"},
        yaxis={**theme.AXIS, "title": "Share covered", "tickformat": ".0%"},
        yaxis2={
            **theme.AXIS,
            "title": "Mean full width (min)",
            "anchor": "x2",
            "rangemode": "tozero",
        },
    )
    return fig


def calibration_curve(predictions: pa.Table) -> go.Figure:
    """Observed against nominal coverage of the central Student-t intervals, by model."""
    fig = theme.figure(440, columns=("nominal_coverage", "observed_coverage"))
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
    for model, (colour, symbol) in theme.style_by_name(list(transforms)).items():
        values = transforms[model]
        if values.size:
            fig.add_scatter(
                x=list(LEVELS),
                y=_listed(observed_coverage(values)),
                mode="lines+markers",
                name=plain(model),
                line={"color": colour, "width": 1.5},
                marker={"symbol": symbol, "size": 6},
                hovertemplate="nominal %{x:.0%}, observed %{y:.1%}",
            )
    fig.update_xaxes(
        title="Promised share", range=[0, 1.01], tickformat=".0%", dtick=0.2, **theme.AXIS
    )
    fig.update_yaxes(
        title="Measured share", range=[0, 1.01], tickformat=".0%", dtick=0.2, **theme.AXIS
    )
    return fig


def model_comparison(evaluation: pa.Table) -> go.Figure:
    """Errors by model, and what each model pays in width for its coverage."""
    fig = theme.figure(
        380,
        columns=("measure", "value"),
        barmode="group",
        narrow={
            "height": 660,
            "xaxis.domain": [0, 1],
            "xaxis2.domain": [0, 1],
            "yaxis.domain": [0.6, 1],
            "yaxis2.domain": [0, 0.42],
        },
    )
    rows = {str(r["model"]): r for r in evaluation_rows(evaluation, "overall") if r["n_scored"]}
    if not rows:
        return theme.notice(fig, NO_ROWS)
    for model, (colour, symbol) in theme.style_by_name(model_names(evaluation)).items():
        if model not in rows:
            continue
        fig.add_bar(
            x=["RMSE", "MAE", "CRPS"],
            y=_listed(np.array([_value(rows[model], m) for m in ("rmse", "mae", "crps")])),
            name=plain(model),
            marker={"color": colour},
            legendgroup=model,
            meta={"panel": "error_min"},
            hovertemplate="%{x} %{y:.4f} min",
        )
        cover = np.array([_value(rows[model], "cov95")])
        fig.add_scatter(
            x=_listed(np.array([_value(rows[model], "width95")])),
            y=_listed(cover),
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
    _nominal_line(fig, "y2", 0.95)
    fig.update_layout(
        xaxis={**theme.AXIS, "domain": [0, 0.44]},
        xaxis2={
            **theme.AXIS,
            "domain": [0.56, 1],
            "anchor": "y2",
            "title": "Mean full width (min)",
        },
        yaxis={**theme.AXIS, "title": "Error (min)"},
        yaxis2={**theme.AXIS, "title": "Share covered", "tickformat": ".1%", "anchor": "x2"},
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
    for i, (model, (colour, symbol)) in enumerate(models.items()):
        own = {str(r["level"]): r for r in rows if r["model"] == model}
        found = [level for level in levels if level in own]
        cover, n = _metric(own, found, "cov95"), _metric(own, found, "n_scored")
        fig.add_scatter(
            x=_listed(cover),
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
        x=_listed((edges[1:] + edges[:-1]) / 2),
        y=counts.tolist(),
        name=plain(model),
        marker={"color": theme.BLUE},
        hovertemplate="%{x:.4f} min: %{y:,} peaks<extra></extra>",
    )
    fig.update_xaxes(title="Observed - predicted (min)", **theme.AXIS)
    fig.update_yaxes(title="Peaks", **theme.AXIS)
    return fig


def pit_histogram(predictions: pa.Table, bins: int = 20) -> go.Figure:
    """Where observations fall in their predictive distribution; flat when it is right."""
    fig = theme.figure(340, columns=("place_in_distribution", "relative_frequency"))
    transforms = {m: pit(of_model(predictions, m)) for m in model_names(predictions)}
    if not any(values.size for values in transforms.values()):
        return theme.notice(fig, NO_ROWS)
    for model, (colour, _) in theme.style_by_name(list(transforms)).items():
        values = transforms[model]
        if values.size:
            counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
            fig.add_scatter(
                x=_listed((edges[1:] + edges[:-1]) / 2),
                y=_listed(counts * bins / values.size),
                mode="lines",
                name=plain(model),
                line={"color": colour, "shape": "hvh", "width": 1.8},
                hovertemplate="%{y:.2f}",
            )
    _nominal_line(fig, "y", 1.0, label="even")
    fig.update_xaxes(title="Place in the predictive distribution", range=[0, 1], **theme.AXIS)
    fig.update_yaxes(title="Relative frequency", rangemode="tozero", **theme.AXIS)
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


def _worksheet_breaks(worksheet: Ints) -> npt.NDArray[np.bool_]:
    """Where a new worksheet begins, the very first run excepted; shape ``(n,)``."""
    return np.asarray(np.diff(worksheet, prepend=worksheet[:1]) != 0, dtype=np.bool_)


def _stretches(breaks: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    starts = [0, *np.flatnonzero(breaks).tolist()]
    return list(zip(starts, [*starts[1:], len(breaks)], strict=True))


def _broken(values: npt.NDArray[Any], breaks: npt.NDArray[np.bool_]) -> list[float | None]:
    """Values as a list with a gap before each break, so that no line bridges worksheets."""
    return _listed(np.insert(values.astype(np.float64), np.flatnonzero(breaks), np.nan))


def _broken_text(labels: Sequence[str], breaks: npt.NDArray[np.bool_]) -> list[str]:
    padded = np.insert(np.array(labels, dtype=object), np.flatnonzero(breaks), "")
    return [str(label) for label in padded]


def _listed(values: npt.NDArray[Any]) -> list[float | None]:
    """Values rounded to 5 decimals (well below a scan in minutes), NaN as None."""
    rounded = np.round(values.astype(np.float64), 5) + 0.0
    out: list[float | None] = [
        None if np.isnan(value) else (int(value) if value == int(value) else value)
        for value in rounded.tolist()
    ]
    return out


def _worksheet_bands(fig: go.Figure, place: Ints, worksheet: Ints) -> None:
    """Shade every second worksheet and name them when there is room."""
    stretches = _stretches(_worksheet_breaks(worksheet))
    ends = [*(float(place[stop]) for _, stop in stretches[:-1]), float(place[-1]) + 1]
    for i, ((start, _), end) in enumerate(zip(stretches, ends, strict=True)):
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
        if len(stretches) <= 8:
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


def _bare_axis() -> dict[str, Any]:
    return {**theme.AXIS, "zeroline": False}


def _robust_range(values: Floats) -> list[float] | None:
    """Axis range around the inner 99 % of the values, with room for labels above."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    low, high = np.quantile(finite, [0.005, 0.995])
    room = max(float(high - low), 1e-3)
    return [round(float(low) - 0.15 * room, 5), round(float(high) + 0.3 * room, 5)]


def _nominal_line(fig: go.Figure, yaxis: str, value: float, label: str = "95 %") -> None:
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


def _shift(i: int, n: int) -> float:
    """Sideways place of series `i` of `n` around a level, so that error bars stay apart."""
    return 0.5 * (i + 0.5) / n - 0.25


def _error_bars(share: Floats, n: Floats, colour: str) -> dict[str, Any]:
    low, high = binomial_interval(share, n)
    return {
        "type": "data",
        "symmetric": False,
        "array": _listed(high - share),
        "arrayminus": _listed(share - low),
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
