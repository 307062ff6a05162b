"""Small RT tables with known truth, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

IDS = (
    "sampleset_id",
    "worksheet_id",
    "task_id",
    "species",
    "species_cluster",
    "comp_id",
    "compound",
    "compound_class",
)


def simulate(
    seed: int = 0,
    *,
    n_comps: int = 12,
    n_runs: int = 24,
    features: int = 3,
    slope_sd: float = 1.0,
    noise_sd: float = 0.01,
    noise_df: float = np.inf,
    run_sd: float = 0.0,
    keep: float = 1.0,
    missing: float = 0.0,
    samplesets: int = 6,
) -> dict[str, Any]:
    """Runs of four species in two supercategories; every comp in every run, thinned to `keep`.

    Slopes are N(0, slope_sd² noise variance of the group), as the model says; `run_sd` adds an
    effect common to a run, in units of the noise of the group.
    """
    rng = np.random.default_rng(seed)
    run = np.arange(n_runs)
    sampleset = run % samplesets
    species = sampleset % 4
    x = 5.0 + rng.normal(size=(n_runs, features)) * 0.3
    run_effect = rng.normal(size=n_runs) * run_sd
    comp = np.arange(n_comps)
    variance = np.full((2, n_comps), noise_sd**2)
    if np.isfinite(noise_df):
        variance *= noise_df / rng.chisquare(noise_df, size=variance.shape)
    slopes = rng.normal(size=(2, n_comps, features)) * slope_sd * np.sqrt(variance)[:, :, None]
    base = 2.0 + rng.uniform(size=(2, n_comps)) * 10.0
    r, k = (a.ravel() for a in np.meshgrid(run, comp, indexing="ij"))
    kept = rng.uniform(size=r.size) < keep
    r, k = r[kept], k[kept]
    s = species[r] // 2
    sd = np.sqrt(variance[s, k])
    noise = (rng.normal(size=r.size) + run_effect[r]) * sd
    rt = base[s, k] + np.einsum("ij,ij->i", x[r], slopes[s, k]) + noise
    seen = np.where(rng.uniform(size=x.shape) < missing, np.nan, x)
    table = {
        "sampleset_id": sampleset[r] + 100,
        "worksheet_id": sampleset[r] // 2 + 10,
        "task_id": r + 1000,
        "species": species[r],
        "species_cluster": s,
        "comp_id": k + 7,
        "compound": k + 500,
        "compound_class": k % 3,
        "rt": rt,
    }
    return table | {f"IS_{j}": seen[r, j] for j in range(features)}


def arrow(table: dict[str, Any]) -> pa.Table:
    """The table in Arrow, NaN as null."""
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in table.items()})


def register(table: dict[str, Any] | pa.Table, name: str = "rt_rows") -> Any:
    """A connection of its own with the table under `name`."""
    connection = duckdb.connect()
    connection.register(name, table if isinstance(table, pa.Table) else arrow(table))
    return connection


def shuffled(table: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same rows in another order."""
    order = np.random.default_rng(seed).permutation(table["rt"].size)
    return {name: np.asarray(values)[order] for name, values in table.items()}


def rows(table: dict[str, Any], mask: np.ndarray) -> dict[str, Any]:
    """Some rows of the table."""
    return {name: np.asarray(values)[mask] for name, values in table.items()}
