"""Rows a second and memory of scoring with full covariances, for both families of models.

Run ``python -m benchmarks.scoring``; prints a table and writes JSON. Models of both families are
trained by the product on a generated RT table; rows to score come run by run, as in an export.
`score` is the call on rows in memory, in batches of the product's size; `file` goes from a Parquet
file to a Parquet file of predictions and never holds either. Every step runs in processes of its
own (and is prepared in another), so that its peak memory is its own. One and two processes share
the rows between them, with one thread each, as partitions share the cores. `quiet` is rows per CPU
second times the processes, which a machine without other work would give; `M rows/s` is what this
one gave by the wall clock.
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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.models import DEFAULT_MODEL
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.model import load_model, scorer
from compassign_core.rt.predictions import predict_batches
from compassign_core.rt.scoring import table_source
from compassign_core.rt.source import BATCH_ROWS, Source, column_array
from compassign_core.rt.training import train_kind
from compassign_core.store.engine import connect

BAR = 1e6
KINDS = (DEFAULT_MODEL, "species_ridge")
STEPS = ("score", "file")
HALVES = ("first.parquet", "second.parquet")
SPECIES, SUPERCATEGORIES, COMPS, COMPS_A_RUN, DESCRIPTORS = 60, 6, 600, 180, 20
TRAINING_RUNS = 12 * SPECIES
IDS = ("species", "species_cluster", "comp_id", "compound")


def generate(runs: int, features: int, seed: int) -> Any:
    """Peaks of the comps of each run's species, `COMPS_A_RUN` a run, as an RT table."""
    truth = np.random.default_rng(0)
    offered = truth.permuted(np.tile(np.arange(COMPS), (SPECIES, 1)), axis=1)[:, :COMPS_A_RUN]
    pair = truth.normal(size=(SPECIES, COMPS)) * 0.03 + 5.0 + truth.normal(size=COMPS)
    slope = 0.7 / features + truth.normal(size=(COMPS, features)) * 0.05
    rng = np.random.default_rng([seed, 1])
    run = np.repeat(np.arange(runs), COMPS_A_RUN)
    run_x = rng.normal(size=(runs, features)) * 0.05
    species = run % SPECIES
    comp = offered[np.arange(runs) % SPECIES].ravel()
    rt = pair[species, comp] + 0.007 * rng.normal(size=run.size)
    rt += np.einsum("nf,nf->n", run_x[run], slope[comp])
    columns: dict[str, Any] = {
        "sampleset_id": run // (4 * SPECIES) * SPECIES + species,
        "worksheet_id": run // 8,
        "task_id": run,
        "species": species,
        "species_cluster": species % SUPERCATEGORIES,
        "comp_id": comp,
        "compound": comp,
        "compound_class": comp % 3,
        "rt": rt,
    }
    columns |= {f"IS_{j}": 4.0 + run_x[run, j] for j in range(features)}
    return pa.table(columns)


def prepare(folder: Path, rows: int, features: int, seed: int) -> None:
    """Write a model of each kind, their numbers of groups, and the rows to score."""
    connection = connect(EngineSettings(threads=1))
    table = generate(TRAINING_RUNS, features, seed)
    pq.write_table(table, folder / "train.parquet")
    z = np.random.default_rng(1).normal(size=(COMPS, DESCRIPTORS))
    descriptors = pa.table({"chem_id": np.arange(COMPS), "embedding20": list(z)})
    groups = {}
    for kind in KINDS:
        model = train_kind(
            kind,
            table_source(folder / "train.parquet"),
            WindowSettings(),
            connection,
            fingerprint="",
            embeddings=descriptors,
        )
        model.save(folder / f"{kind}.npz")
        groups[kind] = int(model.keys.size)
    (folder / "groups.json").write_text(json.dumps(groups), encoding="utf-8")
    for i, half in enumerate(HALVES):
        write_rows(folder / half, rows // 2, features, seed + 1 + 1000 * i)


def write_rows(path: Path, rows: int, features: int, seed: int) -> None:
    """Rows to score, written a piece at a time."""
    piece, written, writer = 1000, 0, None
    while written < rows:
        seed += 1
        table = generate(piece, features, seed)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        written += table.num_rows
    if writer:
        writer.close()


def run_step(step: str, model_path: Path, table: Path) -> dict[str, float]:
    """One step in this process: rows, seconds, and peak memory in MiB."""
    model = load_model(model_path)
    connection = connect(EngineSettings(threads=1))
    rows, cpu, wall = 0, 0.0, 0.0
    if step == "file":
        begin = time.process_time(), time.perf_counter()
        reader = predict_batches(table_source(table), model, connection)
        target = table.with_suffix(f".{model_path.stem}.scored")
        # dictionaries of numbers that hardly repeat would cost more than all the rest of writing
        words = [field.name for field in reader.schema if not pa.types.is_floating(field.type)]
        with pq.ParquetWriter(
            target, reader.schema, compression="zstd", use_dictionary=words
        ) as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        cpu, wall = time.process_time() - begin[0], time.perf_counter() - begin[1]
        target.unlink()
    else:
        scores, covariates = scorer(model), model.covariates.tolist()
        source = Source.open(connection, table_source(table))
        for batch in source.batches(IDS, covariates, rows=BATCH_ROWS):
            ids = {name: column_array(batch, name) for name in IDS}
            raw = np.column_stack([column_array(batch, name) for name in covariates])
            begin = time.process_time(), time.perf_counter()
            scores(ids, raw)
            cpu += time.process_time() - begin[0]
            wall += time.perf_counter() - begin[1]
            rows += batch.num_rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "cpu": cpu, "wall": wall, "peak_mib": peak}


def measure(step: str, model: Path, tables: list[Path]) -> dict[str, float]:
    """One process for each table, at the same time."""
    command = [sys.executable, __file__, "--step", step, "--model", str(model), "--table"]
    running = [
        subprocess.Popen([*command, str(table)], stdout=subprocess.PIPE, text=True)
        for table in tables
    ]
    results = []
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{step} with {model.name} ended with {process.returncode}")
        results.append(json.loads(output))
    rows = sum(r["rows"] for r in results)
    return {
        "processes": len(tables),
        "rows": rows,
        "cpu_seconds": sum(r["cpu"] for r in results),
        "rows_per_wall_second": rows / max(r["wall"] for r in results),
        "rows_per_cpu_second_times_processes": sum(r["rows"] / r["cpu"] for r in results),
        "peak_mib": max(r["peak_mib"] for r in results),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/scoring.json"))
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        with threadpool_limits(1):
            prepare(options.prepare, options.rows, options.features, options.seed)
        return
    if options.step:
        with threadpool_limits(1):
            print(json.dumps(run_step(options.step, options.model, options.table)))
        return
    cases = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ordered = [f"--rows={options.rows}", f"--features={options.features}"]
        ordered += [f"--seed={options.seed}", f"--prepare={folder}"]
        subprocess.run([sys.executable, __file__, *ordered], check=True)
        groups = json.loads((folder / "groups.json").read_text(encoding="utf-8"))
        halves = [folder / name for name in HALVES]
        header = "".join(f"{name:>10s}" for name in ("processes", "M rows/s", "quiet", "MiB"))
        print(f"{'kind':28s}{'step':8s}{header}")
        for kind in KINDS:
            for step in STEPS:
                for tables in (halves[:1], halves):
                    found = measure(step, folder / f"{kind}.npz", tables)
                    cases.append({"kind": kind, "groups": groups[kind], "step": step, **found})
                    wall = found["rows_per_wall_second"] / 1e6
                    quiet = found["rows_per_cpu_second_times_processes"] / 1e6
                    print(
                        f"{kind:28s}{step:8s}{len(tables):10d}{wall:10.2f}{quiet:10.2f}"
                        f"{found['peak_mib']:10.0f}"
                    )
    result = {"features": options.features, "bar_rows_per_second": BAR, "cases": cases}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
