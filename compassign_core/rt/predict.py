"""Scoring rows with coefficient summaries; NumPy only.

    mean = x~ · beta_g,  scale² = s_g² + x~' Cov_g x~,  x~ = (1, x - centre)
    window at level L = mean ± kappa[L, bin] · t-quantile(L, df_g) · scale

Rows whose group was never trained are marked as not scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.rt import SCALE_LEVEL
from compassign_core.rt.design_arrays import design_of
from compassign_core.rt.quadratic import parts, quadratic_forms
from compassign_core.rt.student import t_quantiles
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.support import lookup, safe_keys, support_bin_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Predictions of n rows; NaN where nothing can be said.

    Attributes
    ----------
    scored : whether there is a prediction, ``(n,)``.
    n_train, bins : training rows of the group and index of their support bin, ``(n,)``.
    mean, df : of the predictive Student-t, min and 1, ``(n,)``.
    raw_scale : its scale as the model has it, min, ``(n,)``.
    scale : that corrected as the 95 % window is, min, ``(n,)``.
    half_widths : half widths of the windows of the K levels asked for, min, ``(K, n)``; NaN at
        levels that the model has no window of.
    """

    scored: npt.NDArray[np.bool_]
    n_train: Ints
    bins: Ints
    mean: Floats
    df: Floats
    raw_scale: Floats
    scale: Floats
    half_widths: Floats


class GroupScorer:
    """Scores rows with the coefficients of their group.

    What depends on groups and levels alone is worked out once.
    """

    def __init__(self, summaries: CoefficientSummaries, levels: Floats) -> None:
        self._summaries = summaries
        self._design = design_of(summaries)
        self._bins = support_bin_index(summaries.n_train)
        kappa = summaries.kappa_at(np.append(levels, SCALE_LEVEL))[:, self._bins]  # (K + 1, G)
        self._correction = kappa[-1]
        self._half_width = kappa[:-1] * t_quantiles(summaries.df, levels)

    def __call__(self, ids: Mapping[str, Ints], raw: Floats) -> Scores:
        """Score n rows; see `model.Scorer`."""
        of = self._summaries
        group = lookup(of.keys, safe_keys(ids[of.group_col], ids["comp_id"]))
        scored = group >= 0
        every = bool(scored.all())
        known = group if every else group[scored]
        x = self._design.matrix(raw if every else raw[scored])
        mean, scale = _predictive(of, known, x)

        def spread(values: Floats) -> Floats:
            if every:
                return values
            full = np.full((*values.shape[:-1], group.size), np.nan)
            full[..., scored] = values
            return full

        return Scores(
            scored,
            n_train=np.where(scored, of.n_train[group], 0),
            bins=np.where(scored, self._bins[group], support_bin_index(0)),
            mean=spread(mean),
            df=spread(of.df[known]),
            raw_scale=spread(scale),
            scale=spread(scale * self._correction[known]),
            half_widths=spread(scale * self._half_width[:, known]),
        )


def _predictive(summaries: CoefficientSummaries, group: Ints, x: Floats) -> tuple[Floats, Floats]:
    """Mean and uncorrected scale at centred features ``(n, P)`` of known groups ``(n,)``."""
    mean, scale2 = np.empty(group.size), np.empty(group.size)
    for part in parts(group.size, x.shape[1] + 1):
        g = group[part]
        x1 = np.concatenate([np.ones((g.size, 1)), x[part]], axis=1)
        mean[part] = np.vecdot(x1, summaries.beta_mean[g])
        spread = quadratic_forms(x1, summaries.beta_cov_packed[g])
        scale2[part] = summaries.scale2[g] + np.maximum(spread, 0.0)
    return mean, np.sqrt(scale2)
