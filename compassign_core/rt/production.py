"""The window rule of production: a multiple of a base window, whose coverage nobody states.

    half width = window_multiplier · max(base window, window_minimum)

Belongs here: the rule, and the base window that it has for a model with a predictive
distribution. Some models carry windows of this rule from their training, see `lasso`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.lasso import BASE_WINDOW_SDS, ProductionWindowSettings
from compassign_core.rt.student import t_quantiles

Floats = npt.NDArray[np.float64]

ONE_SD = 0.6826894921370859
"""Share of a Normal within one standard deviation of its mean."""


def half_widths(base_window: Floats, rule: ProductionWindowSettings) -> Floats:
    """Half widths of the windows, minutes, from base windows in minutes, same shape."""
    return rule.window_multiplier * np.maximum(base_window, rule.window_minimum)


def half_widths_of(scale: Floats, df: Floats, rule: ProductionWindowSettings) -> Floats:
    """Half widths, minutes, around Student-t predictions of uncorrected scale, ``(n,)``.

    The base window is 6 standard deviations, one of which is the half width of the central 68.3 %
    interval: that of a Normal for many degrees of freedom, and finite for two or fewer.
    """
    sd = scale * t_quantiles(df, np.array([ONE_SD]))[0]
    return half_widths(BASE_WINDOW_SDS * sd, rule)
