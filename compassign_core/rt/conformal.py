"""Conformal correction of windows: measured on runs that the model did not see.

Scores are |residual| / (t-quantile · scale) of left-out rows; their finite-sample quantile is the
factor kappa that makes a window of the stated level cover that share of them (Papadopoulos et
al., "Inductive confidence machines for regression", ECML 2002; normalised residuals, here
cross-conformal). Rows of one run are not exchangeable one by one, which is why folds keep runs
together; coverage of every single compound is not promised.

Factors are made at `STORED_LEVELS`, and a higher level never gives a narrower window: for all
degrees of freedom a t-quantile grows at least as fast with the level as that of the Normal (van
Zwet, "Convex transformations of random variables", 1964), so it suffices that kappa · z does not
fall. Where left-out rows would have it fall, the wider window of the lower level holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.settings.rt import STORED_LEVELS
from compassign_core.rt.student import normal_quantiles, quantile_table, read_quantiles
from compassign_core.rt.support import support_bin_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BASES = ("none", "pooled", "bin")
"""What a kappa rests on at its level: too few left-out rows (it is that of the highest level that
they suffice for, or 1 without any), all left-out rows, or those of the bin."""

_BLOCKS = 12
"""Parts into which the levels are cut when order statistics are sought."""
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Calibration:
    """Correction factors by level and by kind of row: support bins, or novelties.

    Attributes
    ----------
    levels : nominal coverages, ascending, ``(L,)``.
    kappa : factors on the half width, ``(L, B)``; ``kappa · z(level)`` never falls.
    rows : left-out rows of each kind, ``(B,)``.
    basis : index into `BASES` of each factor, ``(L, B)``.
    """

    levels: Floats
    kappa: Floats
    rows: Ints
    basis: npt.NDArray[np.int8]

    @property
    def state(self) -> str:
        """``calibrated`` when at least one factor was measured, else ``uncalibrated``."""
        return "calibrated" if self.basis.any() else "uncalibrated"

    def without(self, kind: int) -> Calibration:
        """The same with factor 1, and no basis, for one kind."""
        kappa, basis = self.kappa.copy(), self.basis.copy()
        kappa[:, kind], basis[:, kind] = 1.0, 0
        return Calibration(self.levels, kappa, self.rows, basis)


def calibrate(
    residual: Floats,
    scale: Floats,
    df: Floats,
    support: Floats,
    min_rows_per_bin: int,
) -> Calibration:
    """Factors by support bin from n left-out rows; `support` is the training rows behind each."""
    kinds = support_bin_index(support)
    return calibrate_kinds(
        residual, scale, df, kinds, len(SUPPORT_BINS), min_rows_per_bin, pooled=True
    )


def calibrate_kinds(
    residual: Floats,
    scale: Floats,
    df: Floats,
    kinds: Ints,
    n_kinds: int,
    min_rows: int,
    *,
    pooled: bool,
) -> Calibration:
    """Factors of each kind of row from n left-out rows.

    Kinds with fewer rows than `min_rows`, or too few for a level, take those of all rows where
    `pooled`, and else none.
    """
    levels = np.array(STORED_LEVELS)
    ratio = np.abs(residual) / scale
    rows = np.bincount(kinds, minlength=n_kinds).astype(np.int64)
    nothing = np.full(levels.size, np.nan)
    of_all = conformal_factors(ratio, df) if pooled else nothing
    kappa = np.empty((levels.size, n_kinds))
    basis = np.empty((levels.size, n_kinds), dtype=np.int8)
    for kind in range(n_kinds):
        mine = kinds == kind
        own = conformal_factors(ratio[mine], df[mine]) if rows[kind] >= min_rows else nothing
        kappa[:, kind], basis[:, kind] = _settle(own, of_all)
    return Calibration(levels, kappa, rows, basis)


def uncalibrated(n_kinds: int = len(SUPPORT_BINS)) -> Calibration:
    """Factors of 1, for a model with too few runs to leave any out."""
    none = np.zeros(0)
    return calibrate_kinds(none, none, none, none.astype(np.int64), n_kinds, 1, pooled=False)


def conformal_factors(ratio: Floats, df: Floats) -> Floats:
    """The ceil((n + 1) level)-th smallest of n scores at every stored level, ``(L,)``.

    NaN where n is too small for the level. A residual of zero says nothing about a window; the
    smallest other one stands for it, and where there is none, all is NaN.

    Parameters
    ----------
    ratio : |residual| / scale of left-out rows, ``(n,)``.
    df : degrees of freedom of their predictive, ``(n,)``.
    """
    levels = np.array(STORED_LEVELS)
    kappa = np.full(levels.size, np.nan)
    positive = ratio[ratio > 0]
    ranks = np.ceil((ratio.size + 1) * levels - 1e-9).astype(np.int64)
    supported = int((ranks <= ratio.size).sum())
    if not positive.size or not supported:
        return kappa
    ratio = np.maximum(ratio, positive.min())
    kinds, of = np.unique(df, return_inverse=True)
    z, quantiles = normal_quantiles(levels), quantile_table(levels)
    cuts = np.unique(np.linspace(0, supported - 1, _BLOCKS + 1).astype(np.int64)).tolist()
    for low, high in pairwise(cuts) if len(cuts) > 1 else [(0, 0)]:
        block = slice(low, high + 1)
        found = _order_statistics(ratio, kinds, of, z[block], quantiles[block], ranks[block])
        kappa[block] = found / z[block]
    return kappa


def _order_statistics(
    ratio: Floats, df: Floats, of: npt.NDArray[np.intp], z: Floats, quantiles: Floats, ranks: Ints
) -> Floats:
    """Order statistics of the given ranks of scores · z at each of a few levels, ``(l,)``.

    `of` places each row among the distinct `df`; `quantiles` are those rows of `quantile_table`.

    In units of z the score of a row does not rise with the level. So at all levels it lies between
    those at the last and the first one, and only rows that may stand at a rank are looked at.
    """
    ends = z[[0, -1], None] / read_quantiles(quantiles[[0, -1]], df)
    most, least = ratio * ends[0, of], ratio * ends[1, of]
    lower = np.partition(least, ranks[0] - 1)[ranks[0] - 1] * (1.0 - _ROUNDING)
    upper = np.partition(most, ranks[-1] - 1)[ranks[-1] - 1] * (1.0 + _ROUNDING)
    below = int((most < lower).sum())
    near = np.flatnonzero((most >= lower) & (least <= upper))
    kinds, of_near = np.unique(of[near], return_inverse=True)
    shrink = z[:, None] / read_quantiles(quantiles, df[kinds])
    found = np.empty(z.size)
    for i, rank in enumerate((ranks - 1 - below).tolist()):
        found[i] = np.partition(ratio[near] * shrink[i, of_near], rank)[rank]
    return found


def _settle(own: Floats, of_all: Floats) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Factors ``(L,)`` and bases from those of a kind and of all rows, NaN where they have none."""
    basis = np.where(np.isnan(own), BASES.index("pooled"), BASES.index("bin")).astype(np.int8)
    kappa = np.where(np.isnan(own), of_all, own)
    beyond = int((~np.isnan(kappa)).sum())  # what is known is known from the lowest level on
    z = normal_quantiles(np.array(STORED_LEVELS))
    kappa[:beyond] = np.maximum.accumulate(kappa[:beyond] * z[:beyond]) / z[:beyond]
    kappa[beyond:] = kappa[beyond - 1] if beyond else 1.0
    basis[beyond:] = BASES.index("none")
    return kappa, basis
