"""The model kinds by name: what each is, and which one is the default and which the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from compassign_core.contracts.settings.lasso import (
    LASSO_DESCRIPTIONS,
    LASSO_MODEL_KINDS,
    LassoSettings,
)
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import (
    MODEL_DESCRIPTIONS,
    MODEL_KINDS,
    PUBLISHED_PENALTY,
    RidgeSettings,
)

ModelSettings = RidgeSettings | LassoSettings | PoolingSettings
"""Settings of a model; their class says of which family it is."""


@dataclass(frozen=True)
class ModelKind:
    """A named model.

    Attributes
    ----------
    settings : what is fitted; its class says by which family.
    description : one sentence for the UI and the report.
    """

    settings: ModelSettings
    description: str


MODELS: dict[str, ModelKind] = {
    "partial_pooling": ModelKind(
        PoolingSettings(),
        "Hierarchical ridge: groups pooled over species and supercategory, compounds over their "
        "chemistry, noise learned per compound and group; the posterior is exact given its scales.",
    ),
    "compound_pooling": ModelKind(
        PoolingSettings(slope_head_mode="compound_supercat"),
        "Hierarchical ridge with slopes pooled by compound: over its supercategories and the "
        "whole, while species shift intercepts; noise and chemistry as in the default model.",
    ),
    "partial_pooling_global_noise": ModelKind(
        PoolingSettings(noise="global", lambda_slopes=3e-4),
        "The same hierarchy with one noise for all groups and the fixed penalty of the published "
        "model (3e-4 min²), for comparison.",
    ),
    "supercategory_ridge_global_noise": ModelKind(
        PoolingSettings(
            group_col="species_cluster",
            intercept_prior="flat",
            slope_head_mode="none",
            chemistry=False,
            noise="global",
            lambda_slopes=PUBLISHED_PENALTY,
        ),
        "Ridge per (supercategory, compound) with one noise for all groups, learned by maximum "
        "marginal posterior, and the fixed penalty of the published model (3e-4 min²).",
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

FAMILIES: tuple[type[ModelSettings], ...] = tuple(
    dict.fromkeys(type(model.settings) for model in MODELS.values())
)
"""Settings classes of all families, that of the default model first."""
