"""The mode of the log scales: preconditioned L-BFGS on the exact marginal posterior.

Preconditioning by the units that speak about each scale makes the problem nearly round: 9 to 18
evaluations from a cold start. Above `WARM_GROUPS` groups the scales are first fitted on a sample
of the compounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from compassign_core.rt.folds import keyed_hash
from compassign_core.rt.hierarchy.compound_tree.layout import Layout
from compassign_core.rt.hierarchy.compound_tree.marginal import (
    CompoundForward,
    CompoundVariances,
    forward_compounds,
)
from compassign_core.rt.hierarchy.compound_tree.moments import (
    CompoundMoments,
    backward_compounds,
)
from compassign_core.rt.hierarchy.marginal import Forward, forward
from compassign_core.rt.hierarchy.moments import Moments, backward
from compassign_core.rt.hierarchy.scales import LOG_BOUNDS, Noise, ScaleSet
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]
Pass = tuple[Forward, Moments] | tuple[CompoundForward, CompoundMoments]

WARM_GROUPS = 50_000
"""Groups above which a sample of the compounds is fitted first."""

_WARM_SHARE = 0.15
_LAPLACE_STEP = 0.05
_ROUGH_PENALTY = 1e-9


@dataclass(frozen=True, eq=False)
class Mode:
    """Log scales, their log posterior, and the evaluations spent."""

    phi: Floats
    log_posterior: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class Problem:
    """Data and structure of one fit."""

    spectra: Spectra
    tree: Hierarchy
    _last: list[tuple[Any, Pass]] = field(default_factory=list, init=False, repr=False)

    @property
    def features(self) -> int:
        """P."""
        return int(self.spectra.u.shape[1])

    @cached_property
    def layout(self) -> Layout:
        """Nodes of the compound tree of these groups."""
        return Layout.of(self.tree, self.spectra.rank, self.features)

    def evaluate(self, scales: ScaleSet, phi: Floats, noise: Noise) -> Pass:
        """Elimination and moments at log scales `phi`, in the tree that the scales are of.

        The last pass is kept: a climb mostly ends where it was evaluated last.
        """
        asked = (scales, phi.tobytes(), noise)
        if self._last and self._last[0][0] == asked:
            return self._last[0][1]
        self._last.clear()  # before the next, so that never two are in memory
        found = self._pass(scales, phi, noise)
        self._last.append((asked, found))
        return found

    def _pass(self, scales: ScaleSet, phi: Floats, noise: Noise) -> Pass:
        variances = scales.variances(phi, self.tree, noise, self.features)
        if isinstance(variances, CompoundVariances):
            found = forward_compounds(self.spectra, self.tree, self.layout, variances)
            return found, backward_compounds(self.spectra, self.tree, self.layout, found)
        done = forward(self.spectra, self.tree, variances)
        return done, backward(self.spectra, self.tree, done)

    def sample(self, share: float = _WARM_SHARE) -> Problem:
        """The problem of a share of the compounds, chosen by a hash of their ids."""
        place = np.argsort(keyed_hash(self.tree.comps[:, None], 0), kind="stable")
        kept = np.zeros(self.tree.comps.size, dtype=np.bool_)
        kept[place[: max(1, int(share * place.size))]] = True
        tree, groups = self.tree.of_comps(kept)
        return Problem(self.spectra.of_groups(groups), tree)


def log_posterior(
    problem: Problem, scales: ScaleSet, phi: Floats, noise: Noise
) -> tuple[float, Floats]:
    """Log marginal posterior of the log scales and its gradient."""
    done, moments = problem.evaluate(scales, phi, noise)
    prior, prior_gradient = scales.log_prior(phi)
    return done.log_marginal + prior, scales.chain(moments.gradient) + prior_gradient


def find_mode(
    problem: Problem,
    scales: ScaleSet,
    noise: Noise,
    start: Floats,
    *,
    iterations: int = 60,
    tolerance: float = 0.05,
) -> Mode:
    """Climb from `start`; `tolerance` is on the gradient in units of one standard error."""
    if not start.size:
        return Mode(start, log_posterior(problem, scales, start, noise)[0], 1)
    info = scales.information(
        problem.tree, float(problem.spectra.n.sum()), problem.spectra.lam.size, problem.features
    )
    unit = 1.0 / np.sqrt(info)
    evaluations = 0

    def negative(u: Floats) -> tuple[float, Floats]:
        nonlocal evaluations
        evaluations += 1
        value, gradient = log_posterior(problem, scales, start + u * unit, noise)
        return -value, -gradient * unit

    bounds = np.stack([(edge - start) / unit for edge in LOG_BOUNDS], axis=1)
    options = {
        "maxiter": iterations,
        "gtol": tolerance,
        "ftol": 1e-9,
        "maxcor": 20,
        "maxls": 20,
    }
    found = minimize(
        negative, np.zeros(start.size), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return Mode(start + found.x * unit, -float(found.fun), evaluations)


def warm_start(problem: Problem, scales: ScaleSet, most: int = WARM_GROUPS) -> Floats:
    """Log scales to start with; above `most` groups, the mode of a sample of the compounds."""
    start = scales.start(rough_sigma(problem.spectra))
    if problem.tree.keys.size <= most:
        return start
    return find_mode(problem.sample(), scales, Noise(), start, tolerance=0.5).phi


def rough_sigma(spectra: Spectra) -> float:
    """Median residual standard deviation of the groups with rows to spare, else 0.01 min."""
    p = spectra.u.shape[1]
    spare = spectra.n > p + 5
    if not spare.any():
        return 0.01
    e = 1.0 / (spectra.lam + _ROUGH_PENALTY)
    n = spectra.weight - spectra.by_group(spectra.t**2 * e)
    s = spectra.sum_y - spectra.by_group(spectra.t * spectra.z * e)
    rss = spectra.yy - spectra.by_group(spectra.z**2 * e) - s**2 / np.maximum(n, 1e-6)
    variance = rss[spare] / (spectra.n[spare] - p - 1)
    return float(np.sqrt(np.clip(np.median(variance), 1e-8, None)))


def curvature(problem: Problem, scales: ScaleSet, phi: Floats, noise: Noise) -> Floats:
    """Negative Hessian of the log posterior of the log scales, ``(V, V)``.

    From central differences of the gradient: two evaluations a scale.
    """
    hessian = np.empty((phi.size, phi.size))
    for j in range(phi.size):
        step = np.zeros(phi.size)
        step[j] = _LAPLACE_STEP
        above = log_posterior(problem, scales, phi + step, noise)[1]
        below = log_posterior(problem, scales, phi - step, noise)[1]
        hessian[j] = (above - below) / (2.0 * _LAPLACE_STEP)
    return -0.5 * (hessian + hessian.T)


def laplace_covariance(problem: Problem, scales: ScaleSet, phi: Floats, noise: Noise) -> Floats:
    """Covariance of the log scales at the mode, the inverse of the curvature there.

    Directions in which the log posterior is not curved downwards get the prior's own curvature.
    """
    along, axes = np.linalg.eigh(curvature(problem, scales, phi, noise))
    return np.asarray((axes / np.maximum(along, 0.1)) @ axes.T)
