"""Settings of the retention-time models: what is regressed on what, and how windows are made.

Values only; what they do stands in `compassign_core.rt`.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from compassign_core.contracts.settings.base import Settings
from compassign_core.contracts.settings.lasso import ProductionWindowSettings

LOWEST_LEVEL, HIGHEST_LEVEL = 0.5, 0.999
"""Range of nominal coverages. Below one half a window misses more often than it holds, and is about
as wide as times are rounded; above 0.999 fewer than a thousand left-out rows say nothing, and with
more it is the odd peak given to the wrong compound that speaks."""

STORED_LEVELS: tuple[float, ...] = (
    *(k / 1000 for k in range(500, 900, 5)),
    *(k / 1000 for k in range(900, 990)),
    *(k / 10000 for k in range(9900, 9991)),
)
"""Nominal coverages at which windows are corrected on left-out rows; those between are read off."""

SHAPE_LEVELS: tuple[float, ...] = (0.5, 0.8, 0.99)
"""Levels at which coverage is evaluated beside 95 %: a wrong shape can be right at one level."""

SCALE_LEVEL = 0.95
"""The level whose correction goes into the `scale` column of predictions."""

PUBLISHED_PENALTY = 3e-4
"""Fixed ridge penalty of the published models, in min²; kept for comparison."""

LEARNED_DF0_BOUNDS = (1.0, 1e6)
"""Range of a learned `noise_df0`: below 1 the predictive of a one-row group has no useful window,
at the upper end all groups share one noise scale."""


def check_features(
    covariates: str, expansion: str, rotation: str, rotation_components: int | None
) -> None:
    """Raise `ValueError` where features are asked for that the other settings leave none of."""
    for name, value in (("expansion", expansion), ("rotation", rotation)):
        if covariates == "none" and value != "none":
            raise ValueError(
                f"{name}={value!r} is about covariates, but covariates='none' has none: set "
                f"{name}='none', or covariates to 'standards' or 'all'"
            )
    if rotation == "none" and rotation_components is not None:
        raise ValueError(
            f"rotation_components={rotation_components} counts axes of a rotation, but "
            "rotation='none': leave rotation_components out, or set rotation='pca'"
        )


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
    expansion : ``poly2`` adds squares of the centred IS and RS covariates and their pairwise
        products, for curves and interactions; ES_ covariates stay linear.
    rotation : ``pca`` turns the features to the principal axes of their training covariance. With
        a penalty that is the same in all directions this changes no prediction.
    rotation_components : leading axes that are kept, all when not given.
    """

    group_col: Literal["species_cluster", "species"] = "species_cluster"
    covariates: Literal["all", "standards", "none"] = "standards"
    lambda_slopes: Literal["learned"] | float = Field("learned", union_mode="left_to_right")
    noise_df0: float | None = Field(None, gt=0, allow_inf_nan=False)
    noise_scale0: float | None = Field(None, gt=0, allow_inf_nan=False)
    missing_indicator: bool = False
    expansion: Literal["none", "poly2"] = "none"
    rotation: Literal["none", "pca"] = "none"
    rotation_components: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _combination_is_legal(self) -> Self:
        check_features(self.covariates, self.expansion, self.rotation, self.rotation_components)
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
    level : nominal coverage of the windows, from `LOWEST_LEVEL` to `HIGHEST_LEVEL`.
    folds : folds that are left out in turn to measure residuals.
    fold_unit : what a fold keeps together; single rows would hide the shift to a new run. Whole
        sample sets were not clearly better calibrated on held-out sample sets of the shipped
        libraries (mean coverage .948 against .945) and made windows 3 % wider.
    min_rows_per_bin : a support bin with fewer left-out rows takes the correction of all rows.
    seed : key of the assignment of units to folds.
    """

    level: float = Field(SCALE_LEVEL, ge=LOWEST_LEVEL, le=HIGHEST_LEVEL)
    folds: int = Field(4, ge=2, le=100)
    fold_unit: Literal["run", "sampleset"] = "run"
    min_rows_per_bin: int = Field(200, ge=1)
    seed: int = Field(42, ge=0, lt=2**63)

    @property
    def request(self) -> WindowRequest:
        """The window of this level."""
        return WindowRequest(level=self.level)


class WindowRequest(ProductionWindowSettings):
    """Which window is put around the predictions of a trained model.

    Attributes
    ----------
    level : nominal coverage of a predictive window, 0.95 when not given.
    rule : ``predictive`` is the corrected interval of the model; ``production`` is
        ``window_multiplier · max(6 sd, window_minimum)``, which states no coverage.
    window_multiplier, window_minimum : those of the production rule.
    """

    level: float | None = Field(None, ge=LOWEST_LEVEL, le=HIGHEST_LEVEL)
    rule: Literal["predictive", "production"] = "predictive"

    @model_validator(mode="after")
    def _combination_is_legal(self) -> Self:
        if self.rule == "production" and self.level is not None:
            raise ValueError(
                f"rule='production' states no coverage, so level={self.level} cannot be asked of "
                "it: leave level out, or set rule='predictive'"
            )
        given = sorted(self.model_fields_set & set(ProductionWindowSettings.model_fields))
        if self.rule == "predictive" and given:
            raise ValueError(
                f"{' and '.join(given)} belong to the production rule, but rule='predictive': "
                "leave them out, or set rule='production'"
            )
        return self

    @property
    def coverage(self) -> float | None:
        """The coverage that the window states."""
        if self.rule == "production":
            return None
        return SCALE_LEVEL if self.level is None else self.level


class ComparisonSettings(Settings):
    """How models are compared on held-out peaks.

    Attributes
    ----------
    baselines : the models that all others are compared with, the first one shown by default: what
        a fixed window list does, and what a regression without pooling does.
    n_bootstrap : resamples of whole sample sets; peaks of one study err together.
    seed : of the resampling.
    loss_margin : the default model loses when it is surely worse than a baseline by more than
        this share of that baseline's error.
    """

    baselines: tuple[str, ...] = Field(("supercategory_mean", "supercategory_ridge"), min_length=1)
    loss_margin: float = Field(default=0.05, ge=0, le=1)
    n_bootstrap: int = Field(default=2000, ge=100, le=100_000)
    seed: int = Field(default=42, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _baselines_differ(self) -> Self:
        if len(set(self.baselines)) < len(self.baselines):
            raise ValueError(f"baselines names a model twice: {', '.join(self.baselines)}")
        return self


MODEL_KINDS: dict[str, RidgeSettings] = {
    "supercategory_ridge": RidgeSettings(),
    "supercategory_ridge_fixed": RidgeSettings(lambda_slopes=PUBLISHED_PENALTY),
    "supercategory_mean": RidgeSettings(covariates="none"),
    "species_ridge": RidgeSettings(group_col="species"),
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
    "species_ridge": (
        "Ridge on the standards per (species, compound), nothing shared between species: what is "
        "lost without pooling where a species has few rows."
    ),
}
"""One sentence on each of `MODEL_KINDS`, for the UI and the report."""
