"""Settings of the chemistry: how structures become descriptors, and descriptors classes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compassign_core.contracts.settings.base import Settings


class ChemistrySettings(Settings):
    """Rules by which structures become components and classes.

    The number of components is no setting: the column is called `embedding20` everywhere.
    """

    n_classes: int = Field(
        default=32, ge=1, le=4096, description="classes asked for; never more than distinct vectors"
    )
    n_init: int = Field(
        default=10, ge=1, le=1000, description="k-means starts; ten keep a poor start from winning"
    )
    seed: int = Field(default=42, ge=0, lt=2**31, description="seed of the k-means starts")
    fingerprint_radius: int = Field(
        default=2,
        ge=0,
        le=6,
        description="bonds around an atom that a fingerprint feature may span",
    )
    fingerprint_bits: int = Field(
        default=2048, ge=64, le=16384, description="length of the folded fingerprint"
    )
    fingerprint_values: Literal["counts", "bits"] = Field(
        default="counts",
        description="counts tell chain lengths apart that set the same bits (log1p is taken)",
    )
