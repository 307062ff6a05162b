"""Whether the shared scalars of the independent ridges stand at the maximum of their evidence.

The hierarchical model has its own numbers, see `hierarchy.convergence`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.rt import LEARNED_DF0_BOUNDS, RidgeSettings
from compassign_core.rt.evidence import Spectra, log_evidence
from compassign_core.rt.ridge import Scalars

Floats = npt.NDArray[np.float64]

_STEP = 1e-3
_LEAST_CURVATURE = 1.0


def diagnostics_of(spectra: Spectra, scalars: Scalars, settings: RidgeSettings) -> dict[str, float]:
    """Numbers on the optimum, by name.

    ``gradient:<scalar>`` is the slope of the log evidence by the scalar's logarithm over the root
    of its curvature: how many standard errors the maximum lies away. Where the evidence says less
    than one unit of the logarithm, that unit is the standard error. ``gradient_norm`` is the
    largest of them. A scalar that is given is not among them, nor one that presses on its bound.
    """
    free = _free(scalars, settings)
    at = np.log(np.array([scalars.lambda_slopes, scalars.df0, scalars.variance0]))
    centre = log_evidence(spectra, scalars) if free else 0.0
    made = {}
    for name, j in free.items():
        ends = []
        for sign in (1.0, -1.0):
            moved = at.copy()
            moved[j] += sign * _STEP
            ends.append(log_evidence(spectra, Scalars(*np.exp(moved).tolist())))
        slope = (ends[0] - ends[1]) / (2.0 * _STEP)
        curved = (2.0 * centre - ends[0] - ends[1]) / _STEP**2
        if name == "noise_df0" and _presses(scalars.df0, slope):
            slope = 0.0
        made[f"gradient:{name}"] = abs(slope) / float(np.sqrt(max(curved, _LEAST_CURVATURE)))
    return {**made, "gradient_norm": max(made.values(), default=0.0)}


def _free(scalars: Scalars, settings: RidgeSettings) -> dict[str, int]:
    """Scalars that were learned, and their place."""
    free = {}
    if np.isfinite(scalars.lambda_slopes) and settings.lambda_slopes == "learned":
        free["lambda_slopes"] = 0
    if settings.noise_df0 is None:
        free["noise_df0"] = 1
    if settings.noise_scale0 is None:
        free["noise_scale0"] = 2
    return free


def _presses(df0: float, slope: float) -> bool:
    """Whether learned degrees of freedom stand at a bound that the evidence would cross."""
    low, high = LEARNED_DF0_BOUNDS
    return (df0 <= low * 1.001 and slope < 0) or (df0 >= high * 0.999 and slope > 0)
