"""Training the hierarchical ridge: RT table to summaries that score anything of the library."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.design import Design
from compassign_core.rt.design_arrays import design_arrays
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.calibrate import PoolingCalibration, calibrate_pooling
from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior
from compassign_core.rt.hierarchy.convergence import diagnostics_of
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.held import Held, row_keys, statistics_of
from compassign_core.rt.hierarchy.noise import Fitted, fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.scale_posterior import infer_scales
from compassign_core.rt.hierarchy.scale_uncertainty import with_uncertain_scales
from compassign_core.rt.hierarchy.scales import ScaleSet
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.student_fit import fit_student_rows
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.rows import BLOCK_VALUES, TrainingData
from compassign_core.rt.stored import text_array
from compassign_core.rt.table import open_training

Floats = npt.NDArray[np.float64]


def train_pooling(
    source: str,
    settings: PoolingSettings,
    windows: WindowSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    model: str,
    fingerprint: str,
    embeddings: Any = None,
    limits: TrainingLimits | None = None,
) -> PoolingSummaries:
    """Train one hierarchical ridge on the RT table `source`.

    Parameters
    ----------
    source : SQL text of a table with the columns of `RT_TABLE`, e.g. ``read_parquet('…')``.
    settings, windows : what to fit, and how to calibrate its windows.
    model : name that goes into the `model` column of tables made with it.
    fingerprint : identifies the training data in the artifact.
    embeddings : Arrow table of `CHEM_DESCRIPTORS`; needed when the settings ask for chemistry.
    limits : train on a part of the table only.

    Raises
    ------
    InputError
        when the table cannot be trained on (see `table.open_training`), or the descriptors are
        missing or unusable.
    """
    chemistry = _descriptors(settings, embeddings)
    with open_training(source, settings.design(), connection, limits=limits) as table:
        return fit_rows(
            table.data, table.design, chemistry, settings, windows,
            model=model, fingerprint=fingerprint, left_out=table.left_out,
        )  # fmt: skip


def fit_rows(
    data: TrainingData,
    design: Design,
    chemistry: Embeddings,
    settings: PoolingSettings,
    windows: WindowSettings,
    *,
    model: str,
    fingerprint: str,
    block_values: int = BLOCK_VALUES,
    left_out: dict[str, int] | None = None,
) -> PoolingSummaries:
    """Train on rows; `block_values` bounds memory and changes no bit of the result.

    `left_out` is written beside the settings: what limits kept from training.
    """
    problem = make_problem(data, settings.group_col, chemistry, block_values)
    at_mode = fit_model(problem, scale_set(problem, settings))
    of_rows: dict[str, float] = {}
    if settings.rows == "student_t":
        problem, at_mode, of_rows = fit_student_rows(data, problem, at_mode, block_values)
    fitted, known = infer_scales(problem, at_mode)
    exported = export_posterior(problem, fitted)
    posterior, averaged = with_uncertain_scales(problem, fitted, exported, known)
    calibration = calibrate_pooling(data, problem, fitted, windows, block_values)
    diagnostics = diagnostics_of(problem, at_mode) | of_rows | averaged | known.diagnostics
    values = {
        "model": model,
        "fingerprint": fingerprint,
        "settings": _settings_json(settings, windows, left_out or {}),
        "group_col": settings.group_col,
        "scale_log_cov": known.cov,
        "diagnostics": json.dumps(diagnostics, sort_keys=True),
        "statistics": statistics_of(Held.of(problem, fitted), row_keys(data)),
    }
    return _summaries(values, data, design, fitted, posterior, calibration)


def make_problem(
    data: TrainingData, group_col: str, chemistry: Embeddings, block_values: int = BLOCK_VALUES
) -> Problem:
    """The tree of some rows and the statistics of its groups."""
    tree = Hierarchy.of(data, group_col, chemistry)
    return Problem(decompose(data, tree.offset[tree.comp_of], block_values), tree)


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
    data: TrainingData,
    design: Design,
    fitted: Fitted,
    posterior: AnyPosterior,
    calibration: PoolingCalibration,
) -> PoolingSummaries:
    trained, untrained, prior = calibration.trained, calibration.untrained, fitted.state.prior
    measured = trained.basis.any() or untrained.basis.any()
    return PoolingSummaries(
        **values,
        **data.seen.arrays(),
        n_train=data.count.astype(np.int64),
        **design_arrays(design),
        levels=trained.levels,
        kappa=trained.kappa,
        kappa_rows=trained.rows,
        kappa_basis=trained.basis,
        support_bins=text_array(SUPPORT_BINS),
        novelty_kappa=untrained.kappa,
        novelty_rows=untrained.rows,
        novelty_basis=untrained.basis,
        calibration="calibrated" if measured else "uncalibrated",
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


def _settings_json(
    settings: PoolingSettings, windows: WindowSettings, left_out: dict[str, int]
) -> str:
    values: dict[str, Any] = {
        "pooling": settings.model_dump(mode="json"),
        "windows": windows.model_dump(mode="json"),
    }
    if left_out:
        values["left_out_of_training"] = left_out
    return json.dumps(values, sort_keys=True)
