"""Markdown tables for the orchestrator's UI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pyarrow as pa

from compassign_core.report.inputs import StepCount
from compassign_core.report.markup import count, minutes, percent
from compassign_core.report.summaries import evaluation_rows


def evaluation_markdown(evaluation: pa.Table) -> str:
    """Overall accuracy and calibration by model; errors and widths in minutes."""
    rows = [
        [
            row["model"],
            count(row["n_rows"]),
            count(row["n_scored"]),
            count(row["n_unscored"]),
            *(minutes(row[name]) for name in ("rmse", "mae", "crps")),
            percent(row["cov95"]),
            minutes(row["width95"]),
        ]
        for row in evaluation_rows(evaluation, "overall")
    ]
    header = ["model", "held-out rows", "scored", "unscored", "RMSE (min)", "MAE (min)"]
    header += ["CRPS (min)", "Cov95", "Width95 (min)"]
    return _markdown(header, rows, 1) if rows else "No held-out rows were evaluated."


def steps_markdown(steps: Sequence[StepCount]) -> str:
    """Rows in and out of each step, and why rows were refused."""
    rows = [
        [
            step.step,
            count(step.rows_in),
            count(step.rows_out),
            count(step.n_rejected),
            count(sum(step.set_aside.values())),
            reasons({**step.rejects, **step.set_aside}),
        ]
        for step in steps
    ]
    header = ["step", "rows in", "rows out", "refused", "set aside", "reasons"]
    return _markdown(header, rows, 1) if rows else "No steps were recorded."


def reasons(counts: Mapping[str, int]) -> str:
    """Why rows did not go on, most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{reason}: {n:,}" for reason, n in ranked if n)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[object]], n_text: int) -> str:
    rule = ["---" if i < n_text or name == "reasons" else "---:" for i, name in enumerate(header)]
    lines = [header, rule, *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    """Write a cell that cannot break its table nor become markup."""
    escaped = re.sub(r"([\\|`*_\[\]<>])", r"\\\1", str(value))
    return re.sub(r"\s+", " ", escaped)
