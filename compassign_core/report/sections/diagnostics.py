"""The section on diagnostics: what the fit of every model says of itself, judged."""

from __future__ import annotations

from compassign_core.report.diagnostics import numbers_of_models
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.light import Status
from compassign_core.report.markup import count, element, number, paragraph, table
from compassign_core.report.sections.summary import badge

_STATUS: dict[str, Status] = {"ok": "good", "warn": "look", "fail": "act"}


def diagnostics_section(inputs: ReportInputs) -> list[object]:
    """Show every judged number on a fit with its sentence; then those that nobody judges."""
    rows = numbers_of_models(inputs.diagnostics, inputs.default_model)
    if not rows:
        return [paragraph("The fits left no diagnostics.", class_="nothing")]
    judged = [row for row in rows if row["judgement"] != "info"]
    doubtful = [row for row in judged if row["judgement"] != "ok"]
    models = len({row["model"] for row in judged})
    lead = f"{count(len(judged) - len(doubtful))} of {count(len(judged))} numbers on the fits of "
    lead += f"{models} models are as they should be."
    cells = [
        [
            row["model"],
            row["method"],
            badge(_STATUS[str(row["judgement"])]) if row["judgement"] != "info" else "",
            row["sentence"],
            row["quantity"],
            number(row["value"]),
        ]
        for row in rows
    ]
    header = ["Model", "Method", "Judgement", "In words", "Quantity", "Value"]
    return [
        paragraph(lead),
        table(header, cells, caption="Numbers on the fits", n_text=5),
        paragraph(
            "A fit that stops at a mode is judged by how many standard errors it stands from it "
            "and by whether the log posterior falls off in every direction; a sampler by R-hat, "
            "effective draws and divergences. A failed number of the model shown keeps its "
            "windows from being made. ",
            element("a", "Scales", href="#scales"),
            " shows how well each scale is known.",
            class_="note",
        ),
    ]
