"""Checks on what models made, for the gate before publication."""

from __future__ import annotations

import duckdb

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome

MIN_RUNS = 5
"""Fewer runs say nothing about the coverage of the next one."""


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


def coverage_is_as_stated(
    connection: duckdb.DuckDBPyConnection, predictions: str, model: str, level: float
) -> CheckOutcome:
    """Whether a model's windows cover what they state, in every supercategory.

    The interval of the measured share counts runs, not peaks, because peaks of one run miss
    together: p ± 1.96 sqrt(sum over runs of (sum of (covered - p))²) / n. A supercategory with
    fewer than `MIN_RUNS` runs is shown and not judged.

    Parameters
    ----------
    connection : the engine.
    predictions : SQL text of `rt_predictions`.
    model : the model that is judged.
    level : nominal coverage of its windows.
    """
    query = f"""
        WITH judged AS (
            SELECT species_cluster, sampleset_id, worksheet_id, task_id, covered::INT AS covered,
                   avg(covered::INT) OVER (PARTITION BY species_cluster) AS share
            FROM {predictions} WHERE model = ? AND covered IS NOT NULL),
        runs AS (
            SELECT species_cluster, any_value(share) AS share, count(*) AS n,
                   sum(covered - share) AS excess
            FROM judged GROUP BY species_cluster, sampleset_id, worksheet_id, task_id)
        SELECT species_cluster, any_value(share) AS coverage,
               1.96 * sqrt(sum(excess * excess)) / sum(n) AS half_interval,
               count(*)::INT AS runs
        FROM runs GROUP BY species_cluster ORDER BY species_cluster"""
    found = connection.execute(query, [model]).fetchall()
    # Rounding of the sums must not turn full agreement into a miss.
    missed = [row for row in found if row[3] >= MIN_RUNS and abs(row[1] - level) > row[2] + 1e-12]
    shares = ", ".join(
        f"{cluster}: {share:.1%} ± {half:.1%} ({n_runs} runs)"
        for cluster, share, half, n_runs in found
    )
    return CheckOutcome(
        "coverage_is_as_stated",
        not missed,
        f"{model}, {level:.0%} windows, by supercategory: {shares or 'no held-out rows'}.",
        "look in the report for runs that stand out; where coverage is low without them, the "
        "matrix drifts more than its training runs show.",
        [
            {
                "species_cluster": cluster,
                "coverage": round(share, 4),
                "half_interval": round(half, 4),
                "runs": n_runs,
            }
            for cluster, share, half, n_runs in missed
        ][:MAX_OFFENDERS],
        len(missed),
        metrics={f"coverage {cluster}": float(share) for cluster, share, _, _ in found},
    )


def default_model_does_not_lose(
    connection: duckdb.DuckDBPyConnection, comparison: str, model: str, margin: float
) -> CheckOutcome:
    """Whether the default model is nowhere clearly worse than the baseline, over all peaks.

    It loses when the whole 95 % interval of the difference lies above `margin` times the
    baseline's own value, in rmse, mae or crps.

    Parameters
    ----------
    connection : the engine.
    comparison : SQL text of `rt_comparison`.
    model : the default model.
    margin : difference, as a share of the baseline's value, that is still no loss.
    """
    rows = connection.execute(
        f"""SELECT metric, baseline, baseline_value, model_value, difference, low
            FROM {comparison}
            WHERE model = ? AND slice = 'overall' AND metric IN ('rmse', 'mae', 'crps')
            ORDER BY metric""",
        [model],
    ).fetchall()
    lost = [row for row in rows if row[5] > margin * row[2]]
    shown = "; ".join(
        f"{metric} {mine:.4f} against {theirs:.4f} min of {baseline}"
        for metric, baseline, theirs, mine, _, _ in rows
    )
    return CheckOutcome(
        "default_model_does_not_lose",
        not lost,
        f"{model}: {shown or 'no held-out rows to compare'}.",
        "compare the models in rt_comparison and the report; use the windows of the baseline, or "
        "find what the default model gets wrong, before these windows are used.",
        [
            {"metric": row[0], "difference": round(row[4], 5), "low": round(row[5], 5)}
            for row in lost
        ],
        len(lost),
        metrics={f"{row[0]} difference": float(row[4]) for row in rows},
    )
