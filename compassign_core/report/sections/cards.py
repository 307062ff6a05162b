"""The section of model cards: what a reader should know about each fitted model."""

from __future__ import annotations

from compassign_core.report.inputs import ModelCard, ReportInputs
from compassign_core.report.markup import Markup, element, minutes, number, paragraph


def cards_section(inputs: ReportInputs) -> list[object]:
    """Show a card for each model, the default model first."""
    if not inputs.models:
        return [paragraph("No model cards were given.", class_="nothing")]
    default = inputs.default_model
    names = sorted(inputs.models, key=lambda name: (name != default, name))
    return [_card(name, inputs.models[name], name == default) for name in names]


def _card(name: str, card: ModelCard, is_default: bool) -> Markup:
    imputed = sorted(((k, v) for k, v in card.imputed.items() if v), key=lambda kv: (-kv[1], kv[0]))
    facts: list[tuple[str, object]] = [
        ("Trained on", f"{card.n_rows:,} rows, {card.n_groups:,} groups with coefficients"),
        ("Covariates", f"{len(card.features)}: {', '.join(card.features)}" if card.features else 0),
        (
            "Imputed with the training mean",
            "; ".join(f"{key}: {number(value)}" for key, value in imputed) or "nothing",
        ),
        ("Precision of the slopes", number(card.lambda_slopes)),
        (
            "Noise prior",
            f"scale {minutes(card.noise_scale0)} min, {number(card.noise_df0)} degrees of freedom",
        ),
        (
            "Windows",
            "corrected on runs left out of the fit" if card.calibrated else "from the model alone",
        ),
    ]
    terms = [piece for k, v in facts for piece in (element("dt", k), element("dd", v))]
    return element(
        "article",
        element("h3", name, element("span", " shown above", class_="note") if is_default else ""),
        paragraph(card.description),
        element("dl", *terms),
        class_="card",
    )
