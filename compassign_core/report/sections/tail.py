"""The section on rare pairs: the tail of all models, and every cell of the model shown."""

from __future__ import annotations

from collections.abc import Sequence

from compassign_core.contracts.catalogue import SUPPORT_BINS, TAIL_LEVELS
from compassign_core.report.figures.levels import coverage_and_width_by_level
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import Markup, count, element, joined, paragraph, percent
from compassign_core.report.model_verdicts import NOMINAL, cells_verdict, judged_cells
from compassign_core.report.sections.embedding import figure_block
from compassign_core.report.sections.labels import level_labels
from compassign_core.report.sections.slice_table import slice_table
from compassign_core.rt.checks import MIN_RUNS
from compassign_core.rt.coverage import CellCoverage

_WORDS = dict(
    zip(TAIL_LEVELS, ("never trained (0 rows)", "rare (1-5 rows)", "over 5 rows"), strict=True)
)
_MARKS = {
    "holds": ("✓", "95 % lies in the interval"),
    "narrow": ("▼", "windows are too narrow"),
    "wide": ("▲", "windows are wider than need be"),
    "unjudged": ("·", f"fewer than {MIN_RUNS} runs, not judged"),
}


def tail_section(inputs: ReportInputs) -> list[object]:
    """Show rare pairs of all models, and the grid of cells of the default model."""
    return [
        figure_block(
            inputs,
            "rare-pairs",
            "Rare pairs: coverage and width by training rows of the pair",
            coverage_and_width_by_level(inputs.evaluation, "tail", _WORDS, TAIL_LEVELS),
            "A pair is a species and a compound. Windows of pairs that never trained, or hardly, "
            "have to be wider to cover as much. Bars are binomial intervals, which take peaks as "
            "independent.",
        ),
        slice_table(inputs, "tail", "Rows of the pair", _WORDS, TAIL_LEVELS),
        *_cells(inputs),
    ]


def verdict_of(cell: CellCoverage) -> str:
    """Whether the stated coverage lies in the interval of a cell: a key of the marks."""
    if cell.n_runs < MIN_RUNS:
        return "unjudged"
    return "narrow" if cell.high < NOMINAL else "wide" if cell.low > NOMINAL else "holds"


def _cells(inputs: ReportInputs) -> list[object]:
    cells = inputs.held_out.cells
    name = element("h3", f"Coverage in every cell, model {inputs.default_model}")
    if not cells:
        return [name, paragraph("No held-out peak has a window.", class_="nothing")]
    return [
        name,
        paragraph(cells_verdict(cells).finding if judged_cells(cells) else "", class_="note"),
        element("div", _grid(inputs, cells), class_="scroll", tabindex="0"),
        paragraph(
            "Share of peaks inside their 95 % window, by supercategory and training rows of the "
            "pair; below it, the 95 % interval and the number of peaks. ✓ 95 % lies in the "
            "interval; ▼ windows are too narrow; ▲ wider than need be; · fewer than "
            f"{MIN_RUNS} runs, not judged. The interval counts runs, since peaks of one run miss "
            "together; where the binomial interval of independent peaks would say otherwise, it "
            "stands in brackets.",
            class_="note",
        ),
    ]


def _grid(inputs: ReportInputs, cells: Sequence[CellCoverage]) -> Markup:
    labels = level_labels(inputs.windows)["supercategory"]
    bins = [b for b in SUPPORT_BINS if any(cell.support_bin == b for cell in cells)]
    clusters = sorted({cell.species_cluster for cell in cells})
    found = {(cell.species_cluster, cell.support_bin): cell for cell in cells}
    head = element(
        "tr",
        element("th", "Supercategory", scope="col"),
        *(element("th", b, scope="col") for b in bins),
    )
    body = [
        element(
            "tr",
            element("th", labels.get(str(cluster), cluster), scope="row"),
            *(_cell(found.get((cluster, b))) for b in bins),
        )
        for cluster in clusters
    ]
    caption = element("caption", "Coverage by supercategory and training rows of the pair")
    return element(
        "table", caption, element("thead", head), element("tbody", joined(body)), class_="cells"
    )


def _cell(cell: CellCoverage | None) -> Markup:
    if cell is None:
        return element("td", "")
    verdict = verdict_of(cell)
    symbol, words = _MARKS[verdict]
    pieces: list[object] = [
        element("div", f"{symbol} ", element("b", percent(cell.coverage))),
        element("div", f"{_ends(cell.low, cell.high)}; {count(cell.n_peaks)}", class_="note"),
    ]
    by_peaks = cell.low_by_peaks <= NOMINAL <= cell.high_by_peaks
    if verdict != "unjudged" and by_peaks != (verdict == "holds"):
        ends = _ends(cell.low_by_peaks, cell.high_by_peaks)
        pieces.append(element("div", f"(peaks: {ends})", class_="note"))
    return element("td", *pieces, class_=verdict, title=words)


def _ends(low: float, high: float) -> str:
    return f"{100 * low:.1f}–{100 * high:.1f}"
