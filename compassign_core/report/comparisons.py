"""What a difference from the baseline says, in words: better, worse, or not clear.

Here belong readings of `RT_COMPARISON`; how its intervals are made stands in `rt.comparison`.
"""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.report.summaries import Row, number_of

LOSSES = {"rmse": "RMSE", "mae": "MAE", "crps": "CRPS"}
"""Metrics of which less is better, with the words for them; all in minutes."""

LEAST_SETS = 3
"""Fewer sample sets than this give no interval worth reading: of two, the bootstrap knows little
more than whether both agree, and one has no spread at all."""

BETTER, WORSE, UNCLEAR, TOO_FEW = "better", "worse", "not clear", "too few sample sets"


def rows_of(
    comparison: pa.Table, baseline: str, slice_name: str, metric: str
) -> list[dict[str, object]]:
    """Rows of one baseline, slice and metric, in the order of the table."""
    kept = (
        (pc.field("baseline") == baseline)
        & (pc.field("slice") == slice_name)
        & (pc.field("metric") == metric)
    )
    return list(comparison.filter(kept).to_pylist())


def judged(row: Row) -> str:
    """Say whether the model is better or worse than the baseline in one row of a loss."""
    low, high = number_of(row, "low"), number_of(row, "high")
    if number_of(row, "n_units") < LEAST_SETS or math.isnan(low) or math.isnan(high):
        return TOO_FEW
    return BETTER if high < 0 else WORSE if low > 0 else UNCLEAR


def signed(minutes: float) -> str:
    """Write a difference in minutes with its sign, never a signed zero."""
    if not math.isfinite(minutes):
        return "–"
    written = f"{minutes:+.5f}"
    return "0.00000" if float(written) == 0 else written.replace("-", "\u2212")


def interval(row: Row) -> str:
    """Write the 95 % interval of a row."""
    return f"{signed(number_of(row, 'low'))} to {signed(number_of(row, 'high'))}"
