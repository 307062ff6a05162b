"""The scales that are fitted: their names, priors, and the way from their logarithms to variances.

A scale is a standard deviation with a HalfNormal prior; it is fitted as its logarithm phi, and
the Jacobian ``sum(phi)`` belongs to the posterior, which keeps the mode away from zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.marginal import Variances
from compassign_core.rt.hierarchy.moments import Gradient
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]

LOG_BOUNDS = (-14.0, 6.0)
"""Range of a log scale; beyond it nothing changes that could be seen in retention times."""


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
        supers = range(self.n_super)
        if s.intercept_prior == "comp_hier_supercat":
            entries += [("tau_b", pr.tau_b_prior), ("tau_comp", pr.tau_comp_prior)]
            entries.append(("tau_mu_super", pr.tau_mu_prior))
            entries += [(f"tau_mu[{i}]", pr.tau_mu_prior) for i in supers]
        if self.slope_head:
            entries.append(("tau_w_super", pr.tau_w_prior))
            entries += [(f"tau_w[{i}]", pr.tau_w_prior) for i in supers]
        object.__setattr__(self, "names", tuple(name for name, _ in entries))
        object.__setattr__(self, "prior", tuple(scale for _, scale in entries))

    @property
    def slope_head(self) -> bool:
        """Whether slopes are pooled over the tree."""
        return self.slopes and self.settings.slope_head_mode == "cluster_supercat"

    def log_prior(self, phi: Floats) -> tuple[float, Floats]:
        """Log density of phi, HalfNormal with Jacobian, and its gradient."""
        scale = np.array(self.prior)
        u = np.exp(2.0 * (phi - np.log(scale)))
        value = -0.5 * u + phi + 0.5 * np.log(2.0 / np.pi) - np.log(scale)
        return float(value.sum()), 1.0 - u

    def variances(self, phi: Floats, tree: Hierarchy, noise: Noise, features: int) -> Variances:
        """All variances at log scales `phi`."""
        value = dict(zip(self.names, np.exp(2.0 * phi).tolist(), strict=True))
        g, _, n_super, _ = tree.sizes
        pr = self.settings.priors
        sigma2 = np.full(g, value["sigma_y"]) if noise.variance is None else noise.variance
        psi, tau_b2 = self.spreads(phi, sigma2, noise)
        # of a flat intercept nothing in the tree is informed: any variance leaves it alone
        mu = np.array([value.get(f"tau_mu[{i}]", 1.0) for i in range(n_super)])
        w = np.array([value.get(f"tau_w[{i}]", 1.0) for i in range(n_super)])
        wide = features if self.slope_head else 0

        def node(intercept: Floats, slope: Floats) -> Floats:
            return np.concatenate([intercept[:, None], np.repeat(slope[:, None], wide, 1)], axis=1)

        def single(intercept: float, slope: float) -> Floats:
            return np.array([intercept] + [slope] * wide)

        return Variances(
            sigma2=sigma2,
            psi=psi,
            tau_b2=tau_b2,
            species=node(mu, w)[tree.supercat_of],
            supercategory=single(value.get("tau_mu_super", 1.0), value.get("tau_w_super", 1.0)),
            root=single(pr.t0_prior_sigma**2, pr.w0_prior_sigma**2),
            tau_comp2=value.get("tau_comp", 1.0),
            theta2=pr.theta_alpha_prior_sigma**2,
        )

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

    def chain(self, gradient: Gradient) -> Floats:
        """Derivatives by the log scales, ``(len(names),)``, of those by log variances."""
        psi = float(gradient.psi.sum())
        fixed = self.settings.lambda_slopes != "learned"
        by_name = {
            "sigma_y": float(gradient.sigma2.sum()) + (psi if fixed else 0.0),
            "slope": psi,
            "tau_b": float(gradient.tau_b2.sum()),
            "tau_comp": gradient.tau_comp2,
            "tau_mu_super": gradient.supercategory_b,
            "tau_w_super": gradient.supercategory_w,
        }
        by_name |= {f"tau_mu[{i}]": float(x) for i, x in enumerate(gradient.species_b)}
        by_name |= {f"tau_w[{i}]": float(x) for i, x in enumerate(gradient.species_w)}
        return 2.0 * np.array([by_name[name] for name in self.names])

    def start(self, sigma: float) -> Floats:
        """Log scales to begin at; `sigma` is a rough noise standard deviation in minutes."""
        known = {"sigma_y": sigma, "slope": 0.1, "tau_b": 0.03, "tau_comp": 0.5}
        known |= {"tau_mu_super": 0.03, "tau_w_super": 0.05}
        begin = [known.get(n, 0.03 if n.startswith("tau_mu") else 0.05) for n in self.names]
        return np.log(np.array(begin, dtype=np.float64))

    def information(self, tree: Hierarchy, rows: float, eigen_rows: int, features: int) -> Floats:
        """Rough Fisher information of each log scale: twice the units that speak about it."""
        g, n_species, n_super, k = tree.sizes
        known = {
            "sigma_y": 2.0 * max(rows - 0.7 * eigen_rows, 0.2 * rows),
            "slope": 0.5 * max(eigen_rows, 1),
            "tau_b": 1.5 * g,
            "tau_comp": 2.0 * k,
            "tau_mu_super": 1.0 * n_super,
            "tau_w_super": 1.0 * n_super * features,
        }
        per = n_species / n_super
        mu, w = 1.0 + per, 1.0 + per * features
        return np.array([known.get(n, mu if n.startswith("tau_mu") else w) for n in self.names])
