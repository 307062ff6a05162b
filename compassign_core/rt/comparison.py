"""Paired comparison of models: the same held-out peaks, resampled by sample set.

Peaks of one sample set share its runs and its matrix, so they err together; a bootstrap over peaks
would claim far too much. Whole sample sets are drawn with replacement instead (Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8), all models on the same draws. With few
sample sets the intervals are rough, and their number stands beside them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.catalogue import RT_COMPARISON, RT_TABLE
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.rt import ComparisonSettings
from compassign_core.rt import metrics
from compassign_core.rt.arrow import arrow_schema, float_column

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

METRICS = ("rmse", "mae", "crps", "width95", "cov95")
_SLICES = {
    "overall": None,
    "support_bin": "support_bin",
    "supercategory": "species_cluster",
    "novelty": "novelty",
}


def compare(predictions: Any, chosen: ComparisonSettings) -> Any:
    """Compare every model with the baseline, as a table of `RT_COMPARISON`.

    Parameters
    ----------
    predictions : table of `RT_PREDICTIONS` with all models on the same rows.
    chosen : baseline and resampling.

    Raises
    ------
    InputError
        when the baseline is not among the models, or a model has other rows than the baseline.
    """
    tables = _by_model(predictions)
    if not tables:
        return arrow_schema(RT_COMPARISON).empty_table()
    if chosen.baseline not in tables:
        raise InputError(
            f"baseline {chosen.baseline!r} is not among the models {', '.join(tables)}.",
            "name one of these models as the baseline.",
        )
    base = _Losses(tables.pop(chosen.baseline))
    rows: list[dict[str, Any]] = []
    for name, table in tables.items():
        model = _Losses(table)
        if not model.same_rows(base):
            raise InputError(
                f"models {name} and {chosen.baseline} do not have the same held-out rows.",
                "predict with both models on one table.",
            )
        rows += [
            {"model": name, "baseline": chosen.baseline, **row}
            for row in _compare(model, base, chosen)
        ]
    rows.sort(key=lambda row: tuple(row[key] for key in RT_COMPARISON.key))
    return pa.Table.from_pylist(rows, schema=arrow_schema(RT_COMPARISON))


def _by_model(predictions: Any) -> dict[str, Any]:
    """Each model's rows, all in one order."""
    order = [(name, "ascending") for name in RT_TABLE.key]
    names = sorted(pc.unique(predictions["model"]).to_pylist())
    return {
        name: predictions.filter(pc.equal(predictions["model"], name)).sort_by(order)
        for name in names
    }


class _Losses:
    """Per-row losses of one model; unscored rows are marked, not dropped."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.scored = np.asarray(table["scored"].to_numpy()).astype(bool)
        error = float_column(table, "rt") - float_column(table, "rt_predicted")
        scale, df = float_column(table, "scale"), float_column(table, "df")
        half = metrics.half_width(scale, df, 0.95)
        self.losses = np.column_stack(  # (n, metrics) in the order of METRICS
            [
                error**2,
                np.abs(error),
                metrics.crps_student_t(error, scale, df),
                2.0 * half,
                np.abs(error) <= half,
            ]
        )

    def same_rows(self, other: _Losses) -> bool:
        """Whether both models judged the same peaks."""
        mine, theirs = self.table.select(RT_TABLE.key), other.table.select(RT_TABLE.key)
        return bool(mine.equals(theirs))


def _compare(model: _Losses, base: _Losses, settings: ComparisonSettings) -> list[dict[str, Any]]:
    both = model.scored & base.scored
    if not both.any():
        return []
    sets = np.asarray(base.table["sampleset_id"].to_numpy())[both]
    _, unit = np.unique(sets, return_inverse=True)
    n_units = int(unit.max()) + 1
    # Draws of whole sample sets as counts: (B, U). All slices and models use the same draws.
    draws = np.random.default_rng(settings.seed).multinomial(
        n_units, np.full(n_units, 1.0 / n_units), size=settings.n_bootstrap
    )
    rows = []
    for slice_name, column in _SLICES.items():
        level, code = _levels(base.table, column, both)
        cell = unit * len(level) + code
        shape = (n_units, len(level))
        size = n_units * len(level)
        counts = np.bincount(cell, minlength=size).reshape(shape)
        sums = [
            np.stack(
                [
                    np.bincount(cell, weights=losses[both, m], minlength=size).reshape(shape)
                    for m in range(len(METRICS))
                ],
                axis=2,
            )
            for losses in (base.losses, model.losses)
        ]  # each (U, levels, metrics)
        whole = [_means(s.sum(axis=0), counts.sum(axis=0).astype(np.float64)) for s in sums]
        drawn_counts = np.asarray(draws @ counts, dtype=np.float64)  # (B, levels)
        resampled = [
            _means(np.asarray(np.tensordot(draws, s, axes=1), dtype=np.float64), drawn_counts)
            for s in sums
        ]
        difference = resampled[1] - resampled[0]  # (B, levels, metrics); NaN where not drawn
        low, high = np.nanquantile(difference, (0.025, 0.975), axis=0)
        units = (counts > 0).sum(axis=0)
        rows += [
            {
                "slice": slice_name,
                "level": level[i],
                "metric": name,
                "n_rows": int(counts[:, i].sum()),
                "n_units": int(units[i]),
                "baseline_value": float(whole[0][i, m]),
                "model_value": float(whole[1][i, m]),
                "difference": float(whole[1][i, m] - whole[0][i, m]),
                "low": float(low[i, m]),
                "high": float(high[i, m]),
            }
            for i in range(len(level))
            for m, name in enumerate(METRICS)
        ]
    return rows


def _means(sums: Floats, counts: Floats) -> Floats:
    """Metrics from summed losses ``(…, metrics)`` and row counts ``(…)``; NaN without rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / np.where(counts > 0, counts, np.nan)[..., None]
    means[..., 0] = np.sqrt(means[..., 0])  # rmse is the root of the mean
    return np.asarray(means)


def _levels(table: Any, column: str | None, both: npt.NDArray[np.bool_]) -> tuple[list[str], Ints]:
    """Values of a slice among the compared rows, as text, and each row's place among them."""
    if column is None:
        return ["all"], np.zeros(int(both.sum()), dtype=np.int64)
    values, code = np.unique(
        np.asarray(table[column].cast(pa.string()).to_pylist(), dtype=str)[both],
        return_inverse=True,
    )
    return [str(value) for value in values], code
