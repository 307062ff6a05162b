"""Predictions of whole tables, by any model; every row is kept, scored or marked as not.

Tables larger than memory are read in batches; `evaluation` counts the rows that were not scored.
"""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.catalogue import NOVELTY, RT_PREDICTIONS, SUPPORT_BINS
from compassign_core.contracts.settings.rt import SCALE_LEVEL, SHAPE_LEVELS
from compassign_core.rt.arrow import arrow_batch, arrow_schema, labels, nullable_booleans
from compassign_core.rt.model import Model, novelty, score
from compassign_core.rt.predict import Scores
from compassign_core.rt.source import BATCH_ROWS, Source, column_array

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


def predict_table(
    source: str,
    model: Model,
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
    model.level_index(level)
    table = Source.open(connection, source, name)
    covariates = model.covariates.tolist()
    table.require(["comp_id", model.group_col, *covariates], f"model {model.model}")
    ids = [column for column in _IDS if column in table.types]
    with_rt = "rt" in table.types
    reals = [*covariates, *(["rt"] if with_rt else [])]
    table.check_ids(ids)
    table.check_reals(reals)
    schema = arrow_schema(RT_PREDICTIONS, () if with_rt else ("rt", "covered"))
    batches = [
        arrow_batch(_predict_batch(batch, ids, with_rt, model, level), schema)
        for batch in table.batches(ids, reals, rows=batch_rows)
    ]
    return pa.Table.from_batches(batches, schema=schema)


def _half_widths(scores: Scores, model: Model, level: float) -> npt.NDArray[np.float64]:
    """Half widths at a level; NaN where the model stores no window of it."""
    found = np.flatnonzero(np.isclose(model.levels, level))
    return scores.half_widths[found[0]] if found.size else np.full(scores.mean.size, np.nan)


def _predict_batch(
    batch: Any, ids: list[str], with_rt: bool, model: Model, level: float
) -> dict[str, Any]:
    n = batch.num_rows
    values: dict[str, Any] = {
        name: column_array(batch, name) if name in ids else np.full(n, -1, dtype=np.int64)
        for name in _IDS
    }
    raw = np.empty((n, model.covariates.size))
    for j, name in enumerate(model.covariates.tolist()):
        raw[:, j] = column_array(batch, name)
    scores = score(model, values, raw)
    half_width = scores.half_widths[model.level_index(level)]
    values |= {
        "model": pa.repeat(model.model, n),
        "n_train": scores.n_train,
        "support_bin": labels(SUPPORT_BINS, scores.bins),
        "novelty": labels(NOVELTY, novelty(model, values)),
        "scored": scores.scored,
        "rt_predicted": scores.mean,
        "scale": scores.scale,
        "df": scores.df,
        **{f"half_width_{100 * at:.0f}": _half_widths(scores, model, at) for at in SHAPE_LEVELS},
        "rt_low": scores.mean - half_width,
        "rt_high": scores.mean + half_width,
    }
    if with_rt:
        rt = column_array(batch, "rt")
        inside = np.abs(rt - scores.mean) <= half_width
        values["rt"] = rt
        values["covered"] = nullable_booleans(inside, scores.scored & ~np.isnan(rt))
    return values
