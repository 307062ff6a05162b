"""Paired comparison of models: the same held-out peaks, resampled by sample set.

Peaks of one sample set share its runs and its matrix, so they err together; a bootstrap over peaks
would claim far too much. Whole sample sets are drawn with replacement instead (Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8), all models on the same draws. With few
sample sets the intervals are rough, and their number stands beside them.

All models' rows of one peak are read together, batch by batch, and summed by cell and sample set;
the sums are all that the bootstrap needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.catalogue import COMPARISON_SLICES, RT_COMPARISON, RT_TABLE
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.rt import SCALE_LEVEL, ComparisonSettings
from compassign_core.rt.arrow import arrow_schema
from compassign_core.rt.bootstrap import UnitSums, resampled_differences
from compassign_core.rt.cells import CellSums
from compassign_core.rt.readback import PREDICTED, Judged, Predictions, open_predictions
from compassign_core.rt.source import BATCH_ROWS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

METRICS = ("rmse", "mae", "crps", "width95", "cov95")


def compare(
    predictions: Any,
    chosen: ComparisonSettings,
    connection: duckdb.DuckDBPyConnection | None = None,
    *,
    settings: EvaluationSettings | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Any:
    """Compare every model with every baseline, as a table of `RT_COMPARISON`.

    Parameters
    ----------
    predictions : SQL text of a table of `RT_PREDICTIONS` with all models on the same rows, or the
        table in Arrow.
    chosen : baselines and resampling.
    connection : the engine, for SQL text.
    settings : which rows are judged; all when None.
    batch_rows : peaks × models in memory at a time; changes no value.

    Raises
    ------
    InputError
        when a column is missing, a baseline is not among the models, or a model has other rows
        than the others.
    """
    judged = settings or EvaluationSettings()
    rows: list[dict[str, Any]] = []
    needed = (*RT_TABLE.key, *PREDICTED)
    with open_predictions(predictions, connection, judged, needed, "comparison") as table:
        if not table.models:
            return arrow_schema(RT_COMPARISON).empty_table()
        absent = [name for name in chosen.baselines if name not in table.models]
        if absent:
            raise InputError(
                f"baseline {absent[0]!r} is not among the models {', '.join(table.models)}.",
                "name one of these models as the baseline.",
            )
        for pair in _sum_pairs(table, chosen.baselines, batch_rows):
            rows += pair.rows(table, chosen)
    rows.sort(key=lambda row: tuple(row[key] for key in RT_COMPARISON.key))
    return pa.Table.from_pylist(rows, schema=arrow_schema(RT_COMPARISON))


class _Cells:
    """The (cell, sample set)s in which a baseline has rows, Q of them."""

    def __init__(self, table: Predictions, baseline: str) -> None:
        self.first = table.first_cell(baseline)
        found = table.cells_by("sampleset_id", baseline)
        self.cell = np.asarray(found["cell"].to_numpy(), dtype=np.int64) - self.first
        self.sampleset = np.asarray(found["sampleset_id"].to_numpy(), dtype=np.int64)
        self._sets = np.unique(self.sampleset)
        # sorted, since the table orders by cell and sample set
        self._keys = self._key(self.cell, self.sampleset)

    def _key(self, cell: Ints, sampleset: Ints) -> Ints:
        return cell * self._sets.size + np.searchsorted(self._sets, sampleset)

    def places(self, cell: Ints, sampleset: Ints) -> Ints:
        """Position of each row's (cell, sample set), ``(n,)``."""
        return np.searchsorted(self._keys, self._key(cell - self.first, sampleset))


class _Pair:
    """A model and a baseline: summed losses of the peaks that both scored."""

    def __init__(self, model: str, baseline: str, cells: _Cells) -> None:
        self.model, self.baseline, self.cells = model, baseline, cells
        self.sums = CellSums(cells.cell.size, 1 + 2 * len(METRICS))

    def add(self, place: Ints, both: Bools, base: Sequence[Floats], mine: Sequence[Floats]) -> None:
        """Add peaks: places among the (cell, sample set)s, and losses, all ``(n,)``."""
        losses = [loss[both] for loss in (*base, *mine)]
        self.sums.add(place[both], (np.ones(int(both.sum())), *losses))

    def rows(self, table: Predictions, chosen: ComparisonSettings) -> list[dict[str, Any]]:
        """Rows of the comparison, for every slice, level and metric."""
        counts, losses = self.sums.values[:, 0], self.sums.values[:, 1:]
        seen = counts > 0
        if not seen.any():
            return []
        _, unit = np.unique(self.cells.sampleset[seen], return_inverse=True)
        made = []
        for by in table.slices(self.baseline, COMPARISON_SLICES):
            level = by.code[self.cells.cell[seen]]
            sums = UnitSums.of(unit, level, len(by.levels), counts[seen], losses[seen])
            found = resampled_differences(sums, chosen.n_bootstrap, chosen.seed)
            made += [
                {
                    "model": self.model,
                    "baseline": self.baseline,
                    "slice": by.name,
                    "level": by.levels[i],
                    "metric": name,
                    "n_rows": int(found.n_rows[i]),
                    "n_units": int(found.n_units[i]),
                    "baseline_value": float(found.baseline[i, m]),
                    "model_value": float(found.model[i, m]),
                    "difference": float(found.model[i, m] - found.baseline[i, m]),
                    "low": float(found.low[i, m]),
                    "high": float(found.high[i, m]),
                }
                for i in np.flatnonzero(found.n_rows)
                for m, name in enumerate(METRICS)
            ]
        return made


def _sum_pairs(table: Predictions, baselines: Sequence[str], batch_rows: int) -> list[_Pair]:
    """Every model with every baseline, summed over all peaks."""
    models = table.models
    cells = {name: _Cells(table, name) for name in baselines}
    pairs = [
        _Pair(model, name, cells[name]) for name in baselines for model in models if model != name
    ]
    place_of = {model: i for i, model in enumerate(models)}
    columns = [f"p.{name}" for name in (*RT_TABLE.key, "model", *PREDICTED)]
    order = [f"p.{name}" for name in (*RT_TABLE.key, "model")]
    rows = max(1, batch_rows // len(models)) * len(models)
    for batch in table.batches(columns, rows, order_by=order):
        _check_paired(batch, models)
        # all arrays are (peaks, models) from here on
        shape = (-1, len(models))
        cell = np.asarray(batch["cell"].to_numpy(), dtype=np.int64).reshape(shape)
        sampleset = np.asarray(batch["sampleset_id"].to_numpy(), dtype=np.int64).reshape(shape)
        judged = Judged.of(batch)
        usable = judged.usable.reshape(shape)
        losses = [_spread(loss, judged.usable).reshape(shape) for loss in _losses(judged)]
        places = {
            name: own.places(cell[:, place_of[name]], sampleset[:, 0])
            for name, own in cells.items()
        }
        for pair in pairs:
            base, mine = place_of[pair.baseline], place_of[pair.model]
            pair.add(
                places[pair.baseline],
                usable[:, base] & usable[:, mine],
                [loss[:, base] for loss in losses],
                [loss[:, mine] for loss in losses],
            )
    return pairs


def _losses(judged: Judged) -> list[Floats]:
    """Losses of the usable rows, in the order of METRICS; that of rmse is the square."""
    of = judged.predictive
    half = of.half_width(SCALE_LEVEL)
    return [of.error**2, np.abs(of.error), of.crps, 2.0 * half, np.abs(of.error) <= half]


def _spread(values: Floats, usable: Bools) -> Floats:
    """Values of the usable rows at their places among all rows, zero elsewhere, ``(n,)``."""
    full = np.zeros(usable.size)
    full[usable] = values
    return full


def _check_paired(batch: Any, models: Sequence[str]) -> None:
    """Refuse a batch in which a peak has not exactly one row of each model."""
    code = pc.index_in(batch["model"], value_set=pa.array(models, type=batch["model"].type))
    wanted = np.arange(batch.num_rows) % len(models)
    wrong = np.asarray(code.to_numpy()) != wanted
    for name in RT_TABLE.key:
        key = np.asarray(batch[name].to_numpy())
        wrong |= key != key[np.arange(batch.num_rows) - wanted]
    whole = batch.num_rows % len(models) == 0
    if whole and not wrong.any():
        return
    at = int(np.argmax(wrong)) if wrong.any() else batch.num_rows - 1
    peak = ", ".join(f"{name}={batch[name][at].as_py()}" for name in RT_TABLE.key)
    raise InputError(
        f"models {', '.join(models)} do not have the same held-out rows: near {peak} a model lacks "
        "a peak or has it twice.",
        "predict with all models on one table.",
    )
