"""Figure of pooling: mean intercepts of species after pooling against those of their own rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.report import theme
from compassign_core.report.figures.drawing import listed, shortened
from compassign_core.report.summaries import floats
from compassign_core.report.theme import plain

NOTHING = "The default model pools no species: nothing to show."
_PANELS = (
    ("raw", "Own rows, RT less the compound's mean (min)"),
    ("adjusted", "Own rows, after compounds and covariates (min)"),
)
_SMALLEST, _LARGEST = 7.0, 26.0


def species_shrinkage(
    effects: pa.Table, species: Mapping[str, str], supercategories: Mapping[str, str]
) -> go.Figure:
    """Posterior against unpooled species means, relative to the supercategory, in minutes.

    `species` and `supercategories` are labels by id.
    """
    fig = theme.figure(
        460,
        columns=("own_rows_min", "posterior_min"),
        narrow={
            "height": 820,
            "xaxis.domain": [0, 1],
            "xaxis2.domain": [0, 1],
            "yaxis.domain": [0.6, 1],
            "yaxis2.domain": [0, 0.42],
            "yaxis2.showticklabels": True,
            "xaxis.title.text": "Own rows less compound (min)",
            "xaxis2.title.text": "After covariates (min)",
        },
    )
    if not effects.num_rows:
        return theme.notice(fig, NOTHING)
    parents = floats(effects, "species_cluster").astype(np.int64)
    known = [str(parent) for parent in np.unique(parents).tolist()]
    styles = theme.style_by_name([f"{int(name):020d}" for name in known])
    rows = floats(effects, "n_train")
    size = _SMALLEST + (_LARGEST - _SMALLEST) * np.sqrt(rows / max(rows.max(), 1.0))
    texts = np.array(
        [
            f"{plain(species.get(str(s), s))}: {n:,} rows, {g:,} groups"
            for s, n, g in zip(
                effects["species"].to_pylist(),
                effects["n_train"].to_pylist(),
                effects["n_groups"].to_pylist(),
                strict=True,
            )
        ],
        dtype=object,
    )
    after = floats(effects, "posterior")
    reach = 1.15 * max(float(np.nanmax(np.abs([floats(effects, n) for n, _ in _PANELS]))), 1e-4)
    for panel, (column, title) in enumerate(_PANELS):
        suffix = "" if panel == 0 else "2"
        _add_diagonal(fig, suffix, reach)
        before = floats(effects, column)
        for parent in known:
            own = (parents == int(parent)) & np.isfinite(before)
            colour, symbol, _ = styles[f"{int(parent):020d}"]
            fig.add_scatter(
                x=listed(before[own]),
                y=listed(after[own]),
                xaxis=f"x{suffix}",
                yaxis=f"y{suffix}",
                mode="markers",
                text=texts[own].tolist(),
                name=plain(shortened(supercategories.get(parent, parent), 48)),
                legendgroup=parent,
                showlegend=panel == 1,
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": listed(np.round(size[own], 1)),
                    "opacity": 0.75,
                    "line": {"width": 1, "color": "#ffffff"},
                },
                meta={"panel": column},
                hovertemplate="own %{x:.4f} min, pooled %{y:.4f} min<br>%{text}",
            )
        fig.update_layout(
            {
                f"xaxis{suffix}": {
                    **theme.AXIS,
                    "title": title,
                    "range": [-round(reach, 5), round(reach, 5)],
                    "domain": [0, 0.46] if panel == 0 else [0.54, 1],
                    "anchor": f"y{suffix}",
                },
                f"yaxis{suffix}": {
                    **theme.AXIS,
                    "title": "After pooling (min)" if panel == 0 else "",
                    "range": [-round(reach, 5), round(reach, 5)],
                    "anchor": f"x{suffix}",
                },
            }
        )
    fig.update_layout(legend={"itemsizing": "constant"})
    return fig


def _add_diagonal(fig: go.Figure, suffix: str, reach: float) -> None:
    end = round(reach, 5)
    fig.add_scatter(
        x=[-end, end],
        y=[-end, end],
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
        mode="lines",
        line={"color": theme.MUTED, "dash": "dash", "width": 1},
        name="not pooled at all",
        legendgroup="diagonal",
        showlegend=suffix == "2",
        hoverinfo="skip",
        meta={"csv": False},
    )
