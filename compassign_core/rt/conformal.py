"""Conformal correction of windows: measured on runs that the model did not see.

Scores are |residual| / (t-quantile · scale) of left-out rows; their finite-sample quantile is the
factor kappa that makes a window of the stated level cover that share of them (Papadopoulos et
al., "Inductive confidence machines for regression", ECML 2002; normalised residuals, here
cross-conformal). Rows of one run are not exchangeable one by one, which is why folds keep runs
together; coverage of every single compound is not promised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.settings.rt import STORED_LEVELS
from compassign_core.rt.support import support_bin_index

Floats = npt.NDArray[np.float64]

BASES = ("none", "pooled", "bin")
"""Where a kappa comes from: nothing (it is 1), all left-out rows, or those of the bin."""


@dataclass(frozen=True)
class Calibration:
    """Correction factors by level and support bin.

    Attributes
    ----------
    levels : nominal coverages, ``(L,)``.
    kappa : factors on the half width, ``(L, B)``.
    rows : left-out rows of each bin, ``(B,)``.
    basis : index into `BASES` of each factor, ``(L, B)``.
    """

    levels: Floats
    kappa: Floats
    rows: npt.NDArray[np.int64]
    basis: npt.NDArray[np.int8]

    @property
    def state(self) -> str:
        """``calibrated`` when at least one factor was measured, else ``uncalibrated``."""
        return "calibrated" if self.basis.any() else "uncalibrated"


def t_quantiles(df: Floats, levels: Floats) -> Floats:
    """Half width of the central interval of a standard Student-t, ``(L, n)``."""
    distinct, inverse = np.unique(df, return_inverse=True)
    return np.asarray(stdtrit(distinct[None, :], 0.5 + 0.5 * levels[:, None])[:, inverse])


def calibrate(
    residual: Floats,
    scale: Floats,
    df: Floats,
    support: Floats,
    min_rows_per_bin: int,
) -> Calibration:
    """Factors from n left-out rows; `support` is the training rows behind each prediction."""
    levels = np.array(STORED_LEVELS)
    n_bins = len(SUPPORT_BINS)
    bins = support_bin_index(support)
    scores = np.abs(residual) / (scale * t_quantiles(df, levels))  # (L, n)
    rows = np.bincount(bins, minlength=n_bins).astype(np.int64)
    kappa = np.ones((levels.size, n_bins))
    basis = np.zeros((levels.size, n_bins), dtype=np.int8)
    for i, level in enumerate(levels):
        pooled = conformal_quantile(scores[i], float(level))
        if pooled is not None:
            kappa[i], basis[i] = pooled, BASES.index("pooled")
        for b in np.flatnonzero(rows >= min_rows_per_bin):
            own = conformal_quantile(scores[i, bins == b], float(level))
            if own is not None:
                kappa[i, b], basis[i, b] = own, BASES.index("bin")
    return Calibration(levels, kappa, rows, basis)


def uncalibrated() -> Calibration:
    """Factors of 1, for a model with too few runs to leave any out."""
    none = np.zeros(0)
    return calibrate(none, none, none, none, 1)


def conformal_quantile(scores: Floats, level: float) -> float | None:
    """The ceil((n + 1) level)-th smallest of n scores.

    None where n is too small for the level, or where the quantile is zero (residuals that vanish
    say nothing about a window).
    """
    rank = int(np.ceil((scores.size + 1) * level - 1e-9))
    if rank > scores.size:
        return None
    value = float(np.partition(scores, rank - 1)[rank - 1])
    return value if value > 0 else None
