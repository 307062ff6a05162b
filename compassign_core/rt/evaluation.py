"""Evaluation of predictions on held-out rows: accuracy, coverage and score, by slice and model.

Any model whose predictions keep the contract can be evaluated here, side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.catalogue import RT_EVALUATION, RT_PREDICTIONS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.contracts.settings.rt import SCALE_LEVEL, SHAPE_LEVELS
from compassign_core.rt import metrics
from compassign_core.rt.arrow import arrow_schema, float_column

Floats = npt.NDArray[np.float64]

_SLICES = {
    "overall": None,
    "support_bin": "support_bin",
    "supercategory": "species_cluster",
    "species": "species",
    "novelty": "novelty",
}
_NEEDED = (
    "model",
    *(c for c in _SLICES.values() if c),
    "scored",
    "rt",
    "rt_predicted",
    "scale",
    "df",
    *(f"half_width_{100 * level:.0f}" for level in SHAPE_LEVELS),
)


def evaluate(predictions: Any) -> Any:
    """Metrics of every model in a table of `RT_PREDICTIONS`, as a table of `RT_EVALUATION`.

    `cov95` and `width95` are of the 95 % window that scale and df state, whatever level the
    windows of the table have. Metrics are null where nothing was scored; rows that a model could
    not score are counted, never left out of `n_rows`.

    Raises
    ------
    InputError
        when a column is missing, for instance `rt` in a table of predictions for new runs.
    """
    table = _ordered(predictions)
    rows: list[dict[str, Any]] = []
    measured = _Measured(table)
    for slice_name, column in _SLICES.items():
        rows += measured.by(slice_name, column)
    rows.sort(key=lambda row: (row["model"], row["slice"], row["level"]))
    return pa.Table.from_pylist(rows, schema=arrow_schema(RT_EVALUATION))


def _ordered(predictions: Any) -> Any:
    """The needed columns in a total order, so that sums do not depend on the order of rows."""
    missing = [name for name in _NEEDED if name not in predictions.column_names]
    if missing:
        raise InputError(
            f"predictions lack {len(missing)} column(s) that evaluation needs: {first(missing)}.",
            "evaluate predictions of a table that has measured retention times.",
        )
    order = [name for name in RT_PREDICTIONS.order_by if name in predictions.column_names]
    order += ["rt", "rt_predicted"]
    keys = [(name, "ascending") for name in dict.fromkeys(order)]
    return predictions.select(_NEEDED).take(pc.sort_indices(predictions, sort_keys=keys))


class _Measured:
    """Per-row measures of all models, and their summaries over any slice."""

    def __init__(self, table: Any) -> None:
        self.table = table
        predicted, rt = float_column(table, "rt_predicted"), float_column(table, "rt")
        error = rt - predicted
        scale, df = float_column(table, "scale"), float_column(table, "df")
        self.scored = np.asarray(table["scored"].to_numpy()).astype(bool)
        self.usable = use = self.scored & np.isfinite(error) & (scale > 0) & ~np.isnan(df)
        self.model, self.model_code = _codes(table["model"])
        error, scale, df = error[use], scale[use], df[use]
        half = metrics.half_width(scale, df, SCALE_LEVEL)
        self.width = 2.0 * half
        self.means = {
            "rmse": error**2,
            "mae": np.abs(error),
            "cov95": (np.abs(error) <= half).astype(np.float64),
            "width95": self.width,
            "crps": metrics.crps_student_t(error, scale, df),
            "interval_score95": metrics.interval_score(error, half, SCALE_LEVEL),
            "log_score": metrics.log_density(error, scale, df),
        }
        for level in SHAPE_LEVELS:
            at_level = float_column(table, f"half_width_{100 * level:.0f}")[use]
            covered = (np.abs(error) <= at_level).astype(np.float64)
            # A model may store no window of this level; then there is no coverage to state.
            self.means[f"cov{100 * level:.0f}"] = np.where(np.isnan(at_level), np.nan, covered)

    def by(self, slice_name: str, column: str | None) -> list[dict[str, Any]]:
        """One row of results for every model and value of `column` that occurs together."""
        if column is None:
            values, code = ["all"], np.zeros(self.model_code.size, dtype=np.int64)
        else:
            values, code = _codes(self.table[column])
        cell = self.model_code * len(values) + code
        size = len(self.model) * len(values)
        n_rows = np.bincount(cell, minlength=size)
        n_scored = np.bincount(cell[self.scored], minlength=size)
        used = cell[self.usable]
        n_used = np.bincount(used, minlength=size).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                name: np.bincount(used, weights=value, minlength=size) / n_used
                for name, value in self.means.items()
            }
        found["rmse"] = np.sqrt(found["rmse"])
        found["cov95_low"], found["cov95_high"] = metrics.wilson_interval(found["cov95"], n_used)
        found["width95_median"] = _grouped_median(used, self.width, size)
        return [
            {
                "model": self.model[i // len(values)],
                "slice": slice_name,
                "level": str(values[i % len(values)]),
                "n_rows": int(n_rows[i]),
                "n_scored": int(n_scored[i]),
                "n_unscored": int(n_rows[i] - n_scored[i]),
                **{
                    name: float(value[i]) if np.isfinite(value[i]) else None
                    for name, value in found.items()
                },
            }
            for i in np.flatnonzero(n_rows)
        ]


def _grouped_median(cell: npt.NDArray[np.int64], values: Floats, size: int) -> Floats:
    """Median of the values of each cell, ``(size,)``; NaN where a cell has none."""
    order = np.lexsort((values, cell))
    count = np.bincount(cell, minlength=size)
    begin = np.concatenate([[0], np.cumsum(count)[:-1]])
    filled = np.flatnonzero(count)
    median = np.full(size, np.nan)
    lower = values[order][begin[filled] + (count[filled] - 1) // 2]
    upper = values[order][begin[filled] + count[filled] // 2]
    median[filled] = 0.5 * (lower + upper)
    return median


def _codes(column: Any) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Sorted distinct values of a column without nulls, and each row's position among them."""
    values = sorted(pc.unique(column).to_pylist())
    code = pc.index_in(column, value_set=pa.array(values, type=column.type))
    return values, np.asarray(code.to_numpy(), dtype=np.int64)
