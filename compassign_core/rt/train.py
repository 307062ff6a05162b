"""Training: RT table to coefficient summaries, in two passes over blocks of groups.

The first pass decomposes every group for the evidence, from which the shared scalars are learned;
the second fits all groups, and once more for every fold of runs left out, for the windows. What is
kept of a pass is by group, or capped (`left_out`); rows come chunk by chunk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.conformal import Calibration, calibrate, uncalibrated
from compassign_core.rt.convergence import diagnostics_of
from compassign_core.rt.design import Design
from compassign_core.rt.design_arrays import design_arrays
from compassign_core.rt.evidence import Spectra, learn_scalars, log_evidence
from compassign_core.rt.folds import Folds
from compassign_core.rt.left_out import sampled_rows, sampled_share
from compassign_core.rt.ridge import Scalars, fit_groups
from compassign_core.rt.rows import BLOCK_VALUES, Block, GroupedRows, TrainingData, TrainingRows
from compassign_core.rt.statistics import FoldStatistics, accumulate
from compassign_core.rt.stored import text_array
from compassign_core.rt.summaries import CoefficientSummaries, pack
from compassign_core.rt.table import open_training

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def train_ridge(
    source: str,
    settings: RidgeSettings,
    windows: WindowSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    model: str,
    fingerprint: str,
    limits: TrainingLimits | None = None,
) -> CoefficientSummaries:
    """Train one Bayesian ridge per group of the RT table `source`.

    Parameters
    ----------
    source : SQL text of a table with the columns of `RT_TABLE`, e.g. ``read_parquet('…')``.
    settings, windows : what to fit, and how to calibrate its windows.
    model : name that goes into the `model` column of tables made with it.
    fingerprint : identifies the training data in the artifact.
    limits : train on a part of the table only.

    Raises
    ------
    InputError
        when the table is empty, lacks columns, holds unusable values, has no covariates although
        they were asked for, or leaves the noise without a single degree of freedom.
    """
    with open_training(source, settings, connection, limits=limits) as table:
        return fit_rows(
            table.data, table.design, settings, windows,
            model=model, fingerprint=fingerprint, left_out=table.left_out,
        )  # fmt: skip


def fit_rows(
    data: TrainingData,
    design: Design,
    settings: RidgeSettings,
    windows: WindowSettings,
    *,
    model: str,
    fingerprint: str,
    block_values: int = BLOCK_VALUES,
    left_out: dict[str, int] | None = None,
) -> CoefficientSummaries:
    """Train on rows; `block_values` bounds memory and changes no bit of the result.

    `left_out` is written beside the settings: what limits kept from training.
    """
    spectra = _decompose(data, block_values)
    scalars = learn_scalars(spectra, settings)
    dealt = Folds.deal(data.seen.units(windows.fold_unit), windows.folds, windows.seed)
    fitted = _Fitted(data, sampled_share(int(data.count.sum())))
    for first, rows in _placed(data):
        fold = dealt.of(rows.runs(windows.fold_unit))
        scored_fold = np.where(sampled_rows(rows, fitted.share), fold, -1)
        for block in rows.blocks(dealt.used, block_values):
            statistics = accumulate(block, fold, dealt.used)
            fitted.add_groups(first + block.groups, statistics, scalars)
            if dealt.used > 1:
                fitted.add_left_out(block, statistics, scalars, scored_fold)
    calibration = fitted.calibration(windows)
    return CoefficientSummaries(
        model=model,
        group_col=settings.group_col,
        settings=_settings_json(settings, windows, left_out or {}),
        fingerprint=fingerprint,
        keys=data.keys,
        n_train=data.count.astype(np.int64),
        beta_mean=fitted.beta_mean,
        beta_cov_packed=fitted.beta_cov_packed,
        scale2=fitted.scale2,
        df=fitted.df,
        **design_arrays(design),
        levels=calibration.levels,
        kappa=calibration.kappa,
        kappa_rows=calibration.rows,
        kappa_basis=calibration.basis,
        support_bins=text_array(SUPPORT_BINS),
        calibration=calibration.state,
        **data.seen.arrays(),
        lambda_slopes=scalars.lambda_slopes,
        noise_df0=scalars.df0,
        noise_scale0=float(np.sqrt(scalars.variance0)),
        log_evidence=log_evidence(spectra, scalars),
        constant_groups=int(spectra.constant.sum()),
        diagnostics=json.dumps(diagnostics_of(spectra, scalars, settings), sort_keys=True),
    )


def _placed(data: GroupedRows) -> Iterator[tuple[int, TrainingRows]]:
    """Chunks, each behind the place of its first group among all groups."""
    first = 0
    for rows in data.chunks():
        yield first, rows
        first += rows.keys.size


def _decompose(data: GroupedRows, block_values: int) -> Spectra:
    """Spectra of all groups, in the order of the keys."""
    groups, parts = [], []
    for first, rows in _placed(data):
        for block in rows.blocks(1, block_values):
            groups.append(first + block.groups)
            parts.append(Spectra.of(accumulate(block).total()))
    return Spectra.joined(parts).take(np.argsort(np.concatenate(groups), kind="stable"))


class _Fitted:
    """What the second pass collects: G groups' posteriors, left-out rows' residuals."""

    def __init__(self, data: GroupedRows, share: float) -> None:
        n_groups, size = data.keys.size, data.n_features + 1
        self.share = share
        self.beta_mean = np.empty((n_groups, size))
        self.beta_cov_packed = np.empty((n_groups, size * (size + 1) // 2))
        self.scale2 = np.empty(n_groups)
        self.df = np.empty(n_groups)
        self.left_out: list[tuple[Floats, Floats, Floats, Floats]] = []

    def add_groups(self, groups: Ints, statistics: FoldStatistics, scalars: Scalars) -> None:
        fit = fit_groups(statistics.total(), scalars)
        self.beta_mean[groups] = fit.coefficients()
        self.beta_cov_packed[groups] = pack(fit.covariance())
        self.scale2[groups] = fit.scale2
        self.df[groups] = fit.df

    def add_left_out(
        self, block: Block, statistics: FoldStatistics, scalars: Scalars, fold: Ints
    ) -> None:
        """Predict the rows of each fold from the others; shared scalars and centre stay."""
        for k in range(statistics.n.shape[1]):
            fit = fit_groups(statistics.without(k), scalars)
            scored = block.present & (fold[block.rows] == k) & (fit.n > 0)[:, None]
            mean, scale = fit.predict(block.x)
            self.left_out.append(
                (
                    (block.y - mean)[scored],
                    scale[scored],
                    np.broadcast_to(fit.df[:, None], scored.shape)[scored],
                    np.broadcast_to(fit.n[:, None], scored.shape)[scored],
                )
            )

    def calibration(self, windows: WindowSettings) -> Calibration:
        """Factors from residual, scale, df and support of the left-out rows."""
        columns = [np.concatenate(column) for column in zip(*self.left_out, strict=True)]
        if not columns or not columns[0].size:
            return uncalibrated()
        residual, scale, df, support = columns
        return calibrate(residual, scale, df, support, windows.min_rows_per_bin)


def _settings_json(
    settings: RidgeSettings, windows: WindowSettings, left_out: dict[str, int]
) -> str:
    values: dict[str, Any] = {
        "ridge": settings.model_dump(mode="json"),
        "windows": windows.model_dump(mode="json"),
    }
    if left_out:
        values["left_out_of_training"] = left_out
    return json.dumps(values, sort_keys=True)
