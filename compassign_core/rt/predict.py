"""Scoring rows with coefficient summaries; NumPy and DuckDB only.

    mean = x~ · beta_g,  scale² = s_g² + x~' Cov_g x~,  x~ = (1, x - centre)
    window at level L = mean ± kappa[L, bin] · t-quantile(L, df_g) · scale

Rows whose group was never trained are kept, marked as not scored, and counted by `evaluation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.catalogue import NOVELTY, RT_PREDICTIONS, SUPPORT_BINS
from compassign_core.contracts.settings.rt import SCALE_LEVEL
from compassign_core.rt.arrow import arrow_batch, arrow_schema, labels, nullable_booleans
from compassign_core.rt.design import Design
from compassign_core.rt.source import BATCH_ROWS, Source, column_array
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.support import lookup, novelty_index, safe_keys, support_bin_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_IDS = (
    "sampleset_id",
    "worksheet_id",
    "task_id",
    "species",
    "species_cluster",
    "comp_id",
    "compound",
    "compound_class",
)
_GATHERED_VALUES = 1 << 21
"""Covariance numbers gathered at a time (16 MiB)."""


@dataclass(frozen=True)
class Scores:
    """Predictions of n rows; NaN where the group was never trained.

    Attributes
    ----------
    scored : whether the group was trained, ``(n,)``.
    n_train, bins : training rows of the group and index of their support bin, ``(n,)``.
    mean, scale, df : calibrated predictive Student-t, min, min and 1, ``(n,)``.
    half_width : half width of the window, min, ``(n,)``.
    """

    scored: npt.NDArray[np.bool_]
    n_train: Ints
    bins: Ints
    mean: Floats
    scale: Floats
    df: Floats
    half_width: Floats


def design_of(summaries: CoefficientSummaries) -> Design:
    """How raw covariates become the model's features."""
    return Design(
        tuple(summaries.covariates.tolist()),
        tuple(summaries.indicators.tolist()),
        summaries.centre,
        summaries.imputed,
        tuple(summaries.dropped.tolist()),
    )


def score_rows(
    summaries: CoefficientSummaries, group_id: Ints, comp_id: Ints, raw: Floats, level: float
) -> Scores:
    """Score n rows with raw covariates ``(n, C)`` (NaN = missing) at nominal coverage `level`."""
    at_level = summaries.level_index(level)
    at_scale = summaries.level_index(SCALE_LEVEL)
    group = lookup(summaries.keys, safe_keys(group_id, comp_id))
    scored = group >= 0
    known = group[scored]
    mean, raw_scale = _predictive(summaries, known, design_of(summaries).matrix(raw[scored]))
    n_train = np.where(scored, summaries.n_train[group], 0)
    bins = support_bin_index(n_train)
    kappa = summaries.kappa[:, bins[scored]]

    def spread(values: Floats) -> Floats:
        full = np.full(group.shape, np.nan)
        full[scored] = values
        return full

    return Scores(
        scored,
        n_train,
        bins,
        spread(mean),
        spread(raw_scale * kappa[at_scale]),
        spread(summaries.df[known]),
        spread(raw_scale * kappa[at_level] * summaries.t_quantile[at_level, known]),
    )


def _predictive(summaries: CoefficientSummaries, group: Ints, x: Floats) -> tuple[Floats, Floats]:
    """Mean and uncorrected scale at centred features ``(n, P)`` of known groups ``(n,)``."""
    rows, columns = np.tril_indices(x.shape[1] + 1)
    twice = np.where(rows == columns, 1.0, 2.0)
    mean, scale2 = np.empty(group.size), np.empty(group.size)
    step = max(1, _GATHERED_VALUES // rows.size)
    for begin in range(0, group.size, step):
        part = slice(begin, begin + step)
        g = group[part]
        x1 = np.concatenate([np.ones((g.size, 1)), x[part]], axis=1)
        mean[part] = (x1 * summaries.beta_mean[g]).sum(axis=1)
        products = x1[:, rows] * x1[:, columns] * twice
        spread = (products * summaries.beta_cov_packed[g]).sum(axis=1)
        scale2[part] = summaries.scale2[g] + np.maximum(spread, 0.0)
    return mean, np.sqrt(scale2)


def predict_table(
    source: str,
    summaries: CoefficientSummaries,
    connection: duckdb.DuckDBPyConnection,
    *,
    level: float = SCALE_LEVEL,
    name: str | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Any:
    """Predict every row of `source`, in its order.

    Parameters
    ----------
    source : SQL text of a table with comp_id, the model's group column and its covariates; other
        ids of the RT table are taken over where present and are -1 where not.
    level : nominal coverage of the windows, one of the stored levels.
    name : what messages call the source.
    batch_rows : rows in memory at a time; changes no value.

    Returns
    -------
    pyarrow.Table
        The columns of `RT_PREDICTIONS`, less `rt` and `covered` when the source has no `rt`.
        `n_train` counts the training rows of the model's group. Novelty is judged by the species
        column; without one, a known comp counts as of an unseen species.

    Raises
    ------
    InputError
        when a needed column is missing, an id is not a whole number, or a covariate or retention
        time is not a finite number.
    SettingsError
        when the model stores no such level.
    """
    summaries.level_index(level)
    table = Source.open(connection, source, name)
    covariates = summaries.covariates.tolist()
    table.require(["comp_id", summaries.group_col, *covariates], f"model {summaries.model}")
    ids = [column for column in _IDS if column in table.types]
    with_rt = "rt" in table.types
    reals = [*covariates, *(["rt"] if with_rt else [])]
    table.check_ids(ids)
    table.check_reals(reals)
    schema = arrow_schema(RT_PREDICTIONS, () if with_rt else ("rt", "covered"))
    batches = [
        arrow_batch(_predict_batch(batch, ids, with_rt, summaries, level), schema)
        for batch in table.batches(ids, reals, rows=batch_rows)
    ]
    return pa.Table.from_batches(batches, schema=schema)


def _predict_batch(
    batch: Any, ids: list[str], with_rt: bool, summaries: CoefficientSummaries, level: float
) -> dict[str, Any]:
    n = batch.num_rows
    values: dict[str, Any] = {
        name: column_array(batch, name) if name in ids else np.full(n, -1, dtype=np.int64)
        for name in _IDS
    }
    raw = np.empty((n, summaries.covariates.size))
    for j, name in enumerate(summaries.covariates.tolist()):
        raw[:, j] = column_array(batch, name)
    scores = score_rows(summaries, values[summaries.group_col], values["comp_id"], raw, level)
    novelty = novelty_index(
        values["species"], values["comp_id"], summaries.pairs, summaries.species, summaries.comps
    )
    values |= {
        "model": pa.repeat(summaries.model, n),
        "n_train": scores.n_train,
        "support_bin": labels(SUPPORT_BINS, scores.bins),
        "novelty": labels(NOVELTY, novelty),
        "scored": scores.scored,
        "rt_predicted": scores.mean,
        "scale": scores.scale,
        "df": scores.df,
        "rt_low": scores.mean - scores.half_width,
        "rt_high": scores.mean + scores.half_width,
    }
    if with_rt:
        rt = column_array(batch, "rt")
        inside = np.abs(rt - scores.mean) <= scores.half_width
        values["rt"] = rt
        values["covered"] = nullable_booleans(inside, scores.scored & ~np.isnan(rt))
    return values
