"""From moments of the compound tree to what scoring needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.compound_tree.layout import Batch
from compassign_core.rt.hierarchy.compound_tree.marginal import CompoundForward
from compassign_core.rt.hierarchy.compound_tree.moments import CompoundMoments
from compassign_core.rt.hierarchy.compound_tree.stored import CompoundPosterior
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.group_export import common_fields, group_covariances
from compassign_core.rt.hierarchy.noise import Fitted
from compassign_core.rt.summaries import pack

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def export_compounds(problem: Problem, fitted: Fitted) -> CompoundPosterior:
    """All that scoring needs, from one posterior pass at fitted scales and noise."""
    done, moments = fitted.done, fitted.moments
    assert isinstance(done, CompoundForward) and isinstance(moments, CompoundMoments)
    tree, layout, v = problem.tree, problem.layout, done.variances
    c, n_super, k = tree.sizes[1:]
    m = c + n_super
    nodes, compounds = moments.nodes, moments.compounds
    theta, theta_cov = moments.effects[m:], moments.effects_cov[m:, m:]
    beta_mean = moments.shift + nodes.mean[layout.node_of]
    beta_mean[:, 0] += tree.offset[tree.comp_of] + moments.effects[tree.species_of]
    mu_variance = np.diag(moments.effects_cov)

    def parents(part: Ints) -> Floats:
        found = nodes.cov[layout.node_of[part]]
        cross = nodes.cross[part]
        found[:, 0, :] += cross
        found[:, :, 0] += cross
        found[:, 0, 0] += mu_variance[tree.species_of[part]]
        return found

    node_at = np.full((n_super, k), -1)
    node_at[layout.node_super, layout.node_comp] = np.arange(layout.node_comp.size)
    mean = np.concatenate([nodes.mean, compounds.mean, moments.root[None]])
    mean[:-1, 0] += np.concatenate([tree.offset[layout.node_comp], tree.offset])
    cov = np.concatenate([pack(nodes.cov), pack(compounds.cov), pack(moments.root_cov[None])])
    unseen = v.supercategory + v.species.mean()
    variance = np.append(mu_variance[:m], unseen)
    variance[c:m] += v.species
    return CompoundPosterior(
        **common_fields(problem, fitted, theta, theta_cov),
        beta_mean=beta_mean,
        beta_cov_packed=group_covariances(problem.spectra, done.groups, v, parents),
        node_at=node_at,
        node_comp=layout.node_comp,
        vector_mean=mean,
        vector_cov_packed=cov,
        node_spread=np.concatenate([v.node, v.node.mean(axis=0)[None]]),
        compound_spread=v.compound,
        effect_mean=np.append(moments.effects[:m], 0.0),
        effect_variance=variance,
        cross=_cross(problem, done, moments),
        root_cross=np.concatenate([moments.root_cross[:, :m].T, np.zeros((1, v.root.size))]),
        root_theta=moments.root_cross[:, m:],
        effect_theta=np.concatenate([moments.effects_cov[:m, m:], np.zeros((1, theta.size))]),
    )


def _cross(problem: Problem, done: CompoundForward, moments: CompoundMoments) -> Floats:
    """Cov of every compound's vectors with effects, ``(K, C+S+1, d)``, see `CompoundPosterior`."""
    tree, layout, v = problem.tree, problem.layout, done.variances
    c, n_super, k = tree.sizes[1:]
    m, d = c + n_super, v.root.size
    made = np.zeros((k, m + 1, d))
    of_root = moments.root_cross[:, :m].T
    of_chemistry = tree.z @ moments.effects_cov[m:, :m]  # (K, C+S)
    sigma = moments.effects_cov[:m, :m]
    for batch in layout.compounds:
        h = np.repeat(of_root[None], batch.units.size, axis=0)
        h[:, :, 0] += of_chemistry[batch.units]
        gain = done.compounds.e[batch.units] / v.compound
        every = np.ones(batch.units.size, dtype=np.bool_)
        found = h @ gain.transpose(0, 2, 1)
        found -= _own(batch, every, sigma, done.compounds.eb, np.arange(m))
        made[batch.units, :m] = found
    for batch in layout.nodes:
        of_super = layout.node_super[batch.units]
        for s in np.unique(of_super).tolist():
            some = of_super == s
            units = batch.units[some]
            at = np.append(np.flatnonzero(tree.supercat_of == s), c + s)
            place = layout.node_comp[units][:, None], at
            gain = done.nodes.e[units] / v.node[s]
            found = made[place] @ gain.transpose(0, 2, 1)
            made[place] = found - _own(batch, some, sigma, done.nodes.eb, at)
    return made


def _own(batch: Batch, some: npt.NDArray[np.bool_], sigma: Floats, eb: Floats, at: Ints) -> Floats:
    """``(E B Sigma)'`` of some units of a batch and effects `at` ``(n,)``: ``(B, n, d)``."""
    groups = batch.groups
    columns = eb[groups.at[some]] * groups.real[some][:, :, None]  # (B, m, d)
    return np.asarray(sigma[at[:, None], batch.species[some][:, None, :]] @ columns)
