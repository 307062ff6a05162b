"""What the chosen method knows of the log scales, and the fit at them.

``map`` knows the mode; ``laplace`` adds a normal about it; ``nuts`` and ``advi``, which need the
optional extra, give draws (`rt.sampling`). Noise that differs between groups stays as the mode's
fit left it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.fit import Problem, laplace_covariance
from compassign_core.rt.hierarchy.noise import Fitted, global_noise
from compassign_core.rt.hierarchy.scales import LOG_BOUNDS

Floats = npt.NDArray[np.float64]

MOST_DRAWS = 50
"""Draws over which predictions of what was never seen are averaged; a posterior pass each."""

_SEED = 0x7363616C


@dataclass(frozen=True, eq=False)
class ScalePosterior:
    """A method's posterior of V log scales.

    Attributes
    ----------
    phi : where coefficients are computed, ``(V,)``.
    cov : covariance ``(V, V)``, empty when the method gives none.
    draws : at most `MOST_DRAWS` draws, ``(n, V)``; none when the method gives none.
    log_density : of the draws, where they are of an approximation that the exact posterior may
        correct, ``(n,)``; else None.
    diagnostics : the method's own numbers on its convergence.
    """

    phi: Floats
    cov: Floats
    draws: Floats
    log_density: Floats | None = None
    diagnostics: dict[str, float] = field(default_factory=dict)


def infer_scales(problem: Problem, fitted: Fitted) -> tuple[Fitted, ScalePosterior]:
    """The posterior of the scales by the method of the settings, and the fit at its centre.

    Parameters
    ----------
    problem : statistics and tree.
    fitted : the fit at the mode.

    Raises
    ------
    SettingsError
        when the method needs the optional extra and it is not installed.
    """
    settings, phi = fitted.scales.settings, fitted.mode.phi
    if settings.method == "map" or not phi.size:
        return fitted, ScalePosterior(phi, np.zeros((0, 0)), np.zeros((0, phi.size)))
    if settings.method == "laplace":
        return fitted, laplace_posterior(problem, fitted)
    from compassign_core.rt.sampling.extra import require_pymc

    require_pymc(settings.method)
    if settings.method == "nuts":
        from compassign_core.rt.sampling.nuts import sample_scales

        known = sample_scales(problem, fitted, settings.sampler)
    else:
        from compassign_core.rt.sampling.advi import approximate_scales

        known = approximate_scales(problem, fitted, settings.advi)
    return at_scales(problem, fitted, known.phi), known


def laplace_posterior(problem: Problem, fitted: Fitted) -> ScalePosterior:
    """The normal about the mode whose covariance is the inverse of the curvature there."""
    phi = fitted.mode.phi
    return normal_posterior(phi, laplace_covariance(problem, fitted.scales, phi, fitted.noise))


def normal_posterior(phi: Floats, cov: Floats) -> ScalePosterior:
    """A normal posterior of the log scales, with its draws; none without a covariance."""
    if not cov.size:
        return ScalePosterior(phi, cov, np.zeros((0, phi.size)))
    draws, log_density = normal_draws(phi, cov, np.random.default_rng(_SEED))
    return ScalePosterior(phi, cov, draws, log_density)


def normal_draws(mean: Floats, cov: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """`MOST_DRAWS` draws in pairs about the mean, ``(n, V)``, kept within `LOG_BOUNDS`.

    Their log densities come with them, but for a constant, ``(n,)``.
    """
    half = rng.standard_normal((MOST_DRAWS // 2, mean.size))
    z = np.concatenate([half, -half])
    draws = mean + z @ np.linalg.cholesky(cov).T
    return np.clip(draws, *LOG_BOUNDS), -0.5 * (z**2).sum(axis=1)


def thinned(draws: Floats) -> Floats:
    """At most `MOST_DRAWS` of draws ``(n, V)``, evenly spaced."""
    kept = np.linspace(0, draws.shape[0] - 1, min(MOST_DRAWS, draws.shape[0]))
    return draws[np.round(kept).astype(np.int64)]


def at_scales(problem: Problem, fitted: Fitted, phi: Floats) -> Fitted:
    """The posterior pass at other log scales ``(V,)``; noise that differs between groups stays."""
    scales = fitted.scales
    done, moments = problem.evaluate(scales, phi, fitted.noise)
    state = fitted.state
    if fitted.noise.variance is None:
        variance = float(done.variances.sigma2[0])
        state = global_noise(problem.tree, problem.spectra.n, moments, variance, state.row_df)
    log_posterior = done.log_marginal + scales.log_prior(phi)[0]
    return replace(
        fitted,
        mode=replace(fitted.mode, phi=phi, log_posterior=log_posterior),
        state=state,
        done=done,
        moments=moments,
        evaluations=fitted.evaluations + 1,
    )
