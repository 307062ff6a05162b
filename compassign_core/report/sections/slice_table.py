"""A table of the evaluation of one slice: errors, coverage with intervals, width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import Markup, count, minutes, paragraph, table
from compassign_core.report.sections.coverage_cells import HEADER, coverage_cells
from compassign_core.report.summaries import evaluation_rows


def slice_table(
    inputs: ReportInputs,
    slice_name: str,
    heading: str,
    labels: Mapping[str, str],
    order: Sequence[str] = (),
    model: str | None = None,
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
            *(count(row[name]) for name in ("n_rows", "n_unscored")),
            *(minutes(row[name]) for name in ("rmse", "mae")),
            *coverage_cells(row),
            minutes(row["width95"]),
        ]
        for row in rows
    ]
    header = [heading, *([] if model else ["Model"]), "Held-out rows", "Unscored"]
    header += ["RMSE (min)", "MAE (min)", *HEADER, "Width95 (min)"]
    return table(header, cells, caption=f"{heading}{of}", n_text=1 if model else 2)
