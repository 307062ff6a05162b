"""Seconds of the batched ridge fit against scikit-learn group by group, on generated data.

Run ``python benchmarks/ridge.py --groups 2000 --rows 20 --features 20``; prints a table and
writes JSON. Both sides get the same rows in memory and one BLAS thread, and both make means and
covariances of the coefficients at a fixed penalty; their largest disagreement is printed. The
last line is the whole training: penalty and noise learned, windows calibrated on four folds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compassign_core.contracts.settings.rt import (
    PUBLISHED_PENALTY,
    RidgeSettings,
    WindowSettings,
)
from compassign_core.rt.design import Design
from compassign_core.rt.ridge import Scalars, fit_groups
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.statistics import accumulate
from compassign_core.rt.train import fit_rows

Floats = npt.NDArray[np.float64]


def generate(groups: int, rows: int, features: int, seed: int) -> TrainingRows:
    """Groups of 1 to ``2 rows - 1`` rows drawn from the runs of one library."""
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 2 * rows, size=groups)
    n, runs = int(count.sum()), 4 * rows
    run_x = rng.normal(size=(runs, features)) * 0.1
    run = np.concatenate([rng.permutation(runs)[:c] for c in count])
    group = np.repeat(np.arange(groups), count)
    x = run_x[run] - run_x[run].mean(axis=0)
    slopes = rng.normal(size=(groups, features)) * 0.1
    y = 5 + np.einsum("ij,ij->i", x, slopes[group]) + 0.01 * rng.standard_t(4, size=n)
    ids = {
        "species": np.zeros(n, dtype=np.int64),
        "species_cluster": np.zeros(n, dtype=np.int64),
        "comp_id": group,
        "compound": group,
        "compound_class": np.zeros(n, dtype=np.int64),
        "sampleset_id": run // 8,
        "worksheet_id": run // 8,
        "task_id": run,
    }
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    return TrainingRows(ids, y, x, np.arange(groups, dtype=np.int64), start, count)


def batched(rows: TrainingRows) -> tuple[Floats, Floats]:
    """Coefficients ``(G, P+1)`` and inverse penalised scatter ``(G, P, P)`` of all groups."""
    groups, features = rows.keys.size, rows.x.shape[1]
    beta, inverse = np.empty((groups, features + 1)), np.empty((groups, features, features))
    for block in rows.blocks():
        fit = fit_groups(accumulate(block).total(), Scalars(PUBLISHED_PENALTY, 3.0, 1e-4))
        beta[block.groups], inverse[block.groups] = fit.coefficients(), fit.inverse
    return beta, inverse


def one_by_one(rows: TrainingRows) -> tuple[Floats, Floats]:
    """The same from a loop over groups with scikit-learn, as such models are usually trained."""
    groups, features = rows.keys.size, rows.x.shape[1]
    beta, inverse = np.empty((groups, features + 1)), np.empty((groups, features, features))
    for g in range(groups):
        part = slice(rows.start[g], rows.start[g] + rows.count[g])
        x, y = rows.x[part], rows.y[part]
        model = Ridge(alpha=PUBLISHED_PENALTY, fit_intercept=True).fit(x, y)
        beta[g] = np.concatenate([[model.intercept_], model.coef_])
        centred = x - x.mean(axis=0)
        inverse[g] = np.linalg.inv(centred.T @ centred + PUBLISHED_PENALTY * np.eye(features))
    return beta, inverse


def whole_training(rows: TrainingRows) -> None:
    """Learning, fitting and calibration, from rows in memory to summaries."""
    features = rows.x.shape[1]
    names = tuple(f"IS_{j}" for j in range(features))
    design = Design(names, (), np.zeros(features), np.zeros(features, dtype=np.int64))
    fit_rows(rows, design, RidgeSettings(), WindowSettings(), model="ridge", fingerprint="")


def seconds(
    run: Callable[[TrainingRows], Any], rows: TrainingRows, repeats: int
) -> tuple[float, Any]:
    """Best wall time of `repeats` runs, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        begin = time.perf_counter()
        result = run(rows)
        best = min(best, time.perf_counter() - begin)
    return best, result


def measure(groups: int, rows: int, features: int, seed: int, repeats: int) -> dict[str, Any]:
    """Time both sides on one generated table."""
    table = generate(groups, rows, features, seed)
    with threadpool_limits(limits=1):
        fast, (beta, inverse) = seconds(batched, table, repeats)
        slow, (beta_loop, inverse_loop) = seconds(one_by_one, table, 1)
        whole, _ = seconds(whole_training, table, repeats)
    return {
        "groups": groups,
        "rows": int(table.y.size),
        "features": features,
        "seed": seed,
        "seconds": {"batched fit": fast, "scikit-learn loop": slow, "whole training": whole},
        "speed_up": slow / fast,
        "largest_difference": {
            "coefficients": float(np.abs(beta - beta_loop).max()),
            "inverse, relative": float(
                np.abs(inverse - inverse_loop).max() / np.abs(inverse_loop).max()
            ),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=20, help="mean rows of a group")
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/ridge.json"))
    options = parser.parse_args()
    result = measure(options.groups, options.rows, options.features, options.seed, options.repeats)
    print(f"{result['groups']} groups, {result['rows']} rows, {result['features']} features")
    for name, value in result["seconds"].items():
        print(f"  {name:<20}{value:>10.3f} s")
    print(f"  {'speed-up of the fit':<20}{result['speed_up']:>10.1f} ×")
    for name, value in result["largest_difference"].items():
        print(f"  largest difference of {name}: {value:.2g}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
