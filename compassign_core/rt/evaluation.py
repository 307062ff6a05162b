"""Evaluation of predictions on held-out rows: accuracy, coverage and score, by slice and model.

Any model whose predictions keep the contract can be evaluated here, side by side. Rows are read
in batches; memory is bounded by the number of cells (`readback`), not of rows.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.catalogue import EVALUATION_SLICES, RT_EVALUATION
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.rt import SCALE_LEVEL, SHAPE_LEVELS
from compassign_core.rt import metrics
from compassign_core.rt.arrow import arrow_schema, float_column
from compassign_core.rt.cells import CellSums, Slice
from compassign_core.rt.medians import median_widths
from compassign_core.rt.pit import bin_counts, distance_from_uniform
from compassign_core.rt.readback import PREDICTED, Judged, Predictions, open_predictions
from compassign_core.rt.source import BATCH_ROWS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HALF_WIDTHS = tuple(f"half_width_{100 * level:.0f}" for level in SHAPE_LEVELS)
_SHARES = ("cov95", *(f"cov{100 * level:.0f}" for level in SHAPE_LEVELS))
_MEANS = ("rmse", "mae", "width95", "crps", "interval_score95", "log_score", *_SHARES)


def evaluate(
    predictions: Any,
    connection: duckdb.DuckDBPyConnection | None = None,
    *,
    settings: EvaluationSettings | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Any:
    """Metrics of every model in a table of `RT_PREDICTIONS`, as a table of `RT_EVALUATION`.

    `cov95` and `width95` are of the 95 % window that scale and df state, whatever level the
    windows of the table have; `cov50`, `cov80` and `cov99` are of the windows as they are made at
    these levels. `pit_distance` is of the Student-t that scale and df state, as are `crps` and
    `log_score`. Metrics are null where nothing was scored; rows that a model could not score are
    counted, never left out of `n_rows`. Slices by training rows of the pair need the columns
    `pair_support` and `pair_support_bin`, which predictions have when they were made with the
    training table at hand.

    Parameters
    ----------
    predictions : SQL text of the table, or the table in Arrow.
    connection : the engine, for SQL text.
    settings : which rows are judged; all when None.
    batch_rows : rows in memory at a time; changes no value.

    Raises
    ------
    InputError
        when a column is missing, for instance `rt` in a table of predictions for new runs.
    """
    chosen = settings or EvaluationSettings()
    needed = (*PREDICTED, *_HALF_WIDTHS)
    rows: list[dict[str, Any]] = []
    with open_predictions(predictions, connection, chosen, needed, "evaluation") as table:
        for model in table.models:
            rows += _evaluate_model(table, model, batch_rows)
    rows.sort(key=lambda row: (row["model"], row["slice"], row["level"]))
    return pa.Table.from_pylist(rows, schema=arrow_schema(RT_EVALUATION))


def _evaluate_model(table: Predictions, model: str, batch_rows: int) -> list[dict[str, Any]]:
    slices = table.slices(model, EVALUATION_SLICES)
    totals = _Totals(slices[0].code.size)
    begin = table.first_cell(model)
    columns = [f"p.{name}" for name in (*PREDICTED, *_HALF_WIDTHS)]
    for batch in table.batches(columns, batch_rows, model=model):
        totals.add(np.asarray(batch["cell"].to_numpy(), dtype=np.int64) - begin, batch)
    used = [one.total(totals.used) for one in slices]
    medians = median_widths(table, model, slices, used, batch_rows)
    return [
        {"model": model, **row}
        for one, n_used, median in zip(slices, used, medians, strict=True)
        for row in totals.rows(one, n_used, median)
    ]


class _Totals:
    """Counts and summed measures of one model by cell."""

    def __init__(self, n_cells: int) -> None:
        self.n_rows = np.zeros(n_cells, dtype=np.int64)
        self.scored = np.zeros(n_cells, dtype=np.int64)
        self.used = np.zeros(n_cells, dtype=np.int64)
        self.pit = bin_counts(np.zeros(0, dtype=np.int64), np.zeros(0), n_cells)
        self.sums = CellSums(n_cells, len(_MEANS))

    def add(self, cell: Ints, batch: Any) -> None:
        """Add the rows of a batch, of the given cells ``(n,)``."""
        n_cells = self.n_rows.size
        judged = Judged.of(batch)
        self.n_rows += np.bincount(cell, minlength=n_cells)
        self.scored += np.bincount(cell[judged.scored], minlength=n_cells)
        used = cell[judged.usable]
        self.used += np.bincount(used, minlength=n_cells)
        of = judged.predictive
        self.pit += bin_counts(used, of.probability_integral, n_cells)
        half, error = of.half_width(SCALE_LEVEL), of.error
        covered = [(np.abs(error) <= half).astype(np.float64)]
        for name in _HALF_WIDTHS:
            at_level = float_column(batch, name)[judged.usable]
            inside = (np.abs(error) <= at_level).astype(np.float64)
            # A model may store no window of this level; then there is no coverage to state.
            covered.append(np.where(np.isnan(at_level), np.nan, inside))
        means = (
            error**2,
            np.abs(error),
            2.0 * half,
            of.crps,
            metrics.interval_score(error, half, SCALE_LEVEL),
            of.log_density,
        )
        self.sums.add(used, (*means, *covered))

    def rows(self, by: Slice, used: Ints, median: Floats) -> list[dict[str, Any]]:
        """One row of results for each level of a slice that has rows."""
        n_rows, n_scored = by.total(self.n_rows), by.total(self.scored)
        n = used.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = by.total(self.sums.values) / n[:, None]
        found = dict(zip(_MEANS, means.T, strict=True))
        found["rmse"] = np.sqrt(found["rmse"])
        for name in _SHARES:
            found[f"{name}_low"], found[f"{name}_high"] = metrics.wilson_interval(found[name], n)
        found["width95_median"] = median
        found["pit_distance"] = distance_from_uniform(by.total(self.pit))
        return [
            {
                "slice": by.name,
                "level": by.levels[i],
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
