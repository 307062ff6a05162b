"""Settings of the reference methods: sampling the scales, and mean-field variational inference.

Values only; what they do stands in `compassign_core.rt.sampling`.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from compassign_core.contracts.settings.base import Settings


class SamplerSettings(Settings):
    """NUTS over the log scales.

    Attributes
    ----------
    chains : chains, run one after another; R-hat compares at least two.
    draws : draws kept of each chain.
    tune : draws of each chain in which only the step size adapts; the metric is known from the
        start, so few are enough.
    target_accept : acceptance the step size is tuned to; more means shorter steps.
    seed : of starts and draws.
    """

    chains: int = Field(4, ge=2, le=64)
    draws: int = Field(400, ge=50, le=100_000)
    tune: int = Field(150, ge=50, le=100_000)
    target_accept: float = Field(0.8, ge=0.5, lt=1)
    seed: int = Field(42, ge=0, lt=2**31)

    @classmethod
    def quick(cls) -> Self:
        """Enough to see that it runs, not to judge convergence by."""
        return cls(chains=2, draws=60, tune=50)


class AdviSettings(Settings):
    """Mean-field variational inference on the explicit model.

    Attributes
    ----------
    steps : stochastic gradient steps, each of one antithetic pair of draws.
    learning_rate : size of a step, in standard deviations of the start; it falls to a tenth over
        the second half of the steps.
    window : last steps over which the variational parameters are averaged, and over which the
        loss must have settled.
    seed : of the draws.
    """

    steps: int = Field(10_000, ge=200, le=10_000_000)
    learning_rate: float = Field(0.02, gt=0, le=1)
    window: int = Field(4_000, ge=100)
    seed: int = Field(42, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _window_is_within_the_steps(self) -> Self:
        if 2 * self.window > self.steps:
            raise ValueError(
                f"window={self.window} must be at most half of steps={self.steps}: raise steps, "
                "or lower window"
            )
        return self

    @classmethod
    def quick(cls) -> Self:
        """Enough to see that it runs, not to judge convergence by."""
        return cls(steps=400, window=200)
