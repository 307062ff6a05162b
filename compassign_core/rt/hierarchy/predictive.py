"""The exact predictive of any (species, compound), trained or not; NumPy alone.

With x~ = (1, x)::

    trained group:  mean x~·E[beta_g],  variance x~'Cov(beta_g)x~
    otherwise:      mean x~·a + alpha,  variance x~'Cov(a)x~ + 2 x~'Cov(a, alpha) + Var(alpha)
                    + tau_b² + psi |x|²

where a is that of the species, of its supercategory (plus the spread of species in it), or of the
root, and alpha that of the compound, or ``z·theta`` plus tau_comp² for one never trained. Noise
comes on top. These moments are exact given the scales. What is different in the compound tree
stands in `compound_tree.predictive`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.compound_tree.predictive import untrained
from compassign_core.rt.hierarchy.compound_tree.stored import CompoundPosterior
from compassign_core.rt.hierarchy.stored import HierarchyPosterior, StoredPosterior
from compassign_core.rt.quadratic import CACHED_VALUES, parts, quadratic_forms
from compassign_core.rt.student import MOST_DF
from compassign_core.rt.support import lookup, safe_keys

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GATHERED_VALUES = 1 << 20
"""Covariance numbers gathered at a time for untrained groups, which come species by species."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where each of n rows stands in the hierarchy.

    Attributes
    ----------
    group : trained group or -1, ``(n,)``.
    node : species (C), supercategory of one never seen (S), or 1 more for one never seen of
        neither: what an untrained group is predicted from, ``(n,)``.
    comp : trained compound or -1, ``(n,)``.
    z : descriptors of rows of untrained groups, zero where unknown, ``(n, D)``.
    described : whether they are known, ``(n,)``.
    """

    group: Ints
    node: Ints
    comp: Ints
    z: Floats
    described: npt.NDArray[np.bool_]

    def of(self, rows: Ints) -> Places:
        """The places of some rows."""
        return Places(*(getattr(self, field.name)[rows] for field in fields(self)))


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
    posterior: StoredPosterior,
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
    group = lookup(posterior.keys, safe_keys(group_id, comp_id))
    known = lookup(posterior.chem_id, compound)
    z = np.zeros((compound.size, posterior.chem_z.shape[1]))
    asked = np.flatnonzero((known >= 0) & (group < 0))  # trained groups need no descriptors
    z[asked] = posterior.chem_z[known[asked]]
    return Places(
        group=group,
        node=np.where(of_species >= 0, of_species, node),
        comp=lookup(posterior.comps, comp_id),
        z=z,
        described=known >= 0,
    )


def predict(posterior: StoredPosterior, at: Places, x: Floats) -> Predictive:
    """The predictive at centred features ``(n, P)``."""
    n = x.shape[0]
    mean, variance, noise, noise_df = np.full((4, n), np.nan)
    made = Predictive(mean, variance, noise, noise_df, at.group >= 0)
    for rows, fill, gathered in (
        (np.flatnonzero(made.trained), _trained, CACHED_VALUES),
        (np.flatnonzero(~made.trained), _untrained, _GATHERED_VALUES),
    ):
        if rows.size and (posterior.pooled or fill is _trained):
            for slot in parts(rows.size, x.shape[1] + 1, gathered):
                part = rows[slot]
                x1 = np.concatenate([np.ones((part.size, 1)), x[part]], axis=1)
                values = fill(posterior, at, part, x1)
                made.mean[part], made.variance[part] = values[0], np.maximum(values[1], 0.0)
                made.noise[part], made.noise_df[part] = values[2:]
    return made


def _trained(posterior: StoredPosterior, at: Places, part: Ints, x1: Floats) -> tuple[Floats, ...]:
    g = at.group[part]
    return (
        np.vecdot(x1, posterior.beta_mean[g]),
        quadratic_forms(x1, posterior.beta_cov_packed[g]),
        posterior.noise_variance[g],
        posterior.noise_df[g],
    )


def _untrained(
    posterior: StoredPosterior, at: Places, part: Ints, x1: Floats
) -> tuple[Floats, ...]:
    if isinstance(posterior, CompoundPosterior):
        here = at.of(part)
        return untrained(posterior, here.node, here.comp, here.z, here.described, x1)
    assert isinstance(posterior, HierarchyPosterior)
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
