"""CPU seconds and memory of the hierarchical ridge: reading, statistics, fit, export, calibration.

Run ``python benchmarks/hierarchy.py --size lib208 large``; prints a table and writes JSON. Data are
drawn from the model, with one noise variance, or with one for each compound (``--uneven``), and
written as Parquet, from which every case is trained in a process of its own: peak memory is that of
training alone. ``--stream`` keeps the rows in the engine instead of memory, ``--linear`` varies the
rows at constant groups. One BLAS thread, so that CPU and wall seconds agree on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.hierarchy.calibrate import calibrate_pooling
from compassign_core.rt.hierarchy.noise import fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.train import make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.table import HELD_VALUES, open_training
from compassign_core.store.engine import connect

Floats = npt.NDArray[np.float64]

SIZES = {
    # supercategories, species, compounds, features, share of pairs, mean rows a group
    "small": (4, 12, 80, 8, 0.6, 12.0),
    "medium": (10, 60, 600, 20, 0.6, 12.0),
    "lib208": (7, 89, 1000, 30, 0.0823, 40.0),
    "large": (12, 150, 1000, 40, 0.6, 11.1),
    # the same groups with more and more rows
    "linear250k": (7, 89, 1000, 30, 0.225, 12.5),
    "linear500k": (7, 89, 1000, 30, 0.225, 25.0),
    "linear1m": (7, 89, 1000, 30, 0.225, 50.0),
}
LINEAR = ("linear250k", "linear500k", "linear1m")
STAGES = ("reading", "statistics", "fit", "export", "calibration")
RESULTS = Path(__file__).resolve().parent / "results" / "hierarchy.json"
CAP = 100
DESCRIPTORS = 20
RUNS_PER_SPECIES = 240


def generate(path: Path, size: str, seed: int, uneven: bool) -> None:
    """Write rows drawn from the hierarchical model, and descriptors beside them."""
    n_super, n_species, n_comps, p, density, mean_rows = SIZES[size]
    rng = np.random.default_rng(seed)
    sc = np.arange(n_species) % n_super
    w_s = 0.7 / p + rng.normal(size=(n_super, p)) * 0.04
    w_c = w_s[sc] + rng.normal(size=(n_species, p)) * 0.03
    mu = 20.0 + rng.normal(size=n_super)[sc] * 0.02 + rng.normal(size=n_species) * 0.02
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
    columns = {
        "species": c[group],
        "species_cluster": sc[c[group]],
        "comp_id": k[group],
        "compound": k[group],
        "compound_class": np.zeros(group.size, dtype=np.int64),
        "sampleset_id": c[group] * 6 + run % 6,
        "worksheet_id": np.zeros(group.size, dtype=np.int64),
        "task_id": c[group] * RUNS_PER_SPECIES + run,
        "rt": y,
        **{f"IS_{j:02d}": x[:, j] + 5.0 for j in range(p)},
    }
    pq.write_table(pa.table(columns), path)
    np.save(path.with_suffix(".npy"), z)


def measure(path: Path, uneven: bool, held_values: int) -> dict[str, float]:
    """CPU seconds of each stage, evaluations, and peak memory in MiB before calibration and in all.

    Reading is the sort, the checks and the design; statistics are all that the fit needs of rows.
    """
    z = np.load(path.with_suffix(".npy"), allow_pickle=False)
    settings = PoolingSettings(noise="per_compound_and_group" if uneven else "global")
    connection = connect(EngineSettings(threads=1))
    source = f"read_parquet({quote_text(str(path))})"
    clock, walls = [time.process_time()], [time.perf_counter()]

    def tick() -> None:
        clock.append(time.process_time())
        walls.append(time.perf_counter())

    with (
        threadpool_limits(1),
        open_training(source, settings.design(), connection, held_values=held_values) as table,
    ):
        tick()
        problem = make_problem(table.data, "species", Embeddings(np.arange(z.shape[0]), z))
        tick()
        fitted = fit_model(problem, scale_set(problem, settings))
        tick()
        export_posterior(problem, fitted)
        tick()
        peak = _peak_mib()
        calibrate_pooling(table.data, problem, fitted, WindowSettings())
        tick()
        rows, groups = int(table.data.count.sum()), table.data.keys.size
    stages = dict(zip(STAGES, np.diff(clock).tolist(), strict=True))
    return {
        "rows": rows,
        "groups": groups,
        **stages,
        "trained": sum(stages[name] for name in STAGES[:4]),
        "trained_wall": walls[4] - walls[0],
        "evaluations": fitted.evaluations,
        "peak_mib": peak,
        "peak_calibrated_mib": _peak_mib(),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _alone(function: Any, *arguments: Any) -> Any:
    """The function's result, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["small", "lib208"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--uneven", action="store_true", help="noise that differs by compound")
    parser.add_argument("--stream", action="store_true", help="never hold the rows in memory")
    parser.add_argument("--linear", action="store_true", help="0.25, 0.5 and 1 million rows")
    parser.add_argument("--folder", type=Path, help="keep the generated tables here")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    cases = []
    place = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory()
    with place as folder:
        for size in LINEAR if options.linear else options.size:
            path = Path(folder) / f"{size}_{options.seed}_{'un' * options.uneven}even.parquet"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _alone(generate, path, size, options.seed, options.uneven)
            held_values = 0 if options.stream else HELD_VALUES
            result = _alone(measure, path, options.uneven, held_values)
            cases.append({"size": size, "streamed": options.stream, **result})
            for name, value in cases[-1].items():
                print(f"{name:20s} {value:>12,.2f}" if name != "size" else f"\n{value}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(cases, indent=2) + "\n")


if __name__ == "__main__":
    main()
