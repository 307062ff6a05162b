"""The exact predictive of any (species, compound), trained or not; NumPy alone.

With x~ = (1, x)::

    trained group:  mean x~·E[beta_g],  variance x~'Cov(beta_g)x~
    otherwise:      mean x~·a + alpha,  variance x~'Cov(a)x~ + 2 x~'Cov(a, alpha) + Var(alpha)
                    + tau_b² + psi |x|²

where a is that of the species, of its supercategory (plus the spread of species in it), or of the
root, and alpha that of the compound, or ``z·theta`` plus tau_comp² for one never trained. Noise
comes on top. These moments are exact given the scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.support import lookup, safe_keys

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_DF = 1e6
"""Degrees of freedom from which a Student-t is a Normal in every digit that matters."""

_GATHERED_VALUES = 1 << 21
"""Covariance numbers gathered at a time (16 MiB)."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where each of n rows stands in the hierarchy.

    Attributes
    ----------
    group : trained group or -1, ``(n,)``.
    node : node that gives the coefficients of an untrained group, ``(n,)``.
    comp : trained compound or -1, ``(n,)``.
    z : descriptors, zero where unknown, ``(n, D)``.
    described : whether they are known, ``(n,)``.
    """

    group: Ints
    node: Ints
    comp: Ints
    z: Floats
    described: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Predictive:
    """Mean (min), coefficient variance and noise variance (min²) and df of n rows, ``(n,)``.

    NaN where nothing can be said: groups never trained of a model with flat intercepts.
    """

    mean: Floats
    variance: Floats
    noise: Floats
    noise_df: Floats
    trained: npt.NDArray[np.bool_]

    @property
    def scale(self) -> Floats:
        """Scale of the predictive Student-t, min."""
        return np.sqrt(self.variance + self.noise)

    @property
    def df(self) -> Floats:
        """Its degrees of freedom.

        For an untrained group the coefficients are uncertain on their own account and Normal, so
        the degrees of freedom of the noise are diluted (Welch and Satterthwaite)::

            df = df_noise (1 + variance / noise)²
        """
        with np.errstate(over="ignore"):
            diluted = self.noise_df * (1.0 + self.variance / self.noise) ** 2
        return np.minimum(np.where(self.trained, self.noise_df, diluted), MOST_DF)


def locate(
    posterior: HierarchyPosterior,
    group_id: Ints,
    species_cluster: Ints,
    comp_id: Ints,
    compound: Ints,
) -> Places:
    """Place rows by their ids; `group_id` is that of the model's group column."""
    n_species, n_super = posterior.species.size, posterior.supercategories.size
    of_species = lookup(posterior.species, group_id)
    of_super = lookup(posterior.supercategories, species_cluster)
    node = np.where(of_super >= 0, n_species + of_super, n_species + n_super)
    known = lookup(posterior.chem_id, compound)
    z = np.zeros((compound.size, posterior.chem_z.shape[1]))
    z[known >= 0] = posterior.chem_z[known[known >= 0]]
    return Places(
        group=lookup(posterior.keys, safe_keys(group_id, comp_id)),
        node=np.where(of_species >= 0, of_species, node),
        comp=lookup(posterior.comps, comp_id),
        z=z,
        described=known >= 0,
    )


def predict(posterior: HierarchyPosterior, at: Places, x: Floats) -> Predictive:
    """The predictive at centred features ``(n, P)``."""
    n = x.shape[0]
    mean, variance, noise, noise_df = np.full((4, n), np.nan)
    made = Predictive(mean, variance, noise, noise_df, at.group >= 0)
    for rows, fill in (
        (np.flatnonzero(made.trained), _trained),
        (np.flatnonzero(~made.trained), _untrained),
    ):
        if rows.size and (posterior.pooled or fill is _trained):
            step = max(1, _GATHERED_VALUES // (x.shape[1] + 1) ** 2)
            for begin in range(0, rows.size, step):
                part = rows[begin : begin + step]
                x1 = np.concatenate([np.ones((part.size, 1)), x[part]], axis=1)
                values = fill(posterior, at, part, x1)
                made.mean[part], made.variance[part] = values[0], np.maximum(values[1], 0.0)
                made.noise[part], made.noise_df[part] = values[2:]
    return made


def _trained(
    posterior: HierarchyPosterior, at: Places, part: Ints, x1: Floats
) -> tuple[Floats, ...]:
    g = at.group[part]
    rows, columns = np.tril_indices(x1.shape[1])
    twice = np.where(rows == columns, 1.0, 2.0)
    products = x1[:, rows] * x1[:, columns] * twice
    return (
        (x1 * posterior.beta_mean[g]).sum(axis=1),
        (products * posterior.beta_cov_packed[g]).sum(axis=1),
        posterior.noise_variance[g],
        posterior.noise_df[g],
    )


def _untrained(
    posterior: HierarchyPosterior, at: Places, part: Ints, x1: Floats
) -> tuple[Floats, ...]:
    node, comp, z = at.node[part], at.comp[part], at.z[part]
    known = comp >= 0
    x = x1[:, : posterior.node_mean.shape[1]]  # (n, d)
    mean = (x * posterior.node_mean[node]).sum(axis=1)
    variance = ((x[:, None, :] @ posterior.node_cov[node])[:, 0, :] * x).sum(axis=1)
    # the compound's share
    cross = np.zeros(x.shape)
    cross[known] = pair_cross(posterior, node[known], comp[known])
    new = ~known
    cross[new] = (posterior.node_theta[node[new]] @ z[new][:, :, None])[:, :, 0]
    of_chemistry = ((z @ posterior.theta_cov) * z).sum(axis=1) + posterior.tau_comp2
    of_chemistry += np.where(at.described[part], 0.0, posterior.plain_variance)
    mean += np.where(known, posterior.alpha[comp], z @ posterior.theta)
    variance += np.where(known, posterior.alpha_cov[comp, comp], of_chemistry)
    variance += 2.0 * (x * cross).sum(axis=1)
    # the group's own deviation
    psi = np.where(known, posterior.pair_psi[comp], posterior.new_psi)
    variance += np.where(known, posterior.pair_tau_b2[comp], posterior.new_tau_b2)
    variance += psi * (x1[:, 1:] ** 2).sum(axis=1)
    noise = np.where(known, posterior.pair_variance[comp], posterior.new_variance)
    return mean, variance, noise, np.where(known, posterior.pair_df[comp], posterior.new_df)


def pair_cross(posterior: HierarchyPosterior, node: Ints, comp: Ints) -> Floats:
    """Cov of a node's coefficients and a compound's effect, ``(n, d)``.

    Of a species it is ``-(E_cB_c Sigma + G_c F_s Sigma)``, multiplied out for the pairs asked for.
    """
    n_species = posterior.species.size
    cross = np.empty((node.size, posterior.node_mean.shape[1]))
    above = node >= n_species
    cross[above] = posterior.cross[node[above] - n_species, :, comp[above]]
    start = posterior.species_start
    for c in np.unique(node[~above]):
        rows = np.flatnonzero(node == c)
        part = slice(start[c], start[c + 1])
        sigma = posterior.alpha_cov[posterior.comp_of[part][:, None], comp[rows]]  # (K_c, n)
        of_super = posterior.cross[posterior.supercat_of[c]][:, comp[rows]]  # (d, n)
        cross[rows] = (posterior.gain[c] @ of_super - posterior.eb[part].T @ sigma).T
    return cross
