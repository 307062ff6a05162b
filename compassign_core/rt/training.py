"""Training a model kind by name: one door to all families."""

from __future__ import annotations

from typing import Any

import duckdb

from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.models import MODELS
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
) -> Model:
    """Train the model kind of this name on an RT table.

    Parameters
    ----------
    kind : a key of `MODELS`.
    source : SQL text of the RT table.
    windows : how windows are corrected; the lasso has a rule of its own.
    connection : the engine.
    fingerprint : identifies the training data in the artifact.
    embeddings : Arrow table of `CHEM_DESCRIPTORS`, for kinds that use chemistry.

    Raises
    ------
    InputError
        when the table cannot be trained on; the message says why.
    """
    settings = MODELS[kind].settings
    if isinstance(settings, PoolingSettings):
        return train_pooling(
            source,
            settings,
            windows,
            connection,
            model=kind,
            fingerprint=fingerprint,
            embeddings=embeddings if settings.chemistry else None,
        )
    if isinstance(settings, LassoSettings):
        return train_lasso(source, settings, connection, model=kind, fingerprint=fingerprint)
    return train_ridge(source, settings, windows, connection, model=kind, fingerprint=fingerprint)
