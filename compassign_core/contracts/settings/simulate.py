"""Settings of the generators with known truth."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from compassign_core.contracts.settings.base import Settings


class SimulationSettings(Settings):
    """Size and noise of a simulated library export; the defaults make a tiny one.

    Peak rows are about ``n_species * n_sample_sets * n_runs * n_comps * detection_rate`` a
    library.
    """

    libs: tuple[int, ...] = Field(default=(900,), min_length=1, description="library ids")
    seed: int = Field(default=0, ge=0, lt=2**31)

    n_supercategories: int = Field(default=2, ge=1, le=1000)
    n_species: int = Field(
        default=4, ge=1, le=10_000, description="species, dealt to supercategories"
    )
    n_sample_sets: int = Field(
        default=3, ge=1, le=10_000, description="sample sets of each species"
    )
    n_runs: int = Field(default=8, ge=1, le=10_000, description="runs of each sample set")
    n_comps: int = Field(default=30, ge=1, le=100_000, description="library entries")
    n_comp_groups: int = Field(
        default=3, ge=1, le=1000, description="compound groups, one folder each"
    )
    n_parts: int = Field(default=1, ge=1, le=1000, description="shards of each compound group")
    n_internal_standards: int = Field(default=6, ge=1, le=200, description="IS columns")
    n_retention_standards: int = Field(default=2, ge=0, le=200, description="RS columns")

    n_unmapped_comps: int = Field(default=2, ge=0, description="entries without a chemical")
    n_without_smiles: int = Field(
        default=3, ge=0, le=30, description="chemicals without a structure"
    )

    detection_rate: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="share of (run, comp) with a peak; rare comps have less",
    )
    null_covariate_rate: float = Field(default=0.02, ge=0, lt=1, description="standards not found")
    not_curated_rate: float = Field(
        default=0.05, ge=0, lt=1, description="peaks with another status"
    )
    nfs_rate: float = Field(
        default=0.1, ge=0, le=1, description="'Complete - NFS' among curated peaks"
    )
    prcs_rate: float = Field(
        default=0.05, ge=0, lt=1, description="runs of the excluded sample type"
    )

    noise_sd: float = Field(default=0.01, ge=0, description="residual of a peak, minutes")
    drift_sd: float = Field(
        default=0.05, gt=0, description="run-to-run drift of a standard, minutes"
    )
    supercategory_sd: float = Field(
        default=0.05, ge=0, description="offset of a supercategory, minutes"
    )
    species_sd: float = Field(default=0.02, ge=0, description="offset of a species, minutes")
    pair_sd: float = Field(
        default=0.01, ge=0, description="offset of a (species, comp) pair, minutes"
    )
    slope_sd: float = Field(default=0.1, ge=0, description="spread of slopes between comps")

    @field_validator("libs")
    @classmethod
    def _distinct_positive(cls, libs: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(libs)) != len(libs) or min(libs) < 1 or max(libs) >= 10**9:
            raise ValueError("give distinct positive whole numbers below 1e9")
        return libs

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        for smaller, larger in (
            ("n_supercategories", "n_species"),
            ("n_comp_groups", "n_comps"),
            ("n_unmapped_comps", "n_comps"),
        ):
            if getattr(self, smaller) > getattr(self, larger):
                raise ValueError(
                    f"{smaller}={getattr(self, smaller)} exceeds {larger}={getattr(self, larger)}"
                )
        return self
