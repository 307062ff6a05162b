"""The sections that show the evaluation: numbers, models, support and slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compassign_core.contracts.catalogue import NOVELTY, RT_EVALUATION, SUPPORT_BINS
from compassign_core.report.figures.evaluation import (
    coverage_and_width_by_support,
    model_comparison,
)
from compassign_core.report.figures.levels import coverage_and_width_by_level
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import (
    MISSING,
    count,
    data_script,
    minutes,
    paragraph,
    percent,
    table,
)
from compassign_core.report.run_summaries import coverage_error_by_runs
from compassign_core.report.sections.coverage_cells import HEADER, INTERVAL_NOTE, coverage_cells
from compassign_core.report.sections.embedding import contract_data, figure_block, save_button
from compassign_core.report.sections.labels import NOVELTY_WORDS, level_labels
from compassign_core.report.sections.slice_table import slice_table
from compassign_core.report.summaries import evaluation_rows


def numbers_section(inputs: ReportInputs) -> list[object]:
    """Show the overall metrics of every model, with all slices to save."""
    rows = evaluation_rows(inputs.evaluation, "overall")
    if not rows:
        return [paragraph("No held-out rows were evaluated.", class_="nothing")]
    names = [row["model"] for row in rows]
    marked = names.index(inputs.default_model) if inputs.default_model in names else None
    header = ["Model", "Held-out rows", "Scored", "Unscored", "RMSE (min)", "MAE (min)"]
    header += ["CRPS (min)", "Interval score (min)", "Log score (nat)"]
    errors = [[row["model"], *_errors(row)] for row in rows]
    windows = [[row["model"], *_windows(inputs, row)] for row in rows]
    wide = ["Model", *HEADER, "± by runs (Cov95)", "Width95 (min)", "Median width (min)"]
    return [
        table(header, errors, caption="Accuracy on held-out peaks", marked=marked),
        table(wide, windows, caption="Coverage and width on held-out peaks", marked=marked),
        paragraph(
            INTERVAL_NOTE,
            "± by runs is a 95 % interval for Cov95 that counts runs instead. Unscored rows are "
            "counted, never dropped. A log score is better when higher, all others when lower. ",
            save_button("evaluation", "All slices (CSV)"),
            class_="note",
        ),
        data_script("evaluation-data", _evaluation_data(inputs)),
    ]


def models_section(inputs: ReportInputs) -> list[object]:
    """Compare the models' errors and what their coverage costs."""
    return [
        figure_block(
            inputs,
            "model-comparison",
            "Errors, and what coverage costs",
            model_comparison(inputs.evaluation),
            "Left: errors, lower is better. Right: the best model is nearest to the dashed line "
            "and furthest left. Bars on the points are binomial intervals, which take peaks as "
            "independent.",
        )
    ]


def support_section(inputs: ReportInputs) -> list[object]:
    """Show coverage and width by support bin."""
    return [
        figure_block(
            inputs,
            "coverage-and-width",
            "Coverage and width by number of training rows",
            coverage_and_width_by_support(inputs.evaluation, inputs.default_model),
            "Coverage should stay at the dashed line in every bin, while windows may be wider "
            "where training rows are few. Bars are binomial intervals, which take peaks as "
            "independent.",
        ),
        slice_table(inputs, "support_bin", "Support", {}, SUPPORT_BINS),
    ]


def slices_section(inputs: ReportInputs) -> list[object]:
    """Show the metrics by supercategory, species and novelty."""
    labels, model = level_labels(inputs.windows), inputs.default_model
    return [
        figure_block(
            inputs,
            "coverage-by-supercategory",
            "Coverage and width by supercategory",
            coverage_and_width_by_level(
                inputs.evaluation, "supercategory", labels["supercategory"]
            ),
            "Bars are binomial intervals, which take peaks as independent; few peaks give long "
            "bars.",
        ),
        slice_table(inputs, "supercategory", "Supercategory", labels["supercategory"], model=model),
        slice_table(inputs, "species", "Species", labels["species"], model=model),
        slice_table(inputs, "novelty", "Novelty", NOVELTY_WORDS, NOVELTY),
    ]


def _errors(row: Mapping[str, object]) -> list[str]:
    log_score = row["log_score"]
    return [
        *(count(row[name]) for name in ("n_rows", "n_scored", "n_unscored")),
        *(minutes(row[name]) for name in ("rmse", "mae", "crps", "interval_score95")),
        f"{log_score:.3f}" if isinstance(log_score, float) else MISSING,
    ]


def _windows(inputs: ReportInputs, row: Mapping[str, object]) -> list[str]:
    error, n_runs = coverage_error_by_runs(inputs.held_out.runs, str(row["model"]))
    spread = percent(1.96 * error) + f" ({n_runs} runs)" if n_runs > 1 else MISSING
    widths = (minutes(row[name]) for name in ("width95", "width95_median"))
    return [*coverage_cells(row), spread, *widths]


def _evaluation_data(inputs: ReportInputs) -> dict[str, Any]:
    return contract_data(inputs, "evaluation", inputs.evaluation, RT_EVALUATION)
