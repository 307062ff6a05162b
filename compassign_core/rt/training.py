"""Training a model of any family, by its settings or as a kind: one door to all families."""

from __future__ import annotations

from typing import Any

import duckdb

from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.models import MODELS, ModelSettings
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.hierarchy.train import train_pooling
from compassign_core.rt.lasso.train import train_lasso
from compassign_core.rt.model import Model
from compassign_core.rt.train import train_ridge


def train_kind(
    kind: str,
    source: str,
    windows: WindowSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    fingerprint: str,
    embeddings: Any = None,
    limits: TrainingLimits | None = None,
) -> Model:
    """Train the model kind of this name, a key of `MODELS`; see `train_model`."""
    return train_model(
        MODELS[kind].settings,
        source,
        windows,
        connection,
        model=kind,
        fingerprint=fingerprint,
        embeddings=embeddings,
        limits=limits,
    )


def train_model(
    settings: ModelSettings,
    source: str,
    windows: WindowSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    model: str,
    fingerprint: str,
    embeddings: Any = None,
    limits: TrainingLimits | None = None,
) -> Model:
    """Train a model on an RT table; the class of the settings says of which family.

    Parameters
    ----------
    settings : what is fitted.
    source : SQL text of the RT table.
    windows : how windows are corrected; the lasso has a rule of its own.
    connection : the engine.
    model : name that goes into the `model` column of tables made with it.
    fingerprint : identifies the training data in the artifact.
    embeddings : Arrow table of `CHEM_DESCRIPTORS`, for models that use chemistry.
    limits : train on a part of the table only, for a quick look.

    Raises
    ------
    InputError
        when the table cannot be trained on; the message says why.
    """
    if isinstance(settings, PoolingSettings):
        return train_pooling(
            source,
            settings,
            windows,
            connection,
            model=model,
            fingerprint=fingerprint,
            embeddings=embeddings if settings.chemistry else None,
            limits=limits,
        )
    if isinstance(settings, LassoSettings):
        return train_lasso(
            source, settings, connection, model=model, fingerprint=fingerprint, limits=limits
        )
    return train_ridge(
        source, settings, windows, connection, model=model, fingerprint=fingerprint, limits=limits
    )
