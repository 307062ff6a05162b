"""Figure of the scales of hierarchical models: fitted values on the densities of their priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from compassign_core.report import theme
from compassign_core.report.figures.drawing import log_axis, significant
from compassign_core.report.inputs import ScalesCard
from compassign_core.report.summaries import Floats
from compassign_core.report.theme import plain

_Z = 1.959963984540054
_POINTS = 121
_HEIGHT = 0.8


def scales_and_priors(
    cards: Mapping[str, ScalesCard],
    styles: Mapping[str, theme.Style],
    labels: Mapping[str, str],
) -> go.Figure:
    """Fitted scales on a logarithmic axis, each on the density of its HalfNormal prior.

    Parameters
    ----------
    cards : scales by model.
    styles : colour and marker of each model.
    labels : words for each scale, by name, in the order in which they are listed.
    """
    names = [name for name in labels if any(name in card.names for card in cards.values())]
    fig = theme.figure(
        120 + 44 * len(names),
        columns=("standard_deviation", "scale"),
        narrow={
            "height": 150 + 50 * len(names),
            # words would leave no room for the figure; the table has both
            "yaxis.ticktext": [plain(name) for name in reversed(names)],
            "yaxis.tickvals": list(range(len(names))),
            "xaxis.title.text": "Standard deviation, logarithmic",
        },
    )
    if not names:
        return theme.notice(fig, "No hierarchical model was trained: there are no scales to show.")
    place = {name: len(names) - 1 - i for i, name in enumerate(names)}
    low, high = _range(cards)
    priors = sorted(
        {
            (place[name], prior, name)
            for card in cards.values()
            for name, prior in zip(card.names, card.priors, strict=True)
        },
        reverse=True,
    )
    grid = np.logspace(low, high, _POINTS)
    for i, (at, prior, name) in enumerate(priors):
        fig.add_scatter(
            x=significant(grid),
            y=significant(at + _HEIGHT * relative_density(grid, prior)),
            mode="lines",
            line={"width": 1, "color": theme.MUTED},
            fill="toself",
            fillcolor="rgba(91,104,117,0.12)",
            name="prior, HalfNormal",
            legendgroup="prior",
            showlegend=i == 0,
            hoverinfo="skip",
            meta={"panel": f"prior of {name}", "y": significant(log_density(grid, prior))},
        )
    for i, (model, card) in enumerate(cards.items()):
        _add_fitted(fig, model, card, styles[model], place, 0.2 * (len(cards) - 1 - i))
    fig.update_xaxes(
        **log_axis(low, high), title="Standard deviation (min; slopes: min per min), logarithmic"
    )
    fig.update_yaxes(
        **{**theme.AXIS, "ticks": ""},
        tickvals=[place[name] for name in names],
        ticktext=[plain(labels[name]) for name in names],
        range=[-0.5, len(names) - 0.05],
        zeroline=False,
    )
    return fig


def relative_density(values: Floats, prior: float) -> Floats:
    """Prior density of the logarithm of a scale, relative to its highest point (at `prior`).

    ``u exp((1 - u²) / 2)`` with ``u = value / prior``: a HalfNormal with the Jacobian of the
    logarithm, in which scales are fitted.
    """
    u = values / prior
    return np.asarray(u * np.exp(0.5 * (1.0 - u**2)))


def log_density(values: Floats, prior: float) -> Floats:
    """Prior density of the natural logarithm of a scale."""
    return np.asarray(np.sqrt(2.0 / np.pi) * np.exp(-0.5) * relative_density(values, prior))


def interval_ends(card: ScalesCard) -> tuple[Floats, Floats]:
    """Ends of the 95 % intervals of the scales, ``(V,)`` each; NaN without a covariance."""
    values = np.array(card.values)
    spread = np.array(card.log_sd) if len(card.log_sd) else np.full(values.shape, np.nan)
    return values * np.exp(-_Z * spread), values * np.exp(_Z * spread)


def _add_fitted(
    fig: go.Figure,
    model: str,
    card: ScalesCard,
    style: theme.Style,
    place: Mapping[str, int],
    raised: float,
) -> None:
    values = np.array(card.values)
    low, high = interval_ends(card)
    bars = None
    if len(card.log_sd):
        bars = {
            "type": "data",
            "symmetric": False,
            "array": significant(high - values),
            "arrayminus": significant(values - low),
            "thickness": 1.5,
            "width": 4,
            "color": style.colour,
        }
    fig.add_scatter(
        x=significant(values),
        y=[round(place[name] + raised, 4) for name in card.names],
        error_x=bars,
        mode="markers",
        name=plain(model),
        marker={"color": style.colour, "symbol": style.symbol, "size": 10},
        meta={"panel": "fitted", "y": list(card.names)},
        hovertemplate="%{x:.4g}",
    )


def _range(cards: Mapping[str, ScalesCard]) -> tuple[float, float]:
    """Logarithms of the ends of the axis: all values, their intervals, and the priors' bulk."""
    lows: list[float] = []
    highs: list[float] = []
    for card in cards.values():
        ends: Sequence[Floats] = interval_ends(card)
        values = np.concatenate([card.values, *ends])
        lows.append(float(np.nanmin(values)))
        highs += [float(np.nanmax(values)), 3.0 * max(card.priors)]
        lows.append(0.02 * min(card.priors))
    return float(np.log10(min(lows))) - 0.15, float(np.log10(max(highs))) + 0.05
