"""Differences of two models' metrics, resampled by unit, from sums by unit and level alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class UnitSums:
    """Rows and summed losses of U units at L levels.

    Attributes
    ----------
    counts : rows, ``(U, L)``.
    losses : sums of the M losses of the baseline, then of the model, ``(U, L, 2, M)``.
    """

    counts: Floats
    losses: Floats

    @classmethod
    def of(cls, unit: Ints, level: Ints, n_levels: int, counts: Floats, losses: Floats) -> Self:
        """Add up sums of cells of known unit and level ``(Q,)``, losses ``(Q, 2 M)``."""
        shape = (int(unit.max()) + 1, n_levels)
        all_counts, all_losses = np.zeros(shape), np.zeros((*shape, losses.shape[1]))
        np.add.at(all_counts, (unit, level), counts)
        np.add.at(all_losses, (unit, level), losses)
        return cls(all_counts, all_losses.reshape(*shape, 2, -1))


@dataclass(frozen=True)
class Differences:
    """Metrics of both models by level, and the interval of their difference, ``(L, M)`` each.

    `n_rows` and `n_units` ``(L,)`` say what they rest on; levels without rows have NaN.
    """

    n_rows: Ints
    n_units: Ints
    baseline: Floats
    model: Floats
    low: Floats
    high: Floats


def resampled_differences(sums: UnitSums, n_bootstrap: int, seed: int) -> Differences:
    """Metrics from summed losses, and 95 % percentile intervals of model less baseline.

    The first loss is a square, whose metric is the root of the mean; the others are means. All
    calls with one number of units and one seed use the same draws.
    """
    n_units = sums.counts.shape[0]
    draws = _draws(n_units, n_bootstrap, seed)
    whole = _means(sums.losses.sum(axis=0), sums.counts.sum(axis=0))
    resampled = _means(np.tensordot(draws, sums.losses, axes=1), draws @ sums.counts)
    difference = resampled[:, :, 1] - resampled[:, :, 0]  # (B, L, M); NaN where not drawn
    low, high = _interval(difference)
    return Differences(
        sums.counts.sum(axis=0).astype(np.int64),
        (sums.counts > 0).sum(axis=0),
        whole[:, 0],
        whole[:, 1],
        low,
        high,
    )


def _interval(difference: Floats) -> tuple[Floats, Floats]:
    """Ends of the 95 % percentile interval over draws ``(B, L, M)``, draws of no row left out."""
    gaps = np.isnan(difference).any(axis=(0, 2))
    empty = np.isnan(difference).all(axis=(0, 2))
    ends = np.full((2, *difference.shape[1:]), np.nan)
    ends[:, ~gaps] = np.quantile(difference[:, ~gaps], (0.025, 0.975), axis=0)
    some = gaps & ~empty
    ends[:, some] = np.nanquantile(difference[:, some], (0.025, 0.975), axis=0)
    return ends[0], ends[1]


@lru_cache(maxsize=2)
def _draws(n_units: int, n_bootstrap: int, seed: int) -> Floats:
    """How often each unit is drawn, ``(B, U)``."""
    drawn = np.random.default_rng(seed).multinomial(
        n_units, np.full(n_units, 1.0 / n_units), size=n_bootstrap
    )
    return drawn.astype(np.float64)


def _means(sums: Floats, counts: Floats) -> Floats:
    """Metrics from summed losses ``(…, L, 2, M)`` and rows ``(…, L)``; NaN without rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / np.where(counts > 0, counts, np.nan)[..., None, None]
    means[..., 0] = np.sqrt(means[..., 0])  # rmse is the root of the mean
    return np.asarray(means)
