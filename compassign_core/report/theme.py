"""Colours, symbols and the look that all figures share.

The palette is that of Okabe and Ito, which people with colour-vision deficiency can tell apart,
with a grey in place of its yellow, which white swallows; every series also differs by its marker,
so that nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, ORANGE, BLACK, GREY = "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#808080"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, SKY, ORANGE, BLACK, GREY)
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "x",
    "star",
    "cross",
    "triangle-down",
    "hourglass",
)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

INK, MUTED, RULE, SHADE = "#1b2733", "#5b6875", "#d9dfe5", "#f4f6f8"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
AXIS = {
    "gridcolor": "#e8ecf0",
    "zerolinecolor": RULE,
    "linecolor": RULE,
    "ticks": "outside",
    "tickcolor": RULE,
    "automargin": True,
    "exponentformat": "none",
}


class Style(NamedTuple):
    """How a series looks wherever it is drawn."""

    colour: str
    symbol: str
    dash: str


def style_by_name(names: Sequence[str]) -> dict[str, Style]:
    """Colour, marker and dashes of each name, by its place in sorted order."""
    return {
        name: Style(PALETTE[i % len(PALETTE)], SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)])
        for i, name in enumerate(sorted(set(names)))
    }


def line_width(name: str, default: str) -> float:
    """Width of a model's line; that of the default model stands out."""
    return 3.0 if name == default else 1.4


def plain(text: object) -> str:
    """Text that a figure shows as it is: plotly would read tags and entities in it as markup."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def figure(
    height: int = 400,
    *,
    narrow: dict[str, Any] | None = None,
    columns: tuple[str, str] = ("x", "y"),
    **layout: Any,
) -> go.Figure:
    """Make an empty figure in the house style.

    Parameters
    ----------
    height : height in pixels.
    narrow : changes of layout for a narrow screen, as dotted keys; the page applies them.
    columns : names of the x and y columns when the figure's data are saved as CSV.
    layout : further settings of the layout.
    """
    fig = go.Figure()
    fig.update_layout(
        template=go.layout.Template(),
        height=height,
        autosize=True,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        margin={"l": 60, "r": 16, "t": 56, "b": 50},
        hoverlabel={"bgcolor": "#ffffff", "font": {"color": INK}},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        meta={"columns": list(columns), "narrow": narrow or {}},
        **layout,
    )
    return fig


def notice(fig: go.Figure, text: str) -> go.Figure:
    """Say in an otherwise empty figure why it is empty."""
    fig.update_layout(height=120, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)
    fig.add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"color": MUTED}
    )
    return fig
