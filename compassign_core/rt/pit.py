"""Where held-out retention times fall in their predictive distribution (PIT).

The distribution is the Student-t that the stored, calibrated scale and df state, as for CRPS and
log score: its 95 % window is the product's own. Windows of other levels are corrected each for
itself, and their coverage stands in `RT_EVALUATION` beside this.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.catalogue import PIT_BINS, PIT_SLICES, RT_PIT
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.rt.arrow import arrow_schema
from compassign_core.rt.cells import Slice
from compassign_core.rt.metrics import wilson_interval
from compassign_core.rt.readback import PREDICTED, Judged, Predictions, open_predictions
from compassign_core.rt.source import BATCH_ROWS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FINE_BINS = 100
"""Bins in which values are counted: a multiple of `PIT_BINS`, and where distances are taken."""


def bin_counts(cell: Ints, values: Floats, n_cells: int) -> Ints:
    """Rows of each cell in each hundredth of [0, 1], ``(n_cells, 100)``."""
    fine = np.minimum((values * _FINE_BINS).astype(np.int64), _FINE_BINS - 1)
    counted = np.bincount(cell * _FINE_BINS + fine, minlength=n_cells * _FINE_BINS)
    return counted.reshape(n_cells, _FINE_BINS)


def distance_from_uniform(counts: Ints) -> Floats:
    """Largest distance of cumulated shares from uniform, over `bin_counts` ``(L, 100)``, ``(L,)``.

    Kolmogorov's distance, taken at the hundredths only: at most 0.01 below the true one. NaN
    where nothing was counted.
    """
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        cumulated = np.cumsum(counts, axis=1) / total
    edges = np.arange(1, _FINE_BINS + 1) / _FINE_BINS
    return np.asarray(np.abs(cumulated - edges).max(axis=1))


def pit_histogram(
    predictions: Any,
    connection: duckdb.DuckDBPyConnection | None = None,
    *,
    settings: EvaluationSettings | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Any:
    """Histogram of every model's probability transforms, as a table of `RT_PIT`.

    Every level with a scored row has 20 bins. Parameters and errors as for `evaluation.evaluate`.
    The intervals count peaks; peaks of one run miss together, so they are optimistic.
    """
    chosen = settings or EvaluationSettings()
    rows: list[dict[str, Any]] = []
    with open_predictions(predictions, connection, chosen, PREDICTED, "a PIT histogram") as table:
        for model in table.models:
            counts = _count(table, model, batch_rows)
            for one in table.slices(model, PIT_SLICES):
                rows += [{"model": model, **row} for row in _rows(one, one.total(counts))]
    rows.sort(key=lambda row: tuple(row[name] for name in RT_PIT.key))
    return pa.Table.from_pylist(rows, schema=arrow_schema(RT_PIT))


def _count(table: Predictions, model: str, batch_rows: int) -> Ints:
    begin = table.first_cell(model)
    n_cells = table.slices(model, ("overall",))[0].code.size
    counts = np.zeros((n_cells, _FINE_BINS), dtype=np.int64)
    columns = [f"p.{name}" for name in PREDICTED]
    for batch in table.batches(columns, batch_rows, model=model):
        cell = np.asarray(batch["cell"].to_numpy(), dtype=np.int64) - begin
        judged = Judged.of(batch)
        transform = judged.predictive.probability_integral
        counts += bin_counts(cell[judged.usable], transform, n_cells)
    return counts


def _rows(by: Slice, fine: Ints) -> list[dict[str, Any]]:
    """The bins of every level of a slice that has rows; `fine` is ``(L, 100)``."""
    counts = fine.reshape(len(by.levels), PIT_BINS, -1).sum(axis=2)
    total = counts.sum(axis=1, keepdims=True).astype(np.float64)
    with np.errstate(invalid="ignore"):
        share = counts / total
    low, high = wilson_interval(share, total)
    return [
        {
            "slice": by.name,
            "level": by.levels[i],
            "bin": b + 1,
            "n": int(counts[i, b]),
            "share": float(share[i, b]),
            "low": float(low[i, b]),
            "high": float(high[i, b]),
        }
        for i in np.flatnonzero(total[:, 0])
        for b in range(PIT_BINS)
    ]
