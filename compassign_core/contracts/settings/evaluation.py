"""Settings of judging models on held-out peaks: which rows are judged."""

from __future__ import annotations

from pydantic import Field

from compassign_core.contracts.settings.base import Settings


class EvaluationSettings(Settings):
    """Which held-out rows are judged.

    Attributes
    ----------
    max_test_rows : most held-out rows that are judged, 0 for all; those with the smallest keyed
        hash of their key are taken, so a smaller cut is part of a larger one.
    seed : key of that hash.
    """

    max_test_rows: int = Field(0, ge=0)
    seed: int = Field(42, ge=0, lt=2**63)
