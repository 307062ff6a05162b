"""Seconds and memory of judging models on held-out peaks, on generated predictions.

Run ``python benchmarks/evaluation.py --rows 1000000 --models 6``; prints a table and writes JSON.
The predictions stand in a Parquet file in the order of their contract, as in the lake. Every step
runs in a process of its own, so that its peak memory is its own; `--memory-limit` is the engine's.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compassign_core.contracts.catalogue import NOVELTY, RT_PREDICTIONS, SUPPORT_BINS
from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.rt import ComparisonSettings
from compassign_core.rt.arrow import arrow_batch, arrow_schema, labels
from compassign_core.rt.comparison import compare
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.pit import pit_histogram
from compassign_core.rt.support import support_bin_index
from compassign_core.store.engine import connect
from compassign_core.store.lake import parquet_source

STEPS = ("evaluate", "pit_histogram", "compare")
CHUNK_RUNS = 500
COMPS, COMPS_A_RUN, SPECIES, RUNS_A_SET = 1000, 250, 120, 20


def generate(path: Path, rows: int, models: int, seed: int) -> None:
    """Write predictions of `models` models on `rows` peaks in runs of 250 of 1,000 comps."""
    rng = np.random.default_rng(seed)
    supports = rng.integers(0, 101, size=(models, SPECIES, COMPS))
    degrees = rng.choice(np.round(rng.uniform(2.0, 80.0, 2000), 6), size=(models, SPECIES, COMPS))
    schema = arrow_schema(RT_PREDICTIONS)
    runs = -(-rows // COMPS_A_RUN)
    loose = path.with_name("loose.parquet")
    with pq.ParquetWriter(loose, schema, compression="lz4") as writer:
        for model in range(models):
            for begin in range(0, runs, CHUNK_RUNS):
                run = np.repeat(np.arange(begin, min(begin + CHUNK_RUNS, runs)), COMPS_A_RUN)
                place = np.tile(np.arange(COMPS_A_RUN), run.size // COMPS_A_RUN)
                keep = run * COMPS_A_RUN + place < rows
                writer.write_batch(
                    _batch(model, run[keep], place[keep], supports, degrees, schema, seed)
                )
    order = ", ".join(RT_PREDICTIONS.order_by)
    duckdb.connect().execute(
        f"COPY (SELECT * FROM read_parquet({quote_text(str(loose))}) ORDER BY {order}) TO "
        f"{quote_text(str(path))} (FORMAT parquet, COMPRESSION zstd)"
    )
    loose.unlink()


def _batch(
    model: int,
    run: np.ndarray,
    place: np.ndarray,
    supports: np.ndarray,
    degrees: np.ndarray,
    schema: pa.Schema,
    seed: int,
) -> pa.RecordBatch:
    n = run.size
    rng = np.random.default_rng([seed, int(run[0])])  # the same peaks for all models
    comp = (place + 37 * run) % COMPS
    sampleset = run // RUNS_A_SET
    species = sampleset % SPECIES
    rt = 1.0 + 0.01 * comp + rng.normal(0, 0.01, n)
    scale = 0.008 * rng.uniform(0.5, 2.0, n) * (1.0 + 0.02 * model)
    n_train = supports[model, species, comp]
    error = rng.standard_t(5.0, n) * 0.008 * (1.0 + 0.03 * model)
    scored = n_train > 0
    half = np.where(scored, 2.2 * scale, np.nan)
    predicted = np.where(scored, rt - error, np.nan)
    values = {
        "model": pa.repeat(f"model_{model}", n),
        "sampleset_id": sampleset,
        "worksheet_id": sampleset // 4,
        "task_id": run,
        "species": species,
        "species_cluster": species // 12,
        "comp_id": comp,
        "compound": comp,
        "compound_class": comp % 32,
        "n_train": n_train,
        "support_bin": labels(SUPPORT_BINS, support_bin_index(n_train)),
        "pair_support": supports[0, species, comp],
        "pair_support_bin": labels(SUPPORT_BINS, support_bin_index(supports[0, species, comp])),
        "novelty": labels(NOVELTY, np.where(scored, 0, 1)),
        "scored": scored,
        "rt": rt,
        "rt_predicted": predicted,
        "scale": np.where(scored, scale, np.nan),
        "df": np.where(scored, degrees[model, species, comp], np.nan),
        "half_width_50": half * 0.33,
        "half_width_80": half * 0.63,
        "half_width_99": half * 1.5,
        "rt_low": predicted - half,
        "rt_high": predicted + half,
        "covered": pa.array(np.abs(error) <= half, mask=~scored),
    }
    return arrow_batch(values, schema)


def measure(step: str, path: Path, memory_limit: str) -> dict[str, float]:
    """Run one step in this process."""
    connection = connect(EngineSettings(memory_limit=memory_limit))
    connection.execute("SET temp_directory = ?", [str(path.parent / "spill")])
    source = parquet_source(path)
    begin, cpu = time.perf_counter(), time.process_time()
    if step == "compare":
        baselines = ("model_0", "model_1")
        made = compare(source, ComparisonSettings(baselines=baselines), connection)
    else:
        made = {"evaluate": evaluate, "pit_histogram": pit_histogram}[step](source, connection)
    return {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows_out": made.num_rows,
    }


def main(arguments: list[str] | None = None) -> None:
    """Generate, measure each step in a fresh process, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="held-out peaks")
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-limit", default="1GB", help="of the engine; beyond it spills")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/evaluation.json"))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.step:
        print(json.dumps(measure(given.step, given.file, given.memory_limit)))
        return
    found = {}
    with tempfile.TemporaryDirectory(prefix="compassign_evaluation_") as folder:
        path = given.file or Path(folder) / "predictions.parquet"
        if not path.is_file():
            generate(path, given.rows, given.models, given.seed)
        judged = pq.ParquetFile(path).metadata.num_rows
        print(
            f"{judged:,} predictions, {path.stat().st_size / 1e6:,.0f} MB, engine "
            f"{given.memory_limit}"
        )
        print(f"{'step':15}{'seconds':>9}{'CPU s':>9}{'rows/s':>12}{'peak MB':>10}")
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, "--file", str(path)]
            command += ["--memory-limit", given.memory_limit]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout)
            found[step] = {**row, "rows_per_second": judged / row["seconds"]}
            print(
                f"{step:15}{row['seconds']:9.2f}{row['cpu_seconds']:9.2f}"
                f"{judged / row['seconds']:12,.0f}{row['peak_mb']:10.0f}"
            )
    settings = {"rows": given.rows, "models": given.models, "memory_limit": given.memory_limit}
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"settings": settings, "steps": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
