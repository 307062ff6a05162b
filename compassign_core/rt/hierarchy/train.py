"""Training the hierarchical ridge: RT table to summaries that score anything of the library."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import STORED_LEVELS, WindowSettings
from compassign_core.rt.conformal import t_quantiles
from compassign_core.rt.design import Design
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.calibrate import PoolingCalibration, calibrate_pooling
from compassign_core.rt.hierarchy.fit import Problem, laplace_covariance
from compassign_core.rt.hierarchy.noise import Fitted, fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import MOST_DF
from compassign_core.rt.hierarchy.scales import ScaleSet
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.rows import BLOCK_VALUES, TrainingRows, read_training
from compassign_core.rt.stored import seen_in_training, text_array

Floats = npt.NDArray[np.float64]

_DF_GRID = np.geomspace(0.25, MOST_DF, 2048)


def train_pooling(
    source: str,
    settings: PoolingSettings,
    windows: WindowSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    model: str,
    fingerprint: str,
    embeddings: Any = None,
) -> PoolingSummaries:
    """Train one hierarchical ridge on the RT table `source`.

    Parameters
    ----------
    source : SQL text of a table with the columns of `RT_TABLE`, e.g. ``read_parquet('…')``.
    settings, windows : what to fit, and how to calibrate its windows.
    model : name that goes into the `model` column of tables made with it.
    fingerprint : identifies the training data in the artifact.
    embeddings : Arrow table of `CHEM_DESCRIPTORS`; needed when the settings ask for chemistry.

    Raises
    ------
    InputError
        when the table cannot be trained on (see `rows.read_training`), or the descriptors are
        missing or unusable.
    """
    chemistry = _descriptors(settings, embeddings)
    rows, design = read_training(source, settings.design(), connection)
    return fit_rows(
        rows, design, chemistry, settings, windows, model=model, fingerprint=fingerprint
    )


def fit_rows(
    rows: TrainingRows,
    design: Design,
    chemistry: Embeddings,
    settings: PoolingSettings,
    windows: WindowSettings,
    *,
    model: str,
    fingerprint: str,
    block_values: int = BLOCK_VALUES,
) -> PoolingSummaries:
    """Train on rows in memory; `block_values` bounds memory and changes no bit of the result."""
    problem = make_problem(rows, settings.group_col, chemistry, block_values)
    fitted = fit_model(problem, scale_set(problem, settings))
    posterior = export_posterior(problem, fitted)
    calibration = calibrate_pooling(rows, problem, fitted, windows, block_values)
    curvature = np.zeros((0, 0))
    if settings.method == "laplace":
        curvature = laplace_covariance(problem, fitted.scales, fitted.mode.phi, fitted.noise)
    values = {
        "model": model,
        "fingerprint": fingerprint,
        "settings": _settings_json(settings, windows),
        "group_col": settings.group_col,
        "scale_log_cov": curvature,
    }
    return _summaries(values, rows, design, fitted, posterior, calibration)


def make_problem(
    rows: TrainingRows, group_col: str, chemistry: Embeddings, block_values: int = BLOCK_VALUES
) -> Problem:
    """The tree of `rows` and the statistics of its groups."""
    tree = Hierarchy.of(rows, group_col, chemistry)
    return Problem(decompose(rows, tree.offset[tree.comp_of], block_values), tree)


def scale_set(problem: Problem, settings: PoolingSettings) -> ScaleSet:
    """The scales of a model with one noise variance."""
    return ScaleSet(settings, problem.tree.sizes[2], problem.features > 0, True)


def _descriptors(settings: PoolingSettings, embeddings: Any) -> Embeddings:
    if not settings.chemistry:
        return Embeddings.none()
    if embeddings is None:
        raise InputError(
            "chemistry=True, but no descriptors of the chemicals were given.",
            "give the table chem_descriptors, or train with chemistry=False.",
        )
    return Embeddings.of(embeddings)


def _summaries(
    values: dict[str, Any],
    rows: TrainingRows,
    design: Design,
    fitted: Fitted,
    posterior: HierarchyPosterior,
    calibration: PoolingCalibration,
) -> PoolingSummaries:
    trained, prior = calibration.trained, fitted.state.prior
    levels = np.array(STORED_LEVELS)
    measured = trained.basis.any() or calibration.basis.any()
    return PoolingSummaries(
        **values,
        **seen_in_training(rows),
        n_train=rows.count.astype(np.int64),
        feature_names=text_array(design.names),
        covariates=text_array(design.columns),
        indicators=text_array(design.indicators),
        dropped=text_array(design.dropped),
        centre=design.centre,
        imputed=design.imputed,
        levels=levels,
        kappa=trained.kappa,
        kappa_rows=trained.rows,
        kappa_basis=trained.basis,
        support_bins=text_array(SUPPORT_BINS),
        novelty_kappa=calibration.kappa,
        novelty_rows=calibration.rows,
        novelty_basis=calibration.basis,
        calibration="calibrated" if measured else "uncalibrated",
        t_quantile=t_quantiles(posterior.noise_df, levels),
        df_grid=_DF_GRID,
        df_quantile=t_quantiles(_DF_GRID, levels),
        scale_names=text_array(fitted.scales.names),
        scales=np.exp(fitted.mode.phi),
        noise_scale2=np.array(prior.scales),
        noise_df=np.array(prior.dfs),
        noise_log_centre=fitted.noise.log_centre,
        log_marginal=fitted.done.log_marginal,
        log_posterior=fitted.mode.log_posterior,
        evaluations=fitted.evaluations,
        posterior=posterior,
    )


def _settings_json(settings: PoolingSettings, windows: WindowSettings) -> str:
    values = {
        "pooling": settings.model_dump(mode="json"),
        "windows": windows.model_dump(mode="json"),
    }
    return json.dumps(values, sort_keys=True)
