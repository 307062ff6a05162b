"""Settings of the hierarchical ridge: what is pooled, with which priors, and how noise varies.

Values only; what they do stands in `compassign_core.rt.hierarchy`.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from compassign_core.contracts.settings.base import Settings
from compassign_core.contracts.settings.rt import RidgeSettings, check_features
from compassign_core.contracts.settings.sampling import AdviSettings, SamplerSettings


class PoolingPriors(Settings):
    """Prior scales, in minutes unless said; ``HalfNormal`` where learned, Normal where fixed.

    Attributes
    ----------
    sigma_y_prior : HalfNormal scale of the noise standard deviation.
    tau_mu_prior : HalfNormal scale of the spread of intercepts over species and supercategories,
        and of a compound's over supercategories.
    tau_comp_prior : HalfNormal scale of the spread of compounds about their chemistry.
    tau_b_prior : HalfNormal scale of the spread of groups about species plus compound.
    tau_w_prior : HalfNormal scale of the spread of slopes over what they are pooled by: species
        and supercategories, or compounds and their supercategories (min per min).
    slope_prior : HalfNormal scale of the spread of a group's slopes about those above it.
    theta_alpha_prior_sigma : standard deviation of a chemistry weight, min per unit of embedding.
    t0_prior_sigma : standard deviation of the grand mean.
    w0_prior_sigma : standard deviation of a mean slope.
    """

    sigma_y_prior: float = Field(0.05, gt=0, allow_inf_nan=False)
    tau_mu_prior: float = Field(0.5, gt=0, allow_inf_nan=False)
    tau_comp_prior: float = Field(0.5, gt=0, allow_inf_nan=False)
    tau_b_prior: float = Field(0.5, gt=0, allow_inf_nan=False)
    tau_w_prior: float = Field(0.5, gt=0, allow_inf_nan=False)
    slope_prior: float = Field(0.5, gt=0, allow_inf_nan=False)
    theta_alpha_prior_sigma: float = Field(1.0, gt=0, allow_inf_nan=False)
    t0_prior_sigma: float = Field(10.0, gt=0, allow_inf_nan=False)
    w0_prior_sigma: float = Field(1.0, gt=0, allow_inf_nan=False)


class PoolingSettings(Settings):
    """A ridge per (group, comp) whose coefficients are pooled over a hierarchy, solved exactly.

    Attributes
    ----------
    group_col : the id that, with comp_id, makes a group.
    covariates : ``standards`` takes the IS and RS columns, ``all`` adds ES_ columns, ``none``
        leaves intercepts only.
    missing_indicator : add one 0/1 feature for each covariate with missing training values.
    expansion, rotation, rotation_components : products of covariates, and principal axes as
        features, as in `RidgeSettings`.
    intercept_prior : ``comp_hier_supercat`` draws a group's intercept about its species (which is
        drawn about its supercategory) plus its compound; ``flat`` leaves it free, and then only
        trained groups can be scored.
    slope_head_mode : ``cluster_supercat`` draws a group's slopes about those of its species,
        supercategory and the whole; ``compound_supercat`` about those of its compound in the
        supercategory, of the compound, and the whole, while species shift intercepts only;
        ``none`` draws them about zero.
    chemistry : compound effects follow a linear head on the embedding; without it they are
        exchangeable.
    lambda_slopes : ``learned`` fits the spread of a group's slopes; a number fixes it at
        sigma² / lambda (min²), as published models do with 3e-4, which was far from the best on
        real data.
    noise : ``global``, ``per_compound``, or ``per_compound_and_group``. One noise for all is wrong
        for measured libraries: it is far too wide for quiet compounds.
    rows : ``normal``, or ``student_t``, which gives rows far off their group's line less weight
        instead of a wider noise to all.
    rows_df : degrees of freedom of ``student_t`` rows: ``learned``, or a number above 2. Learned
        ones may come out infinite, and then the model is that of ``normal`` rows.
    rho : how far the spread of slopes follows a group's noise variance, as its power: 0 is not at
        all, 1 is the coupling of the published model. Without it quiet compounds set the spread
        and noisy ones are over-shrunk; at 1 with noise per group it can degenerate. One noise for
        all has nothing to follow.
    rho_intercept : the same for the spread of intercepts; at 1 the log marginal likelihood of the
        training rows was higher than at 0.5 on two of the three shipped libraries (by 98 to 233)
        and lower by at most 13 on the third.
    method : ``map`` fits the scales at their mode; ``laplace`` adds their covariance there, and
        averages what is said of untrained species over it; ``nuts`` samples the scales; ``advi``
        approximates scales and coefficients by independent normals. The last two need the
        optional extra ``bayes`` and serve as references.
    priors : scales of the priors.
    sampler : chains and draws of ``nuts``.
    advi : steps of ``advi``.
    """

    group_col: Literal["species", "species_cluster"] = "species"
    covariates: Literal["all", "standards", "none"] = "standards"
    missing_indicator: bool = False
    expansion: Literal["none", "poly2"] = "none"
    rotation: Literal["none", "pca"] = "none"
    rotation_components: int | None = Field(None, ge=1)
    intercept_prior: Literal["flat", "comp_hier_supercat"] = "comp_hier_supercat"
    slope_head_mode: Literal["none", "cluster_supercat", "compound_supercat"] = "cluster_supercat"
    chemistry: bool = True
    lambda_slopes: Literal["learned"] | float = Field("learned", union_mode="left_to_right")
    noise: Literal["global", "per_compound", "per_compound_and_group"] = "per_compound_and_group"
    rows: Literal["normal", "student_t"] = "normal"
    rows_df: Literal["learned"] | float = Field("learned", union_mode="left_to_right")
    rho: float = Field(0.5, ge=0, le=1)
    rho_intercept: float = Field(1.0, ge=0, le=1)
    method: Literal["map", "laplace", "nuts", "advi"] = "map"
    priors: PoolingPriors = PoolingPriors()
    sampler: SamplerSettings = SamplerSettings()
    advi: AdviSettings = AdviSettings()

    @model_validator(mode="after")
    def _combination_is_legal(self) -> Self:
        self._check_grouping()
        if self.intercept_prior == "flat" and self.slope_head_mode == "compound_supercat":
            raise ValueError(
                "slope_head_mode='compound_supercat' pools compounds with their intercepts, but "
                "intercept_prior='flat' leaves these free: set slope_head_mode='cluster_supercat' "
                "or 'none', or intercept_prior='comp_hier_supercat'"
            )
        check_features(self.covariates, self.expansion, self.rotation, self.rotation_components)
        if self.intercept_prior == "flat" and self.chemistry:
            raise ValueError(
                "chemistry=True informs compound effects, but intercept_prior='flat' has none: set "
                "chemistry=False, or intercept_prior='comp_hier_supercat'"
            )
        fixed = self.lambda_slopes != "learned"
        if fixed and not 0 < float(self.lambda_slopes) < float("inf"):
            raise ValueError(
                f"lambda_slopes must be 'learned' or a positive number, got {self.lambda_slopes}"
            )
        if fixed and self.noise != "global":
            raise ValueError(
                f"lambda_slopes={self.lambda_slopes} ties slopes to one noise variance, but "
                f"noise={self.noise!r} has many: set lambda_slopes='learned', or noise='global'"
            )
        if self.covariates == "none":
            self._check_without_covariates(fixed)
        return self

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.rows_df == "learned":
            return self
        if self.rows == "normal":
            raise ValueError(
                f"rows_df={self.rows_df} is about Student-t rows, but rows='normal': leave rows_df "
                "out, or set rows='student_t'"
            )
        if not 2 < self.rows_df < float("inf"):
            raise ValueError(
                f"rows_df must be 'learned' or a number above 2, got {self.rows_df}; for "
                "infinitely many set rows='normal'"
            )
        return self

    @model_validator(mode="after")
    def _method_fits(self) -> Self:
        for name, value, unset, method in (
            ("sampler", self.sampler, SamplerSettings(), "nuts"),
            ("advi", self.advi, AdviSettings(), "advi"),
        ):
            if value != unset and self.method != method:
                raise ValueError(
                    f"{name} is about method={method!r}, but method={self.method!r}: leave {name} "
                    f"out, or set method={method!r}"
                )
        if self.method == "advi" and self.slope_head_mode == "compound_supercat":
            raise ValueError(
                "method='advi' has no tree of compounds, which "
                "slope_head_mode='compound_supercat' asks for: set method='map', 'laplace' or "
                "'nuts', or another slope_head_mode"
            )
        return self

    def _check_grouping(self) -> None:
        if self.group_col != "species_cluster":
            return
        for name, value, instead in (
            ("intercept_prior", self.intercept_prior, "flat"),
            ("slope_head_mode", self.slope_head_mode, "none"),
        ):
            if value != instead:
                raise ValueError(
                    f"{name}={value!r} has a level of species below the supercategory, but "
                    f"group_col='species_cluster' makes groups of supercategories: set "
                    f"group_col='species', or {name}={instead!r}"
                )

    def _check_without_covariates(self, fixed: bool) -> None:
        for name, wrong, instead in (
            ("missing_indicator", self.missing_indicator, "False"),
            ("slope_head_mode", self.slope_head_mode != "none", "'none'"),
            ("lambda_slopes", fixed, "'learned'"),
        ):
            if wrong:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is about slopes, but covariates='none' has "
                    f"none: set {name}={instead}, or covariates to 'standards' or 'all'"
                )

    def design(self) -> RidgeSettings:
        """How the RT table is read, as the settings of the independent ridges say it."""
        return RidgeSettings(
            group_col=self.group_col,
            covariates=self.covariates,
            missing_indicator=self.missing_indicator,
            expansion=self.expansion,
            rotation=self.rotation,
            rotation_components=self.rotation_components,
        )
