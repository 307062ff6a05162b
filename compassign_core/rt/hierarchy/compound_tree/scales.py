"""Scales of the compound tree: which there are, and the variances they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.compound_tree.marginal import CompoundVariances
from compassign_core.rt.hierarchy.compound_tree.moments import CompoundGradient
from compassign_core.rt.hierarchy.group_moments import GroupGradient
from compassign_core.rt.hierarchy.groups import GroupVariances
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]

_STARTS = {
    "tau_comp": 0.5,
    "tau_w_comp": 0.05,
    "tau_mu_super": 0.03,
    "tau_mu": 0.03,
    "tau_mu_pair": 0.03,
    "tau_w_pair": 0.05,
}


@dataclass(frozen=True)
class CompoundTreeScales:
    """Spreads of compounds, of nodes about them by supercategory, and of species effects.

    ``tau_comp`` and ``tau_w_comp`` are those of compounds about the whole, ``tau_mu_pair[s]`` and
    ``tau_w_pair[s]`` those of a compound in supercategory s about the compound, ``tau_mu[s]`` and
    ``tau_mu_super`` those of the effects of species and supercategories.

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
    def priors(self) -> list[tuple[str, float]]:
        """Names with their HalfNormal prior scales."""
        pr, supers = self.settings.priors, range(self.n_super)
        entries = [("tau_comp", pr.tau_comp_prior), ("tau_mu_super", pr.tau_mu_prior)]
        entries += [(f"tau_mu[{i}]", pr.tau_mu_prior) for i in supers]
        entries += [(f"tau_mu_pair[{i}]", pr.tau_mu_prior) for i in supers]
        if self.slopes:
            entries.append(("tau_w_comp", pr.tau_w_prior))
            entries += [(f"tau_w_pair[{i}]", pr.tau_w_prior) for i in supers]
        return entries

    @property
    def start(self) -> Mapping[str, float]:
        """Scales to begin at."""
        return _STARTS

    def variances(
        self, value: Mapping[str, float], groups: GroupVariances, tree: Hierarchy, features: int
    ) -> CompoundVariances:
        """All variances, from the squares of the scales."""
        pr, supers = self.settings.priors, range(self.n_super)
        wide = features if self.slopes else 0

        def vector(intercept: float, slope: float) -> list[float]:
            return [intercept] + [slope] * wide

        def of(name: str) -> float:
            return value.get(name, 1.0)  # slopes that are not there

        nodes = [vector(value[f"tau_mu_pair[{i}]"], of(f"tau_w_pair[{i}]")) for i in supers]
        return CompoundVariances(
            **vars(groups),
            node=np.array(nodes),
            compound=np.array(vector(value["tau_comp"], of("tau_w_comp"))),
            root=np.array(vector(pr.t0_prior_sigma**2, pr.w0_prior_sigma**2)),
            species=np.array([value[f"tau_mu[{i}]"] for i in supers]),
            supercategory=value["tau_mu_super"],
            theta2=pr.theta_alpha_prior_sigma**2,
        )

    def derivatives(self, gradient: GroupGradient) -> dict[str, float]:
        """Derivatives by the log variances."""
        assert isinstance(gradient, CompoundGradient)
        by_name = {
            "tau_comp": gradient.compound_b,
            "tau_w_comp": gradient.compound_w,
            "tau_mu_super": gradient.supercategory,
        }
        for family, values in (
            ("tau_mu", gradient.species),
            ("tau_mu_pair", gradient.node_b),
            ("tau_w_pair", gradient.node_w),
        ):
            by_name |= {f"{family}[{i}]": float(x) for i, x in enumerate(values)}
        return by_name

    def information(self, tree: Hierarchy, features: int) -> dict[str, float]:
        """Rough Fisher information of the log scales: twice the units that speak about each."""
        n_super, k = self.n_super, tree.sizes[3]
        of_group = tree.supercat_of[tree.species_of]
        nodes = np.unique(tree.comp_of * n_super + of_group) % n_super
        per_node = np.bincount(nodes, minlength=n_super)
        per_species = np.bincount(tree.supercat_of, minlength=n_super)
        known = {
            "tau_comp": 2.0 * k,
            "tau_w_comp": 0.5 * k * features,
            "tau_mu_super": 1.0 * n_super,
        }
        for i in range(n_super):
            known[f"tau_mu[{i}]"] = 1.0 + per_species[i]
            known[f"tau_mu_pair[{i}]"] = 1.0 + 0.5 * per_node[i]
            known[f"tau_w_pair[{i}]"] = 1.0 + 0.2 * per_node[i] * features
        return known
