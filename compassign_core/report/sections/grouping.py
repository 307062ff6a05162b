"""The section on the experiment: a group per supercategory, per species, and species pooled."""

from __future__ import annotations

from collections.abc import Mapping

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report import theme
from compassign_core.report.comparisons import LEAST_SETS, interval, judged, signed
from compassign_core.report.figures.grouping import three_ways
from compassign_core.report.groupings import SLICE, contest, contests, sentence
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import MISSING, Markup, count, element, minutes, paragraph, table
from compassign_core.report.sections.coverage_cells import share_cell
from compassign_core.report.sections.embedding import figure_block
from compassign_core.report.summaries import (
    Row,
    coverage,
    evaluation_rows,
    model_names,
    number_of,
)


def grouping_section(inputs: ReportInputs) -> list[object]:
    """Show whether sharing between species pays, by training rows of the pair."""
    ways, given = inputs.grouping, inputs.comparison
    names = [ways.together, ways.apart, ways.pooled]
    if not set(names) <= set(model_names(inputs.evaluation)) or not given.num_rows:
        return [
            paragraph(
                f"Models {', '.join(names)} were not all evaluated: nothing to compare.",
                class_="nothing",
            )
        ]
    styles = theme.style_by_name([*model_names(inputs.evaluation), *names])
    found = contests(given, ways)
    return [
        paragraph(
            "Does it pay to share between species? Three models answer: one group per "
            f"supercategory and compound ({ways.together}), one per species and compound with "
            f"nothing shared ({ways.apart}), and the same with species pooled ({ways.pooled})."
        ),
        element("ul", *(element("li", sentence(one)) for one in found), _unscored(inputs)),
        figure_block(
            inputs,
            "three-ways",
            "Three ways to group, by training rows of the pair",
            three_ways(inputs.evaluation, given, ways, styles),
            f"Top: RMSE less that of {ways.together} on the peaks that both scored, below zero is "
            "better; bars are 95 % intervals from drawing whole sample sets anew, none where "
            f"fewer than {LEAST_SETS} sample sets stand behind a bin. Middle: coverage of the 95 % "
            "window with its binomial interval. Bottom: mean full width.",
        ),
        _numbers(inputs),
    ]


def _unscored(inputs: ReportInputs) -> Markup:
    """Pairs that never trained: who predicts them at all."""
    rows = {str(r["model"]): r for r in _rows(inputs) if r["level"] == SUPPORT_BINS[0]}
    ways = inputs.grouping
    said = [
        f"{name} predicts {rows[name]['n_scored']:,} of {rows[name]['n_rows']:,}"
        for name in (ways.together, ways.apart, ways.pooled)
        if name in rows
    ]
    if not said:
        return Markup("")
    return element("li", f"Of held-out peaks of pairs that never trained, {', '.join(said)}.")


def _numbers(inputs: ReportInputs) -> Markup:
    ways = inputs.grouping
    names = (ways.together, ways.apart, ways.pooled)
    rows: dict[tuple[str, str], Mapping[str, object]] = {
        (str(r["level"]), str(r["model"])): r for r in _rows(inputs)
    }
    overall = {str(r["model"]): r for r in evaluation_rows(inputs.evaluation, "overall")}
    paired = {name: contest(inputs.comparison, name, ways.together) for name in names[1:]}
    cells = []
    for level in (*SUPPORT_BINS, "all"):
        for name in names:
            row = overall.get(name) if level == "all" else rows.get((level, name))
            if row is None:
                continue
            one = paired.get(name)
            against = one and (one.overall if level == "all" else one.by_bin.get(level))
            cells.append(
                [
                    level,
                    name,
                    count(row["n_rows"]),
                    count(row["n_scored"]),
                    minutes(row["rmse"]),
                    _difference(against) if against else MISSING,
                    share_cell(coverage(row)),
                    minutes(row["width95"]),
                ]
            )
    header = ["Rows of the pair", "Model", "Held-out rows", "Scored", "RMSE (min)"]
    header += [f"RMSE less {ways.together} (min)", "Cov95", "Width95 (min)"]
    return table(header, cells, caption="Three ways to group", n_text=2)


def _rows(inputs: ReportInputs) -> list[dict[str, object]]:
    return evaluation_rows(inputs.evaluation, SLICE)


def _difference(row: Row) -> Markup:
    said = element("div", signed(number_of(row, "difference")))
    spread = ""
    if number_of(row, "n_units") >= LEAST_SETS:
        spread = element("div", interval(row), class_="note")
    return Markup(said + spread + element("div", judged(row), class_="note"))
