"""The same export in other files: rows shuffled, dealt to other shards, folders and row groups."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from compassign_core.simulate import layout
from tests.support import export_oracle as oracle


def reshard(folder: Path, lib: int, seed: int) -> None:
    """Shuffle all peaks over other files of other compound groups, and runs within their label."""
    rng = np.random.default_rng(seed)
    old = layout.peak_shards(folder, lib)
    peaks = pa.concat_tables(layout.read_shard(path) for path in old)
    for path in old:
        path.unlink()
    peaks = peaks.take(rng.permutation(peaks.num_rows))
    edges = np.sort(rng.integers(0, peaks.num_rows, 4)).tolist()
    for part, (start, stop) in enumerate(zip([0, *edges], [*edges, peaks.num_rows], strict=True)):
        name = f"group=other {part % 2}/{rng.integers(10**9)}-{part}.parquet"
        _write(layout.peak_folder(folder, lib) / name, peaks.slice(start, stop - start), rng)
    for path in layout.covariate_shards(folder, lib):
        runs = layout.read_shard(path)
        path.unlink()
        runs = runs.take(rng.permutation(runs.num_rows))
        half = runs.num_rows // 2
        _write(path.with_name("a.parquet"), runs.slice(0, half), rng)
        _write(path.with_name("b.parquet"), runs.slice(half), rng)


def _write(path: Path, table: pa.Table, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=int(rng.integers(20, 200)))


def merge(exports: list[oracle.Export], target: Path) -> None:
    """All libraries in one file: ids as doubles, comp_id and batch as names, covariates beside.

    Only curated peaks with covariates are in it, as in a merged file that another program made.
    """
    parts = []
    for export in exports:
        label = "split_part(split_part(filename, 'species_matrix_type=', 2), '/', 1)"
        parts.append(
            f"""
            SELECT {export.lib}::DOUBLE AS lib_id, peaks.sample_set_id,
                   peaks.task_id::DOUBLE AS task_id, peaks.worksheet_id::DOUBLE AS batch,
                   peaks.correct::DOUBLE AS comp_id, peaks.apex_rt, peaks.species_matrix_type,
                   peaks.cpd_status, peaks.sample_type, peaks.run_order, peaks.peak_area,
                   regexp_extract(peaks.filename, 'group=([^/]*)/', 1) AS cpd_group,
                   runs.* EXCLUDE (sample_set_id, task_id, label, filename)
            FROM read_parquet('{export.peaks}', hive_partitioning = false, filename = true) AS peaks
            JOIN (SELECT *, {label} AS label FROM read_parquet(
                      '{export.covariates}', hive_partitioning = false, filename = true)) AS runs
                ON runs.sample_set_id = peaks.sample_set_id AND runs.task_id = peaks.task_id
                AND runs.label = peaks.species_matrix_type
            WHERE peaks.cpd_status IN ('Complete', 'Complete - NFS')
              AND peaks.sample_type <> 'PRCS'"""
        )
    query = " UNION ALL BY NAME ".join(f"({part})" for part in parts)
    with duckdb.connect() as db:
        db.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet)")
