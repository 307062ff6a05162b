"""Settings of the retention-time models: what is regressed on what, and how windows are made.

Values only; what they do stands in `compassign_core.rt`.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from compassign_core.contracts.settings.base import Settings

STORED_LEVELS: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Nominal coverages that a trained model can make windows for."""

SHAPE_LEVELS: tuple[float, ...] = (0.5, 0.8, 0.99)
"""Levels at which coverage is evaluated beside 95 %: a wrong shape can be right at one level."""

SCALE_LEVEL = 0.95
"""The level whose correction goes into the `scale` column of predictions."""

PUBLISHED_PENALTY = 3e-4
"""Fixed ridge penalty of the published models, in min²; kept for comparison."""

LEARNED_DF0_BOUNDS = (1.0, 1e6)
"""Range of a learned `noise_df0`: below 1 the predictive of a one-row group has no useful window,
at the upper end all groups share one noise scale."""


class RidgeSettings(Settings):
    """A Bayesian ridge regression of retention time per (group, comp).

    Attributes
    ----------
    group_col : the id that, with comp_id, makes a group; groups are independent.
    covariates : ``standards`` takes the IS and RS columns, ``all`` adds ES_ columns, ``none``
        leaves the group's mean (the baseline).
    lambda_slopes : penalty of the slopes in min², slopes ~ N(0, sigma_g² / lambda); ``learned``
        maximises the exact marginal likelihood, since a fixed 3e-4 was far from it on real data.
    noise_df0 : prior degrees of freedom of the groups' noise; learned when not given.
    noise_scale0 : prior noise standard deviation in minutes; learned when not given.
    missing_indicator : add one 0/1 feature for each covariate with missing training values.
    """

    group_col: Literal["species_cluster", "species"] = "species_cluster"
    covariates: Literal["all", "standards", "none"] = "standards"
    lambda_slopes: Literal["learned"] | float = Field("learned", union_mode="left_to_right")
    noise_df0: float | None = Field(None, gt=0, allow_inf_nan=False)
    noise_scale0: float | None = Field(None, gt=0, allow_inf_nan=False)
    missing_indicator: bool = False

    @model_validator(mode="after")
    def _combination_is_legal(self) -> Self:
        fixed = self.lambda_slopes != "learned"
        if fixed and not 0 < float(self.lambda_slopes) < float("inf"):
            raise ValueError(
                f"lambda_slopes must be 'learned' or a positive number, got {self.lambda_slopes}"
            )
        if self.covariates == "none" and self.missing_indicator:
            raise ValueError(
                "missing_indicator=True needs covariates, but covariates='none': set "
                "missing_indicator=False, or covariates to 'standards' or 'all'"
            )
        if self.covariates == "none" and fixed:
            raise ValueError(
                f"lambda_slopes={self.lambda_slopes} penalises slopes, but covariates='none' has "
                "none: leave lambda_slopes out, or set covariates to 'standards' or 'all'"
            )
        return self


class WindowSettings(Settings):
    """How predictive windows are made to cover what they state, on runs that were left out.

    Attributes
    ----------
    level : nominal coverage of the windows, one of `STORED_LEVELS`.
    folds : folds that are left out in turn to measure residuals.
    fold_unit : what a fold keeps together; single rows would hide the shift to a new run. Whole
        sample sets were not clearly better calibrated on held-out sample sets of the shipped
        libraries (mean coverage .948 against .945) and made windows 3 % wider.
    min_rows_per_bin : a support bin with fewer left-out rows takes the correction of all rows.
    seed : key of the assignment of units to folds.
    """

    level: float = SCALE_LEVEL
    folds: int = Field(4, ge=2, le=100)
    fold_unit: Literal["run", "sampleset"] = "run"
    min_rows_per_bin: int = Field(200, ge=1)
    seed: int = Field(42, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _level_is_stored(self) -> Self:
        if self.level not in STORED_LEVELS:
            raise ValueError(
                f"level={self.level} is not one of {', '.join(map(str, STORED_LEVELS))}"
            )
        return self


class ComparisonSettings(Settings):
    """How models are compared on held-out peaks.

    Attributes
    ----------
    baseline : the model all others are compared with.
    n_bootstrap : resamples of whole sample sets; peaks of one study err together.
    seed : of the resampling.
    loss_margin : the default model loses when it is surely worse than the baseline by more than
        this share of the baseline's error.
    """

    baseline: str
    loss_margin: float = Field(default=0.05, ge=0, le=1)
    n_bootstrap: int = Field(default=2000, ge=100, le=100_000)
    seed: int = Field(default=42, ge=0, lt=2**31)


MODEL_KINDS: dict[str, RidgeSettings] = {
    "supercategory_ridge": RidgeSettings(),
    "supercategory_ridge_fixed": RidgeSettings(lambda_slopes=PUBLISHED_PENALTY),
    "supercategory_mean": RidgeSettings(covariates="none"),
}
"""Named models of this family, as they appear in the `model` column."""

MODEL_DESCRIPTIONS: dict[str, str] = {
    "supercategory_ridge": (
        "Ridge on the standards per (supercategory, compound); slope penalty and noise prior are "
        "learned from the data."
    ),
    "supercategory_ridge_fixed": (
        "The same ridge with the penalty of the published models (3e-4 min²), for comparison."
    ),
    "supercategory_mean": (
        "Mean retention time per (supercategory, compound), without standards: what a fixed "
        "window list does."
    ),
}
"""One sentence on each of `MODEL_KINDS`, for the UI and the report."""
