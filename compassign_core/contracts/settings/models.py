"""The model kinds by name: what each is, and which one is the default and which the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from compassign_core.contracts.settings.lasso import (
    LASSO_DESCRIPTIONS,
    LASSO_MODEL_KINDS,
    LassoSettings,
)
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import MODEL_DESCRIPTIONS, MODEL_KINDS, RidgeSettings


@dataclass(frozen=True)
class ModelKind:
    """A named model.

    Attributes
    ----------
    settings : what is fitted; its class says by which family.
    description : one sentence for the UI and the report.
    """

    settings: RidgeSettings | LassoSettings | PoolingSettings
    description: str


MODELS: dict[str, ModelKind] = {
    "partial_pooling": ModelKind(
        PoolingSettings(),
        "Hierarchical ridge: groups pooled over species and supercategory, compounds over their "
        "chemistry, noise learned per compound and group; the posterior is exact given its scales.",
    ),
    "partial_pooling_global_noise": ModelKind(
        PoolingSettings(noise="global", lambda_slopes=3e-4),
        "The same hierarchy with one noise for all groups and the fixed penalty of the published "
        "model (3e-4 min²), for comparison.",
    ),
    **{
        kind: ModelKind(settings, MODEL_DESCRIPTIONS[kind])
        for kind, settings in MODEL_KINDS.items()
    },
    **{
        kind: ModelKind(settings, LASSO_DESCRIPTIONS[kind])
        for kind, settings in LASSO_MODEL_KINDS.items()
    },
}
"""All model kinds, the default first, as they appear in the `model` column."""

DEFAULT_MODEL = "partial_pooling"
"""The model whose windows are shown and used unless another is named."""

BASELINE_MODEL = "supercategory_mean"
"""The model that others are compared with: what a fixed window list does."""
