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
from compassign_core.rt.design import Design
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.predictive import Predictive, locate, predict
from compassign_core.rt.predict import Scores
from compassign_core.rt.support import novelty_index, support_bin_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def score_rows(summaries: PoolingSummaries, ids: Mapping[str, Ints], raw: Floats) -> Scores:
    """Score n rows with raw covariates ``(n, C)`` (NaN = missing).

    `ids` holds species, species_cluster, comp_id and compound, ``(n,)`` each; -1 is unknown.
    """
    at_scale = summaries.level_index(SCALE_LEVEL)
    places = locate(
        summaries.posterior,
        ids[summaries.group_col],
        ids["species_cluster"],
        ids["comp_id"],
        ids["compound"],
    )
    found = predict(summaries.posterior, places, _design(summaries).matrix(raw))
    trained = places.group >= 0
    n_train = np.where(trained, summaries.n_train[places.group], 0)
    bins = support_bin_index(n_train)
    novelty = novelty_index(
        ids["species"], ids["comp_id"], summaries.pairs, summaries.species, summaries.comps
    )
    # an untrained group of supercategories may be of a seen pair only if ids contradict each other
    kappa = np.where(trained, summaries.kappa[:, bins], summaries.novelty_kappa[:, novelty])
    quantile = np.where(
        trained,
        summaries.t_quantile[:, places.group],
        _t_quantiles(summaries, found),
    )
    return Scores(
        np.isfinite(found.mean),
        n_train,
        bins,
        found.mean,
        found.scale * kappa[at_scale],
        np.where(np.isfinite(found.mean), found.df, np.nan),
        found.scale * kappa * quantile,
    )


def _design(summaries: PoolingSummaries) -> Design:
    return Design(
        tuple(summaries.covariates.tolist()),
        tuple(summaries.indicators.tolist()),
        summaries.centre,
        summaries.imputed,
        tuple(summaries.dropped.tolist()),
    )


def _t_quantiles(summaries: PoolingSummaries, found: Predictive) -> Floats:
    """Quantiles at the predictive's df and every level, ``(L, n)``.

    They are read off the stored grid on logarithmic axes.
    """
    at = np.log(np.clip(found.df, summaries.df_grid[0], summaries.df_grid[-1]))
    grid = np.log(summaries.df_grid)
    return np.asarray(
        np.exp(np.stack([np.interp(at, grid, row) for row in np.log(summaries.df_quantile)]))
    )
