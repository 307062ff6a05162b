"""Figure of how far pooling moved each species, by the rows it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.report import theme
from compassign_core.report.figures.drawing import listed, log_axis
from compassign_core.report.figures.shrinkage import NOTHING
from compassign_core.report.summaries import floats, model_names, of_model
from compassign_core.report.theme import plain

_GAP = 0.07


def species_movement(effects: pa.Table, species: Mapping[str, str], default: str) -> go.Figure:
    """From the mean intercept of a species' own rows to that after pooling, over its rows.

    One panel for each hierarchical model, the default one first; values in minutes, relative to
    the supercategory. `species` are labels by id.
    """
    models = sorted(model_names(effects), key=lambda name: (name != default, name))
    fig = theme.figure(420, columns=("training_rows", "relative_to_supercategory_min"))
    if not models:
        return theme.notice(fig, NOTHING)
    ends = np.log10(np.maximum(floats(effects, "n_train"), 1.0))
    rows_axis = log_axis(float(ends.min()) - 0.15, float(ends.max()) + 0.15)
    reach = np.abs([floats(effects, name) for name in ("adjusted", "posterior")])
    edge = 1.15 * max(float(np.nanmax(reach)), 1e-4)
    for panel, model in enumerate(models):
        suffix = "" if panel == 0 else str(panel + 1)
        _add_panel(fig, of_model(effects, model), species, suffix, model)
        fig.update_layout(
            {
                f"xaxis{suffix}": {
                    **rows_axis,
                    "title": f"Training rows<br>{plain(model)}",
                    "domain": _domain(panel, len(models)),
                    "anchor": f"y{suffix}",
                },
                f"yaxis{suffix}": {
                    **theme.AXIS,
                    "title": "Relative to supercategory (min)" if panel == 0 else "",
                    "range": [-round(edge, 5), round(edge, 5)],
                    "anchor": f"x{suffix}",
                    "zeroline": True,
                    "zerolinewidth": 2,
                    "zerolinecolor": theme.MUTED,
                    "showticklabels": panel == 0,
                },
            }
        )
    fig.layout.meta["narrow"].update(_stacked(len(models)))
    return fig


def _add_panel(
    fig: go.Figure, effects: pa.Table, species: Mapping[str, str], suffix: str, model: str
) -> None:
    n, before, after = (floats(effects, name) for name in ("n_train", "adjusted", "posterior"))
    gaps = np.full(n.shape, np.nan)
    first = suffix == ""
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    texts = [
        f"{plain(species.get(str(s), s))}: {int(k):,} rows"
        for s, k in zip(effects["species"].to_pylist(), n, strict=True)
    ]
    fig.add_scatter(
        x=listed(np.stack([n, n, gaps], axis=1).ravel()),
        y=listed(np.stack([before, after, gaps], axis=1).ravel()),
        mode="lines",
        line={"color": theme.MUTED, "width": 1.5},
        showlegend=False,
        hoverinfo="skip",
        meta={"csv": False},
        **axes,
    )
    for name, values, colour, symbol in (
        ("its own rows", before, theme.VERMILLION, "circle-open"),
        ("after pooling", after, theme.BLUE, "diamond"),
    ):
        fig.add_scatter(
            x=listed(n),
            y=listed(values),
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=first,
            marker={"color": colour, "symbol": symbol, "size": 9, "line": {"width": 1.5}},
            text=texts,
            meta={"panel": model},
            hovertemplate="%{y:.4f} min<br>%{text}",
            **axes,
        )


def _domain(panel: int, panels: int) -> list[float]:
    wide = (1 - (panels - 1) * _GAP) / panels
    left = panel * (wide + _GAP)
    return [round(left, 4), round(min(left + wide, 1.0), 4)]


def _stacked(panels: int) -> dict[str, Any]:
    """Layout of a narrow screen: panels below each other."""
    changes: dict[str, Any] = {"height": 80 + 280 * panels}
    for panel in range(panels):
        suffix = "" if panel == 0 else str(panel + 1)
        top = 1 - panel / panels
        changes[f"xaxis{suffix}.domain"] = [0, 1]
        changes[f"yaxis{suffix}.domain"] = [round(top - 0.72 / panels, 4), round(top, 4)]
        changes[f"yaxis{suffix}.showticklabels"] = True
    return changes
