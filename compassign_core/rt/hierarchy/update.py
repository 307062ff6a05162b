"""New rows into a fitted model with its scales and noise held: the exact posterior, in one pass.

Only groups that get rows are decomposed again. New groups, species, supercategories and compounds
are taken in; their noise is what the model says of groups never seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.identifiers import split_group_keys
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.held import Held
from compassign_core.rt.hierarchy.noise import Fitted, NoiseState
from compassign_core.rt.hierarchy.scales import ScaleSet
from compassign_core.rt.hierarchy.spectra import Spectra, decompose, merged
from compassign_core.rt.hierarchy.tree import Hierarchy
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.support import lookup

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Weigh = Callable[[TrainingRows], Floats]


def update_rows(
    problem: Problem, fitted: Fitted, rows: TrainingRows, weights: Weigh | None = None
) -> tuple[Problem, Fitted]:
    """The problem with `rows` added, and the posterior pass over it.

    `rows` are ordered as `rows.read_training` orders them, their features made by the design of
    the model (not centred by their own means); `weights` as in `with_rows`.
    """
    held = with_rows(Held.of(problem, fitted), rows, weights)
    return held.problem, held.fitted(fitted.evaluations)


def with_rows(held: Held, rows: TrainingRows, weights: Weigh | None = None) -> Held:
    """What is held, with `rows` in the statistics and their ids in the tree; no posterior yet.

    `weights` gives those of some whole groups of rows, ``(n,)``; all are 1 without it.
    """
    problem = held.problem
    tree = extended(problem.tree, rows, held.scales.settings.group_col)
    at = lookup(tree.keys, rows.keys)
    new = decompose(rows, tree.offset[tree.comp_of[at]], weights=weights)
    spread = _spread(problem.spectra, lookup(problem.tree.keys, tree.keys))
    scales, phi = _scales(held, tree)
    state = _noise(held.state, problem.tree, tree)
    noise = held.noise
    if noise.variance is not None:
        noise = replace(noise, variance=state.variance)
    return Held(Problem(merged(spread, new, at), tree), scales, phi, noise, state)


def extended(tree: Hierarchy, rows: TrainingRows, group_col: str) -> Hierarchy:
    """The tree with the ids of `rows` taken in; offsets and the centre of descriptors stay."""
    added = Hierarchy.of(rows, group_col, tree.embeddings)
    keys = np.union1d(tree.keys, added.keys)
    group_id, comp_id = split_group_keys(keys)
    species = np.union1d(tree.species, added.species)
    supercategories = np.union1d(tree.supercategories, added.supercategories)
    comps = np.union1d(tree.comps, added.comps)
    supercat_id = np.empty(species.size, dtype=np.int64)
    for part in (added, tree):
        supercat_id[lookup(species, part.species)] = part.supercategories[part.supercat_of]
    k = comps.size
    offset, z, described = np.zeros(k), np.zeros((k, tree.z.shape[1])), np.zeros(k, dtype=np.bool_)
    compound = np.full(k, -1)
    first = np.unique(rows.ids["comp_id"], return_index=True)[1]
    compound[lookup(comps, added.comps)] = rows.ids["compound"][first]
    z, described = tree.embeddings.rows(compound)
    offset[lookup(comps, added.comps)] = added.offset
    old = lookup(comps, tree.comps)
    offset[old], z[old], described[old] = tree.offset, tree.z, tree.described
    return Hierarchy(
        keys=keys,
        species_of=np.searchsorted(species, group_id),
        comp_of=np.searchsorted(comps, comp_id),
        supercat_of=np.searchsorted(supercategories, supercat_id),
        species=species,
        supercategories=supercategories,
        comps=comps,
        z=z,
        described=described,
        offset=offset,
        embeddings=tree.embeddings,
    )


def _spread(spectra: Spectra, old: Ints) -> Spectra:
    """Statistics in the larger tree; groups that are new there (-1 in `old`) have no rows yet."""
    known = old >= 0
    count = np.where(known, spectra.rank[old], 0)

    def filled(values: Floats) -> Floats:
        return np.where(known, values[old], 0.0)

    return replace(
        spectra,
        n=filled(spectra.n),
        weight=filled(spectra.weight),
        log_weight=filled(spectra.log_weight),
        sum_y=filled(spectra.sum_y),
        yy=filled(spectra.yy),
        start=np.concatenate([[0], np.cumsum(count)]),
    )


def _scales(held: Held, new: Hierarchy) -> tuple[ScaleSet, Floats]:
    """Scales of the larger tree, whose supercategories may be numbered differently.

    Within a new supercategory species spread by the mean variance of the others, as they do in
    predictions of one never seen.
    """
    scales, old = held.scales, held.problem.tree
    larger = replace(scales, n_super=new.sizes[2])
    phi = dict(zip(scales.names, held.phi.tolist(), strict=True))
    at = lookup(old.supercategories, new.supercategories)
    for family in sorted({name.partition("[")[0] for name in scales.names if "[" in name}):
        known = np.array([n for name, n in phi.items() if name.startswith(f"{family}[")])
        mean = 0.5 * np.log(np.mean(np.exp(2.0 * known)))
        renumbered = np.where(at >= 0, known[at], mean)
        phi |= {f"{family}[{i}]": value for i, value in enumerate(renumbered.tolist())}
    return larger, np.array([phi[name] for name in larger.names])


def _noise(state: NoiseState, old: Hierarchy, new: Hierarchy) -> NoiseState:
    """Noise of the larger tree: held where fitted, what is said of untrained ones elsewhere."""
    comp, group = lookup(old.comps, new.comps), lookup(old.keys, new.keys)
    pair_variance = np.where(comp >= 0, state.pair_variance[comp], state.new_variance)
    pair_df = np.where(comp >= 0, state.pair_df[comp], state.new_df)
    return replace(
        state,
        variance=np.where(group >= 0, state.variance[group], pair_variance[new.comp_of]),
        df=np.where(group >= 0, state.df[group], pair_df[new.comp_of]),
        pair_variance=pair_variance,
        pair_df=pair_df,
    )
