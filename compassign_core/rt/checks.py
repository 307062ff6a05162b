"""Checks on what models made, for the gate before publication."""

from __future__ import annotations

import duckdb

from compassign_core.contracts.checks import CheckOutcome


def every_row_judged(
    connection: duckdb.DuckDBPyConnection, predictions: str, held_out: str, n_models: int
) -> CheckOutcome:
    """Whether each model judged every held-out row once, scored or marked as unscored.

    Parameters
    ----------
    connection : the engine.
    predictions, held_out : SQL text of `rt_predictions` and `realtest_table`.
    n_models : models that were asked.
    """
    rows, models, unscored = connection.execute(
        f"SELECT count(*), count(DISTINCT model), count(*) FILTER (NOT scored) FROM {predictions}"
    ).fetchall()[0]
    wanted = connection.execute(f"SELECT count(*) FROM {held_out}").fetchall()[0][0]
    return CheckOutcome(
        "every_row_judged",
        rows == wanted * n_models and (models == n_models or wanted == 0),
        f"{wanted:,} held-out rows × {n_models} models = {rows:,} predictions from {models} "
        f"models; {unscored:,} could not be scored and are marked.",
        "make the models of this partition again, then the predictions.",
        metrics={"unscored": float(unscored)},
    )
