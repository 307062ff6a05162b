"""The section of fitted scales: how much a hierarchical model lets things differ, and its noise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from scipy.stats import chi2

from compassign_core.contracts.settings.rt import LEARNED_DF0_BOUNDS
from compassign_core.report import theme
from compassign_core.report.diagnostics import posterior_spreads
from compassign_core.report.figures.drawing import shortened
from compassign_core.report.figures.scales import informative, interval_ends, scales_and_priors
from compassign_core.report.inputs import ReportInputs, ScalesCard
from compassign_core.report.markup import MISSING, Markup, element, number, paragraph, table
from compassign_core.report.sections.embedding import figure_block
from compassign_core.report.sections.labels import level_labels
from compassign_core.report.summaries import model_names

_WORDS = {
    "sigma_y": "noise",
    "slope": "slopes of groups",
    "tau_b": "groups about species plus compound",
    "tau_comp": "compounds about their chemistry",
    "tau_mu_super": "supercategories",
    "tau_w_super": "slopes of supercategories",
    "tau_w_comp": "slopes of compounds",
}
_OF_EACH = {
    "tau_mu": "species",
    "tau_w": "slopes of species",
    "tau_mu_pair": "compounds against elsewhere",
    "tau_w_pair": "slopes of compounds against elsewhere",
}
"""Scales that every supercategory has."""

_OF_ONE = re.compile(rf"({'|'.join(_OF_EACH)})\[(\d+)\]")


def scales_section(inputs: ReportInputs) -> list[object]:
    """Show the fitted scales of all hierarchical models, and the noise in words."""
    cards = {
        name: card.scales
        for name, card in sorted(
            inputs.models.items(), key=lambda item: (item[0] != inputs.default_model, item[0])
        )
        if card.scales is not None
    }
    if not cards:
        return [
            paragraph(
                "No hierarchical model was trained: there are no scales to show.", class_="nothing"
            )
        ]
    labels = scale_labels(cards, level_labels(inputs.windows)["supercategory"])
    styles = theme.style_by_name([*model_names(inputs.evaluation), *inputs.models])
    spreads = posterior_spreads(inputs.diagnostics)
    figure = figure_block(
        inputs,
        "fitted-scales",
        "Fitted scales, with their priors and posteriors",
        scales_and_priors(cards, spreads, styles, labels),
        "Each scale is a standard deviation: how much things of one kind differ. The grey hill is "
        "what the prior expected of it, a coloured hill what is known after the data (densities of "
        "its logarithm, each relative to its own top; the posterior as log-normal around the "
        "fitted value). A narrow hill: the data say much. An open marker without a hill: they say "
        "no more than the prior, as with a supercategory of one species. Where noise differs "
        "between groups, the scales of groups hold at average noise.",
    )
    noise = [_noise(name, card) for name, card in cards.items()]
    return [figure, _table(cards, spreads, labels), *noise]


def scale_labels(
    cards: Mapping[str, ScalesCard], supercategories: Mapping[str, str]
) -> dict[str, str]:
    """Words for every scale, by name: noise, groups, compounds, then the tree, intercepts first."""
    named: dict[str, str] = {}
    for card in cards.values():
        for name in card.names:
            of_one = _OF_ONE.fullmatch(name)
            if of_one is None:
                named[name] = _WORDS.get(name, name)
                continue
            parent = str(card.supercategories[int(of_one[2])])
            named[name] = (
                f"{_OF_EACH[of_one[1]]} in {shortened(supercategories.get(parent, parent), 44)}"
            )
    return named


def _table(
    cards: Mapping[str, ScalesCard],
    spreads: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, str],
) -> Markup:
    rows = []
    for name, words in labels.items():
        for model, card in cards.items():
            if name not in card.names:
                continue
            i = list(card.names).index(name)
            spread = spreads.get(model, {}).get(name, float("nan"))
            if informative(spread):
                low, high = interval_ends(card.values[i], spread)
                known = f"{number(low)} to {number(high)}"
            else:
                known = MISSING if math.isnan(spread) else "no narrower than the prior"
            rows.append([words, model, name, number(card.values[i]), number(card.priors[i]), known])
    header = ["Scale", "Model", "Name", "Fitted", "Prior (HalfNormal)", "95 % interval"]
    caption = "Scales as standard deviations, in minutes; of slopes in minutes per minute"
    return table(header, rows, caption=caption, n_text=3)


def _noise(model: str, card: ScalesCard) -> Markup:
    name = element("strong", model)
    typical = f"noise of a typical group: {card.noise_sd:.4f} min (standard deviation, median)"
    if card.noise == "global":
        return paragraph(name, f": {typical}; one noise for all groups.")
    scale, df = card.noise_scales[0], card.noise_df[0]
    words = (
        f": {typical}. Compounds: prior of {df:.3g} degrees of freedom with median "
        f"{prior_median(scale, df):.4f} min, {_evenness(df)}."
    )
    if len(card.noise_df) > 1:
        factor, own = card.noise_scales[1], card.noise_df[1]
        words += (
            f" Groups: {own:.3g} degrees of freedom with median "
            f"{prior_median(factor, own):.2g} times the noise of their compound, "
            f"{_evenness(own)}."
        )
    return paragraph(name, words)


def prior_median(scale: float, df: float) -> float:
    """Median standard deviation of a scaled-inverse-chi² prior of variances, in units of `scale`.

    ``variance = df scale² / chi²_df``.
    """
    return float(scale * (df / chi2.ppf(0.5, df)) ** 0.5)


def _evenness(df: float) -> str:
    if df >= 0.99 * LEARNED_DF0_BOUNDS[1]:
        return "which is as good as the same for all"
    low, high = ((df / chi2.ppf(p, df)) ** 0.5 for p in (0.9, 0.1))
    return f"the highest tenth at least {high / low:.2g} times the lowest tenth"
