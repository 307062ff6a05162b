"""Traffic lights on the model shown: whether its fit ended well, and whether all cells cover."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from compassign_core.report.light import Status, Verdict, nothing
from compassign_core.report.markup import percent
from compassign_core.report.summaries import of_model
from compassign_core.rt.checks import LEAST_CELLS, MIN_RUNS
from compassign_core.rt.coverage import CellCoverage

NOMINAL = 0.95


def judged_cells(cells: Sequence[CellCoverage]) -> list[CellCoverage]:
    """Cells that rest on enough runs to be judged."""
    return [cell for cell in cells if cell.n_runs >= MIN_RUNS]


def cells_verdict(cells: Sequence[CellCoverage]) -> Verdict:
    """Judge how many cells of supercategory and training rows have 95 % in their interval."""
    name = "Coverage in every cell"
    rule = (
        f"Good: 95 % lies in the interval of at least {percent(LEAST_CELLS, 0)} of the cells of "
        f"supercategory and training rows, counting runs. Cells of under {MIN_RUNS} runs are not "
        "judged."
    )
    judged = judged_cells(cells)
    if not judged:
        return nothing(name, rule, f"No cell has peaks of {MIN_RUNS} runs.")
    hold = sum(cell.low <= NOMINAL <= cell.high for cell in judged)
    finding = f"{hold:,} of {len(judged):,} cells hold 95 %."
    if hold / len(judged) >= LEAST_CELLS:
        return Verdict(name, "good", finding, rule)
    advice = "See the grid under Rare pairs: where windows are too narrow, search wider by hand."
    return Verdict(name, "look", finding, rule, advice)


def fit_verdict(diagnostics: pa.Table, model: str) -> Verdict:
    """Judge the fit of a model by the worst of its diagnostics."""
    name = "Fit of the model"
    rule = "Good: every number on the fit is as it should be. Look: one warns. Act: one failed."
    rows = of_model(diagnostics, model).to_pylist()
    judged = [row for row in rows if row["judgement"] != "info"]
    if not judged:
        return nothing(name, rule, "There is no number on the fit to judge.")
    grades: tuple[tuple[str, Status, str], ...] = (
        ("fail", "act", "Do not use these windows: train again with another method."),
        ("warn", "look", "See Diagnostics; a doubtful number moves windows little."),
    )
    for judgement, status, advice in grades:
        said = [str(row["sentence"]) for row in judged if row["judgement"] == judgement]
        if said:
            return Verdict(name, status, " ".join(said), rule, advice)
    return Verdict(name, "good", f"All {len(judged):,} numbers are as they should be.", rule)
