"""The section that holds every model against the baselines, on the same held-out peaks."""

from __future__ import annotations

import math

from compassign_core.contracts.catalogue import RT_COMPARISON, SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.comparisons import (
    BETTER,
    LEAST_SETS,
    LOSSES,
    TOO_FEW,
    WORSE,
    interval,
    judged,
    rows_of,
    signed,
)
from compassign_core.report.figures.comparison import differences_from_baseline
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import (
    Markup,
    count,
    data_script,
    element,
    paragraph,
    percent,
    table,
)
from compassign_core.report.sections.embedding import contract_data, figure_block, save_button
from compassign_core.report.summaries import Row, model_names, number_of


def comparison_section(inputs: ReportInputs) -> list[object]:
    """Show paired differences from each baseline overall, and of the default model by support."""
    given = inputs.comparison
    if not given.num_rows:
        return [
            paragraph("No model was compared with a baseline on held-out peaks.", class_="nothing")
        ]
    return [
        *(_lead(inputs, baseline) for baseline in inputs.baselines),
        *(_figure(inputs, i) for i in range(len(inputs.baselines))),
        _by_support(inputs),
        paragraph(
            "Differences are model less baseline, in minutes, with their 95 % interval: below "
            f"zero is better. With fewer than {LEAST_SETS} sample sets there is no interval worth "
            "reading. Of many intervals one in twenty leaves zero out by chance. The saved table "
            "has all models, slices and baselines. ",
            save_button("comparison", "All slices (CSV)"),
            class_="note",
        ),
        data_script(
            "comparison-data",
            contract_data(inputs, "comparison", inputs.comparison, RT_COMPARISON),
        ),
    ]


def _figure(inputs: ReportInputs, i: int) -> Markup:
    baseline = inputs.baselines[i]
    given = inputs.comparison
    names = [*model_names(inputs.evaluation), *model_names(given), *inputs.baselines]
    caption = (
        "Left of zero the model's error is smaller than that of the baseline. Bars are 95 % "
        "intervals of the difference, from drawing whole sample sets anew, because peaks of one "
        "set err together. Full markers: the interval leaves zero out; open markers: not clear. A "
        "triangle at the edge is a difference beyond the axis, with its number. A model with a "
        "fixed window rule has no distribution of its own: its CRPS is that of the Normal around "
        "its window."
    )
    return figure_block(
        inputs,
        f"differences-from-baseline-{i + 1}",
        f"Models against {baseline}",
        differences_from_baseline(
            given, baseline, theme.style_by_name(names), inputs.default_model
        ),
        caption if i == 0 else "Read as the figure above.",
    )


def _lead(inputs: ReportInputs, baseline: str) -> Markup:
    """Say in words how the default model does."""
    name = inputs.default_model
    if name == baseline:
        return paragraph(f"The model shown, {name}, is itself the baseline.")
    parts = []
    n_rows = n_sets = 0
    for metric, word in LOSSES.items():
        for row in rows_of(inputs.comparison, baseline, "overall", metric):
            if row["model"] == name:
                n_rows, n_sets = int(number_of(row, "n_rows")), int(number_of(row, "n_units"))
                base = number_of(row, "baseline_value")
                share = abs(number_of(row, "difference")) / base if base else math.nan
                size = f", {percent(share)} of its {word}" if math.isfinite(share) else ""
                parts.append(
                    f"{word} {judged(row)} ({signed(number_of(row, 'difference'))} min{size})"
                )
    if not parts:
        return paragraph(f"Model {name} and {baseline} have no scored peak in common.")
    return paragraph(
        f"Model {name} against {baseline}, on the same {n_rows:,} peaks of {n_sets} sample "
        f"sets: {'; '.join(parts)}."
    )


def _by_support(inputs: ReportInputs) -> Markup:
    """Differences of the default model from every baseline by training rows of the pair."""
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for baseline in inputs.baselines:
        for metric in LOSSES:
            for row in rows_of(inputs.comparison, baseline, "pair_support", metric):
                if row["model"] == inputs.default_model:
                    found.setdefault((str(row["level"]), baseline), {})[metric] = row
    cells = []
    for level in SUPPORT_BINS:
        for baseline in inputs.baselines:
            rows = found.get((level, baseline))
            if rows:
                some = next(iter(rows.values()))
                sizes = (count(some["n_rows"]), count(some["n_units"]))
                losses = (_cell(rows[metric]) if metric in rows else "" for metric in LOSSES)
                cells.append([level, baseline, *sizes, *losses])
    header = ["Rows of the pair", "Against", "Peaks", "Sample sets"]
    header += [f"{word} (min)" for word in LOSSES.values()]
    caption = f"Differences of {inputs.default_model} by training rows of the pair"
    return table(header, cells, caption=caption, n_text=2)


def _cell(row: Row) -> Markup:
    verdict = judged(row)
    clear = verdict in (BETTER, WORSE)
    said = element("strong", verdict) if clear else element("span", verdict, class_="note")
    spread = "" if verdict == TOO_FEW else element("div", interval(row), class_="note")
    difference = element("div", signed(number_of(row, "difference")))
    return Markup(difference + element("div", said) + spread)
