"""Predictions read back to be judged: each row once, in one order, in batches of one size.

Here belongs reading; what rows are grouped by stands in `cells`, what is summed in `evaluation`,
`pit` and `comparison`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.catalogue import RT_PREDICTIONS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first, quote_name, quote_text
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.rt.arrow import float_column
from compassign_core.rt.cells import FACETS, PAIR_FACET, Slice, slices_of
from compassign_core.rt.limits import judged_part
from compassign_core.rt.metrics import Predictive
from compassign_core.rt.source import Source

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PREDICTED = ("scored", "rt", "rt_predicted", "scale", "df")
"""Columns that say what was predicted of a row and what was observed."""


@dataclass(frozen=True)
class Predictions:
    """A table of predictions on an engine; see `open_predictions`.

    Attributes
    ----------
    source : the rows of the table that are judged.
    cells : the distinct values of model and facets, in their order.
    view : name under which the engine knows `cells`.
    """

    source: Source
    cells: Any
    view: str

    @cached_property
    def models(self) -> list[str]:
        """The models, sorted."""
        return sorted(set(self.cells["model"].to_pylist()))

    def slices(self, model: str | None, names: Iterable[str]) -> list[Slice]:
        """Slices of the cells of one model, or of all; those the table has no column for not."""
        cells = self.cells.to_pydict()
        keep = [i for i, name in enumerate(cells["model"]) if model in (None, name)]
        chosen = {name: [values[i] for i in keep] for name, values in cells.items()}
        return slices_of(chosen, names)

    def first_cell(self, model: str) -> int:
        """Position of a model's first cell; the cells of a model stand together."""
        return int(self.cells["model"].to_pylist().index(model))

    def batches(
        self,
        columns: Sequence[str],
        rows: int,
        *,
        model: str | None = None,
        order_by: Sequence[str] | None = None,
        joined: str = "",
        where: str = "",
    ) -> Iterator[Any]:
        """Tables of `rows` rows (the last one shorter) with `cell` and `columns`, in order.

        Parameters
        ----------
        columns : SQL of what is read of the table ``p``.
        model : only this one's rows; all when None.
        order_by : SQL of the order, by default the contract's, with what was predicted last, so
            that sums do not depend on the order of rows.
        joined, where : further SQL: a join, and a condition.
        """
        conditions = [where] if where else []
        if model is not None:
            conditions.append(f"p.model = {quote_text(model)}")
        query = (
            f"SELECT {', '.join(['c.cell', *columns])} FROM {self._with_cells} {joined}"
            + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
            + f" ORDER BY {', '.join(order_by or self._order)}"
        )
        yield from _exactly(self.source.connection.sql(query).to_arrow_reader(rows), rows)

    def cells_by(self, column: str, model: str) -> Any:
        """Distinct cells of a model with values of one more column, in order."""
        return self.source.connection.sql(
            f"SELECT DISTINCT c.cell, p.{quote_name(column)} FROM {self._with_cells} "
            f"WHERE p.model = {quote_text(model)} ORDER BY ALL"
        ).to_arrow_table()

    @property
    def _with_cells(self) -> str:
        """SQL of the table ``p`` joined with its cells ``c``."""
        alike = " AND ".join(
            f"p.{quote_name(name)} IS NOT DISTINCT FROM c.{quote_name(name)}"
            for name in self.cells.column_names
            if name != "cell"
        )
        return f"{self.source.sql} AS p JOIN {self.view} AS c ON {alike}"

    @property
    def _order(self) -> list[str]:
        """SQL of the contract's order, with what was predicted last."""
        known = [name for name in RT_PREDICTIONS.order_by if name in self.source.types]
        return [f"p.{quote_name(name)}" for name in (*known, *PREDICTED[1:])]


@contextmanager
def open_predictions(
    predictions: Any,
    connection: duckdb.DuckDBPyConnection | None,
    settings: EvaluationSettings,
    needed: Sequence[str],
    purpose: str,
) -> Iterator[Predictions]:
    """Predictions for the time of a block, with their cells.

    Parameters
    ----------
    predictions : SQL text of a table of `RT_PREDICTIONS`, or an Arrow table of it.
    connection : the engine, for SQL text.
    settings : which rows are judged.
    needed : columns without which nothing can be judged, beside those of cells.
    purpose : what messages call the reader.

    Raises
    ------
    InputError
        when a column is missing, for instance `rt` in a table of predictions for new runs.
    """
    if isinstance(predictions, str) and connection is None:
        raise TypeError("predictions given as SQL text need the connection that can read them")
    engine = connection or duckdb.connect(config={"threads": 2})
    name = f"judged_{uuid.uuid4().hex}"
    views = []
    try:
        if not isinstance(predictions, str):
            engine.register(name, predictions)
            views.append(name)
        sql = predictions if isinstance(predictions, str) else name
        source = Source.open(engine, sql, None if isinstance(predictions, str) else "predictions")
        missing = [c for c in ("model", *FACETS, *needed) if c not in source.types]
        if missing:
            raise InputError(
                f"predictions lack {len(missing)} column(s) that {purpose} needs: "
                f"{first(missing)}.",
                "judge predictions of a table that has measured retention times.",
            )
        one = f"(SELECT * FROM {sql} WHERE model = (SELECT min(model) FROM {sql}))"
        source = judged_part(source, settings, replace(source, sql=one))
        cells = _cells(source)
        engine.register(f"{name}_cells", cells)
        views.append(f"{name}_cells")
        yield Predictions(source, cells, f"{name}_cells")
    finally:
        for view in views:
            engine.unregister(view)
        if connection is None:
            engine.close()


def _cells(source: Source) -> Any:
    """Distinct values of model and facets, ordered, with their number as ``cell``."""
    facets = [name for name in (*FACETS, PAIR_FACET) if name in source.types]
    listed = ", ".join(map(quote_name, ("model", *facets)))
    found = source.connection.sql(
        f"SELECT DISTINCT {listed} FROM {source.sql} ORDER BY ALL"
    ).to_arrow_table()
    return found.append_column("cell", pa.array(np.arange(found.num_rows)))


def _exactly(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """The rows of `batches` as tables of exactly `rows` rows, the last one shorter."""
    held: list[Any] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
            count -= rows
    if count:
        yield pa.Table.from_batches(held)


@dataclass(frozen=True)
class Judged:
    """What a batch predicted: `usable` rows ``(n,)`` and, of these, the distribution."""

    scored: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    predictive: Predictive

    @classmethod
    def of(cls, batch: Any) -> Judged:
        """From a table with the columns `PREDICTED`."""
        error = float_column(batch, "rt") - float_column(batch, "rt_predicted")
        scale, df = float_column(batch, "scale"), float_column(batch, "df")
        scored = np.asarray(batch["scored"].to_numpy()).astype(bool)
        use = scored & np.isfinite(error) & (scale > 0) & ~np.isnan(df)
        return cls(scored, use, Predictive(error[use], scale[use], df[use]))
