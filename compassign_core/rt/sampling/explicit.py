"""The hierarchical ridge with its latents written out, as a PyMC model.

Intercepts of groups and everything above them are free variables; only the slopes of groups are
integrated out, as published models do. With r = y - b 1 - X m of a group, m the slopes of its
species, and X'X = U' diag(lam) U, the slopes' deviations from m leave::

    rho = U X'r = z - b t - lam U m
    |r|²_V = [r'r - sum rho² / (sigma²/psi + lam)] / sigma²
    log p = -1/2 [n log 2 pi sigma² + sum log(1 + psi lam / sigma²) + |r|²_V]

    r'r = yy - 2 b sum_y + b² sum 1 + sum (-2 z + 2 b t + lam U m) U m

Its joint density with all latents but the scales integrated out is that of `op.scale_model`. It is
the reference that samplers and variational methods of PyMC can be run on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor.tensor as pt

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.scales import Noise, ScaleSet
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.tree import Hierarchy
from compassign_core.rt.sampling.op import log_scales

Floats = npt.NDArray[np.float64]

SLOPE_HEADS = ("none", "cluster_supercat")
"""Values of `slope_head_mode` that the explicit model has."""


def explicit_model(
    problem: Problem,
    settings: PoolingSettings,
    noise: Noise | None = None,
    rows: Callable[..., Any] | None = None,
) -> Any:
    """The PyMC model of `settings` on the rows behind `problem`.

    Parameters
    ----------
    problem : statistics and tree.
    settings : which levels and priors there are.
    noise : noise variances to hold; needed unless the settings say ``noise='global'``, where one
        sigma is a free variable.
    rows : another way to write the log density of the rows, of the parameters of
        `log_likelihood`, which it replaces.

    Returns
    -------
    A ``pymc.Model``. Retention times are about the offsets of their compounds (see
    `tree.Hierarchy.offset`), the grand mean about the mean offset. Variables: ``log_scales``;
    ``root_b``, ``super_b`` ``(S,)``, ``species_b`` ``(C,)``, ``theta`` ``(D,)``, ``alpha``
    ``(K,)`` and ``b`` ``(G,)`` for intercepts, of which a flat intercept has ``b`` alone;
    ``root_w`` ``(P,)``, ``super_w`` ``(S, P)`` and ``species_w`` ``(C, P)`` for slopes.

    Raises
    ------
    SettingsError
        when noise is uneven and none is given, or for a tree that this model does not have.
    """
    if settings.slope_head_mode not in SLOPE_HEADS:
        raise SettingsError(
            f"the explicit model has no slope_head_mode={settings.slope_head_mode!r}.",
            f"use slope_head_mode {' or '.join(map(repr, SLOPE_HEADS))}, or another method.",
        )
    held = noise or Noise()
    if settings.noise != "global" and held.variance is None:
        raise SettingsError(
            f"noise={settings.noise!r} is held in the explicit model, and none was given.",
            "fit the model first and pass its noise, or use noise='global'.",
        )
    tree, p = problem.tree, problem.features
    scales = ScaleSet(settings, tree.sizes[2], p > 0, held.variance is None)
    coords = {
        "scale": list(scales.names),
        "group": tree.keys,
        "species": tree.species,
        "supercategory": tree.supercategories,
        "comp": tree.comps,
        "feature": np.arange(p),
        "descriptor": np.arange(tree.z.shape[1]),
    }
    with pm.Model(coords=coords) as model:
        phi = log_scales(scales)
        sd = {name: pt.exp(phi[i]) for i, name in enumerate(scales.names)}
        sigma2, psi, tau_b = _group_spreads(scales, sd, held, tree)
        b = _intercepts(settings, tree, sd, tau_b)
        head = p > 0 and settings.slope_head_mode != "none"
        slopes = _slopes(settings, tree, sd) if head else None
        density = rows or log_likelihood
        pm.Potential("rows", density(problem.spectra, tree, sigma2, psi, b, slopes))
    return model


def centred_offsets(tree: Hierarchy) -> tuple[float, Floats]:
    """Mean offset of the compounds (min), and what each is off it, ``(K,)``."""
    mean = float(tree.offset.mean())
    return mean, tree.offset - mean


def _group_spreads(
    scales: ScaleSet, sd: dict[str, Any], noise: Noise, tree: Hierarchy
) -> tuple[Any, Any, Any]:
    """sigma², psi and tau_b of each group, ``(G,)``."""
    s = scales.settings
    ones = np.ones(tree.sizes[0])
    variance = ones if noise.variance is None else noise.variance
    sigma2 = sd["sigma_y"] ** 2 * ones if noise.variance is None else pt.as_tensor(variance)
    if s.lambda_slopes != "learned":
        psi = sigma2 / float(s.lambda_slopes)
    else:
        psi = sd["slope"] ** 2 * noise.tied(variance, s.rho) if scales.slopes else sigma2
    tau_b = None
    if s.intercept_prior != "flat":
        tau_b = sd["tau_b"] * np.sqrt(noise.tied(variance, s.rho_intercept))
    return sigma2, psi, tau_b


def _intercepts(settings: PoolingSettings, tree: Hierarchy, sd: dict[str, Any], tau_b: Any) -> Any:
    """Intercepts of the groups about their compound's offset, ``(G,)``."""
    if settings.intercept_prior == "flat":
        return pm.Flat("b", dims="group")
    pr = settings.priors
    mean, rest = centred_offsets(tree)
    spread = pt.stack([sd[f"tau_mu[{i}]"] for i in range(tree.sizes[2])])
    root = pm.Normal("root_b", -mean, pr.t0_prior_sigma)
    upper = pm.Normal("super_b", root, sd["tau_mu_super"], dims="supercategory")
    of_species = tree.supercat_of
    species = pm.Normal("species_b", upper[of_species], spread[of_species], dims="species")
    centre: Any = -rest
    if tree.z.shape[1]:
        theta = pm.Normal("theta", 0.0, pr.theta_alpha_prior_sigma, dims="descriptor")
        centre = pt.dot(tree.z, theta) - rest
    alpha = pm.Normal("alpha", centre, sd["tau_comp"], dims="comp")
    return pm.Normal("b", species[tree.species_of] + alpha[tree.comp_of], tau_b, dims="group")


def _slopes(settings: PoolingSettings, tree: Hierarchy, sd: dict[str, Any]) -> Any:
    """Mean slopes of the species, ``(C, P)``."""
    spread = pt.stack([sd[f"tau_w[{i}]"] for i in range(tree.sizes[2])])
    root = pm.Normal("root_w", 0.0, settings.priors.w0_prior_sigma, dims="feature")
    upper = pm.Normal("super_w", root, sd["tau_w_super"], dims=("supercategory", "feature"))
    of_species = tree.supercat_of
    return pm.Normal(
        "species_w", upper[of_species], spread[of_species][:, None], dims=("species", "feature")
    )


def log_likelihood(
    spectra: Spectra, tree: Hierarchy, sigma2: Any, psi: Any, b: Any, slopes: Any
) -> Any:
    """Log density of the rows given intercepts ``(G,)`` and slopes ``(C, P)``; None is zero."""
    n, lam, t, z = spectra.n, spectra.lam, spectra.t, spectra.z
    of = np.repeat(np.arange(n.size), spectra.rank)  # group of each eigenvector
    total = pt.sum((spectra.yy - 2.0 * b * spectra.sum_y + spectra.weight * b**2) / sigma2)
    total += pt.sum(n * pt.log(2.0 * np.pi * sigma2) - spectra.log_weight)
    if not lam.size:
        return -0.5 * total
    precision = (1.0 / sigma2)[of]
    relative = (sigma2 / psi)[of]
    rho = z - b[of] * t
    if slopes is not None:
        along = pt.sum(spectra.u * slopes[tree.species_of[of]], axis=1)  # U m
        total += pt.sum((-2.0 * rho + lam * along) * along * precision)
        rho = rho - lam * along
    total -= pt.sum(rho**2 / (relative + lam) * precision)
    total += pt.sum(pt.log1p(lam / relative))
    return -0.5 * total
