"""Scoring rows with a hierarchical ridge; every row whose features can be read is scored.

    window at level L = mean ± kappa · t-quantile(L, df) · scale

with kappa of the support bin for trained groups, and of the novelty for untrained ones. A model
with flat intercepts says nothing about groups it never saw; those rows are marked as not scored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.rt import SCALE_LEVEL
from compassign_core.rt.design_arrays import design_of
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.predictive import locate, predict
from compassign_core.rt.predict import Scores
from compassign_core.rt.student import t_quantiles
from compassign_core.rt.support import novelty_index, support_bin_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class PoolingScorer:
    """Scores rows of any group.

    What depends on trained groups and levels alone is worked out once.
    """

    def __init__(self, summaries: PoolingSummaries, levels: Floats) -> None:
        self._summaries, self._levels = summaries, levels
        self._design = design_of(summaries)
        self._bins = support_bin_index(summaries.n_train)
        wanted = np.append(levels, SCALE_LEVEL)
        kappa = summaries.kappa_at(wanted)[:, self._bins]  # (K + 1, G)
        self._correction = kappa[-1]
        self._half_width = kappa[:-1] * t_quantiles(summaries.posterior.noise_df, levels)
        self._of_novelty = summaries.novelty_kappa_at(wanted)  # (K + 1, 4)

    def __call__(self, ids: Mapping[str, Ints], raw: Floats) -> Scores:
        """Score n rows; see `model.Scorer`."""
        of = self._summaries
        places = locate(
            of.posterior,
            ids[of.group_col],
            ids["species_cluster"],
            ids["comp_id"],
            ids["compound"],
        )
        found = predict(of.posterior, places, self._design.matrix(raw))
        group = places.group
        trained = group >= 0
        correction, half_width = self._correction[group], self._half_width[:, group]
        new = np.flatnonzero(~trained)
        if new.size:
            kappa = self._of_novelty[:, self._novelty(ids, new)]
            correction[new] = kappa[-1]
            half_width[:, new] = kappa[:-1] * t_quantiles(found.df[new], self._levels)
        scored = np.isfinite(found.mean)
        return Scores(
            scored,
            n_train=np.where(trained, of.n_train[group], 0),
            bins=np.where(trained, self._bins[group], support_bin_index(0)),
            mean=found.mean,
            df=np.where(scored, found.df, np.nan),
            raw_scale=found.scale,
            scale=found.scale * correction,
            half_widths=found.scale * half_width,
        )

    def _novelty(self, ids: Mapping[str, Ints], rows: Ints) -> Ints:
        """Index into `NOVELTY` of some rows.

        An untrained group of supercategories is of a seen pair only if ids contradict each other.
        """
        of = self._summaries
        species, comp = ids["species"][rows], ids["comp_id"][rows]
        return novelty_index(species, comp, of.pairs, of.species, of.comps)
