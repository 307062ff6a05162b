"""Mean-field variational inference on the explicit model: ``method="advi"``.

PyMC gives the log density of the explicit model and its gradient, compiled by Numba; the steps are
those of `mean_field`. They begin at the exact posterior given the fitted scales: latents differ in
scale by thousands, and from a cold start tens of thousands of steps only look for these scales.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pymc.blocking import DictToArrayBijection

from compassign_core.contracts.settings.sampling import AdviSettings
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.groups import summed
from compassign_core.rt.hierarchy.marginal import Forward
from compassign_core.rt.hierarchy.moments import Moments
from compassign_core.rt.hierarchy.noise import Fitted
from compassign_core.rt.hierarchy.scale_posterior import ScalePosterior, normal_draws
from compassign_core.rt.sampling.explicit import centred_offsets, explicit_model
from compassign_core.rt.sampling.mean_field import climb, convergence
from compassign_core.rt.sampling.op import LOG_SCALES

Floats = npt.NDArray[np.float64]


def approximate_scales(problem: Problem, fitted: Fitted, settings: AdviSettings) -> ScalePosterior:
    """Mean-field posterior of the log scales of a fitted model; its noise, if uneven, is held."""
    model = explicit_model(problem, fitted.scales.settings, fitted.noise)
    means, spreads = start(problem, fitted)
    names = [variable.name for variable in model.value_vars]
    mean, sd = (ravelled(values, names) for values in (means, spreads))
    density = model.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
    density.set_extra_values({})
    found = climb(density, mean, sd, settings)
    at = places(means, names)[LOG_SCALES]
    phi, spread = found.mean[at], found.sd[at]
    cov = np.diag(spread**2)
    draws, _ = normal_draws(phi, cov, np.random.default_rng(settings.seed))
    return ScalePosterior(phi, cov, draws, diagnostics=convergence(found.loss, settings.window))


def start(problem: Problem, fitted: Fitted) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Where latents of the explicit model begin: mean and standard deviation of each, by name.

    Means are those of the exact posterior. Standard deviations are those given all other latents,
    which is where a mean field of a normal posterior ends.
    """
    done, moments, tree = fitted.done, fitted.moments, problem.tree
    assert isinstance(done, Forward) and isinstance(moments, Moments)
    scales, v, groups = fitted.scales, done.variances, done.groups
    _, _, n_super, k = tree.sizes
    beta = moments.shift[:, 0] + moments.species[tree.species_of, 0] + moments.alpha[tree.comp_of]
    means: dict[str, Floats] = {LOG_SCALES: fitted.mode.phi, "b": beta}
    info = scales.information(
        tree, float(problem.spectra.n.sum()), problem.spectra.lam.size, problem.features
    )
    precisions = {LOG_SCALES: info, "b": 1.0 / groups.kappa}
    of_species = np.zeros((n_super, v.species.shape[1]))
    np.add.at(of_species, tree.supercat_of, 1.0 / v.species)
    above = 1.0 / v.supercategory
    upper: dict[str, tuple[Floats, Floats]] = {
        "root": (moments.root, 1.0 / v.root + n_super * above),
        "super": (moments.supercategory, above + of_species),
        "species": (moments.species, 1.0 / v.species + _told(problem, done)),
    }
    if scales.settings.intercept_prior != "flat":
        mean, _ = centred_offsets(tree)
        for level, (value, precision) in upper.items():
            means[f"{level}_b"], precisions[f"{level}_b"] = value.T[0] - mean, precision.T[0]
        means["alpha"] = moments.alpha + mean
        precisions["alpha"] = 1.0 / v.tau_comp2 + summed(tree.comp_of, groups.beta, k)
        means["theta"] = done.compounds.z_k @ (moments.alpha + tree.offset)
        precisions["theta"] = 1.0 / v.theta2 + (tree.z**2).sum(axis=0) / v.tau_comp2
    if moments.species.shape[1] > 1:
        for level, (value, precision) in upper.items():
            means[f"{level}_w"], precisions[f"{level}_w"] = value.T[1:].T, precision.T[1:].T
    return means, {name: 1.0 / np.sqrt(value) for name, value in precisions.items()}


def _told(problem: Problem, done: Forward) -> Floats:
    """What the groups of a species say of its coefficients given their intercepts, ``(C, d)``."""
    tree, spectra, groups = problem.tree, problem.spectra, done.groups
    told: Floats = np.zeros(done.variances.species.shape)
    told[:, 0] = summed(tree.species_of, groups.beta, told.shape[0])
    if told.shape[1] > 1 and spectra.lam.size:
        of_row = np.repeat(tree.species_of, spectra.rank)
        first = np.searchsorted(of_row, np.arange(told.shape[0]))
        some = np.flatnonzero(np.diff(np.append(first, of_row.size)))
        told[some, 1:] = np.add.reduceat(groups.g[:, None] * spectra.u**2, first[some], axis=0)
    return told


def ravelled(values: dict[str, Floats], names: list[str]) -> Floats:
    """Values of the variables `names` as one point of the model, ``(L,)``."""
    point = {name: np.asarray(values[name], dtype=np.float64) for name in names}
    return np.asarray(DictToArrayBijection.map(point).data, dtype=np.float64)


def places(values: dict[str, Floats], names: list[str]) -> dict[str, slice]:
    """Where each of the variables `names` stands in the point."""
    ends = np.cumsum([np.size(values[name]) for name in names]).tolist()
    begins = [0, *ends[:-1]]
    return {name: slice(a, b) for name, a, b in zip(names, begins, ends, strict=True)}
