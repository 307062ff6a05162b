"""Settings of the judgement on fits: from which number on a fit is doubted, and refused.

Values only; how the numbers come about stands in `compassign_core.rt`.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from compassign_core.contracts.settings.base import Settings

_HIGHER_IS_WORSE = ("rhat", "gradient", "drift")
_LOWER_IS_WORSE = ("ess",)


class ConvergenceSettings(Settings):
    """Thresholds of the checks on convergence.

    Attributes
    ----------
    gradient_warn, gradient_fail : how far a scale may stand from its mode, in standard errors of
        its logarithm. A fit that stopped within half a standard error is as good as any.
    noise_change_warn : root mean square change of the log noise variances in one more round of
        their estimate, above which they have not settled.
    rhat_warn, rhat_fail : largest R-hat of sampled scales.
    ess_warn, ess_fail : smallest effective number of draws of a sampled scale, bulk or tail.
    divergence_fail : share of the draws that diverged at which sampling is refused; a single one
        is a warning.
    drift_warn, drift_fail : how far the loss of a variational fit still moves over its last
        window, in standard deviations about its trend.
    unconverged_warn : share of the groups of a lasso whose line did not reach its tolerance.
    """

    gradient_warn: float = Field(0.5, gt=0, allow_inf_nan=False)
    gradient_fail: float = Field(2.0, gt=0, allow_inf_nan=False)
    noise_change_warn: float = Field(0.05, gt=0, allow_inf_nan=False)
    rhat_warn: float = Field(1.01, ge=1, allow_inf_nan=False)
    rhat_fail: float = Field(1.05, ge=1, allow_inf_nan=False)
    ess_warn: float = Field(400.0, gt=0, allow_inf_nan=False)
    ess_fail: float = Field(100.0, gt=0, allow_inf_nan=False)
    divergence_fail: float = Field(0.01, gt=0, le=1)
    drift_warn: float = Field(0.2, gt=0, allow_inf_nan=False)
    drift_fail: float = Field(1.0, gt=0, allow_inf_nan=False)
    unconverged_warn: float = Field(0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _a_failure_is_worse_than_a_warning(self) -> Self:
        for name in (*_HIGHER_IS_WORSE, *_LOWER_IS_WORSE):
            warn, fail = getattr(self, f"{name}_warn"), getattr(self, f"{name}_fail")
            if (fail <= warn) if name in _HIGHER_IS_WORSE else (fail >= warn):
                side = "above" if name in _HIGHER_IS_WORSE else "below"
                raise ValueError(
                    f"{name}_fail={fail} must lie {side} {name}_warn={warn}, or nothing is ever "
                    "only doubted"
                )
        return self
