"""RT tables drawn from the hierarchical model, with the truth that made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.train import train_pooling


@dataclass
class Drawn:
    table: dict[str, Any]
    embeddings: pa.Table
    sigma: np.ndarray  # of each row
    truth: dict[str, float]


def draw(
    seed: int = 0,
    *,
    n_species: int = 8,
    n_super: int = 2,
    n_comps: int = 25,
    n_runs: int = 48,
    features: int = 3,
    chemistry: int = 2,
    keep: float = 0.6,
    density: float = 0.8,
    noise_sd: float = 0.0,
    sigma: float = 0.01,
    missing: float = 0.0,
) -> Drawn:
    """Every run is of one species; `noise_sd` is the spread of log sigma over compounds."""
    rng = np.random.default_rng(seed)
    truth = {"sigma_y": sigma, "slope": 0.1, "tau_b": 0.03, "tau_comp": 0.4}
    truth |= {"tau_mu": 0.05, "tau_w": 0.1, "theta": 0.5}
    sc = np.arange(n_species) % n_super
    w_s = 0.3 + rng.normal(size=(n_super, features)) * truth["tau_w"]
    w_c = w_s[sc] + rng.normal(size=(n_species, features)) * truth["tau_w"]
    mu = 6.0 + (rng.normal(size=n_super) * truth["tau_mu"])[sc]
    mu = mu + rng.normal(size=n_species) * truth["tau_mu"]
    z = rng.normal(size=(n_comps + 5, chemistry))
    alpha = z[:n_comps] @ (rng.normal(size=chemistry) * truth["theta"])
    alpha = alpha + rng.normal(size=n_comps) * truth["tau_comp"]
    present = rng.uniform(size=(n_species, n_comps)) < density
    b = mu[:, None] + alpha + rng.normal(size=(n_species, n_comps)) * truth["tau_b"]
    w = w_c[:, None, :] + rng.normal(size=(n_species, n_comps, features)) * truth["slope"]
    sd = sigma * np.exp(noise_sd * rng.normal(size=n_comps))
    run = np.arange(n_runs)
    x = rng.normal(size=(n_runs, features)) * 0.2
    r, k = (a.ravel() for a in np.meshgrid(run, np.arange(n_comps), indexing="ij"))
    c = r % n_species
    kept = present[c, k] & (rng.uniform(size=r.size) < keep)
    r, k, c = r[kept], k[kept], c[kept]
    rt = b[c, k] + np.einsum("ij,ij->i", x[r], w[c, k]) + rng.normal(size=r.size) * sd[k]
    seen = np.where(rng.uniform(size=x.shape) < missing, np.nan, x + 4.0)
    table: dict[str, Any] = {
        "sampleset_id": c + n_species * (r % 4) + 100,
        "worksheet_id": r // 8 + 10,
        "task_id": r + 1000,
        "species": 2 * c + 1,
        "species_cluster": sc[c] + 3,
        "comp_id": k + 7,
        "compound": k + 500,
        "compound_class": k % 3,
        "rt": rt,
    }
    table |= {f"IS_{j}": seen[r, j] for j in range(features)}
    chem = pa.table({"chem_id": np.arange(n_comps + 5) + 500, "embedding20": list(z)})
    return Drawn(table, chem, sd[k], truth)


def subset(table: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    return {name: np.asarray(values)[rows] for name, values in table.items()}


def connect(table: dict[str, Any], name: str = "rt_rows") -> Any:
    connection = duckdb.connect()
    columns = {n: pa.array(v, from_pandas=True) for n, v in table.items()}
    connection.register(name, pa.table(columns))
    return connection


def train(
    table: dict[str, Any], embeddings: pa.Table, *, windows: Any = None, **settings: Any
) -> PoolingSummaries:
    made = PoolingSettings(**settings)
    return train_pooling(
        "rt_rows",
        made,
        windows or WindowSettings(),
        connect(table),
        model="pooled",
        fingerprint="f",
        embeddings=embeddings if made.chemistry else None,
    )
