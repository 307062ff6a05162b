"""Weights of new rows for a trained model with Student-t rows; those of its own rows stay.

Belongs here: expectation-maximisation within one group, its prior being what the model knows of it
(`conjugate`). With scales and noise held nothing else changes with a row's weight but the
coefficients of its group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.identifiers import split_group_keys
from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior
from compassign_core.rt.hierarchy.conjugate import conjugate, prior
from compassign_core.rt.hierarchy.held import Held
from compassign_core.rt.hierarchy.student_t import expected_weights
from compassign_core.rt.rows import Block, TrainingRows
from compassign_core.rt.summaries import unpack
from compassign_core.rt.support import lookup

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEPS = 20


@dataclass(frozen=True, eq=False)
class NewWeights:
    """Weights of rows that are about to be added.

    Attributes
    ----------
    posterior : of the model before the rows.
    held : its tree, scales and noise before the rows.
    """

    posterior: AnyPosterior
    held: Held

    def __call__(self, rows: TrainingRows) -> Floats:
        """Weights of the rows of some whole groups, ``(n,)``.

        Rows of a species or compound that the model does not know weigh 1, and under flat
        intercepts those of every group that it does not know.
        """
        weights = np.ones(rows.y.size)
        known = self._known(rows.keys)
        for block in rows.blocks():
            some = np.flatnonzero(known[block.groups])
            if some.size:
                part = Block(
                    block.groups[some],
                    block.rows[some],
                    block.present[some],
                    block.x[some],
                    block.y[some],
                )
                found = self._within(rows.keys[part.groups], part)
                weights[part.rows[part.present]] = found[part.present]
        return weights

    def _known(self, keys: Ints) -> npt.NDArray[np.bool_]:
        """Groups ``(B,)`` of which the model says something."""
        post = self.posterior
        group_id, comp_id = split_group_keys(keys)
        pair = (lookup(post.species, group_id) >= 0) & (lookup(post.comps, comp_id) >= 0)
        return np.asarray((lookup(post.keys, keys) >= 0) | (pair & post.pooled))

    def _within(self, keys: Ints, block: Block) -> Floats:
        """Weights ``(B, m)`` of the rows of known groups."""
        mean, cov, variance = self._before(keys)
        x1 = np.concatenate([np.ones((*block.y.shape, 1)), block.x], axis=2)
        weight = np.ones(block.y.shape)
        for _ in range(_STEPS):
            after, spread = conjugate(mean, cov, variance, block.x, block.y, block.present, weight)
            residual = block.y - (x1 @ after[:, :, None])[:, :, 0]
            squared = residual**2 + ((x1 @ spread) * x1).sum(axis=2)
            weight = expected_weights(squared / variance[:, None], self.held.state.row_df)
        return weight

    def _before(self, keys: Ints) -> tuple[Floats, Floats, Floats]:
        """Coefficients of groups before the rows, and their sigma²."""
        post, held = self.posterior, self.held
        at, trained = lookup(post.keys, keys), lookup(post.keys, keys) >= 0
        mean, cov = post.beta_mean[at], unpack(post.beta_cov_packed[at])
        variance = held.state.variance[at]
        new = np.flatnonzero(~trained)
        if new.size:
            group_id, comp_id = split_group_keys(keys[new])
            comp = lookup(post.comps, comp_id)
            variance[new] = held.state.pair_variance[comp]
            spreads = held.scales.spreads(held.phi, variance[new], held.noise)
            mean[new], cov[new] = prior(post, lookup(post.species, group_id), comp, *spreads)
        return mean, cov, variance
