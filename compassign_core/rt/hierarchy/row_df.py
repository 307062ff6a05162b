"""Degrees of freedom of Student-t rows, learned from how every row is predicted without it.

Leaving row i out of its group is exact algebra given its weight, with
h_i = omega_i v_i / sigma_g²::

    residual r_i / (1 - h_i),  coefficient variance v_i / (1 - h_i),
    sigma_g² without it (df sigma_g² - I omega_i r_i² / (1 - h_i)) / (df - I)

where I is what a row says about sigma_g². The likelihood of nu is that of the left-out rows under
the predictive that scoring uses (`student_t.predictive_noise`, diluted by the coefficient variance
as in `predictive.Predictive.df`), over a grid of 1/nu that begins at normal rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import inf

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.row_weights import Residuals, RowWeights
from compassign_core.rt.hierarchy.student_t import log_t, predictive_noise, scale_information
from compassign_core.rt.rows import GroupedRows

Floats = npt.NDArray[np.float64]

LEAST_ROW_DF = 4.0
"""Smallest learned nu. Retention times are read off a grid of scans, and in many groups most rows
share one value. Where a share p of them does, the likelihood of nu below p / (1 - p) grows without
end as sigma goes to zero: below 4, that was seen on two of the three shipped libraries."""

INVERSE_GRID = np.linspace(0.0, 1.0, 21) ** 1.5 / LEAST_ROW_DF
"""Values of 1/nu that are tried."""

LEAST_GAIN = 2.0
"""Log likelihood that Student-t rows must gain over normal ones; else nu is infinite."""

_MOST_LEVERAGE = 0.9
_MOST_SPREAD = 0.2
_LEAST_DF = 2.0
_LEAST_SHARE = 0.02
_DF_GRID = np.geomspace(1.0, 1e4, 96)


def learned_row_df(data: GroupedRows, weights: RowWeights, df: Floats) -> tuple[float, float]:
    """The most likely nu, and the log likelihood that it gains over normal rows.

    Parameters
    ----------
    data : rows, gone over once.
    weights : of the statistics behind the posterior in it.
    df : degrees of freedom that the groups' sigma² are known with, ``(G,)``.
    """
    by_group = np.zeros((df.size, INVERSE_GRID.size))  # so that sums do not depend on chunks
    for rows in data.chunks():
        found = weights.residuals(rows)
        first = found.group[rows.start]
        for j, density in enumerate(left_out_densities(weights, df, found)):
            by_group[first, j] = np.add.reduceat(density, rows.start)
    return most_likely(by_group.sum(axis=0))


def left_out_densities(weights: RowWeights, df: Floats, found: Residuals) -> Iterator[Floats]:
    """Log densities ``(n,)`` of rows predicted without them, at each value of the grid in turn.

    Zero for rows that would leave their group little to go by.
    """
    sigma2, known = weights.variance[found.group], df[found.group]
    weight, information = weights.of(found), scale_information(weights.row_df)
    h = np.minimum(weight * found.variance / sigma2, _MOST_LEVERAGE)
    squared, spread = (found.residual / (1.0 - h)) ** 2, found.variance / (1.0 - h)
    # a choice that the row's own residual has no part in
    used = (spread < _MOST_SPREAD * sigma2) & (known > _LEAST_DF)
    own = information * weight * found.residual**2 / (1.0 - h)
    left = np.maximum(known * sigma2 - own, _LEAST_SHARE * known * sigma2)
    without = left / np.maximum(known - information, 1.0)
    nearest = np.searchsorted(np.sqrt(_DF_GRID[1:] * _DF_GRID[:-1]), known - information)
    for growth, joint in zip(*_predictives(), strict=True):
        noise = growth[nearest] * without
        scale2 = noise + spread
        diluted = joint[nearest] * (scale2 / noise) ** 2
        density = log_t(squared / scale2, diluted) - 0.5 * np.log(scale2)
        yield np.where(used, density, 0.0)


@cache
def _predictives() -> tuple[Floats, Floats]:
    """Factors on sigma² and degrees of freedom, by 1/nu and the df of sigma², ``(J, D)``."""
    one = np.ones(_DF_GRID.size)
    pairs = [
        predictive_noise(one, _DF_GRID, 1.0 / inverse if inverse > 0 else inf)
        for inverse in INVERSE_GRID.tolist()
    ]
    return np.stack([growth for growth, _ in pairs]), np.stack([joint for _, joint in pairs])


def most_likely(likelihood: Floats) -> tuple[float, float]:
    """The best nu and its gain over normal rows, from log likelihoods ``(J,)`` on the grid.

    Between points of the grid by the parabola through the best and its neighbours.
    """
    j = int(np.argmax(likelihood))
    gain = float(likelihood[j] - likelihood[0])
    if gain < LEAST_GAIN:
        return inf, 0.0
    inverse = float(INVERSE_GRID[j])
    if j + 1 < INVERSE_GRID.size:
        at = INVERSE_GRID[j - 1 : j + 2]
        curve = np.polyfit(at - inverse, likelihood[j - 1 : j + 2] - likelihood[j], 2)
        if curve[0] < 0:
            inverse = float(np.clip(inverse - 0.5 * curve[1] / curve[0], at[0], at[2]))
    return 1.0 / max(inverse, 1e-6), gain
