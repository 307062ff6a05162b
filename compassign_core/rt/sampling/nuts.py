"""NUTS over the log scales: ``method="nuts"``.

The density is exact and smooth, with a handful of variables. Two things make it cheap: chains start
about the mode, and the metric is the Laplace covariance there. PyMC's default (jittered starts,
metric learned while tuning) did not finish in ten minutes where this takes one. A scale that the
data hardly inform has a long tail to small values and, from its HalfNormal prior, an abrupt end
above: Laplace makes it too wide, and steps that long diverge there. So its width is bounded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import arviz
import numpy as np
import numpy.typing as npt
import pymc as pm

from compassign_core.contracts.settings.sampling import SamplerSettings
from compassign_core.rt.hierarchy.fit import Problem, laplace_covariance
from compassign_core.rt.hierarchy.noise import Fitted
from compassign_core.rt.hierarchy.scale_posterior import ScalePosterior, thinned
from compassign_core.rt.hierarchy.scales import LOG_BOUNDS
from compassign_core.rt.sampling.op import LOG_SCALES, interpreted, scale_model

Floats = npt.NDArray[np.float64]

_FIRST_STEP = 0.5
"""Step size before tuning, in the units of the metric."""

_WIDEST = 0.7
"""Largest standard deviation of a log scale in the metric: at 0.7 no draw diverged and effective
draws cost least; unbounded, 3 to 8 % diverged; at 0.5 effective draws cost twice as much."""

_FARTHEST_START = 2.0
"""Farthest start of a chain from the mode, in standard deviations along each axis."""


def sample_scales(problem: Problem, fitted: Fitted, settings: SamplerSettings) -> ScalePosterior:
    """Posterior of the log scales of a fitted model by NUTS; its noise, if uneven, is held.

    The same settings give the same draws: chains run one after another in this process.
    """
    covariance = bounded(laplace_covariance(problem, fitted.scales, fitted.mode.phi, fitted.noise))
    model, op = scale_model(problem, fitted.scales, fitted.noise)
    starts = spread_starts(fitted.mode.phi, covariance, settings)
    with _quiet(), model:
        step = pm.NUTS(
            scaling=covariance,
            is_cov=True,
            target_accept=settings.target_accept,
            step_scale=_FIRST_STEP * starts.shape[1] ** 0.25,  # PyMC divides by this root
            compile_kwargs={"mode": interpreted()},
        )
        trace = pm.sample(
            settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=1,
            random_seed=settings.seed,
            step=step,
            initvals=[{LOG_SCALES: point} for point in starts],
            compute_convergence_checks=False,
            progressbar=False,
            quiet=True,
            compile_kwargs={"mode": interpreted()},
        )
    draws = np.asarray(trace.posterior[LOG_SCALES].values, dtype=np.float64)  # (chains, draws, V)
    flat = draws.reshape(-1, draws.shape[2])
    return ScalePosterior(
        flat.mean(axis=0),
        np.atleast_2d(np.cov(flat, rowvar=False)),
        thinned(flat),
        diagnostics=summary(trace, op.evaluations),
    )


def bounded(covariance: Floats) -> Floats:
    """A covariance ``(V, V)`` of the same correlations, no standard deviation above `_WIDEST`."""
    shrunk = np.minimum(1.0, _WIDEST / np.sqrt(np.diag(covariance)))
    return np.asarray(shrunk[:, None] * covariance * shrunk)


def spread_starts(phi: Floats, covariance: Floats, settings: SamplerSettings) -> Floats:
    """Starts of the chains ``(chains, V)``, spread about the mode so that R-hat can tell."""
    rng = np.random.default_rng(settings.seed)
    z = rng.standard_normal((settings.chains, phi.size))
    z = np.clip(z, -_FARTHEST_START, _FARTHEST_START)
    starts = phi + z @ np.linalg.cholesky(covariance).T
    return np.asarray(np.clip(starts, LOG_BOUNDS[0] + 1.0, LOG_BOUNDS[1] - 1.0))


def summary(trace: Any, evaluations: int) -> dict[str, float]:
    """ArviZ numbers of a trace, the worst over the scales, and what it cost."""
    of = {
        "rhat_max": arviz.rhat(trace, var_names=[LOG_SCALES]).max(),
        "ess_bulk_min": arviz.ess(trace, var_names=[LOG_SCALES], method="bulk").min(),
        "ess_tail_min": arviz.ess(trace, var_names=[LOG_SCALES], method="tail").min(),
    }
    stats = trace.sample_stats
    return {
        **{name: float(value[LOG_SCALES]) for name, value in of.items()},
        "chains": float(trace.posterior.sizes["chain"]),
        "divergence_share": float(stats["diverging"].mean()),
        "divergences": float(stats["diverging"].sum()),
        "draws": float(stats["diverging"].size),
        "sampler_evaluations": float(evaluations),
        "leapfrog_mean": float(stats["n_steps"].mean()),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """PyMC reports through its logger; what matters is in the diagnostics."""
    logger = logging.getLogger("pymc")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
