"""Seconds and memory of the preparation, step by step, beside a floor and beside pandas.

Run ``python -m benchmarks.prep``; prints tables and writes JSON. Exports with known truth are
generated at each size (60 covariates, hundreds of shards), and every artifact from the files of the
export to the RT table and the held-out peaks is made as a user makes it: through the gate, with all
checks, synced to disk and with its lineage. Every step runs in a process of its own, so that its
peak memory is its own; importing is not counted.

Yardsticks, measured in the same run and in processes of their own:

* floor: DuckDB reads the same bytes and writes them again, with no work between. `shards` are the
  peak shards as they stand in the export; `peaks x covariates` is what these rows are with the
  standards of their run beside each (the merged form of an export). The second is the floor of
  the bars.
* pandas: the same steps written straight down (`benchmarks.prep_pandas`), to `--pandas-rows`.
* cap sampling: ranking and capping of one table of 16 columns, by the product's own functions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_STAGES = "compassign_core.pipeline.stages"
LIB = 900
CAP = 100
COVARIATES = 60
COMPS, SPECIES, SAMPLE_SETS, GROUPS, PARTS = 600, 20, 8, 20, 10
ROWS_A_RUN = COMPS * 0.9 * 0.8 * 0.95
"""Peaks that a run of the generator has on average, see `simulate.export`."""

ENDS = ("rt_table", "realtest_table")
"""Tables that the chain ends in."""

BARS = {
    "cap sampling, CPU s": 20.0,
    "cap sampling, peak MB": 1200.0,
    "chain / floor, CPU": 4.0,
    "pandas / chain, CPU": 10.0,
    "peak MB above the limit": 500.0,
}

Found = dict[str, Any]


# -- one task in this process ------------------------------------------------------------------


def generate(folder: Path, rows: int) -> Found:
    """An export of about `rows` peaks with its `libraries.toml`, below ``folder/data``."""
    from compassign_core.contracts.settings.simulate import SimulationSettings
    from compassign_core.simulate.export import simulate_export

    # small sizes keep every kind of thing, in fewer pieces
    small = rows < 200_000
    settings = SimulationSettings(
        libs=(LIB,),
        n_supercategories=5,
        n_species=SPECIES,
        n_sample_sets=2 if small else SAMPLE_SETS,
        n_runs=max(1, round(rows / (ROWS_A_RUN * SPECIES * (2 if small else SAMPLE_SETS)))),
        n_comps=COMPS,
        n_comp_groups=3 if small else GROUPS,
        n_parts=2 if small else PARTS,
        n_internal_standards=COVARIATES - 10,
        n_retention_standards=10,
    )
    truth = simulate_export(folder / "data", settings).libraries[LIB]
    facts = {
        "rows_raw": truth.rows_raw,
        "rows_training": truth.rows_complete,
        "pairs": truth.pairs,
        "runs": truth.runs,
    }
    (folder / "truth.json").write_text(json.dumps(facts), encoding="utf-8")
    return {"rows": truth.rows_raw}


def steps() -> tuple[str, ...]:
    """Artifacts of the chain, upstream first: all that the tables at its end are made from."""
    from compassign_core.pipeline.artifacts import upstream_first
    from compassign_core.pipeline.stages import ARTIFACTS

    found, todo = set(), list(ENDS)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += ARTIFACTS[name].upstream
    return upstream_first(found)


def make_step(folder: Path, name: str) -> Found:
    """Make one artifact of the chain and compare its rows with the truth where that is known."""
    from compassign_core.contracts.catalogue import contract
    from compassign_core.pipeline.make import make
    from compassign_core.pipeline.stages import ARTIFACTS
    from compassign_core.store.lake import Partition

    assert name in ARTIFACTS
    project, dimensions = _project(folder), contract(name).partitions
    partition = Partition(
        LIB if "lib_id" in dimensions else None, CAP if "row_cap" in dimensions else None
    )
    make(project, name, partition)
    report = json.loads(project.lake.file(name, partition, "step.json").read_text(encoding="utf-8"))
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    if name == "lib_training":
        assert report["rows_in"] == truth["rows_raw"], (report["rows_in"], truth)
        assert report["rows_out"] == truth["rows_training"], (report["rows_out"], truth)
    if name == "species_compound_support":
        assert report["rows_out"] == truth["pairs"], (report["rows_out"], truth)
    return {"rows": report["rows_in"], "rows_out": report["rows_out"]}


def rewrite_shards(folder: Path) -> Found:
    """Floor: all peak shards to one file."""
    return _rewrite(folder, f"SELECT * FROM {_peaks(folder)}")


def widen(folder: Path) -> Found:
    """Not measured: the peaks with their covariates, in rows as they come, for `rewrite_wide`."""
    runs = f"read_parquet('{folder}/data/combine_predictors/lib_id={LIB}/*/*.parquet')"
    query = f"""SELECT * FROM {_peaks(folder)} AS peaks
                JOIN (SELECT * EXCLUDE (sample_set_id, species_matrix_type) FROM {runs}) AS runs
                USING (task_id)"""
    return _rewrite(folder, query, folder / "wide.parquet")


def rewrite_wide(folder: Path) -> Found:
    """Floor: the peaks with their covariates, from one file to another."""
    return _rewrite(folder, f"SELECT * FROM read_parquet('{folder / 'wide.parquet'}')")


def prepare_sixteen(folder: Path) -> Found:
    """Not measured: `lib_training` with so many standards beside it that it has 16 columns."""
    project = _project(folder)
    lake, partition = project.lake, _library_partition()
    runs = lake.source("run_covariates", partition)
    names = ", ".join(f"runs.IS_{i:02d}" for i in range(6))
    query = f"""SELECT peaks.* EXCLUDE (filename), {names}
                FROM {_narrow_peaks(folder)} AS peaks
                JOIN {runs} AS runs USING (sampleset_id, task_id, species_matrix_type)"""
    return _rewrite(folder, query, folder / "sixteen.parquet")


def cap_sampling(folder: Path) -> Found:
    """Rank and cap a table of 16 columns; both tables are written with all its numbers."""
    from dataclasses import replace

    from compassign_core.contracts.catalogue import CAPPED_TRAINING, RANKED_TRAINING
    from compassign_core.contracts.settings.prep import PrepSettings
    from compassign_core.prep.ranking import build_capped_training, build_ranked_training
    from compassign_core.store.lake import Partition, parquet_source

    lake, partition = _project(folder).lake, _library_partition()
    ranked = build_ranked_training(
        lake.connection,
        parquet_source(folder / "sixteen.parquet"),
        lake.source("species_mapping", partition),
        lake.source("fold_assignment", partition),
        PrepSettings(),
    )
    staged = lake.stage(ranked.table, replace(RANKED_TRAINING, covariates=True), partition)
    capped = build_capped_training(lake.connection, staged.source, CAP)
    again = lake.stage(capped.table, replace(CAPPED_TRAINING, covariates=True), Partition(LIB, CAP))
    rows = {"rows": ranked.rows_in, "rows_out": again.n_rows}
    staged.discard()
    again.discard()
    return rows


def pandas_step(folder: Path, name: str) -> Found:
    """One step of the same chain in pandas."""
    from benchmarks import prep_pandas

    return prep_pandas.run(name, folder, LIB, CAP)


def _project(folder: Path) -> Any:
    from compassign_core.store.project import Project

    return Project(folder, folder / "data")


def _library_partition() -> Any:
    from compassign_core.store.lake import Partition

    return Partition(LIB)


def _peaks(folder: Path) -> str:
    shards = f"{folder}/data/create_training_data/lib_id={LIB}/*/*.parquet"
    return f"read_parquet('{shards}', hive_partitioning = false)"


def _narrow_peaks(folder: Path) -> str:
    """`lib_training` as it stands in the lake, without what it may carry beside its columns."""
    project = _project(folder)
    from compassign_core.contracts.catalogue import LIB_TRAINING

    columns = ", ".join(LIB_TRAINING.names())
    source = project.lake.source("lib_training", _library_partition())
    return f"(SELECT {columns}, NULL AS filename FROM {source})"


def _rewrite(folder: Path, query: str, target: Path | None = None) -> Found:
    connection = _project(folder).lake.connection
    written = target or folder / "rewritten.parquet"
    connection.execute(
        f"COPY ({query}) TO '{written}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
    )
    ((rows,),) = connection.execute(f"SELECT count(*) FROM read_parquet('{written}')").fetchall()
    if target is None:
        written.unlink()
    return {"rows": rows, "rows_out": rows}


# -- measuring ---------------------------------------------------------------------------------

TASKS: Mapping[str, Callable[..., Found]] = {
    "step": make_step,
    "floor shards": rewrite_shards,
    "widen": widen,
    "floor wide": rewrite_wide,
    "prepare sixteen": prepare_sixteen,
    "cap sampling": cap_sampling,
    "pandas": pandas_step,
}


def in_this_process(task: str, folder: Path, argument: str | None) -> Found:
    """Run a task here; seconds, CPU seconds of all threads, and peak memory in MB."""
    _import_all(task)
    wall, cpu = time.perf_counter(), _cpu()
    if task == "generate":
        assert argument is not None
        found = generate(folder, int(argument))
    else:
        found = TASKS[task](folder, *([argument] if argument else []))
    return {
        **found,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": _cpu() - cpu,
        "peak_mb": _peak_mb(),
    }


def in_a_process(
    task: str, folder: Path, argument: str | None = None, *, memory: str, threads: int
) -> Found:
    """The same in a fresh process with a memory limit and threads for DuckDB."""
    command = [sys.executable, "-m", "benchmarks.prep", "--task", task, "--folder", str(folder)]
    if argument:
        command += ["--argument", argument]
    settings = {
        "COMPASSIGN_MEMORY_LIMIT": memory,
        "COMPASSIGN_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"{task} {argument or ''} ended with {done.returncode}")
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def _import_all(task: str) -> None:
    import_module("benchmarks.prep_pandas" if task == "pandas" else _STAGES)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mb() -> float:
    """Peak resident memory of this process image; `ru_maxrss` may be that of the parent."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


# -- the whole benchmark -----------------------------------------------------------------------


def measure(folder: Path, rows: int, options: argparse.Namespace) -> Found:
    """Everything at one size."""
    from benchmarks.prep_pandas import STEPS as PANDAS_STEPS

    def run(task: str, argument: str | None = None, memory: str = options.memory) -> Found:
        return in_a_process(task, folder, argument, memory=memory, threads=options.threads)

    def shown(name: str, found: Found) -> Found:
        return _line(name, found, made["rows"])

    made = run("generate", str(rows))
    size: Found = {"rows": made["rows"], "generate": made}
    print(f"\n{made['rows']:,} peak rows, {COVARIATES} covariates")
    print(f"{'':34s}{'seconds':>9s}{'CPU s':>9s}{'peak MB':>9s}{'M rows/s':>10s}")
    shown("generate", made)
    size["chain"] = {name: shown(name, run("step", name)) for name in steps()}
    size["chain total"] = shown("chain", _total(size["chain"]))
    size["floor"] = {"shards": shown("floor: shards", run("floor shards"))}
    run("widen")
    size["floor"]["peaks x covariates"] = shown("floor: peaks x covariates", run("floor wide"))
    (folder / "wide.parquet").unlink()
    run("prepare sixteen")
    size["cap sampling"] = shown("cap sampling", run("cap sampling", memory=options.cap_memory))
    (folder / "sixteen.parquet").unlink()
    if rows <= options.pandas_rows:
        shutil.rmtree(folder / "lake")
        size["pandas"] = {
            name: shown(f"pandas: {name}", run("pandas", name)) for name in PANDAS_STEPS
        }
        size["pandas total"] = shown("pandas", _total(size["pandas"]))
    return size


def _total(steps: Mapping[str, Found]) -> Found:
    return {
        "seconds": sum(step["seconds"] for step in steps.values()),
        "cpu_seconds": sum(step["cpu_seconds"] for step in steps.values()),
        "peak_mb": max(step["peak_mb"] for step in steps.values()),
    }


def _line(name: str, found: Found, rows: int) -> Found:
    """Print one line of the table and hand its numbers on; speed is in peak rows of the export."""
    speed = rows / found["seconds"] / 1e6
    print(
        f"{name:34s}{found['seconds']:9.2f}{found['cpu_seconds']:9.2f}{found['peak_mb']:9.0f}"
        f"{speed:10.2f}",
        flush=True,
    )
    return found


def against_bars(size: Found, memory_mb: float) -> dict[str, float]:
    """What the bars are about, at one size."""
    chain, sampling = size["chain total"], size["cap sampling"]
    found = {
        "cap sampling, CPU s": sampling["cpu_seconds"],
        "cap sampling, peak MB": sampling["peak_mb"],
        "chain / floor, CPU": chain["cpu_seconds"]
        / size["floor"]["peaks x covariates"]["cpu_seconds"],
        "chain / floor of the shards, CPU": chain["cpu_seconds"]
        / size["floor"]["shards"]["cpu_seconds"],
        "peak MB above the limit": chain["peak_mb"] - memory_mb,
    }
    if "pandas total" in size:
        found["pandas / chain, CPU"] = size["pandas total"]["cpu_seconds"] / chain["cpu_seconds"]
    return found


def growth(sizes: list[Found]) -> float | None:
    """Exponent of CPU seconds in rows between the smallest and the largest size; 1 is linear."""
    import math

    if len(sizes) < 2:
        return None
    first, last = sizes[0], sizes[-1]
    work = last["chain total"]["cpu_seconds"] / first["chain total"]["cpu_seconds"]
    return math.log(work) / math.log(last["rows"] / first["rows"])


def _megabytes(limit: str) -> float:
    units = {"KB": 1e-3, "MB": 1.0, "GB": 1e3, "TB": 1e6}
    return float(limit[:-2]) * units[limit[-2:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument(
        "--pandas-rows", type=int, default=5_000_000, help="largest size for pandas"
    )
    parser.add_argument("--memory", default="4GB", help="limit of DuckDB")
    parser.add_argument("--cap-memory", default="800MB", help="the same for cap sampling alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one tiny size, in seconds")
    parser.add_argument("--place", type=Path, help="folder for what is generated")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/prep.json"))
    parser.add_argument("--task", choices=("generate", *TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--argument", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(in_this_process(options.task, options.folder, options.argument)))
        return
    sizes = []
    for rows in sorted([20_000] if options.quick else options.rows):
        with tempfile.TemporaryDirectory(dir=options.place) as place:
            sizes.append(measure(Path(place), rows, options))
    result: Found = {
        "memory_limit": options.memory,
        "cap_sampling_memory_limit": options.cap_memory,
        "threads": options.threads,
        "covariates": COVARIATES,
        "cap": CAP,
        "bars": BARS,
        "sizes": sizes,
        "growth of CPU seconds in rows": growth(sizes),
        "found": {
            str(size["rows"]): against_bars(size, _megabytes(options.memory)) for size in sizes
        },
    }
    print()
    for size in sizes:
        print(f"{size['rows']:,} rows")
        for name, value in against_bars(size, _megabytes(options.memory)).items():
            bar = f"   bar {BARS[name]:g}" if name in BARS else ""
            print(f"  {name:34s}{value:10.2f}{bar}")
    if len(sizes) > 1:
        print(f"CPU seconds grow with rows to the power {growth(sizes):.2f}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
