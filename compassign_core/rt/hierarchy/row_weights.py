"""Weights of Student-t rows: a function of the row, given the last posterior of its group.

They are computed again wherever rows are gone over, chunk by chunk, and never held for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.student_t import expected_weights
from compassign_core.rt.rows import BLOCK_VALUES, TrainingRows
from compassign_core.rt.summaries import unpack

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Residuals:
    """Rows about the posterior of their groups.

    Attributes
    ----------
    residual : ``y - x~·E[beta_g]``, min, ``(n,)``.
    variance : ``x~'Cov(beta_g)x~``, min², ``(n,)``.
    group : place of the group among those of the posterior, ``(n,)``.
    """

    residual: Floats
    variance: Floats
    group: Ints

    @property
    def squared(self) -> Floats:
        """``E[r²]``, ``(n,)``."""
        return np.asarray(self.residual**2 + self.variance)


@dataclass(frozen=True, eq=False)
class RowWeights:
    """What the weights of rows of G groups follow from.

    Attributes
    ----------
    keys : group keys, sorted, ``(G,)``.
    beta_mean, beta_cov_packed : posterior of the coefficients, as in `stored.StoredPosterior`.
    variance : sigma² of the groups, min², ``(G,)``.
    row_df : nu.
    """

    keys: Ints
    beta_mean: Floats
    beta_cov_packed: Floats
    variance: Floats
    row_df: float

    def behind(self, groups: Ints | slice = slice(None)) -> dict[str, Any]:
        """What `noise.shrink` must know of the weights of some groups, as its arguments."""
        return {"row_df": self.row_df, "weighed": self.variance[groups]}

    def __call__(self, rows: TrainingRows) -> Floats:
        """Weights of the rows of a chunk, ``(n,)``."""
        return self.of(self.residuals(rows))

    def of(self, found: Residuals) -> Floats:
        """Weights ``(n,)`` of rows whose residuals are known."""
        return expected_weights(found.squared / self.variance[found.group], self.row_df)

    def residuals(self, rows: TrainingRows, values: int = BLOCK_VALUES) -> Residuals:
        """Residuals of rows of groups that are all among `keys`; `values` bounds memory only."""
        place = np.searchsorted(self.keys, rows.keys)
        residual, variance = np.empty((2, rows.y.size))
        for block in rows.blocks(1, values):
            at = place[block.groups]
            x1 = np.concatenate([np.ones((*block.y.shape, 1)), block.x], axis=2)
            mean = (x1 @ self.beta_mean[at][:, :, None])[:, :, 0]
            spread = ((x1 @ unpack(self.beta_cov_packed[at])) * x1).sum(axis=2)
            kept = block.rows[block.present]
            residual[kept] = (block.y - mean)[block.present]
            variance[kept] = np.maximum(spread[block.present], 0.0)
        return Residuals(residual, variance, np.repeat(place, rows.count))
