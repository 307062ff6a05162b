"""Predictions of whole tables, by any model; every row is kept, scored or marked as not.

Tables larger than memory are read and predicted in batches; `evaluation` counts the rows that were
not scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from compassign_core.contracts.catalogue import NOVELTY, RT_PREDICTIONS, SUPPORT_BINS
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.rt import SHAPE_LEVELS, WindowRequest
from compassign_core.rt.arrow import arrow_batch, arrow_schema, labels, nullable_booleans
from compassign_core.rt.asked import AskedWindow
from compassign_core.rt.limits import judged_part
from compassign_core.rt.model import Model, load_model, novelty
from compassign_core.rt.pairs import PairSupport, count_pairs
from compassign_core.rt.source import BATCH_ROWS, Source, column_array
from compassign_core.rt.support import support_bin_index
from compassign_core.store.sql import count_rows

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


def predict_batches(
    source: str,
    model: Model,
    connection: duckdb.DuckDBPyConnection,
    *,
    window: WindowRequest | None = None,
    name: str | None = None,
    pairs: PairSupport | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Any:
    """Predict every row of `source`, in its order, as a `pyarrow.RecordBatchReader`.

    The source is checked now and read as the batches are taken; the connection cannot be used for
    anything else meanwhile.

    Parameters
    ----------
    source : SQL text of a table with comp_id, the model's group column and its covariates; other
        ids of the RT table are taken over where present and are -1 where not.
    window : which window goes from `rt_low` to `rt_high`; the 95 % window when None.
    name : what messages call the source.
    pairs : training rows of each pair, by which models with other groups can be compared.
    batch_rows : rows in memory at a time; changes no value.

    Returns
    -------
    pyarrow.RecordBatchReader
        The columns of `RT_PREDICTIONS`, less `rt` and `covered` when the source has no `rt`, and
        less `pair_support` and its bin without `pairs`. `n_train` counts the training rows of the
        model's group. Novelty is judged by the species column; without one, a known comp counts
        as of an unseen species.

    Raises
    ------
    InputError
        when a needed column is missing, an id is not a whole number, or a covariate or retention
        time is not a finite number.
    SettingsError
        when the model has no such window.
    """
    asked = AskedWindow.of(model, window or WindowRequest(), SHAPE_LEVELS)
    table = Source.open(connection, source, name)
    covariates = model.covariates.tolist()
    table.require(["comp_id", model.group_col, *covariates], f"model {model.model}")
    ids = [column for column in _IDS if column in table.types]
    with_rt = "rt" in table.types
    reals = [*covariates, *(["rt"] if with_rt else [])]
    table.check_ids(ids)
    table.check_reals(reals)
    absent = [] if with_rt else ["rt", "covered"]
    absent += [] if pairs is not None else ["pair_support", "pair_support_bin"]
    schema = arrow_schema(RT_PREDICTIONS, tuple(absent))

    def batches() -> Iterator[Any]:
        for batch in table.batches(ids, reals, rows=batch_rows):
            yield arrow_batch(_predict_batch(batch, ids, with_rt, model, asked, pairs), schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows that models are judged on.

    Attributes
    ----------
    source : the rows that are judged.
    pairs : training rows of each pair.
    n_rows, n_judged : rows there are, and rows of `source`.
    """

    source: Source
    pairs: PairSupport
    n_rows: int
    n_judged: int

    @classmethod
    def open(
        cls,
        held_out: str,
        trained_on: str,
        connection: duckdb.DuckDBPyConnection,
        settings: EvaluationSettings,
    ) -> Self:
        """From SQL text of the held-out rows and of the RT table that models were trained on.

        Raises
        ------
        InputError
            when a table lacks a key column, or an id in it is no whole number.
        """
        whole = Source.open(connection, held_out)
        part = judged_part(whole, settings)
        pairs = count_pairs(trained_on, connection)
        n_rows = count_rows(connection, whole.sql)
        return cls(part, pairs, n_rows, count_rows(connection, part.sql))

    def predicted(self, models: Iterable[Path], level: float) -> Iterator[Any]:
        """Batches of `RT_PREDICTIONS` of every model file in turn.

        One model is in memory at a time, and of its predictions one batch. The connection cannot
        be used for anything else meanwhile.
        """
        for path in models:
            yield from predict_batches(
                self.source.sql,
                load_model(path),
                self.source.connection,
                name=self.source.name,
                window=WindowRequest(level=level),
                pairs=self.pairs,
            )


def predict_table(
    source: str, model: Model, connection: duckdb.DuckDBPyConnection, **options: Any
) -> Any:
    """Predict every row of `source`, in its order, as one `pyarrow.Table`.

    Options, columns and errors are those of `predict_batches`.
    """
    return predict_batches(source, model, connection, **options).read_all()


def _predict_batch(
    batch: Any,
    ids: list[str],
    with_rt: bool,
    model: Model,
    asked: AskedWindow,
    pairs: PairSupport | None,
) -> dict[str, Any]:
    n = batch.num_rows
    values: dict[str, Any] = {
        name: column_array(batch, name) if name in ids else np.full(n, -1, dtype=np.int64)
        for name in _IDS
    }
    raw = np.empty((n, model.covariates.size))
    for j, name in enumerate(model.covariates.tolist()):
        raw[:, j] = column_array(batch, name)
    scores = asked.score(values, raw)
    half_width = asked.half_width(scores)
    values |= {
        "model": pa.repeat(model.model, n),
        "n_train": scores.n_train,
        "support_bin": labels(SUPPORT_BINS, scores.bins),
        "novelty": labels(NOVELTY, novelty(model, values)),
        "scored": scores.scored,
        "rt_predicted": scores.mean,
        "scale": scores.scale,
        "df": scores.df,
        # null where the model has no window of the level
        **{
            f"half_width_{100 * at:.0f}": half
            for at, half in zip(SHAPE_LEVELS, scores.half_widths, strict=False)
        },
        "rt_low": scores.mean - half_width,
        "rt_high": scores.mean + half_width,
    }
    if pairs is not None:
        rows_of_pair = pairs.of(values["species"], values["comp_id"])
        values["pair_support"] = rows_of_pair
        values["pair_support_bin"] = labels(SUPPORT_BINS, support_bin_index(rows_of_pair))
    if with_rt:
        rt = column_array(batch, "rt")
        inside = np.abs(rt - scores.mean) <= half_width
        values["rt"] = rt
        values["covered"] = nullable_booleans(inside, scores.scored & ~np.isnan(rt))
    return values
