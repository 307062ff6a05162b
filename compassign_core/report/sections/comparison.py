"""The section that holds every model against the baseline, on the same held-out peaks."""

from __future__ import annotations

import math
from typing import Any

from compassign_core.contracts.catalogue import RT_COMPARISON, SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.comparisons import (
    BETTER,
    LEAST_SETS,
    LOSSES,
    TOO_FEW,
    WORSE,
    Row,
    interval,
    judged,
    rows_of,
    signed,
    value,
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
from compassign_core.report.sections.embedding import (
    figure_block,
    file_stem,
    number_column,
    save_button,
    text_column,
)
from compassign_core.report.summaries import model_names


def comparison_section(inputs: ReportInputs) -> list[object]:
    """Show paired differences from the baseline overall, and by support bin."""
    given = inputs.comparison
    if not given.num_rows:
        return [
            paragraph("No model was compared with a baseline on held-out peaks.", class_="nothing")
        ]
    baseline = str(given.column("baseline")[0].as_py())
    names = [*model_names(inputs.evaluation), *model_names(given), baseline]
    return [
        _lead(inputs, baseline),
        figure_block(
            inputs,
            "differences-from-baseline",
            f"Models against {baseline}",
            differences_from_baseline(given, theme.style_by_name(names), inputs.default_model),
            "Left of zero the model's error is smaller than that of the baseline. Bars are 95 % "
            "intervals of the difference, from drawing whole sample sets anew, because peaks of "
            "one set err together. Full markers: the interval leaves zero out; open markers: not "
            "clear. A triangle at the edge is a difference beyond the axis, with its number. A "
            "model with a fixed window rule has no distribution of its own: its CRPS is that of "
            "the Normal around its window.",
        ),
        _by_support(inputs, baseline),
        paragraph(
            f"Differences are model less {baseline}, in minutes, with their 95 % interval: below "
            f"zero is better. With fewer than {LEAST_SETS} sample sets there is no interval worth "
            "reading. Of many intervals one in twenty leaves zero out by chance. ",
            save_button("comparison", "All slices (CSV)"),
            class_="note",
        ),
        data_script("comparison-data", _comparison_data(inputs)),
    ]


def _lead(inputs: ReportInputs, baseline: str) -> Markup:
    """Say in words how the default model does."""
    name = inputs.default_model
    if name == baseline:
        return paragraph(f"The model shown, {name}, is itself the baseline.")
    parts = []
    n_rows = n_sets = 0
    for metric, word in LOSSES.items():
        for row in rows_of(inputs.comparison, "overall", metric):
            if row["model"] == name:
                n_rows, n_sets = int(value(row, "n_rows")), int(value(row, "n_units"))
                base = value(row, "baseline_value")
                share = abs(value(row, "difference")) / base if base else math.nan
                size = f", {percent(share)} of its {word}" if math.isfinite(share) else ""
                parts.append(f"{word} {judged(row)} ({signed(value(row, 'difference'))} min{size})")
    if not parts:
        return paragraph(f"Model {name} and {baseline} have no scored peak in common.")
    return paragraph(
        f"Model {name} against {baseline}, on the same {n_rows:,} peaks of {n_sets} sample "
        f"sets: {'; '.join(parts)}."
    )


def _by_support(inputs: ReportInputs, baseline: str) -> Markup:
    by_bin: dict[tuple[str, str], dict[str, Row]] = {}
    for metric in LOSSES:
        for row in rows_of(inputs.comparison, "support_bin", metric):
            by_bin.setdefault((str(row["level"]), str(row["model"])), {})[metric] = row
    place = {level: i for i, level in enumerate(SUPPORT_BINS)}
    keys = sorted(
        by_bin,
        key=lambda k: (place.get(k[0], len(place)), k[0], k[1] != inputs.default_model, k[1]),
    )
    cells = []
    for level, model in keys:
        rows = by_bin[level, model]
        some = next(iter(rows.values()))
        cells.append(
            [
                level,
                model,
                count(some["n_rows"]),
                count(some["n_units"]),
                *(_cell(rows[metric]) if metric in rows else "" for metric in LOSSES),
            ]
        )
    header = ["Training rows", "Model", "Peaks", "Sample sets"]
    header += [f"{word} (min)" for word in LOSSES.values()]
    caption = f"Differences from {baseline} by number of training rows"
    return table(header, cells, caption=caption, n_text=2)


def _cell(row: Row) -> Markup:
    verdict = judged(row)
    clear = verdict in (BETTER, WORSE)
    said = element("strong", verdict) if clear else element("span", verdict, class_="note")
    spread = "" if verdict == TOO_FEW else element("div", interval(row), class_="note")
    difference = element("div", signed(value(row, "difference")))
    return Markup(difference + element("div", said) + spread)


def _comparison_data(inputs: ReportInputs) -> dict[str, Any]:
    columns = []
    for column in RT_COMPARISON.columns:
        values = inputs.comparison.column(column.name).to_pylist()
        if column.type == "VARCHAR":
            columns.append(text_column(column.name, column.name, values))
        else:
            finite = [v if v is not None and v - v == 0 else None for v in values]
            columns.append(number_column(column.name, column.name, finite))
    return {"file": f"comparison_{file_stem(inputs)}", "columns": columns}
