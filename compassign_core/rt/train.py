"""Training: RT table to coefficient summaries, in two passes over blocks of groups.

The first pass decomposes every group for the evidence, from which the shared scalars are learned;
the second fits all groups, and once more for every fold of runs left out, for the windows.
"""

from __future__ import annotations

import json

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.conformal import Calibration, calibrate, t_quantiles, uncalibrated
from compassign_core.rt.design import Design
from compassign_core.rt.evidence import Spectra, learn_scalars, log_evidence
from compassign_core.rt.folds import assign_folds
from compassign_core.rt.ridge import Scalars, fit_groups
from compassign_core.rt.rows import BLOCK_VALUES, Block, TrainingRows, read_training
from compassign_core.rt.statistics import FoldStatistics, accumulate
from compassign_core.rt.stored import seen_in_training, text_array
from compassign_core.rt.summaries import CoefficientSummaries, pack

Floats = npt.NDArray[np.float64]


def train_ridge(
    source: str,
    settings: RidgeSettings,
    windows: WindowSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    model: str,
    fingerprint: str,
) -> CoefficientSummaries:
    """Train one Bayesian ridge per group of the RT table `source`.

    Parameters
    ----------
    source : SQL text of a table with the columns of `RT_TABLE`, e.g. ``read_parquet('…')``.
    settings, windows : what to fit, and how to calibrate its windows.
    model : name that goes into the `model` column of tables made with it.
    fingerprint : identifies the training data in the artifact.

    Raises
    ------
    InputError
        when the table is empty, lacks columns, holds unusable values, has no covariates although
        they were asked for, or leaves the noise without a single degree of freedom.
    """
    rows, design = read_training(source, settings, connection)
    return fit_rows(rows, design, settings, windows, model=model, fingerprint=fingerprint)


def fit_rows(
    rows: TrainingRows,
    design: Design,
    settings: RidgeSettings,
    windows: WindowSettings,
    *,
    model: str,
    fingerprint: str,
    block_values: int = BLOCK_VALUES,
) -> CoefficientSummaries:
    """Train on rows in memory; `block_values` bounds memory and changes no bit of the result."""
    spectra = _decompose(rows, block_values)
    scalars = learn_scalars(spectra, settings)
    fold, folds = assign_folds(rows.runs(windows.fold_unit), windows.folds, windows.seed)
    fitted = _Fitted(rows)
    for block in rows.blocks(folds, block_values):
        statistics = accumulate(block, fold, folds)
        fitted.add_groups(block, statistics, scalars)
        if folds > 1:
            fitted.add_left_out(block, statistics, scalars, fold)
    calibration = fitted.calibration(windows)
    return CoefficientSummaries(
        model=model,
        group_col=settings.group_col,
        settings=_settings_json(settings, windows),
        fingerprint=fingerprint,
        keys=rows.keys,
        n_train=rows.count.astype(np.int64),
        beta_mean=fitted.beta_mean,
        beta_cov_packed=fitted.beta_cov_packed,
        scale2=fitted.scale2,
        df=fitted.df,
        t_quantile=t_quantiles(fitted.df, calibration.levels),
        feature_names=text_array(design.names),
        covariates=text_array(design.columns),
        indicators=text_array(design.indicators),
        dropped=text_array(design.dropped),
        centre=design.centre,
        imputed=design.imputed,
        levels=calibration.levels,
        kappa=calibration.kappa,
        kappa_rows=calibration.rows,
        kappa_basis=calibration.basis,
        support_bins=text_array(SUPPORT_BINS),
        calibration=calibration.state,
        **seen_in_training(rows),
        lambda_slopes=scalars.lambda_slopes,
        noise_df0=scalars.df0,
        noise_scale0=float(np.sqrt(scalars.variance0)),
        log_evidence=log_evidence(spectra, scalars),
        constant_groups=int(spectra.constant.sum()),
    )


def _decompose(rows: TrainingRows, block_values: int) -> Spectra:
    """Spectra of all groups, in the order of the keys."""
    groups, parts = [], []
    for block in rows.blocks(1, block_values):
        groups.append(block.groups)
        parts.append(Spectra.of(accumulate(block).total()))
    return Spectra.joined(parts).take(np.argsort(np.concatenate(groups), kind="stable"))


class _Fitted:
    """What the second pass collects: G groups' posteriors, N rows' left-out residuals."""

    def __init__(self, rows: TrainingRows) -> None:
        n_groups, n_rows, size = rows.keys.size, rows.y.size, rows.x.shape[1] + 1
        self.beta_mean = np.empty((n_groups, size))
        self.beta_cov_packed = np.empty((n_groups, size * (size + 1) // 2))
        self.scale2 = np.empty(n_groups)
        self.df = np.empty(n_groups)
        self.residual = np.full(n_rows, np.nan)
        self.left_out_scale = np.full(n_rows, np.nan)
        self.left_out_df = np.full(n_rows, np.nan)
        self.left_out_support = np.zeros(n_rows)

    def add_groups(self, block: Block, statistics: FoldStatistics, scalars: Scalars) -> None:
        fit = fit_groups(statistics.total(), scalars)
        self.beta_mean[block.groups] = fit.coefficients()
        self.beta_cov_packed[block.groups] = pack(fit.covariance())
        self.scale2[block.groups] = fit.scale2
        self.df[block.groups] = fit.df

    def add_left_out(
        self,
        block: Block,
        statistics: FoldStatistics,
        scalars: Scalars,
        fold: npt.NDArray[np.int64],
    ) -> None:
        """Predict the rows of each fold from the others; shared scalars and centre stay."""
        for k in range(statistics.n.shape[1]):
            fit = fit_groups(statistics.without(k), scalars)
            scored = block.present & (fold[block.rows] == k) & (fit.n > 0)[:, None]
            mean, scale = fit.predict(block.x)
            at = block.rows[scored]
            self.residual[at] = (block.y - mean)[scored]
            self.left_out_scale[at] = scale[scored]
            self.left_out_df[at] = np.broadcast_to(fit.df[:, None], scored.shape)[scored]
            self.left_out_support[at] = np.broadcast_to(fit.n[:, None], scored.shape)[scored]

    def calibration(self, windows: WindowSettings) -> Calibration:
        scored = self.left_out_support > 0
        if not scored.any():
            return uncalibrated()
        return calibrate(
            self.residual[scored],
            self.left_out_scale[scored],
            self.left_out_df[scored],
            self.left_out_support[scored],
            windows.min_rows_per_bin,
        )


def _settings_json(settings: RidgeSettings, windows: WindowSettings) -> str:
    values = {"ridge": settings.model_dump(mode="json"), "windows": windows.model_dump(mode="json")}
    return json.dumps(values, sort_keys=True)
