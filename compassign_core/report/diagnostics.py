"""Readings of `RT_DIAGNOSTICS`: what is judged of the fits, and how well scales are known."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

WHOLE = "all"
"""Value of the column `scale` where a number is about the whole model."""

JUDGEMENTS = ("fail", "warn", "ok", "info")
"""From the worst on."""


def numbers_of_models(diagnostics: pa.Table, default: str) -> list[dict[str, object]]:
    """Rows about whole models, the default model first, and the worst of each model first."""
    rows: list[dict[str, object]] = diagnostics.filter(pc.field("scale") == WHOLE).to_pylist()
    return sorted(
        rows,
        key=lambda row: (
            row["model"] != default,
            str(row["model"]),
            JUDGEMENTS.index(str(row["judgement"])),
            str(row["quantity"]),
        ),
    )


def posterior_spreads(diagnostics: pa.Table) -> Mapping[str, Mapping[str, float]]:
    """Standard deviation of the logarithm of each scale, by model and scale.

    Scales whose spread is not known are left out.
    """
    found: dict[str, dict[str, float]] = {}
    kept = diagnostics.filter(pc.field("quantity") == "log_sd")
    for row in kept.to_pylist():
        if row["value"] is not None:
            found.setdefault(row["model"], {})[row["scale"]] = float(row["value"])
    return found
