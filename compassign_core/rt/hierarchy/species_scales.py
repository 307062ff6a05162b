"""Scales of the tree of species: which there are, and the variances they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.group_moments import GroupGradient
from compassign_core.rt.hierarchy.groups import GroupVariances
from compassign_core.rt.hierarchy.marginal import Variances
from compassign_core.rt.hierarchy.moments import Gradient
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpeciesTreeScales:
    """Spreads of species, by supercategory, of supercategories, and of compounds.

    Attributes
    ----------
    settings : the model.
    n_super : supercategories S.
    slopes : whether there are any features.
    """

    settings: PoolingSettings
    n_super: int
    slopes: bool

    @property
    def head(self) -> bool:
        """Whether slopes are pooled over the tree."""
        return self.slopes and self.settings.slope_head_mode != "none"

    @property
    def priors(self) -> list[tuple[str, float]]:
        """Names with their HalfNormal prior scales."""
        pr, supers = self.settings.priors, range(self.n_super)
        entries: list[tuple[str, float]] = []
        if self.settings.intercept_prior == "comp_hier_supercat":
            entries += [("tau_comp", pr.tau_comp_prior), ("tau_mu_super", pr.tau_mu_prior)]
            entries += [(f"tau_mu[{i}]", pr.tau_mu_prior) for i in supers]
        if self.head:
            entries.append(("tau_w_super", pr.tau_w_prior))
            entries += [(f"tau_w[{i}]", pr.tau_w_prior) for i in supers]
        return entries

    @property
    def start(self) -> Mapping[str, float]:
        """Scales to begin at."""
        return {
            "tau_comp": 0.5,
            "tau_mu_super": 0.03,
            "tau_mu": 0.03,
            "tau_w_super": 0.05,
            "tau_w": 0.05,
        }

    def variances(
        self, value: Mapping[str, float], groups: GroupVariances, tree: Hierarchy, features: int
    ) -> Variances:
        """All variances, from the squares of the scales."""
        pr, supers = self.settings.priors, range(self.n_super)
        # of a flat intercept nothing in the tree is informed: any variance leaves it alone
        mu = np.array([value.get(f"tau_mu[{i}]", 1.0) for i in supers])
        w = np.array([value.get(f"tau_w[{i}]", 1.0) for i in supers])
        wide = features if self.head else 0

        def node(intercept: Floats, slope: Floats) -> Floats:
            return np.concatenate([intercept[:, None], np.repeat(slope[:, None], wide, 1)], axis=1)

        def single(intercept: float, slope: float) -> Floats:
            return np.array([intercept] + [slope] * wide)

        return Variances(
            **vars(groups),
            species=node(mu, w)[tree.supercat_of],
            supercategory=single(value.get("tau_mu_super", 1.0), value.get("tau_w_super", 1.0)),
            root=single(pr.t0_prior_sigma**2, pr.w0_prior_sigma**2),
            tau_comp2=value.get("tau_comp", 1.0),
            theta2=pr.theta_alpha_prior_sigma**2,
        )

    def derivatives(self, gradient: GroupGradient) -> dict[str, float]:
        """Derivatives by the log variances."""
        assert isinstance(gradient, Gradient)
        by_name = {
            "tau_comp": gradient.tau_comp2,
            "tau_mu_super": gradient.supercategory_b,
            "tau_w_super": gradient.supercategory_w,
        }
        by_name |= {f"tau_mu[{i}]": float(x) for i, x in enumerate(gradient.species_b)}
        return by_name | {f"tau_w[{i}]": float(x) for i, x in enumerate(gradient.species_w)}

    def information(self, tree: Hierarchy, features: int) -> dict[str, float]:
        """Rough Fisher information of the log scales: twice the units that speak about each."""
        _, n_species, n_super, k = tree.sizes
        per = n_species / n_super
        known = {
            "tau_comp": 2.0 * k,
            "tau_mu_super": 1.0 * n_super,
            "tau_w_super": 1.0 * n_super * features,
        }
        known |= {f"tau_mu[{i}]": 1.0 + per for i in range(self.n_super)}
        return known | {f"tau_w[{i}]": 1.0 + per * features for i in range(self.n_super)}
