"""All stages, imported so that every artifact is declared; import this and use `ARTIFACTS`."""

from __future__ import annotations

from compassign_core.pipeline import (
    chemistry,
    diagnostics,
    evaluation,
    ingest,
    models,
    training,
    warehouse,
)
from compassign_core.pipeline.artifacts import ARTIFACTS

STAGES = (chemistry, ingest, training, models, diagnostics, evaluation, warehouse)

__all__ = ["ARTIFACTS", "STAGES"]
