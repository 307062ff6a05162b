"""The section on data: rows in and out of each preparation step, and why rows were refused."""

from __future__ import annotations

from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import MISSING, count, paragraph, table
from compassign_core.report.tables import reasons


def steps_section(inputs: ReportInputs) -> list[object]:
    """Show rows in and out, step by step."""
    if not inputs.steps:
        return [paragraph("No steps were recorded.", class_="nothing")]
    rows = [
        [
            step.step,
            reasons(step.rejects) or MISSING,
            reasons(step.set_aside) or MISSING,
            count(step.rows_in),
            count(step.rows_out),
            count(step.n_rejected),
            count(sum(step.set_aside.values())),
        ]
        for step in inputs.steps
    ]
    header = ["Step", "Refused because", "Set aside because"]
    header += ["Rows in", "Rows out", "Refused", "Set aside"]
    return [
        table(header, rows, caption="What came in and what went on, step by step", n_text=3),
        paragraph(
            "Rows in = rows out + refused + set aside. Caps and hold-outs set rows aside by "
            "design; refused rows are kept, each with its reason, in the rejects table of the "
            "step.",
            class_="note",
        ),
    ]
