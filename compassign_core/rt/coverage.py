"""Coverage of windows with its uncertainty, knowing that peaks of one unit hit and miss together.

A unit is what shares an error: a run, or a sample set.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, stdtrit

from compassign_core.contracts.identifiers import RUN_KEY
from compassign_core.rt.metrics import wilson_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Coverage:
    """Coverage of every cell with its 95 % interval, ``(n_cells,)`` each.

    Attributes
    ----------
    share, low, high : coverage and the ends of the interval; NaN where a cell has no peak.
    trials : effective number of trials.
    units : units with peaks.
    """

    share: Floats
    low: Floats
    high: Floats
    trials: Floats
    units: Ints


def coverage_interval(
    inside: Floats,
    weight: Floats,
    cell: Ints,
    unit: Ints,
    n_cells: int,
    trials_a_peak: float = 0.0,
    *,
    peaks: Floats | None = None,
) -> Coverage:
    """Coverage of every cell, with the uncertainty that units have.

    The number of trials is the effective one that the spread of coverage between units implies,
    and the interval is Clopper and Pearson's at it (Korn and Graubard, "Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data", Survey
    Methodology 24, 1998).

    Parameters
    ----------
    inside : 1 where a peak lies in its window, else 0, or the share of a set of peaks, ``(n,)``.
    weight : of the peaks, or summed over the set, ``(n,)``.
    cell, unit : codes of the cell and of the unit from 0, ``(n,)``.
    trials_a_peak : effective trials per peak where all peaks of a cell hit, or all miss, and the
        spread says nothing; each unit is one trial at least.
    peaks : peaks in each set, ``(n,)``; one each when None.
    """
    n_units = int(unit.max(initial=-1)) + 1
    count = np.bincount(cell, weights=peaks, minlength=n_cells).astype(np.float64)
    total = np.bincount(cell, weights=weight, minlength=n_cells)
    # only the units that a cell has, since most units have no peak in most cells
    place, at = np.unique(cell * n_units + unit, return_inverse=True)
    units = np.bincount(place // max(n_units, 1), minlength=n_cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.bincount(cell, weights=weight * inside, minlength=n_cells) / total
        deviation = np.bincount(at, weights=weight * (inside - share[cell]), minlength=place.size)
        squares = np.bincount(place // max(n_units, 1), weights=deviation**2, minlength=n_cells)
        spread = squares / total**2
        variance = units / (units - 1.0) * spread
        few_units = stdtrit(count - 1.0, 0.975) / stdtrit(units - 1.0, 0.975)
        trials = np.minimum(share * (1.0 - share) / variance * few_units**2, count)
        mixed = (share > 0) & (share < 1) & (variance > 0)
        trials = np.where(mixed, trials, np.maximum(trials_a_peak * count, units))
        hits = share * trials
        low = np.where(share > 0, betaincinv(hits, trials - hits + 1.0, 0.025), 0.0)
        high = np.where(share < 1, betaincinv(hits + 1.0, trials - hits, 0.975), 1.0)
    alone = units < 2
    return Coverage(share, np.where(alone, 0.0, low), np.where(alone, 1.0, high), trials, units)


@dataclass(frozen=True)
class CellCoverage:
    """Coverage of one cell of supercategory × training rows of the pair.

    Attributes
    ----------
    species_cluster, support_bin : the cell.
    n_peaks, n_runs : judged peaks, and runs they come from.
    coverage, low, high : share of them in their window, with its 95 % interval by runs.
    low_by_peaks, high_by_peaks : Wilson's interval, as if peaks were independent.
    """

    species_cluster: int
    support_bin: str
    n_peaks: int
    n_runs: int
    coverage: float
    low: float
    high: float
    low_by_peaks: float
    high_by_peaks: float


def coverage_of_cells(
    connection: duckdb.DuckDBPyConnection, predictions: str, model: str
) -> list[CellCoverage]:
    """Coverage of one model's windows in all cells that have scored peaks, in order.

    Parameters
    ----------
    connection : the engine.
    predictions : SQL text of `rt_predictions`.
    model : the model.
    """
    run, cell_of = ", ".join(RUN_KEY), "species_cluster, pair_support_bin"
    found = connection.execute(
        f"""SELECT species_cluster, pair_support_bin, count(*) AS n,
                   sum(covered::INT)::BIGINT AS hits,
                   dense_rank() OVER (ORDER BY {cell_of})::BIGINT - 1 AS cell,
                   dense_rank() OVER (ORDER BY {run})::BIGINT - 1 AS unit
            FROM {predictions} WHERE model = ? AND covered IS NOT NULL
            GROUP BY {cell_of}, {run} ORDER BY cell, unit""",
        [model],
    ).to_arrow_table()
    cell, unit, n, hits = (
        np.asarray(found[name].to_numpy(), dtype=np.int64) for name in ("cell", "unit", "n", "hits")
    )
    if not cell.size:
        return []
    weight = n.astype(np.float64)
    whole = coverage_interval(
        hits / weight, weight, np.zeros_like(cell), unit, 1, peaks=weight
    ).trials[0]
    n_cells = int(cell.max()) + 1
    made = coverage_interval(
        hits / weight, weight, cell, unit, n_cells, float(whole / weight.sum()), peaks=weight
    )
    peaks = np.bincount(cell, weights=weight).astype(np.float64)
    low, high = wilson_interval(made.share, peaks)
    first = np.searchsorted(cell, np.arange(n_cells))
    return [
        CellCoverage(
            int(cluster),
            str(label),
            int(peaks[i]),
            int(made.units[i]),
            float(made.share[i]),
            float(made.low[i]),
            float(made.high[i]),
            float(low[i]),
            float(high[i]),
        )
        for i, (cluster, label) in enumerate(
            zip(
                found["species_cluster"].take(first).to_pylist(),
                found["pair_support_bin"].take(first).to_pylist(),
                strict=True,
            )
        )
    ]
