"""Settings of the lasso baseline and of its window rule, which other models can be asked for too.

Values only; what they do stands in `compassign_core.rt.lasso`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compassign_core.contracts.settings.base import Settings

BASE_WINDOW_SDS = 6.0
"""Base window of the production rule, in standard deviations of what the model leaves open."""


class ProductionWindowSettings(Settings):
    """The window rule of production: a multiple of a base window, without a stated coverage.

    It came with the lasso; every other model can be asked for it when scoring.

    Attributes
    ----------
    window_multiplier : half width of the window, in base windows.
    window_minimum : smallest base window, in minutes.
    """

    window_multiplier: float = Field(4.0, gt=0, allow_inf_nan=False)
    window_minimum: float = Field(0.001, gt=0, allow_inf_nan=False)


class LassoSettings(ProductionWindowSettings):
    """A lasso regression of retention time per (group, comp), on standardised covariates.

    Attributes
    ----------
    group_col : the id that, with comp_id, makes a group; groups are independent.
    covariates : ``standards`` takes the IS and RS columns, ``all`` adds ES_ columns.
    min_runs : a group with fewer runs takes `small_group_alpha` instead of choosing a penalty.
    cv_folds : folds of runs that choose the penalty of a group, at most one a run.
    n_alphas : penalties tried, equally spaced in the logarithm from the smallest one that leaves
        no slope; half as many as scikit-learn's 100, which was no more accurate here.
    alpha_ratio : the smallest penalty tried, as a share of the largest.
    small_group_alpha : penalty of small groups, in minutes (a slope per standard deviation of its
        covariate must be worth as much).
    base_window_sds : base window in standard deviations of the held-out residuals of the group.
    tolerance : duality gap at which a fit stops, as a share of the sum of squares; at the
        library's 1e-4 slopes of nearly exact lines were 1 % off.
    max_iter : most sweeps over the covariates per penalty.
    seed : key of the assignment of runs to folds.
    """

    group_col: Literal["species_cluster", "species"] = "species_cluster"
    covariates: Literal["all", "standards"] = "standards"
    min_runs: int = Field(5, ge=2)
    cv_folds: int = Field(5, ge=2, le=100)
    n_alphas: int = Field(50, ge=2, le=1000)
    alpha_ratio: float = Field(1e-3, gt=0, lt=1)
    small_group_alpha: float = Field(0.01, gt=0, allow_inf_nan=False)
    base_window_sds: float = Field(BASE_WINDOW_SDS, gt=0, allow_inf_nan=False)
    tolerance: float = Field(1e-6, gt=0, lt=1)
    max_iter: int = Field(20_000, ge=1)
    seed: int = Field(42, ge=0, lt=2**63)


LASSO_MODEL_KINDS: dict[str, LassoSettings] = {"supercategory_lasso": LassoSettings()}
"""Named models of this family, as they appear in the `model` column."""

LASSO_DESCRIPTIONS: dict[str, str] = {
    "supercategory_lasso": (
        "Lasso on the standards per (supercategory, compound) with the window rule of the time: "
        "4 × max(6 sd of held-out residuals, 0.001 min), whose coverage nobody stated. The "
        "historic baseline."
    ),
}
"""One sentence on each of `LASSO_MODEL_KINDS`, for the UI and the report."""
