"""Figure of the differences between each model and the baseline, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.report import theme
from compassign_core.report.comparisons import (
    BETTER,
    LOSSES,
    UNCLEAR,
    WORSE,
    interval,
    judged,
    rows_of,
    signed,
)
from compassign_core.report.figures.drawing import NO_ROWS, listed
from compassign_core.report.summaries import Floats, number_of
from compassign_core.report.theme import plain

FAR = 6.0
"""A difference this many times beyond the middle one is drawn at the edge, with its number."""


def differences_from_baseline(
    comparison: pa.Table, baseline: str, styles: Mapping[str, theme.Style], default: str
) -> go.Figure:
    """Model less baseline with 95 % intervals, overall, in one panel for each loss (min).

    `styles` are those of the models elsewhere on the page; the default model stands on top.
    """
    found = {metric: rows_of(comparison, baseline, "overall", metric) for metric in LOSSES}
    models = sorted({str(r["model"]) for rows in found.values() for r in rows}, reverse=True)
    models.sort(key=lambda name: name == default)
    height = 130 + 44 * len(models)
    fig = theme.figure(
        height, columns=("difference_min", "model"), narrow=_stacked(len(found), len(models))
    )
    if not models:
        return theme.notice(fig, NO_ROWS)
    for panel, (metric, rows) in enumerate(found.items()):
        _add_panel(fig, panel, metric, rows, models, styles)
        words = fig.layout[f"xaxis{_suffix(panel)}"].title.text.replace(": model less baseline", "")
        fig.layout.meta["narrow"][f"xaxis{_suffix(panel)}.title.text"] = words
    for panel, domain in enumerate(([0, 0.3], [0.35, 0.65], [0.7, 1])):
        fig.update_layout({f"xaxis{_suffix(panel)}": {"domain": domain}})
    fig.update_layout(showlegend=False, margin={"l": 60, "r": 16, "t": 24, "b": 60})
    return fig


def _add_panel(
    fig: go.Figure,
    panel: int,
    metric: str,
    rows: Sequence[Mapping[str, object]],
    models: Sequence[str],
    styles: Mapping[str, theme.Style],
) -> None:
    suffix = _suffix(panel)
    edge = _edge(rows)
    for row in rows:
        model = str(row["model"])
        colour, symbol, _ = styles[model]
        middle, verdict = number_of(row, "difference"), judged(row)
        far = abs(middle) > edge
        ends = np.array([number_of(row, "low"), number_of(row, "high")])
        arrow = "triangle-right" if middle > 0 else "triangle-left"
        shown = symbol if verdict in (BETTER, WORSE) else f"{symbol}-open"
        fig.add_scatter(
            x=listed(np.array([np.clip(middle, -edge, edge)])),
            y=[models.index(model)],
            error_x=None if far else _bar(middle, ends, edge, colour),
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
            mode="markers+text",
            text=[f"{signed(middle)}: {verdict}" if far else verdict],
            # what is better lies left of zero, so a far one is labelled towards the middle
            textposition=f"middle {'left' if middle > 0 else 'right'}" if far else "top center",
            textfont={"size": 11, "color": theme.MUTED if verdict == UNCLEAR else theme.INK},
            cliponaxis=False,
            name=plain(model),
            marker={"color": colour, "symbol": arrow if far else shown, "size": 10},
            meta={"panel": f"{metric}_min", "x": listed(np.array([middle])), "y": [model]},
            hovertemplate=f"{signed(middle)} min ({interval(row)})",
        )
    base = number_of(rows[0], "baseline_value") if rows else float("nan")
    reach = [-1.12 * edge, 1.12 * edge]
    fig.update_layout(
        {
            f"xaxis{suffix}": {
                **theme.AXIS,
                "title": f"{LOSSES[metric]}: model less baseline (min)<br>baseline {base:.4f} min",
                "range": [round(end, 6) for end in reach],
                "anchor": f"y{suffix}",
                "nticks": 5,
                "zeroline": True,
                "zerolinewidth": 2,
                "zerolinecolor": theme.MUTED,
            },
            f"yaxis{suffix}": {
                **theme.AXIS,
                "tickvals": list(range(len(models))),
                "ticktext": [plain(model) for model in models],
                "range": [-0.6, len(models) - 0.3],
                "anchor": f"x{suffix}",
                "zeroline": False,
                "showticklabels": panel == 0,
            },
        }
    )


def _edge(rows: Sequence[Mapping[str, object]]) -> float:
    """Half width of a panel: all differences and intervals but those of far models."""
    if not rows:
        return 1e-4
    reach = np.array([_reach(row) for row in rows])
    near = reach <= FAR * np.median(reach)
    return max(float(reach[near].max()), 1e-4)


def _reach(row: Mapping[str, object]) -> float:
    return float(
        np.nanmax(np.abs([number_of(row, name) for name in ("low", "difference", "high")]))
    )


def _bar(middle: float, ends: Floats, edge: float, colour: str) -> dict[str, Any] | None:
    if not np.isfinite(ends).all():
        return None
    low, high = np.clip(ends, -1.12 * edge, 1.12 * edge)
    return {
        "type": "data",
        "symmetric": False,
        "array": listed(np.array([high - middle])),
        "arrayminus": listed(np.array([middle - low])),
        "thickness": 1.5,
        "width": 4,
        "color": colour,
    }


def _stacked(panels: int, models: int) -> dict[str, Any]:
    """Layout of a narrow screen: panels below each other, each with its names."""
    changes: dict[str, Any] = {"height": panels * (110 + 38 * models)}
    for panel in range(panels):
        suffix = _suffix(panel)
        top = 1 - panel / panels
        changes[f"xaxis{suffix}.domain"] = [0, 1]
        changes[f"yaxis{suffix}.domain"] = [round(top - 0.7 / panels, 4), round(top, 4)]
        changes[f"yaxis{suffix}.showticklabels"] = True
    return changes


def _suffix(panel: int) -> str:
    return "" if panel == 0 else str(panel + 1)
