"""The scales that are fitted: their names, priors, and the way from their logarithms to variances.

A scale is a standard deviation with a HalfNormal prior; it is fitted as its logarithm phi, and
the Jacobian ``sum(phi)`` belongs to the posterior, which keeps the mode away from zero. Which
scales a tree has above its groups, it says itself (`species_scales`, `compound_tree.scales`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.compound_tree.marginal import CompoundVariances
from compassign_core.rt.hierarchy.compound_tree.scales import CompoundTreeScales
from compassign_core.rt.hierarchy.group_moments import GroupGradient
from compassign_core.rt.hierarchy.groups import GroupVariances
from compassign_core.rt.hierarchy.marginal import Variances
from compassign_core.rt.hierarchy.species_scales import SpeciesTreeScales
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]

LOG_BOUNDS = (-10.0, 4.0)
"""Range of a log scale: 45 microminutes to 55 minutes. Beyond it nothing changes that could be seen
in retention times, and matrices stop being positive definite in double precision."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise variances of the groups and what follows from them.

    Attributes
    ----------
    variance : of each group, min², ``(G,)``; None while one sigma is fitted for all.
    log_centre : mean log variance to which the ties of random effects refer.
    """

    variance: Floats | None = None
    log_centre: float = 0.0

    def tied(self, variance: Floats, rho: float, df: Floats | None = None) -> Floats:
        """``(variance / centre)^rho``, the factor on a random effect's variance.

        With `df` its expectation under a scaled-inverse-chi² of that scale::

            E[(variance df / chi²_df)^rho] = variance^rho (df/2)^rho Γ(df/2 - rho) / Γ(df/2)

        taken at df = 2 + rho at least, below which it runs to infinity.
        """
        if self.variance is None or rho == 0.0:
            return np.ones(variance.shape)
        log_factor = rho * (np.log(variance) - self.log_centre)
        if df is not None:
            half = 0.5 * np.maximum(df, 2.0 + rho)
            log_factor = log_factor + rho * np.log(half) + gammaln(half - rho) - gammaln(half)
        return np.asarray(np.exp(log_factor), dtype=np.float64)


class TreeScales(Protocol):
    """What a tree says of the scales above its groups; values and results go by name."""

    @property
    def priors(self) -> list[tuple[str, float]]:
        """Names with their HalfNormal prior scales."""

    @property
    def start(self) -> Mapping[str, float]:
        """Scales to begin at, by name or by the name of the family before the bracket."""

    def variances(
        self, value: Mapping[str, float], groups: GroupVariances, tree: Hierarchy, features: int
    ) -> Variances | CompoundVariances:
        """All variances, from the squares of the scales."""

    def derivatives(self, gradient: GroupGradient) -> dict[str, float]:
        """Derivatives by the log variances."""

    def information(self, tree: Hierarchy, features: int) -> dict[str, float]:
        """Rough Fisher information of the log scales: twice the units that speak about each."""


@dataclass(frozen=True)
class ScaleSet:
    """Which scales a model has, with their HalfNormal prior scales.

    Attributes
    ----------
    settings : the model.
    n_super : supercategories S; each has its own spread of species.
    slopes : whether there are any features.
    global_noise : whether one sigma is fitted.
    """

    settings: PoolingSettings
    n_super: int
    slopes: bool
    global_noise: bool
    names: tuple[str, ...] = field(init=False)
    prior: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        s, pr = self.settings, self.settings.priors
        entries: list[tuple[str, float]] = []
        if self.global_noise:
            entries.append(("sigma_y", pr.sigma_y_prior))
        if self.slopes and s.lambda_slopes == "learned":
            entries.append(("slope", pr.slope_prior))
        if s.intercept_prior == "comp_hier_supercat":
            entries.append(("tau_b", pr.tau_b_prior))
        entries += self.above.priors
        object.__setattr__(self, "names", tuple(name for name, _ in entries))
        object.__setattr__(self, "prior", tuple(scale for _, scale in entries))

    @property
    def compound_tree(self) -> bool:
        """Whether slopes are pooled by compound, in `compound_tree`."""
        return self.settings.slope_head_mode == "compound_supercat"

    @property
    def above(self) -> TreeScales:
        """The scales above the groups."""
        kind = CompoundTreeScales if self.compound_tree else SpeciesTreeScales
        return kind(self.settings, self.n_super, self.slopes)

    def log_prior(self, phi: Floats) -> tuple[float, Floats]:
        """Log density of phi, HalfNormal with Jacobian, and its gradient."""
        scale = np.array(self.prior)
        u = np.exp(2.0 * (phi - np.log(scale)))
        value = -0.5 * u + phi + 0.5 * np.log(2.0 / np.pi) - np.log(scale)
        return float(value.sum()), 1.0 - u

    def variances(
        self, phi: Floats, tree: Hierarchy, noise: Noise, features: int
    ) -> Variances | CompoundVariances:
        """All variances at log scales `phi`."""
        value = dict(zip(self.names, np.exp(2.0 * phi).tolist(), strict=True))
        g = tree.sizes[0]
        sigma2 = np.full(g, value["sigma_y"]) if noise.variance is None else noise.variance
        groups = GroupVariances(sigma2, *self.spreads(phi, sigma2, noise))
        return self.above.variances(value, groups, tree, features)

    def spreads(
        self, phi: Floats, variance: Floats, noise: Noise, df: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """The variances psi and tau_b² of groups with noise `variance`, each of its shape.

        With `df`, the noise itself is uncertain and they are expectations over it.
        """
        value = dict(zip(self.names, np.exp(2.0 * phi).tolist(), strict=True))
        s = self.settings
        if s.lambda_slopes == "learned":
            psi = value.get("slope", 1.0) * noise.tied(variance, s.rho, df)
        else:
            psi = variance / float(s.lambda_slopes)
        if s.intercept_prior == "flat":
            return psi, np.full(variance.shape, np.inf)
        return psi, value["tau_b"] * noise.tied(variance, s.rho_intercept, df)

    def chain(self, gradient: GroupGradient) -> Floats:
        """Derivatives by the log scales, ``(len(names),)``, of those by log variances."""
        psi = float(gradient.psi.sum())
        fixed = self.settings.lambda_slopes != "learned"
        by_name = {
            "sigma_y": float(gradient.sigma2.sum()) + (psi if fixed else 0.0),
            "slope": psi,
            "tau_b": float(gradient.tau_b2.sum()),
            **self.above.derivatives(gradient),
        }
        return 2.0 * np.array([by_name[name] for name in self.names])

    def start(self, sigma: float) -> Floats:
        """Log scales to begin at; `sigma` is a rough noise standard deviation in minutes."""
        known = {"sigma_y": sigma, "slope": 0.1, "tau_b": 0.03, **self.above.start}
        begin = [known[name.split("[")[0]] for name in self.names]
        return np.log(np.array(begin, dtype=np.float64))

    def information(self, tree: Hierarchy, rows: float, eigen_rows: int, features: int) -> Floats:
        """Rough Fisher information of each log scale: twice the units that speak about it."""
        known = {
            "sigma_y": 2.0 * max(rows - 0.7 * eigen_rows, 0.2 * rows),
            "slope": 0.5 * max(eigen_rows, 1),
            "tau_b": 1.5 * tree.sizes[0],
            **self.above.information(tree, features),
        }
        return np.array([known[name] for name in self.names])
