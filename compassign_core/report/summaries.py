"""The numbers behind figures and traffic lights, as small arrays.

Here belong reductions of predictions and runs; drawing is in `figures` and `thumbnails`. All
functions expect tables that `inputs.in_order` has put in their fixed order, or sort themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import norm

from compassign_core.contracts.identifiers import RUN_KEY
from compassign_core.report.inputs import ordered_runs, standards_of
from compassign_core.rt.metrics import probability_integral

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVELS: tuple[float, ...] = (*(round(0.05 * i, 2) for i in range(1, 20)), 0.99)
"""Nominal coverages of the calibration curve."""

STANDOUT_COVERAGE = 0.80
STANDOUT_ROWS = 20
"""A run stands out when of at least this many peaks less than this share is covered."""


def floats(table: pa.Table, name: str) -> Floats:
    """Read a column as float64, null becoming NaN; shape ``(n,)``."""
    cast = pc.cast(table.column(name), pa.float64())
    return np.asarray(pc.fill_null(cast, float("nan")), dtype=np.float64)


def of_model(predictions: pa.Table, model: str) -> pa.Table:
    """Keep the rows of one model."""
    return predictions.filter(pc.field("model") == model)


def model_names(table: pa.Table) -> list[str]:
    """Models of a table, sorted."""
    return sorted(set(table.column("model").to_pylist()))


def grouped_quantiles(
    values: Floats, groups: Ints, n_groups: int, probabilities: Sequence[float]
) -> tuple[Floats, Ints]:
    """Quantiles of finite values within groups, interpolated linearly as in `numpy.quantile`.

    Parameters
    ----------
    values, groups : shape ``(n,)``; groups are 0 to `n_groups` - 1.
    probabilities : length ``q``.

    Returns
    -------
    quantiles ``(n_groups, q)``, NaN where a group has no finite value; counts ``(n_groups,)``.
    """
    finite = np.isfinite(values)
    order = np.lexsort((values[finite], groups[finite]))
    ranked = values[finite][order]
    counts = np.bincount(groups[finite], minlength=n_groups).astype(np.int64)
    out = np.full((n_groups, len(probabilities)), np.nan)
    filled = counts > 0
    if not filled.any():
        return out, counts
    starts = (np.cumsum(counts) - counts)[filled, None]
    place = (counts[filled, None] - 1) * np.asarray(probabilities)[None, :]
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    below, above = ranked[starts + low], ranked[starts + high]
    out[filled] = below + (above - below) * (place - low)
    return out, counts


def residuals(predictions: pa.Table) -> Floats:
    """Observed minus predicted retention time in minutes, NaN where unscored; shape ``(n,)``."""
    scored = floats(predictions, "scored") == 1.0
    error = floats(predictions, "rt") - floats(predictions, "rt_predicted")
    return np.where(scored, error, np.nan)


def pit(predictions: pa.Table) -> Floats:
    """Probability integral transform of the scored rows that have a predictive distribution.

    ``F((rt - rt_predicted) / scale)`` with ``F`` the Student-t distribution function with `df`
    degrees of freedom; uniform on [0, 1] when the predictive distribution is right.
    """
    scale, df = floats(predictions, "scale"), floats(predictions, "df")
    error = residuals(predictions)
    usable = np.isfinite(error) & (scale > 0) & (df > 0)
    return probability_integral(error[usable], scale[usable], df[usable])


def observed_coverage(transform: Floats, levels: Sequence[float] = LEVELS) -> Floats:
    """Share of rows inside the central interval of each nominal level; shape ``(levels,)``.

    The central interval of level ``p`` holds the rows with ``|2 PIT - 1| <= p``.
    """
    if not transform.size:
        return np.full(len(levels), np.nan)
    reach = np.sort(np.abs(2.0 * transform - 1.0))
    return np.searchsorted(reach, np.asarray(levels), side="right") / reach.size


def binomial_interval(share: Floats, n: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's interval of a share observed in `n` trials (E. B. Wilson 1927)."""
    z = norm.ppf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


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


def residuals_by_run(predictions: pa.Table, runs: pa.Table, model: str) -> RunResiduals:
    """Residuals of one model, summed up per held-out run."""
    rows = of_model(predictions, model)
    index, _, place = index_runs(runs, rows)
    n_runs = len(index.keys)
    points, counts = grouped_quantiles(residuals(rows), place, n_runs, (0.1, 0.5, 0.9))
    covered = floats(rows, "covered")
    judged = np.isfinite(covered)
    hits = np.bincount(place[judged], weights=covered[judged], minlength=n_runs)
    trials = np.bincount(place[judged], minlength=n_runs)
    share = np.divide(hits, trials, out=np.full(n_runs, np.nan), where=trials > 0)
    kept = np.flatnonzero(counts > 0)
    low, median, high = points[kept].T
    return RunResiduals(index, kept, low, median, high, counts[kept], share[kept])


def coverage_error_by_runs(predictions: pa.Table, model: str) -> tuple[float, int]:
    """Compute the standard error of the coverage over runs, and the number of runs.

    Peaks of one run miss together, so the error is that of a ratio over runs,
    ``sqrt(R / (R - 1) * sum_r (sum_i (c_ri - c))^2) / n``. NaN with fewer than two runs.
    """
    rows = of_model(predictions, model)
    covered = floats(rows, "covered")
    judged = np.isfinite(covered)
    if not judged.any():
        return float("nan"), 0
    _, run = np.unique(run_keys(rows)[judged], axis=0, return_inverse=True)
    sums = np.bincount(run.reshape(-1), weights=covered[judged] - covered[judged].mean())
    n_runs = len(sums)
    if n_runs < 2:
        return float("nan"), n_runs
    return float(np.sqrt(n_runs / (n_runs - 1) * np.sum(sums**2)) / judged.sum()), n_runs


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


def evaluation_rows(evaluation: pa.Table, slice_name: str) -> list[dict[str, object]]:
    """Rows of one slice of the evaluation, by model and level."""
    rows = evaluation.filter(pc.field("slice") == slice_name).to_pylist()
    return sorted(rows, key=lambda row: (str(row["model"]), str(row["level"])))


def held_out_rows(evaluation: pa.Table, predictions: pa.Table) -> int:
    """Held-out peaks by the evaluation, or by the predictions when it has none overall."""
    overall = evaluation_rows(evaluation, "overall")
    if overall:
        return max(int(str(row["n_rows"])) for row in overall)
    counts = [of_model(predictions, m).num_rows for m in model_names(predictions)]
    return max(counts, default=0)
