"""Readable words for ids and levels."""

from __future__ import annotations

import pyarrow as pa

NOVELTY_WORDS = {
    "seen": "seen",
    "unseen_pair": "new pair",
    "unseen_species": "new species",
    "unseen_compound": "new compound",
}


def level_labels(windows: pa.Table) -> dict[str, dict[str, str]]:
    """Readable labels of species and supercategory ids, by slice, from the windows table."""
    keys = ("species_cluster", "species", "species_raw")
    named = windows.select(list(keys)).group_by(list(keys)).aggregate([])
    rows = named.sort_by([(key, "ascending") for key in keys]).to_pylist()
    species = {str(row["species"]): str(row["species_raw"]) for row in rows}
    members: dict[str, list[str]] = {}
    for row in rows:
        members.setdefault(str(row["species_cluster"]), []).append(str(row["species_raw"]))
    clusters = {key: f"{key}: {', '.join(names)}" for key, names in members.items()}
    return {"species": species, "supercategory": clusters}
