"""Scoring rows with coefficient summaries; NumPy only.

    mean = x~ · beta_g,  scale² = s_g² + x~' Cov_g x~,  x~ = (1, x - centre)
    window at level L = mean ± kappa[L, bin] · t-quantile(L, df_g) · scale

Rows whose group was never trained are marked as not scored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.rt import SCALE_LEVEL
from compassign_core.rt.design import Design
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.support import lookup, safe_keys, support_bin_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GATHERED_VALUES = 1 << 21
"""Covariance numbers gathered at a time (16 MiB)."""


@dataclass(frozen=True)
class Scores:
    """Predictions of n rows; NaN where the group was never trained.

    Attributes
    ----------
    scored : whether the group was trained, ``(n,)``.
    n_train, bins : training rows of the group and index of their support bin, ``(n,)``.
    mean, scale, df : calibrated predictive Student-t, min, min and 1, ``(n,)``.
    half_widths : half width of the window at each level the model stores, min, ``(L, n)``.
    """

    scored: npt.NDArray[np.bool_]
    n_train: Ints
    bins: Ints
    mean: Floats
    scale: Floats
    df: Floats
    half_widths: Floats


def design_of(summaries: CoefficientSummaries) -> Design:
    """How raw covariates become the model's features."""
    return Design(
        tuple(summaries.covariates.tolist()),
        tuple(summaries.indicators.tolist()),
        summaries.centre,
        summaries.imputed,
        tuple(summaries.dropped.tolist()),
    )


def score_rows(
    summaries: CoefficientSummaries, group_id: Ints, comp_id: Ints, raw: Floats
) -> Scores:
    """Score n rows with raw covariates ``(n, C)`` (NaN = missing)."""
    at_scale = summaries.level_index(SCALE_LEVEL)
    group = lookup(summaries.keys, safe_keys(group_id, comp_id))
    scored = group >= 0
    known = group[scored]
    mean, raw_scale = _predictive(summaries, known, design_of(summaries).matrix(raw[scored]))
    n_train = np.where(scored, summaries.n_train[group], 0)
    bins = support_bin_index(n_train)
    kappa = summaries.kappa[:, bins[scored]]

    def spread(values: Floats) -> Floats:
        full = np.full((*values.shape[:-1], group.size), np.nan)
        full[..., scored] = values
        return full

    return Scores(
        scored,
        n_train,
        bins,
        spread(mean),
        spread(raw_scale * kappa[at_scale]),
        spread(summaries.df[known]),
        spread(raw_scale * kappa * summaries.t_quantile[:, known]),
    )


def _predictive(summaries: CoefficientSummaries, group: Ints, x: Floats) -> tuple[Floats, Floats]:
    """Mean and uncorrected scale at centred features ``(n, P)`` of known groups ``(n,)``."""
    rows, columns = np.tril_indices(x.shape[1] + 1)
    twice = np.where(rows == columns, 1.0, 2.0)
    mean, scale2 = np.empty(group.size), np.empty(group.size)
    step = max(1, _GATHERED_VALUES // rows.size)
    for begin in range(0, group.size, step):
        part = slice(begin, begin + step)
        g = group[part]
        x1 = np.concatenate([np.ones((g.size, 1)), x[part]], axis=1)
        mean[part] = (x1 * summaries.beta_mean[g]).sum(axis=1)
        products = x1[:, rows] * x1[:, columns] * twice
        spread = (products * summaries.beta_cov_packed[g]).sum(axis=1)
        scale2[part] = summaries.scale2[g] + np.maximum(spread, 0.0)
    return mean, np.sqrt(scale2)
