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
    """Per-row errors of all models, and their means over any slice."""

    def __init__(self, table: Any) -> None:
        self.table = table
        predicted, rt = float_column(table, "rt_predicted"), float_column(table, "rt")
        self.error = rt - predicted
        self.scale, self.df = float_column(table, "scale"), float_column(table, "df")
        self.scored = np.asarray(table["scored"].to_numpy()).astype(bool)
        self.usable = self.scored & np.isfinite(self.error) & (self.scale > 0) & ~np.isnan(self.df)
        self.model, self.model_code = _codes(table["model"])
        use = self.usable
        half = metrics.half_width(self.scale[use], self.df[use], 0.95)
        self.per_row = {
            "rmse": self.error[use] ** 2,
            "mae": np.abs(self.error[use]),
            "cov95": (np.abs(self.error[use]) <= half).astype(np.float64),
            "width95": 2.0 * half,
            "crps": metrics.crps_student_t(self.error[use], self.scale[use], self.df[use]),
        }

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
        n_used = np.bincount(cell[self.usable], minlength=size)
        sums = {
            name: np.bincount(cell[self.usable], weights=value, minlength=size)
            for name, value in self.per_row.items()
        }
        rows = []
        for i in np.flatnonzero(n_rows):
            means = {
                name: float(s[i] / n_used[i]) if n_used[i] else None for name, s in sums.items()
            }
            if means["rmse"] is not None:
                means["rmse"] = float(np.sqrt(means["rmse"]))
            rows.append(
                {
                    "model": self.model[i // len(values)],
                    "slice": slice_name,
                    "level": str(values[i % len(values)]),
                    "n_rows": int(n_rows[i]),
                    "n_scored": int(n_scored[i]),
                    "n_unscored": int(n_rows[i] - n_scored[i]),
                    **means,
                }
            )
        return rows


def _codes(column: Any) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Sorted distinct values of a column without nulls, and each row's position among them."""
    values = sorted(pc.unique(column).to_pylist())
    code = pc.index_in(column, value_set=pa.array(values, type=column.type))
    return values, np.asarray(code.to_numpy(), dtype=np.int64)
