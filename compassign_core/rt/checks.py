"""Checks on what models made, for the gate before publication."""

from __future__ import annotations

from typing import Any

import duckdb

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.rt.coverage import coverage_of_cells

MIN_RUNS = 5
"""Fewer runs say nothing about the coverage of the next one."""

LEAST_CELLS = 0.9
"""Share of cells in which the stated coverage has to be plausible."""


def every_row_judged(
    connection: duckdb.DuckDBPyConnection, predictions: str, wanted: int, n_models: int
) -> CheckOutcome:
    """Whether each model judged every held-out row once, scored or marked as unscored.

    Parameters
    ----------
    connection : the engine.
    predictions : SQL text of `rt_predictions`.
    wanted, n_models : held-out rows that were to be judged, and models that were asked.
    """
    rows, models, unscored = connection.execute(
        f"SELECT count(*), count(DISTINCT model), count(*) FILTER (NOT scored) FROM {predictions}"
    ).fetchall()[0]
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


def cells_cover(
    connection: duckdb.DuckDBPyConnection, predictions: str, model: str, level: float
) -> CheckOutcome:
    """Whether a model's windows cover what they state in most supercategory × support cells.

    Support counts training rows of the (species, comp) pair. Intervals count runs, since peaks of
    one run miss together; a cell with peaks of fewer than `MIN_RUNS` runs is not judged.

    Parameters
    ----------
    connection : the engine.
    predictions : SQL text of `rt_predictions`.
    model : the model that is judged.
    level : nominal coverage of its windows.
    """
    found = coverage_of_cells(connection, predictions, model)
    judged = [cell for cell in found if cell.n_runs >= MIN_RUNS]
    missed = [cell for cell in judged if not cell.low <= level <= cell.high]
    share = 1.0 - len(missed) / len(judged) if judged else 1.0
    by_peaks = [cell for cell in judged if cell.low_by_peaks <= level <= cell.high_by_peaks]
    return CheckOutcome(
        "cells_cover",
        share >= LEAST_CELLS,
        f"{model}: {len(judged) - len(missed)} of {len(judged)} cells ({share:.0%}) have "
        f"{level:.0%} in the interval of their coverage, {len(by_peaks)} of them also if peaks "
        f"were independent; {len(found) - len(judged)} cells of fewer than {MIN_RUNS} runs are not "
        "judged.",
        "look in rt_evaluation, slice supercategory_support, for cells that cover too little: "
        "search windows of these compounds by hand until they have more training rows.",
        [
            {
                "species_cluster": cell.species_cluster,
                "pair_support": cell.support_bin,
                "coverage": round(cell.coverage, 4),
                "low": round(cell.low, 4),
                "high": round(cell.high, 4),
                "peaks": cell.n_peaks,
            }
            for cell in missed
        ][:MAX_OFFENDERS],
        len(missed),
        metrics={
            "cells": float(len(judged)),
            "share of cells that cover": share,
            "share if peaks were independent": len(by_peaks) / len(judged) if judged else 1.0,
        },
    )


def default_model_does_not_lose(
    connection: duckdb.DuckDBPyConnection, comparison: str, model: str, margin: float
) -> CheckOutcome:
    """Whether the default model is nowhere clearly worse than any baseline, over all peaks.

    It loses when the whole 95 % interval of the difference lies above `margin` times that
    baseline's own value, in rmse, mae or crps.

    Parameters
    ----------
    connection : the engine.
    comparison : SQL text of `rt_comparison`.
    model : the default model.
    margin : difference, as a share of the baseline's value, that is still no loss.
    """
    rows = connection.execute(
        f"""SELECT baseline, metric, baseline_value, model_value, difference, low
            FROM {comparison}
            WHERE model = ? AND slice = 'overall' AND metric IN ('rmse', 'mae', 'crps')
            ORDER BY baseline, metric""",
        [model],
    ).fetchall()
    lost = [row for row in rows if row[5] > margin * row[2]]
    shown = "; ".join(
        f"{metric} {mine:.4f} against {theirs:.4f} min of {baseline}"
        for baseline, metric, theirs, mine, _, _ in rows
    )
    to = f" It loses to {', '.join(sorted({row[0] for row in lost}))}." if lost else ""
    return CheckOutcome(
        "default_model_does_not_lose",
        not lost,
        f"{model}: {shown or 'no held-out rows to compare'}.{to}",
        "compare the models in rt_comparison and the report; use the windows of that baseline, or "
        "find what the default model gets wrong, before these windows are used.",
        [
            {
                "baseline": row[0],
                "metric": row[1],
                "difference": round(row[4], 5),
                "low": round(row[5], 5),
            }
            for row in lost
        ],
        len(lost),
        metrics={f"{row[1]} less {row[0]}": float(row[4]) for row in rows},
    )


def default_fit_converged(
    connection: duckdb.DuckDBPyConnection, diagnostics: str, model: str
) -> CheckOutcome:
    """Whether no number on the fit of the default model is a failure.

    Parameters
    ----------
    connection : the engine.
    diagnostics : SQL text of `rt_diagnostics`.
    model : the default model.
    """
    rows = _judged(connection, f"{diagnostics} WHERE model = ? AND judgement <> 'info'", [model])
    failed = [row for row in rows if row["judgement"] == "fail"]
    said = " ".join(row["sentence"] for row in failed or rows)
    return CheckOutcome(
        "default_fit_converged",
        not failed,
        f"{model} ({rows[0]['method']}): {said}" if rows else f"{model}: nothing to judge.",
        "train the model again with another method, or look for a group of rows that does not "
        "belong; until then its windows are not those of its posterior.",
        [_offender(row) for row in failed[:MAX_OFFENDERS]],
        len(failed),
        metrics=_numbers(rows),
    )


def fits_converged(connection: duckdb.DuckDBPyConnection, diagnostics: str) -> CheckOutcome:
    """Whether no number on the fit of any model is doubtful; it names those that are."""
    rows = _judged(connection, f"{diagnostics} WHERE judgement <> 'info'", [])
    doubtful = [row for row in rows if row["judgement"] != "ok"]
    models = len({row["model"] for row in rows})
    said = " ".join(f"{row['model']}: {row['sentence']}" for row in doubtful[:MAX_OFFENDERS])
    return CheckOutcome(
        "fits_converged",
        not doubtful,
        f"{len(rows) - len(doubtful)} of {len(rows)} numbers on the fits of {models} models are as "
        f"they should be.{' ' + said if said else ''}",
        "see rt_diagnostics; a doubtful number moves windows little, a failed one is not to be "
        "trusted: train that model again with another method, or leave it out of comparisons.",
        [_offender(row) for row in doubtful[:MAX_OFFENDERS]],
        len(doubtful),
        metrics={
            f"{row['model']} {row['quantity']}": row["value"]
            for row in doubtful
            if row["value"] is not None
        },
    )


def _judged(
    connection: duckdb.DuckDBPyConnection, selected: str, values: list[str]
) -> list[dict[str, Any]]:
    names = ("model", "method", "quantity", "scale", "value", "judgement", "sentence")
    query = f"SELECT {', '.join(names)} FROM {selected} ORDER BY model, quantity, scale"
    found = connection.execute(query, values).fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def _offender(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("model", "quantity", "value", "judgement")}


def _numbers(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {row["quantity"]: float(row["value"]) for row in rows if row["value"] is not None}
