"""Training the lasso baseline: RT table to coefficient summaries, one group after the other.

The loop over groups is that of the library, which fits one at a time; rows are read, checked and
centred as for the ridge.
"""

from __future__ import annotations

import warnings

import duckdb
import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.rt import RidgeSettings
from compassign_core.rt.design import Design
from compassign_core.rt.folds import assign_folds
from compassign_core.rt.lasso.artifact import plain_summaries
from compassign_core.rt.lasso.group import GroupFit, fit_group
from compassign_core.rt.production import half_widths
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.table import ANY_NUMBER, open_training

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def train_lasso(
    source: str,
    settings: LassoSettings,
    connection: duckdb.DuckDBPyConnection,
    *,
    model: str,
    fingerprint: str,
    limits: TrainingLimits | None = None,
) -> CoefficientSummaries:
    """Train one lasso per group of the RT table `source` (SQL text).

    Missing covariates take the training mean, as in the ridge. The windows follow the production
    rule (`artifact`): their coverage is not stated. A group with one run has no held-out residual
    and takes the smallest window.

    Parameters
    ----------
    model, fingerprint : written into the summaries: the model kind, and what data these are.
    limits : train on a part of the table only.

    Raises
    ------
    InputError
        when the table is empty, lacks columns, holds unusable values or has no covariates.
    """
    reading = RidgeSettings(group_col=settings.group_col, covariates=settings.covariates)
    with open_training(source, reading, connection, limits=limits, held_values=ANY_NUMBER) as table:
        return fit_rows(
            table.held_rows(), table.design, settings,
            model=model, fingerprint=fingerprint, left_out=table.left_out,
        )  # fmt: skip


def fit_rows(
    rows: TrainingRows,
    design: Design,
    settings: LassoSettings,
    *,
    model: str,
    fingerprint: str,
    left_out: dict[str, int] | None = None,
) -> CoefficientSummaries:
    """Train on rows in memory; `left_out` is what limits kept from training."""
    fits = fit_groups(rows, settings)
    sd = np.array([_residual_sd(fit.held_out) for fit in fits])
    last = rows.start + rows.count
    constant = [np.ptp(rows.y[a:b]) == 0 for a, b in zip(rows.start, last, strict=True)]
    return plain_summaries(
        model=model,
        group_col=settings.group_col,
        settings={
            "lasso": settings.model_dump(mode="json"),
            **({"left_out_of_training": left_out} if left_out else {}),
        },
        fingerprint=fingerprint,
        keys=rows.keys,
        n_train=rows.count.astype(np.int64),
        beta_mean=np.stack([fit.coefficients for fit in fits]),
        half_width=half_widths(settings.base_window_sds * sd, settings),
        design=design,
        hierarchy=rows.seen.arrays(),
        constant_groups=int(np.sum(constant)),
        diagnostics={"unconverged_groups": float(sum(not fit.converged for fit in fits))},
    )


def fit_groups(rows: TrainingRows, settings: LassoSettings) -> list[GroupFit]:
    """The lasso of each of the G groups, in the order of the keys."""
    units = rows.runs("run")
    fits = []
    with warnings.catch_warnings():
        # with fewer rows than covariates the smallest penalties may not get to the tolerance in
        # `max_iter` sweeps; such a fit competes by its held-out error like any other
        warnings.simplefilter("ignore", ConvergenceWarning)
        for start, count in zip(rows.start.tolist(), rows.count.tolist(), strict=True):
            part = slice(start, start + count)
            # dealt to as many folds as there are runs, every run has a number of its own
            run, _ = assign_folds(units[part], count, settings.seed)
            fits.append(fit_group(rows.x[part], rows.y[part], run, settings))
    return fits


def _residual_sd(held_out: Floats) -> float:
    """Standard deviation about their mean of held-out residuals; 0 where fewer than two."""
    return float(held_out.std(ddof=1)) if held_out.size > 1 else 0.0
