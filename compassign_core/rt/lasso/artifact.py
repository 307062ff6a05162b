"""Coefficient summaries of lines without uncertainty, around which stands the production rule.

Belongs here: how a line and a half width become coefficient summaries; the rule itself stands in
`production`. It states no coverage. So that scoring and evaluation need not know of it, it is
written down as the Normal predictive whose central 95 % interval is the window: Cov95 and Width95
of an evaluation are those of the rule itself, and CRPS and the other levels of a calibration curve
are those of that Normal. The artifact offers no window at another level.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.settings.rt import LEARNED_DF0_BOUNDS, SCALE_LEVEL
from compassign_core.rt.conformal import BASES
from compassign_core.rt.design import Design
from compassign_core.rt.design_arrays import design_arrays
from compassign_core.rt.stored import PRODUCTION_RULE, text_array
from compassign_core.rt.student import t_quantiles
from compassign_core.rt.summaries import CoefficientSummaries

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WINDOW_RULE = "production"
"""Value of ``window_rule`` in the settings of the artifact."""

NORMAL_DF = LEARNED_DF0_BOUNDS[1]
"""Degrees of freedom written for a Normal; its quantiles agree to six digits."""


def plain_summaries(
    *,
    model: str,
    group_col: str,
    settings: Mapping[str, Any],
    fingerprint: str,
    keys: Ints,
    n_train: Ints,
    beta_mean: Floats,
    half_width: Floats,
    design: Design,
    hierarchy: Mapping[str, Any],
    constant_groups: int,
    diagnostics: Mapping[str, float] = MappingProxyType({}),
) -> CoefficientSummaries:
    """Summaries of G lines (b, w) ``(G, P + 1)`` with half widths ``(G,)`` in minutes.

    The lines are certain: no covariance, no correction, and NaN where a ridge has shared penalty,
    noise prior and evidence. `hierarchy` holds pairs, species, species_cluster, comps, compound
    and compound_class as `CoefficientSummaries` does; `keys` are sorted. `diagnostics` are numbers
    on the convergence of the fit, where there was one.
    """
    levels = np.array([SCALE_LEVEL])
    df = np.full(keys.size, NORMAL_DF)
    size, bins = beta_mean.shape[1], len(SUPPORT_BINS)
    return CoefficientSummaries(
        model=model,
        group_col=group_col,
        settings=json.dumps({**settings, "window_rule": WINDOW_RULE}, sort_keys=True),
        fingerprint=fingerprint,
        keys=keys,
        n_train=n_train,
        beta_mean=beta_mean,
        beta_cov_packed=np.zeros((keys.size, size * (size + 1) // 2)),
        scale2=(half_width / t_quantiles(df, levels)[0]) ** 2,
        df=df,
        **design_arrays(design),
        levels=levels,
        kappa=np.ones((1, bins)),
        kappa_rows=np.zeros(bins, dtype=np.int64),
        kappa_basis=np.full((1, bins), BASES.index("none"), dtype=np.int8),
        support_bins=text_array(SUPPORT_BINS),
        calibration=PRODUCTION_RULE,
        **hierarchy,
        lambda_slopes=np.nan,
        noise_df0=np.nan,
        noise_scale0=np.nan,
        log_evidence=np.nan,
        constant_groups=constant_groups,
        diagnostics=json.dumps(dict(diagnostics), sort_keys=True),
    )
