"""The numbers over runs: residuals of held-out runs, drift of the standards.

All functions expect tables that `inputs.in_order` has put in their fixed order, or sort themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.identifiers import RUN_KEY
from compassign_core.report.inputs import ordered_runs, standards_of
from compassign_core.report.summaries import Floats, Ints, floats, grouped_quantiles, of_model

STANDOUT_COVERAGE = 0.80
STANDOUT_ROWS = 20
"""A run stands out when of at least this many peaks less than this share is covered."""


@dataclass(frozen=True)
class RunIndex:
    """All runs in the order in which figures show them.

    Attributes
    ----------
    keys : ``(R, 3)`` sample set, worksheet, task.
    run_order : ``(R,)`` place in the sequence, NaN when unknown.
    """

    keys: Ints
    run_order: Floats

    @property
    def worksheet(self) -> Ints:
        """Worksheet of each run, ``(R,)``."""
        return self.keys[:, 1]

    def labels(self) -> list[str]:
        """Readable name of each run."""
        return [
            f"worksheet {w}, sample set {s}, task {k}"
            + ("" if np.isnan(o) else f", run order {o:g}")
            for (s, w, k), o in zip(self.keys.tolist(), self.run_order.tolist(), strict=True)
        ]


def run_keys(table: pa.Table) -> Ints:
    """Run key of each row, ``(n, 3)``."""
    columns = [np.asarray(pc.cast(table.column(c), pa.int64()), dtype=np.int64) for c in RUN_KEY]
    return np.stack(columns, axis=1)


def index_runs(runs: pa.Table, predictions: pa.Table) -> tuple[RunIndex, Ints, Ints]:
    """Order the runs of both tables and find each row's place.

    Returns
    -------
    the index, the place of each row of `runs`, the place of each row of `predictions`.
    """
    keys = np.concatenate([run_keys(runs), run_keys(predictions)])
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    known = floats(runs, "run_order")
    lowest = np.full(len(unique), np.inf)
    np.minimum.at(lowest, inverse[: len(known)], np.where(np.isnan(known), np.inf, known))
    order = np.lexsort((unique[:, 2], unique[:, 0], lowest, unique[:, 1]))
    place = np.empty(len(unique), dtype=np.int64)
    place[order] = np.arange(len(unique))
    run_order = np.where(np.isinf(lowest), np.nan, lowest)[order]
    places = place[inverse]
    return RunIndex(unique[order], run_order), places[: len(known)], places[len(known) :]


@dataclass(frozen=True)
class RunResiduals:
    """Residuals of the held-out runs, in run order; arrays of shape ``(K,)``.

    Attributes
    ----------
    index : all runs of the library.
    place : where each held-out run stands among them.
    low, median, high : 10 %, 50 % and 90 % points of its residuals, in minutes.
    n : scored peaks.
    covered : share of them inside their window, NaN without windows.
    """

    index: RunIndex
    place: Ints
    low: Floats
    median: Floats
    high: Floats
    n: Ints
    covered: Floats

    @property
    def stands_out(self) -> npt.NDArray[np.bool_]:
        """Runs whose windows hold far fewer peaks than they promise."""
        return (self.n >= STANDOUT_ROWS) & (self.covered < STANDOUT_COVERAGE)


def residuals_by_run(held_out: pa.Table, runs: pa.Table, model: str) -> RunResiduals:
    """Residuals of one model by held-out run; `held_out` as `held_out.RUN_RESIDUALS`."""
    own = of_model(held_out, model)
    index, _, place = index_runs(runs, own)
    n = floats(own, "n").astype(np.int64)
    judged = floats(own, "n_judged")
    share = np.divide(
        floats(own, "n_covered"), judged, out=np.full(judged.shape, np.nan), where=judged > 0
    )
    kept = np.flatnonzero(n > 0)
    kept = kept[np.argsort(place[kept], kind="stable")]
    low, median, high = (floats(own, name)[kept] for name in ("low", "median", "high"))
    return RunResiduals(index, place[kept], low, median, high, n[kept], share[kept])


def coverage_error_by_runs(held_out: pa.Table, model: str) -> tuple[float, int]:
    """Compute the standard error of the coverage over runs, and the number of runs.

    Peaks of one run miss together, so the error is that of a ratio over runs,
    ``sqrt(R / (R - 1) * sum_r (k_r - c n_r)^2) / n`` with k_r of n_r peaks covered and c = k / n.
    NaN with fewer than two runs. `held_out` as `held_out.RUN_RESIDUALS`.
    """
    own = of_model(held_out, model)
    judged, covered = floats(own, "n_judged"), floats(own, "n_covered")
    n_runs = int((judged > 0).sum())
    if n_runs < 2:
        return float("nan"), n_runs
    excess = covered - covered.sum() / judged.sum() * judged
    return float(np.sqrt(n_runs / (n_runs - 1) * np.sum(excess**2)) / judged.sum()), n_runs


@dataclass(frozen=True)
class Drift:
    """Standards over the runs.

    Attributes
    ----------
    names : the ``S`` standards that were found in any run.
    deviation : ``(R, S)`` RT minus the standard's median over all runs, minutes, NaN if missing.
    middle : ``(R,)`` 20 % trimmed mean over the standards.
    index : the runs.
    """

    names: list[str]
    deviation: Floats
    middle: Floats
    index: RunIndex


def standards_drift(runs: pa.Table) -> Drift:
    """Deviation of each standard from its own median over all runs."""
    runs = ordered_runs(runs)
    names = standards_of(runs)
    index, place, _ = index_runs(runs, runs.slice(0, 0))
    rt = np.full((len(index.keys), len(names)), np.nan)
    for column, name in enumerate(names):
        rt[:, column] = grouped_quantiles(floats(runs, name), place, len(rt), (0.5,))[0][:, 0]
    found = np.isfinite(rt).any(axis=0)
    rt = rt[:, found]
    deviation = rt - np.nanmedian(rt, axis=0) if found.any() else rt
    kept = [name for name, keep in zip(names, found, strict=True) if keep]
    return Drift(kept, deviation, trimmed_mean(deviation), index)


def trimmed_mean(values: Floats, trim: float = 0.2) -> Floats:
    """Mean of each row without its `trim` lowest and highest values, NaN left out; ``(R,)``.

    Scans come in steps, so a standard's apex jumps by whole steps: the median over the standards
    would hide a drift of half a step, the trimmed mean shows it and still ignores a bad peak.
    """
    ranked = np.sort(values, axis=1)
    n = np.isfinite(ranked).sum(axis=1)
    cut = np.floor(trim * n).astype(np.int64)
    place = np.arange(values.shape[1])[None, :]
    kept = (place >= cut[:, None]) & (place < (n - cut)[:, None])
    total = np.where(kept, ranked, 0.0).sum(axis=1)
    out = np.full(len(values), np.nan)
    np.divide(total, n - 2 * cut, out=out, where=n > 0)
    return out


def missing_standards(runs: pa.Table) -> dict[str, float]:
    """Share of runs in which each standard was not found, by standard."""
    return {
        name: float(np.mean(np.isnan(floats(runs, name)))) if runs.num_rows else float("nan")
        for name in standards_of(runs)
    }
