"""Settings of the preparation of training data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compassign_core.contracts.settings.base import Settings


class PrepSettings(Settings):
    """Rules by which an export becomes training data; every library may override them."""

    statuses: tuple[str, ...] = Field(
        ("Complete", "Complete - NFS"),
        min_length=1,
        description="curation states that are kept; rows without a status are refused",
    )
    excluded_sample_types: tuple[str, ...] = Field(
        ("PRCS",), description="sample types that are refused; rows without a type are kept"
    )
    seed: int = Field(42, ge=0, lt=2**31, description="key of the sampling and fold hashes")
    test_share: float = Field(
        0.25, gt=0, lt=1, description="share of the sample sets of each species held out"
    )
    missing_chemistry: Literal["fill", "drop"] = Field(
        "fill", description="give class -1 to peaks without chemistry, or refuse them"
    )
    max_rt: float | None = Field(
        None,
        gt=0,
        description="longest plausible retention time, minutes; none: 120, and for peaks 20 times "
        "the latest standard where that is less",
    )
    max_reject_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="a step stops when it refuses more than this share of its rows as faulty",
    )
    row_change_warning: float = Field(
        0.2, gt=0, description="warn when a table's rows move by more than this share"
    )
    covariate_null_warning: float = Field(
        0.2, ge=0, le=1, description="warn when a covariate is missing in more than this share"
    )
