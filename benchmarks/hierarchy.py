"""CPU seconds and memory of the hierarchical ridge: statistics, fit, export, calibration.

Run ``python benchmarks/hierarchy.py --size lib208``; prints a table and writes JSON. Data are
drawn from the model, with one noise variance, or with one for each compound (``--uneven``); one
BLAS thread, so that CPU and wall seconds agree on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.hierarchy.calibrate import calibrate_pooling
from compassign_core.rt.hierarchy.noise import fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.train import make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.rows import TrainingRows

Floats = npt.NDArray[np.float64]

SIZES = {
    # supercategories, species, compounds, features, share of pairs, mean rows a group
    "small": (4, 12, 80, 8, 0.6, 12.0),
    "medium": (10, 60, 600, 20, 0.6, 12.0),
    "lib208": (7, 89, 1000, 30, 0.0823, 40.0),
}
CAP = 100
DESCRIPTORS = 20
RUNS_PER_SPECIES = 240


def generate(size: str, seed: int, uneven: bool) -> tuple[TrainingRows, Embeddings]:
    """Rows drawn from the hierarchical model, in the order that training reads them."""
    n_super, n_species, n_comps, p, density, mean_rows = SIZES[size]
    rng = np.random.default_rng(seed)
    sc = np.arange(n_species) % n_super
    w_s = 0.7 / p + rng.normal(size=(n_super, p)) * 0.04
    w_c = w_s[sc] + rng.normal(size=(n_species, p)) * 0.03
    mu = 4.0 + rng.normal(size=n_super)[sc] * 0.02 + rng.normal(size=n_species) * 0.02
    z = rng.normal(size=(n_comps, DESCRIPTORS))
    alpha = z @ (rng.normal(size=DESCRIPTORS) * 0.35) + rng.normal(size=n_comps)
    pairs = np.sort(rng.permutation(n_species * n_comps)[: int(density * n_species * n_comps)])
    c, k = pairs // n_comps, pairs % n_comps
    count = np.clip(np.exp(rng.normal(0, 1.1, size=c.size)), 0.02, 20)
    low, high = 0.0, 1e4
    for _ in range(60):  # scale so that the mean after the cap is the one wanted
        middle = 0.5 * (low + high)
        short = np.clip(np.round(count * middle), 1, CAP).mean() < mean_rows
        low, high = (middle, high) if short else (low, middle)
    count = np.clip(np.round(count * low), 1, CAP).astype(np.int64)
    group = np.repeat(np.arange(c.size), count)
    run = rng.integers(0, RUNS_PER_SPECIES, size=group.size)
    load = rng.normal(size=(3, p)) / np.sqrt(3)
    run_x = 0.03 * (rng.normal(size=(n_species, RUNS_PER_SPECIES, 3)) @ load)
    run_x += 0.008 * rng.normal(size=run_x.shape)
    x = run_x[c[group], run]
    w = w_c[c] + rng.normal(size=(c.size, p)) * 0.06
    sigma = 0.0073 * np.exp(0.6 * uneven * rng.normal(size=n_comps))[k[group]]
    y = mu[c[group]] + alpha[k[group]] + (rng.normal(size=c.size) * 0.03)[group]
    y += np.einsum("ij,ij->i", x, w[group]) + rng.normal(size=group.size) * sigma
    ids = {
        "species": c[group],
        "species_cluster": sc[c[group]],
        "comp_id": k[group],
        "compound": k[group],
        "compound_class": np.zeros(group.size, dtype=np.int64),
        "sampleset_id": c[group] * 6 + run % 6,
        "worksheet_id": np.zeros(group.size, dtype=np.int64),
        "task_id": run,
    }
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    rows = TrainingRows(ids, y, x - x.mean(axis=0), (c << 32) + k, start, count)
    return rows, Embeddings(np.arange(n_comps), z)


def measure(size: str, seed: int, uneven: bool) -> dict[str, float]:
    """CPU seconds of each stage, evaluations, and peak memory in MiB with the rows included."""
    rows, embeddings = generate(size, seed, uneven)
    settings = PoolingSettings(noise="per_compound_and_group" if uneven else "global")
    clock = [time.process_time()]
    problem = make_problem(rows, "species", embeddings)
    clock.append(time.process_time())
    fitted = fit_model(problem, scale_set(problem, settings))
    clock.append(time.process_time())
    export_posterior(problem, fitted)
    clock.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    calibrate_pooling(rows, problem, fitted, WindowSettings())
    clock.append(time.process_time())
    stages = dict(
        zip(("statistics", "fit", "export", "calibration"), np.diff(clock).tolist(), strict=True)
    )
    return {
        "rows": rows.y.size,
        "groups": rows.keys.size,
        **stages,
        "trained": sum(stages[name] for name in ("statistics", "fit", "export")),
        "evaluations": fitted.evaluations,
        "peak_mib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--uneven", action="store_true", help="noise that differs by compound")
    parser.add_argument("--json", type=Path, default=Path("hierarchy_benchmark.json"))
    options = parser.parse_args()
    with threadpool_limits(1):
        result = measure(options.size, options.seed, options.uneven)
    for name, value in result.items():
        print(f"{name:12s} {value:12,.2f}")
    options.json.write_text(json.dumps({"size": options.size, **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
