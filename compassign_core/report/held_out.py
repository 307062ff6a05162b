"""What a report needs of the predictions, summed up by the engine.

Here belongs reading `RT_PREDICTIONS` for the page: one row a run, one histogram, the coverage of
cells. The peaks themselves, which may be more than memory holds, are never loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from compassign_core.contracts.identifiers import RUN_KEY
from compassign_core.rt.coverage import CellCoverage, coverage_of_cells

HISTOGRAM_BINS = 60
DRAWN_SHARE = 0.99
"""Share of the residuals that the histogram holds; the outermost are not drawn."""

RUN_RESIDUALS = pa.schema(
    [
        ("model", pa.string()),
        *((name, pa.int64()) for name in RUN_KEY),
        ("n", pa.int64()),
        ("n_judged", pa.int64()),
        ("n_covered", pa.int64()),
        ("low", pa.float64()),
        ("median", pa.float64()),
        ("high", pa.float64()),
    ]
)
"""Held-out runs by model: scored peaks, those with a window, those inside it; and 10 %, 50 % and
90 % points of observed less predicted (min), null but for the model shown."""

_ERROR = "CASE WHEN scored THEN rt - rt_predicted END"


@dataclass(frozen=True)
class HeldOut:
    """The held-out peaks as a report shows them.

    Attributes
    ----------
    runs : `RUN_RESIDUALS`.
    edge : end of the histogram of the shown model's residuals, on both sides, minutes.
    counts : its bins, `HISTOGRAM_BINS` of them, or none without a scored peak.
    cells : coverage of the shown model by supercategory and training rows of the pair.
    """

    runs: pa.Table
    edge: float
    counts: Sequence[int]
    cells: Sequence[CellCoverage]


def sum_up(connection: duckdb.DuckDBPyConnection, predictions: str, model: str) -> HeldOut:
    """Sum up predictions.

    Parameters
    ----------
    connection : the engine.
    predictions : SQL text of `RT_PREDICTIONS`.
    model : the model that the page shows.
    """
    run = ", ".join(RUN_KEY)
    runs = connection.execute(
        f"""WITH summed AS (
                SELECT model, {run}, count({_ERROR}) AS n, count(covered) AS n_judged,
                       coalesce(sum(covered::INT), 0)::BIGINT AS n_covered,
                       quantile_cont(CASE WHEN model = ? THEN {_ERROR} END, [0.1, 0.5, 0.9])
                           AS points
                FROM {predictions} GROUP BY model, {run})
            SELECT * EXCLUDE (points), points[1] AS low, points[2] AS median,
                   points[3] AS high
            FROM summed ORDER BY model, {run}""",
        [model],
    ).to_arrow_table()
    edge, counts = _histogram(connection, predictions, model)
    cells = coverage_of_cells(connection, predictions, model)
    return HeldOut(runs.cast(RUN_RESIDUALS), edge, counts, cells)


def _histogram(
    connection: duckdb.DuckDBPyConnection, predictions: str, model: str
) -> tuple[float, list[int]]:
    """End of the histogram and its counts."""
    own = f"(SELECT {_ERROR} AS error FROM {predictions} WHERE model = ?)"
    ((found,),) = connection.execute(
        f"SELECT quantile_cont(abs(error), {DRAWN_SHARE}) FROM {own}", [model]
    ).fetchall()
    if found is None:
        return 0.0, []
    edge = max(float(found), 1e-6)
    place = f"floor((error + ?) / (2 * ?) * {HISTOGRAM_BINS})::INT"
    rows = connection.execute(
        f"""SELECT least({place}, {HISTOGRAM_BINS - 1}) AS bin, count(*)
            FROM {own} WHERE abs(error) <= ? GROUP BY bin""",
        [edge, edge, model, edge],
    ).fetchall()
    counts = [0] * HISTOGRAM_BINS
    for place_of, n in rows:
        counts[place_of] = n
    return edge, counts
