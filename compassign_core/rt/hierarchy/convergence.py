"""Whether the fit of the scales ended where it should: at the mode, in a posterior with one.

The gradient comes with the last posterior pass, so that training stores it for nothing; the
curvature costs two evaluations a scale and is computed where it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.fit import Problem, curvature
from compassign_core.rt.hierarchy.held import Held
from compassign_core.rt.hierarchy.noise import Fitted, shrink
from compassign_core.rt.hierarchy.scales import LOG_BOUNDS, ScaleSet
from compassign_core.rt.hierarchy.student_t import marginal_bound

Floats = npt.NDArray[np.float64]

GRADIENT = "gradient:"
"""How the names of the gradient's components begin, before the name of the scale."""


def diagnostics_of(problem: Problem, fitted: Fitted) -> dict[str, float]:
    """Numbers on a fit from its last posterior pass, by name.

    ``gradient_norm`` is the largest ``|g_j| / sqrt(I_j)``, with the rough information I_j of
    `ScaleSet.information`: about how many standard errors a scale stands from its mode.
    ``gradient:<scale>`` are the g_j, by the log scale. ``evaluations`` are those of the marginal.
    With uneven noise, ``noise_change`` is the root mean square change of the log noise variances
    that one more round of shrinkage would make. With Student-t rows, ``row_df`` are their degrees
    of freedom and ``log_marginal_bound`` is `student_t.marginal_bound`.
    """
    gradient = gradient_of(fitted)
    spectra, scales = problem.spectra, fitted.scales
    made = {"evaluations": float(fitted.evaluations), "gradient_norm": 0.0}
    if gradient.size:
        information = scales.information(
            problem.tree, float(spectra.n.sum()), spectra.lam.size, problem.features
        )
        made["gradient_norm"] = float((np.abs(gradient) / np.sqrt(information)).max())
    made |= {
        GRADIENT + name: float(value) for name, value in zip(scales.names, gradient, strict=True)
    }
    row_df = fitted.state.row_df
    # what an update holds of Student-t rows does not say how their weights came about
    if fitted.noise.variance is not None and (fitted.weights or not np.isfinite(row_df)):
        made["noise_change"] = _noise_change(problem, fitted)
    if np.isfinite(row_df):
        made["row_df"] = row_df
        n, weight, log_weight = (
            float(values.sum()) for values in (spectra.n, spectra.weight, spectra.log_weight)
        )
        made["log_marginal_bound"] = marginal_bound(
            fitted.done.log_marginal, n, weight, log_weight, row_df
        )
    return made


def gradient_of(fitted: Fitted) -> Floats:
    """Gradient of the log posterior by the log scales, zero where it leads out of bounds, ``(V,)``.

    It is that of the last posterior pass, with its noise held.
    """
    scales, phi = fitted.scales, fitted.mode.phi
    if not phi.size:
        return np.zeros(0)
    gradient = scales.chain(fitted.moments.gradient) + scales.log_prior(phi)[1]
    low, high = LOG_BOUNDS
    outwards = ((phi <= low) & (gradient < 0)) | ((phi >= high) & (gradient > 0))
    return np.where(outwards, 0.0, gradient)


def _noise_change(problem: Problem, fitted: Fitted) -> float:
    settings = fitted.scales.settings
    again = shrink(
        problem.tree,
        problem.spectra.n,
        fitted.moments,
        settings.noise,
        unspoken=settings.priors.sigma_y_prior**2,
        **({} if fitted.weights is None else fitted.weights.behind()),
    )
    change = np.log(again.variance) - np.log(fitted.state.variance)
    return float(np.sqrt(np.mean(change**2)))


@dataclass(frozen=True, eq=False)
class Curvature:
    """The log posterior of the log scales about a point.

    Attributes
    ----------
    matrix : its negative Hessian, ``(V, V)``.
    positive_definite : whether it falls off in every direction.
    condition : largest over smallest eigenvalue; infinite when not positive definite.
    sd : posterior standard deviation of each log scale ``(V,)``; NaN when not positive definite.
    """

    matrix: Floats
    positive_definite: bool
    condition: float
    sd: Floats

    @classmethod
    def of(cls, matrix: Floats) -> Curvature:
        """From a negative Hessian ``(V, V)``."""
        if not matrix.size:
            return cls(matrix, True, 1.0, np.zeros(0))
        along = np.linalg.eigvalsh(matrix)
        if not along[0] > 0:
            return cls(matrix, False, float("inf"), np.full(matrix.shape[0], np.nan))
        sd = np.sqrt(np.diag(np.linalg.inv(matrix)))
        return cls(matrix, True, float(along[-1] / along[0]), sd)


def hessian(held: Held) -> Curvature:
    """The curvature at the scales of a stored fit, its noise held."""
    return Curvature.of(curvature(held.problem, held.scales, held.phi, held.noise))


def stored_gradient(diagnostics: Mapping[str, float], scales: ScaleSet) -> Floats | None:
    """The gradient among stored diagnostics ``(V,)``; None when it is not there."""
    names = [GRADIENT + name for name in scales.names]
    if any(name not in diagnostics for name in names):
        return None
    return np.array([diagnostics[name] for name in names], dtype=np.float64)
