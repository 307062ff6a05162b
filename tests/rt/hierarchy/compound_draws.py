"""RT tables drawn from the compound tree, with the truth that made them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tests.rt.hierarchy.tables import Drawn

TRUTH = {
    "sigma_y": 0.01,
    "slope": 0.05,
    "tau_b": 0.03,
    "tau_comp": 0.4,
    "tau_w_comp": 0.3,
    "tau_mu": 0.05,
    "tau_mu_pair[0]": 0.04,
    "tau_mu_pair[1]": 0.15,
    "tau_mu_pair[2]": 0.1,
    "tau_w_pair[0]": 0.05,
    "tau_w_pair[1]": 0.25,
    "tau_w_pair[2]": 0.1,
    "theta": 0.5,
}


def draw_compounds(
    seed: int, *, n_species: int = 8, n_comps: int = 25, n_runs: int = 48, density: float = 0.8
) -> Drawn:
    """Three supercategories, the first homogeneous; every run is of one species.

    With two, their spreads about the compounds could be told apart only through their sum.
    """
    rng = np.random.default_rng(seed)
    t, features, n_super = TRUTH, 3, 3
    sc = np.arange(n_species) % n_super
    z = rng.normal(size=(n_comps + 5, 2))
    mu = (rng.normal(size=n_super)[sc] + rng.normal(size=n_species)) * t["tau_mu"]
    b_k = 6.0 + z[:n_comps] @ (rng.normal(size=2) * t["theta"])
    b_k = b_k + rng.normal(size=n_comps) * t["tau_comp"]
    w_k = 0.3 + rng.normal(size=(n_comps, features)) * t["tau_w_comp"]
    pair, slope = (
        np.array([t[f"{name}[{s}]"] for s in range(n_super)])
        for name in ("tau_mu_pair", "tau_w_pair")
    )
    b_sk = b_k + rng.normal(size=(n_super, n_comps)) * pair[:, None]
    w_sk = w_k + rng.normal(size=(n_super, n_comps, features)) * slope[:, None, None]
    b = b_sk[sc] + mu[:, None] + rng.normal(size=(n_species, n_comps)) * t["tau_b"]
    w = w_sk[sc] + rng.normal(size=(n_species, n_comps, features)) * t["slope"]
    present = rng.uniform(size=(n_species, n_comps)) < density
    x = rng.normal(size=(n_runs, features)) * 0.2
    r, k = (a.ravel() for a in np.meshgrid(np.arange(n_runs), np.arange(n_comps), indexing="ij"))
    c = r % n_species
    kept = present[c, k] & (rng.uniform(size=r.size) < 0.7)
    r, k, c = r[kept], k[kept], c[kept]
    rt = b[c, k] + np.einsum("ij,ij->i", x[r], w[c, k]) + rng.normal(size=r.size) * t["sigma_y"]
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
    table |= {f"IS_{j}": x[r, j] + 4.0 for j in range(features)}
    chem = pa.table({"chem_id": np.arange(n_comps + 5) + 500, "embedding20": list(z)})
    return Drawn(table, chem, np.full(rt.size, t["sigma_y"]), TRUTH)
