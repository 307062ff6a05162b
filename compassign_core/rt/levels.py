"""Correction factors at any level, from those at the levels that a model stores; NumPy alone.

Belongs here: reading factors between stored levels. How they are made stands in `conformal`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.rt.student import normal_quantiles

Floats = npt.NDArray[np.float64]

_SAME = 1e-12
"""Levels that differ by less are one."""


def has_level(stored: Floats, level: float) -> bool:
    """Whether `level` lies within the stored levels ``(L,)``."""
    return bool(stored[0] - _SAME <= level <= stored[-1] + _SAME)


def factors_at(stored: Floats, kappa: Floats, wanted: Floats) -> Floats:
    """Factors ``(K, B)`` at `wanted` levels ``(K,)`` from those ``(L, B)`` at the stored ``(L,)``.

    The logarithm of kappa is linear in that of the Normal's quantile between neighbours, so that
    kappa times a t-quantile rises where the stored ones do (see `conformal`). NaN beyond the
    stored levels.
    """
    made = np.full((wanted.size, kappa.shape[1]), np.nan)
    inside = np.array([has_level(stored, level) for level in wanted.tolist()], dtype=np.bool_)
    above = level_above(stored, wanted[inside])
    below = np.maximum(above - 1, 0)
    z, at = np.log(normal_quantiles(stored)), np.log(normal_quantiles(wanted[inside]))
    gap = np.where(above > below, z[above] - z[below], 1.0)
    share = np.clip((at - z[below]) / gap, 0.0, 1.0)[:, None]
    logs = np.log(kappa)
    made[inside] = np.exp((1.0 - share) * logs[below] + share * logs[above])
    return made


def level_above(stored: Floats, wanted: Floats) -> npt.NDArray[np.intp]:
    """Position of the lowest stored level that is not below each of `wanted`, ``(K,)``."""
    return np.minimum(np.searchsorted(stored, wanted - _SAME), stored.size - 1)
