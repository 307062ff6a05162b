"""Figure of the scales of hierarchical models: what was expected of them, and what was found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from compassign_core.report import theme
from compassign_core.report.figures.drawing import log_axis, shortened, significant
from compassign_core.report.inputs import ScalesCard
from compassign_core.report.summaries import Floats
from compassign_core.report.theme import plain

PRIOR_LOG_SD = float(np.pi / np.sqrt(8.0))
"""Standard deviation of the logarithm of a HalfNormal, whatever its scale."""

_Z = 1.959963984540054
_POINTS, _POINTS_OF_HILL = 91, 41
_REACH = 3.0
_MOST_LETTERS = 44
_HEIGHT = 0.8
_RAISED = 0.12
"""How much the markers of one model stand above those of the next."""


def scales_and_priors(
    cards: Mapping[str, ScalesCard],
    spreads: Mapping[str, Mapping[str, float]],
    styles: Mapping[str, theme.Style],
    labels: Mapping[str, str],
) -> go.Figure:
    """Prior and posterior densities of the logarithms of scales.

    Priors are HalfNormal, posteriors log-normal about the fitted value; every hill is drawn
    relative to its own top. A posterior no narrower than its prior is left out.

    Parameters
    ----------
    cards : scales by model.
    spreads : by model and scale, the standard deviation of the scale's logarithm.
    styles : colour and marker of each model.
    labels : words for each scale, by name, in the order in which they are listed.
    """
    names = [name for name in labels if any(name in card.names for card in cards.values())]
    fig = theme.figure(
        120 + 52 * len(names),
        columns=("standard_deviation", "scale"),
        narrow={
            "height": 150 + 56 * len(names),
            # words would leave no room for the figure; the table has both
            "yaxis.ticktext": [plain(name) for name in reversed(names)],
            "yaxis.tickvals": list(range(len(names))),
            "xaxis.title.text": "Standard deviation, logarithmic",
        },
    )
    if not names:
        return theme.notice(fig, "No hierarchical model was trained: there are no scales to show.")
    place = {name: len(names) - 1 - i for i, name in enumerate(names)}
    low, high = _range(cards, spreads)
    grid = np.logspace(low, high, _POINTS)
    _add_priors(fig, cards, place, grid)
    for i, (model, card) in enumerate(cards.items()):
        raised = _RAISED * (len(cards) - 1 - i)
        _add_posterior(fig, model, card, spreads.get(model, {}), styles[model], place, raised)
    fig.update_xaxes(
        **log_axis(low, high), title="Standard deviation (min; slopes: min per min), logarithmic"
    )
    fig.update_yaxes(
        **{**theme.AXIS, "ticks": ""},
        tickvals=[place[name] for name in names],
        ticktext=[plain(shortened(labels[name], _MOST_LETTERS)) for name in names],
        range=[-0.3, len(names) + 0.05],
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


def informative(spread: float) -> bool:
    """Whether a posterior of this spread of the logarithm is narrower than any HalfNormal."""
    return bool(spread < PRIOR_LOG_SD)


def interval_ends(value: float, spread: float) -> tuple[float, float]:
    """Ends of the 95 % interval of a scale, from the spread of its logarithm."""
    reach = float(np.exp(_Z * spread))
    return value / reach, value * reach


def _add_priors(
    fig: go.Figure, cards: Mapping[str, ScalesCard], place: Mapping[str, int], grid: Floats
) -> None:
    priors = sorted(
        {
            (place[name], prior, name)
            for card in cards.values()
            for name, prior in zip(card.names, card.priors, strict=True)
        },
        reverse=True,
    )
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


def _add_posterior(
    fig: go.Figure,
    model: str,
    card: ScalesCard,
    spreads: Mapping[str, float],
    style: theme.Style,
    place: Mapping[str, int],
    raised: float,
) -> None:
    """Draw the hills of one model's posteriors, and markers at its fitted scales."""
    steps = np.linspace(-_REACH, _REACH, _POINTS_OF_HILL)
    hill = np.exp(-0.5 * steps**2)
    for name, value in zip(card.names, card.values, strict=True):
        spread = spreads.get(name, float("nan"))
        if not informative(spread):
            continue
        fig.add_scatter(
            x=significant(value * np.exp(spread * steps)),
            y=significant(place[name] + _HEIGHT * hill),
            mode="lines",
            line={"width": 1.6, "color": style.colour},
            fill="toself",
            fillcolor=_faint(style.colour),
            name=plain(model),
            legendgroup=model,
            showlegend=False,
            hoverinfo="skip",
            meta={
                "panel": f"posterior of {name}",
                "y": significant(hill / (spread * np.sqrt(2.0 * np.pi))),
            },
        )
    known = [informative(spreads.get(name, float("nan"))) for name in card.names]
    fig.add_scatter(
        x=significant(np.array(card.values)),
        y=[round(place[name] + raised, 4) for name in card.names],
        mode="markers",
        name=plain(model),
        legendgroup=model,
        marker={
            "color": style.colour,
            "symbol": [style.symbol if drawn else f"{style.symbol}-open" for drawn in known],
            "size": 9,
        },
        meta={"panel": "fitted", "y": list(card.names)},
        hovertemplate="%{x:.4g}",
    )


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _range(
    cards: Mapping[str, ScalesCard], spreads: Mapping[str, Mapping[str, float]]
) -> tuple[float, float]:
    """Logarithms of the ends of the axis: all values, their hills, and the priors' bulk."""
    ends: list[float] = []
    for model, card in cards.items():
        ends += [3.0 * max(card.priors), 0.02 * min(card.priors), *card.values]
        for name, value in zip(card.names, card.values, strict=True):
            spread = spreads.get(model, {}).get(name, float("nan"))
            if informative(spread):
                ends += interval_ends(value, spread)
    return float(np.log10(min(ends))) - 0.15, float(np.log10(max(ends))) + 0.05
