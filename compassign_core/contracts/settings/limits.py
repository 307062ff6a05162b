"""Settings that cut a training table short, for quick looks; never part of a model's settings."""

from __future__ import annotations

from pydantic import Field

from compassign_core.contracts.settings.base import Settings


class TrainingLimits(Settings):
    """How much of a table is trained on; what is taken does not depend on the order of the file.

    Attributes
    ----------
    max_groups : whole groups taken at most, 0 for all.
    max_train_rows : rows taken at most, of these groups, 0 for all.
    seed : key of the hash that orders groups and rows; a smaller limit takes a part of what a
        larger one takes.
    """

    max_groups: int = Field(0, ge=0)
    max_train_rows: int = Field(0, ge=0)
    seed: int = Field(42, ge=0, lt=2**31)
