"""Sufficient statistics of groups, per fold, and how they are joined without the left-out fold.

Sums are taken about the group's own mean of x and y, so that retention times of minutes with
residuals of milliseconds lose no digits; folds are left out by adding the others up, which keeps
X'X positive semi-definite where a subtraction could not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.rt.rows import Block

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CentredStatistics:
    """What a ridge regression with a flat intercept needs of each of G groups.

    Attributes
    ----------
    n : rows, ``(G,)``.
    mean_x, mean_y : means, ``(G, P)`` and ``(G,)``; zero where n is 0.
    xx, xy, yy : Xc'Xc ``(G, P, P)``, Xc'yc ``(G, P)``, yc'yc ``(G,)`` about these means.
    """

    n: Floats
    mean_x: Floats
    mean_y: Floats
    xx: Floats
    xy: Floats
    yy: Floats


@dataclass(frozen=True)
class FoldStatistics:
    """Sums of G groups in each of K folds, about an origin per group.

    Attributes
    ----------
    origin_x, origin_y : the group's means over all folds, ``(G, P)`` and ``(G,)``.
    n, sum_x, sum_y : ``(G, K)``, ``(G, K, P)``, ``(G, K)``.
    xx, xy, yy : ``(G, K, P, P)``, ``(G, K, P)``, ``(G, K)``.
    """

    origin_x: Floats
    origin_y: Floats
    n: Floats
    sum_x: Floats
    sum_y: Floats
    xx: Floats
    xy: Floats
    yy: Floats

    def total(self) -> CentredStatistics:
        """Statistics of all folds together."""
        return self._joined(np.ones(self.n.shape[1]))

    def without(self, fold: int) -> CentredStatistics:
        """Statistics of all folds but `fold`."""
        weight = np.ones(self.n.shape[1])
        weight[fold] = 0.0
        return self._joined(weight)

    def _joined(self, weight: Floats) -> CentredStatistics:
        # sums and not products with a vector, whose last bits depend on the number of groups
        n = (self.n * weight).sum(axis=1)
        share = np.divide(1.0, n, out=np.zeros_like(n), where=n > 0)
        shift_x = np.einsum("gkp,k->gp", self.sum_x, weight) * share[:, None]
        shift_y = (self.sum_y * weight).sum(axis=1) * share
        xx = np.einsum("gkpq,k->gpq", self.xx, weight)
        xx -= n[:, None, None] * shift_x[:, :, None] * shift_x[:, None, :]
        xy = np.einsum("gkp,k->gp", self.xy, weight) - (n * shift_y)[:, None] * shift_x
        yy = np.maximum((self.yy * weight).sum(axis=1) - n * shift_y**2, 0.0)
        some = n > 0
        mean_x = np.where(some[:, None], self.origin_x + shift_x, 0.0)
        return CentredStatistics(
            n, mean_x, np.where(some, self.origin_y + shift_y, 0.0), xx, xy, yy
        )


def accumulate(
    block: Block, fold: npt.NDArray[np.int64] | None = None, folds: int = 1
) -> FoldStatistics:
    """Statistics of a block of groups; `fold` is the fold of every training row, ``(N,)``.

    Without `fold` all rows are in one fold.
    """
    n = block.present.sum(axis=1).astype(np.float64)
    origin_x = block.x.sum(axis=1) / n[:, None]
    origin_y = block.y.sum(axis=1) / n
    x = np.where(block.present[:, :, None], block.x - origin_x[:, None, :], 0.0)
    y = np.where(block.present, block.y - origin_y[:, None], 0.0)
    parts = []
    for k in range(folds):
        inside = block.present if fold is None else block.present & (fold[block.rows] == k)
        x_k, y_k = x * inside[:, :, None], y * inside
        transposed = x_k.transpose(0, 2, 1)  # (G, P, m)
        parts.append(
            (
                inside.sum(axis=1).astype(np.float64),
                x_k.sum(axis=1),
                y_k.sum(axis=1),
                transposed @ x,
                (transposed @ y[:, :, None])[:, :, 0],
                (y_k * y).sum(axis=1),
            )
        )
    stacked = [np.stack(part, axis=1) for part in zip(*parts, strict=True)]
    return FoldStatistics(origin_x, origin_y, *stacked)
