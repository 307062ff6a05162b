"""New rows into the coefficients of their own groups alone: conjugate, exact, in milliseconds.

Given the data so far beta_g ~ N(m, V) exactly, with everything above the group integrated out, and
new rows depend on beta_g alone. So with X~ = (1, X) and V = L L'::

    W = I + L' X~'X~ L / sigma_g²,   V' = L W^-1 L',   m' = m + V' X~'(y - X~ m) / sigma_g²

(rows of weight omega times its root).

which is what the pass over the whole hierarchy gives for a group when no other group gets rows.
What neighbours would learn is left to that pass. A group that was never trained begins with what
its species and compound say of it::

    m = E[h],   V = Cov(h) + diag(tau_b², psi, …, psi),   h = a_c + e_0 alpha_k

or, in the compound tree, with h as in `compound_tree.predictive`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first, split_group_keys
from compassign_core.rt.hierarchy.compound_tree.predictive import coefficients
from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior, CompoundPosterior
from compassign_core.rt.hierarchy.held import Held
from compassign_core.rt.hierarchy.predictive import pair_cross
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.summaries import pack, unpack
from compassign_core.rt.support import lookup

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def update_groups(
    posterior: AnyPosterior, held: Held, rows: TrainingRows, weights: Floats | None = None
) -> AnyPosterior:
    """The posterior with the groups of `rows` brought up to date, each by its own rows.

    Parameters
    ----------
    posterior : of a model before the rows.
    held : what is held, with the rows already in (`update.with_rows`): it has the new groups.
    rows : the new rows, their features made by the design of the model.
    weights : of the rows, ``(n,)``; all 1 when not given.

    Raises
    ------
    InputError
        when a new group cannot be entered without a pass over the hierarchy: its species or
        compound is new, or the model does not pool intercepts.
    """
    larger = _with_new_groups(posterior, held)
    at = lookup(larger.keys, rows.keys)
    mean, cov = larger.beta_mean.copy(), larger.beta_cov_packed.copy()
    variance = held.state.variance[lookup(held.problem.tree.keys, rows.keys)]
    for block in rows.blocks():
        group = at[block.groups]
        updated = conjugate(
            mean[group],
            unpack(cov[group]),
            variance[block.groups],
            block.x,
            block.y,
            block.present,
            None if weights is None else weights[block.rows],
        )
        mean[group], cov[group] = updated[0], pack(updated[1])
    return replace(larger, beta_mean=mean, beta_cov_packed=cov)


def conjugate(
    mean: Floats,
    cov: Floats,
    variance: Floats,
    x: Floats,
    y: Floats,
    present: npt.NDArray[np.bool_],
    weight: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Mean ``(B, q)`` and covariance ``(B, q, q)`` of B groups after their rows.

    Parameters
    ----------
    mean, cov : before, of the same shapes.
    variance : noise of each group, min², ``(B,)``.
    x, y, present : features ``(B, m, q-1)``, retention times in minutes, and which rows there are.
    weight : of the rows, ``(B, m)``; all 1 when not given.
    """
    one = present.astype(np.float64)
    x1 = np.concatenate([one[:, :, None], np.where(present[:, :, None], x, 0.0)], axis=2)
    residual = np.where(present, y, 0.0) - (x1 @ mean[:, :, None])[:, :, 0]
    if weight is not None:
        omega = np.sqrt(np.where(present, weight, 0.0))
        x1, residual = x1 * omega[:, :, None], residual * omega
    # the root by eigenvectors: also right where a covariance has directions of no width
    width, axes = np.linalg.eigh(cov)
    root = axes * np.sqrt(np.maximum(width, 0.0))[:, None, :]
    seen = x1 @ root / np.sqrt(variance)[:, None, None]  # (B, m, q)
    gram = seen.transpose(0, 2, 1) @ seen + np.eye(mean.shape[1])
    chol = np.linalg.cholesky(gram)
    half = np.linalg.solve(chol, root.transpose(0, 2, 1))  # C^-1 L'
    after = half.transpose(0, 2, 1) @ half
    pull = (x1.transpose(0, 2, 1) @ residual[:, :, None]) / variance[:, None, None]
    return mean + (after @ pull)[:, :, 0], after


def _with_new_groups(posterior: AnyPosterior, held: Held) -> AnyPosterior:
    """The posterior with the groups of `held` that it lacks, as they are before any row."""
    tree, state = held.problem.tree, held.state
    old = lookup(posterior.keys, tree.keys)
    new = np.flatnonzero(old < 0)
    if not new.size:
        return posterior
    _check_known(posterior, tree.keys[new], held.scales.settings.group_col)
    group_id, comp_id = split_group_keys(tree.keys)
    species, comp = lookup(posterior.species, group_id), lookup(posterior.comps, comp_id)

    def spread(values: Floats) -> Floats:
        made = np.zeros((tree.keys.size, *values.shape[1:]), dtype=values.dtype)
        made[old >= 0] = values[old[old >= 0]]
        return made

    mean, cov = spread(posterior.beta_mean), spread(posterior.beta_cov_packed)
    psi, tau_b2 = held.scales.spreads(held.phi, state.variance[new], held.noise)
    prior_mean, prior_cov = prior(posterior, species[new], comp[new], psi, tau_b2)
    mean[new], cov[new] = prior_mean, pack(prior_cov)
    variance, df = spread(posterior.noise_variance), spread(posterior.noise_df)
    variance[new], df[new] = state.predictive(state.variance[new], state.df[new])
    larger = replace(
        posterior,
        keys=tree.keys,
        comp_of=comp,
        species_start=np.searchsorted(species, np.arange(posterior.species.size + 1)),
        beta_mean=mean,
        beta_cov_packed=cov,
        noise_variance=variance,
        noise_df=df,
    )
    if isinstance(larger, CompoundPosterior):
        return larger
    # nothing of the hierarchy has learned from a new group yet
    return replace(larger, eb=spread(larger.eb))


def prior(
    posterior: AnyPosterior, species: Ints, comp: Ints, psi: Floats, tau_b2: Floats
) -> tuple[Floats, Floats]:
    """What is known of the coefficients of untrained groups, ``(B, q)`` and ``(B, q, q)``.

    Parameters
    ----------
    species, comp : places of their species and compounds in `posterior`, ``(B,)``.
    psi, tau_b2 : spread of their slopes and intercepts about those, ``(B,)``.
    """
    q = posterior.beta_mean.shape[1]
    if isinstance(posterior, CompoundPosterior):
        # descriptors are of no account for trained compounds
        known = np.ones(comp.size, dtype=np.bool_)
        mean, packed = coefficients(
            posterior, species, comp, np.zeros((comp.size, posterior.theta.size)), known
        )
        cov = unpack(packed)
    else:
        mean, cov = _of_species(posterior, species, comp)
    cov[:, 0, 0] += tau_b2
    slopes = np.arange(1, q)
    cov[:, slopes, slopes] += psi[:, None]
    return mean, cov


def _of_species(posterior: HierarchyPosterior, species: Ints, comp: Ints) -> tuple[Floats, Floats]:
    """Coefficients that untrained groups are drawn about, in the tree of species."""
    q, d = posterior.beta_mean.shape[1], posterior.node_mean.shape[1]
    mean, cov = np.zeros((species.size, q)), np.zeros((species.size, q, q))
    mean[:, :d] = posterior.node_mean[species]
    mean[:, 0] += posterior.alpha[comp]
    cov[:, :d, :d] = posterior.node_cov[species]
    cross = pair_cross(posterior, species, comp)
    cov[:, 0, :d] += cross
    cov[:, :d, 0] += cross
    cov[:, 0, 0] += posterior.alpha_cov[comp, comp]
    return mean, cov


def _check_known(posterior: AnyPosterior, keys: Ints, group_col: str) -> None:
    group_id, comp_id = split_group_keys(keys)
    if not posterior.pooled:
        raise InputError(
            f"{keys.size} group(s) of the new rows were never trained, and a model with flat "
            f"intercepts says nothing of them: {_named(keys)}.",
            "leave their rows out, train again, or update the hierarchy as well (--hierarchy).",
        )
    strange = {
        name: np.unique(ids[lookup(known, ids) < 0])
        for name, known, ids in (
            (group_col, posterior.species, group_id),
            ("comp_id", posterior.comps, comp_id),
        )
    }
    said = [
        f"{ids.size} new {name} ({first(ids.tolist())})"
        for name, ids in strange.items()
        if ids.size
    ]
    if said:
        raise InputError(
            f"the rows bring {' and '.join(said)}, which only a pass over the hierarchy can take "
            "in.",
            "update the hierarchy as well (--hierarchy), or leave their rows out.",
        )


def _named(keys: Ints) -> str:
    return first([f"({g}, {k})" for g, k in zip(*split_group_keys(keys), strict=True)])
