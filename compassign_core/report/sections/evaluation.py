"""The sections that show the evaluation: numbers, models, support and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BINS
from compassign_core.report.figures.evaluation import (
    coverage_and_width_by_support,
    coverage_by_supercategory,
    model_comparison,
)
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import (
    MISSING,
    Markup,
    count,
    data_script,
    minutes,
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
from compassign_core.report.sections.labels import NOVELTY_WORDS, level_labels
from compassign_core.report.summaries import coverage_error_by_runs, evaluation_rows


def numbers_section(inputs: ReportInputs) -> list[object]:
    """Show the overall metrics of every model, with all slices to save."""
    rows = evaluation_rows(inputs.evaluation, "overall")
    if not rows:
        return [paragraph("No held-out rows were evaluated.", class_="nothing")]
    cells = [[row["model"], *_metrics(inputs, row)] for row in rows]
    names = [row["model"] for row in rows]
    marked = names.index(inputs.default_model) if inputs.default_model in names else None
    header = ["Model", "Held-out rows", "Scored", "Unscored", "RMSE (min)", "MAE (min)"]
    header += ["CRPS (min)", "Cov95", "± by runs", "Width95 (min)"]
    return [
        table(header, cells, caption="Held-out peaks, overall", marked=marked),
        paragraph(
            "± by runs is a 95 % interval for the coverage that counts runs, not peaks, because "
            "peaks of one run miss together. Unscored rows are counted, never dropped. ",
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
            "and furthest left. Bars on the points are sampling errors that take peaks as "
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
            "where training rows are few.",
        ),
        _slice_table(inputs, "support_bin", "Support", {}, SUPPORT_BINS, None),
    ]


def slices_section(inputs: ReportInputs) -> list[object]:
    """Show the metrics by supercategory, species and novelty."""
    labels, model = level_labels(inputs.windows), inputs.default_model
    return [
        figure_block(
            inputs,
            "coverage-by-supercategory",
            "Coverage by supercategory",
            coverage_by_supercategory(inputs.evaluation, labels["supercategory"]),
            "Bars are sampling errors that take peaks as independent; few peaks give long bars.",
        ),
        _slice_table(inputs, "supercategory", "Supercategory", labels["supercategory"], (), model),
        _slice_table(inputs, "species", "Species", labels["species"], (), model),
        _slice_table(inputs, "novelty", "Novelty", NOVELTY_WORDS, NOVELTY, None),
    ]


def _metrics(inputs: ReportInputs, row: Mapping[str, object]) -> list[str]:
    error, n_runs = coverage_error_by_runs(inputs.predictions, str(row["model"]))
    spread = percent(1.96 * error) + f" ({n_runs} runs)" if n_runs > 1 else MISSING
    return [
        count(row["n_rows"]),
        count(row["n_scored"]),
        count(row["n_unscored"]),
        *(minutes(row[name]) for name in ("rmse", "mae", "crps")),
        percent(row["cov95"]),
        spread,
        minutes(row["width95"]),
    ]


def _evaluation_data(inputs: ReportInputs) -> dict[str, Any]:
    values = inputs.evaluation
    columns = []
    for name in ("model", "slice", "level"):
        columns.append(text_column(name, name, values.column(name).to_pylist()))
    for name in ("n_rows", "n_scored", "n_unscored"):
        columns.append(number_column(name, name, values.column(name).to_pylist()))
    for name in ("rmse", "mae", "cov95", "width95", "crps"):
        label = name if name == "cov95" else f"{name}_min"
        columns.append(number_column(label, label, _finite(values.column(name).to_pylist())))
    return {"file": f"evaluation_{file_stem(inputs)}", "columns": columns}


def _finite(values: Sequence[float | None]) -> list[float | None]:
    return [v if v is not None and v - v == 0 else None for v in values]


def _slice_table(
    inputs: ReportInputs,
    slice_name: str,
    heading: str,
    labels: Mapping[str, str],
    order: Sequence[str],
    model: str | None,
) -> Markup:
    """Show the evaluation of one slice; of one model, or of all with a column that names them."""
    rows = [
        row
        for row in evaluation_rows(inputs.evaluation, slice_name)
        if model is None or row["model"] == model
    ]
    of = f", model {model}" if model else ""
    if not rows:
        return paragraph(f"{heading}{of}: no held-out rows.", class_="nothing")
    place = {level: i for i, level in enumerate(order)}
    rows.sort(
        key=lambda row: (
            place.get(str(row["level"]), len(place)),
            int(str(row["level"])) if str(row["level"]).isdecimal() else 0,
            str(row["level"]),
            str(row["model"]),
        )
    )
    cells = [
        [
            labels.get(str(row["level"]), row["level"]),
            *([] if model else [row["model"]]),
            *(count(row[name]) for name in ("n_rows", "n_scored", "n_unscored")),
            *(minutes(row[name]) for name in ("rmse", "mae")),
            percent(row["cov95"]),
            minutes(row["width95"]),
        ]
        for row in rows
    ]
    header = [heading, *([] if model else ["Model"]), "Held-out rows", "Scored", "Unscored"]
    header += ["RMSE (min)", "MAE (min)", "Cov95", "Width95 (min)"]
    return table(header, cells, caption=f"{heading}{of}", n_text=1 if model else 2)
