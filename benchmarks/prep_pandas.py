"""The preparation written straight down in pandas, as a yardstick for `benchmarks.prep`.

The same tables as the product's up to what is drawn at random: the same rules, caps and hold-out
shares, refused rows in a file of their own, and each table checked for nulls, finite numbers and
unique keys before it is written. Sampling is by a shuffle; there are no checks between tables and
no lineage, and files are written in place. Tables carry the covariates of their run from the merge
on, as is usual. Nothing is done row by row or group by group; each step reads whole Parquet files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

STATUSES = ("Complete", "Complete - NFS")
RUN = ["sample_set_id", "worksheet_id", "task_id"]
PAIR = ["species_cluster", "species", "correct"]
TEST_SHARE = 0.25
KEYS = {"folds": ["sample_set_id"], "support": PAIR}
"""Keys of tables that are not of peaks."""


def run(name: str, folder: Path, lib: int, cap: int) -> dict[str, int]:
    """One step of `STEPS`; rows read and rows written."""
    place = folder / "pandas"
    place.mkdir(exist_ok=True)
    rows_in, table = STEPS[name](folder / "data", place, lib, cap)
    _check(table, KEYS.get(name, [*RUN, "correct"]))
    table.to_parquet(place / f"{name}.parquet", index=False)
    if name == "merge":
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        assert len(table) == truth["rows_training"], (len(table), truth)
    return {"rows": rows_in, "rows_out": len(table)}


def _check(table: pd.DataFrame, key: list[str]) -> None:
    """No nulls but in covariates and labels, finite numbers, no key twice."""
    covariates = [name for name in table if name.startswith(("IS", "RS", "ES_"))]
    assert table[key].notna().all().all()
    assert not np.isinf(table[covariates].to_numpy()).any()
    assert "apex_rt" not in table or (np.isfinite(table["apex_rt"]) & (table["apex_rt"] > 0)).all()
    assert not table.duplicated(key).any()


def merge(data: Path, place: Path, lib: int, _cap: int) -> tuple[int, pd.DataFrame]:
    """All shards, curated rows, joined with the covariates of their run."""
    shards = sorted((data / "create_training_data" / f"lib_id={lib}").glob("*/*.parquet"))
    peaks = pd.concat([_shard(path) for path in shards], ignore_index=True)
    rows_in = len(peaks)
    good = peaks["cpd_status"].isin(STATUSES) & (peaks["sample_type"] != "PRCS")
    good &= np.isfinite(peaks["apex_rt"]) & (peaks["apex_rt"] > 0)
    refused = peaks.loc[~good, [*RUN, "correct", "apex_rt", "cpd_status", "source_file"]]
    refused.to_parquet(place / "merge_rejects.parquet", index=False)
    peaks = peaks[good]
    runs = []
    for path in sorted((data / "combine_predictors" / f"lib_id={lib}").glob("*/*.parquet")):
        frame = pd.read_parquet(path, partitioning=None)
        frame["species_matrix_type"] = path.parent.name.split("=", 1)[1]
        runs.append(frame)
    covariates = pd.concat(runs, ignore_index=True).drop_duplicates(
        ["sample_set_id", "task_id", "species_matrix_type"]
    )
    merged = peaks.merge(covariates, on=["sample_set_id", "task_id", "species_matrix_type"])
    merged = merged.drop_duplicates([*RUN, "correct"])
    merged["sample_set_id"] = merged["sample_set_id"].astype(np.int64)
    return rows_in, merged.sort_values([*RUN, "correct"])


def _shard(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path, partitioning=None)
    return frame.assign(cpd_group=path.parent.name.split("=", 1)[1], source_file=str(path))


def folds(data: Path, place: Path, lib: int, _cap: int) -> tuple[int, pd.DataFrame]:
    """Species and supercategory as numbers, and a quarter of each species' sample sets held out."""
    metadata = pd.read_csv(data / "metadata" / f"sample_sets_lib{lib}.csv")
    metadata["species"] = metadata["species_matrix_type"].astype("category").cat.codes
    metadata["species_cluster"] = metadata["group"].astype("category").cat.codes
    present = pd.read_parquet(place / "merge.parquet", columns=["sample_set_id"])
    rows = present["sample_set_id"].value_counts()
    table = metadata[metadata["sample_set_id"].isin(rows.index)]
    table = table.sample(frac=1, random_state=0)
    order = table.groupby("species").cumcount()
    n_sets = table.groupby("species")["sample_set_id"].transform("size")
    n_test = np.where(n_sets < 2, 0, np.maximum(1, np.floor(n_sets * TEST_SHARE + 0.5)))
    table["fold"] = np.where(order < n_test, "test", "train")
    return len(present), table[["sample_set_id", "species", "species_cluster", "fold"]]


def support(_data: Path, place: Path, _lib: int, _cap: int) -> tuple[int, pd.DataFrame]:
    """Rows of each pair, and of these in each fold."""
    peaks = pd.read_parquet(place / "merge.parquet", columns=["sample_set_id", "correct"])
    joined = peaks.merge(pd.read_parquet(place / "folds.parquet"), on="sample_set_id")
    counted = joined.groupby([*PAIR, "fold"]).size().unstack("fold", fill_value=0)
    return len(peaks), counted.reset_index()


def ranked(_data: Path, place: Path, _lib: int, _cap: int) -> tuple[int, pd.DataFrame]:
    """Training rows in random order within their pair, up to the largest cap."""
    peaks = pd.read_parquet(place / "merge.parquet")
    held = pd.read_parquet(place / "folds.parquet")
    train = peaks.merge(held[held["fold"] == "train"], on="sample_set_id")
    drawn = train.sample(frac=1, random_state=0)
    drawn["pair_rank"] = drawn.groupby(PAIR).cumcount() + 1
    return len(peaks), drawn[drawn["pair_rank"] <= 100].sort_values([*PAIR, "pair_rank"])


def capped(_data: Path, place: Path, _lib: int, cap: int) -> tuple[int, pd.DataFrame]:
    """At most `cap` training rows of each pair."""
    peaks = pd.read_parquet(place / "ranked.parquet")
    return len(peaks), peaks[peaks["pair_rank"] <= cap]


def chemistry(data: Path, place: Path, lib: int, _cap: int) -> tuple[int, pd.DataFrame]:
    """Chemistry attached to the capped rows."""
    peaks = pd.read_parquet(place / "capped.parquet")
    return len(peaks), _with_chemistry(peaks, data, lib)


def rt_table(_data: Path, place: Path, _lib: int, _cap: int) -> tuple[int, pd.DataFrame]:
    """Ids, time and covariates, nothing else."""
    peaks = pd.read_parquet(place / "chemistry.parquet")
    return len(peaks), _rt_columns(peaks).sort_values([*PAIR, *RUN])


def realtest(data: Path, place: Path, lib: int, _cap: int) -> tuple[int, pd.DataFrame]:
    """All rows of the held-out sample sets, in the columns of the RT table."""
    peaks = pd.read_parquet(place / "merge.parquet")
    held = pd.read_parquet(place / "folds.parquet")
    test = peaks.merge(held[held["fold"] == "test"], on="sample_set_id")
    table = _rt_columns(_with_chemistry(test, data, lib))
    return len(peaks), table.sort_values([*PAIR, *RUN])


def _with_chemistry(peaks: pd.DataFrame, data: Path, lib: int) -> pd.DataFrame:
    """Chemicals of the entries; the class is the chemical itself, since k-means costs the same."""
    mapping = pd.read_csv(data / "mappings" / f"lib_comp_chem_mapping_lib{lib}.csv")
    table = peaks.merge(
        mapping[["comp_id", "chemical_id"]], how="left", left_on="correct", right_on="comp_id"
    )
    table["compound"] = table["chemical_id"].fillna(-1).astype(np.int64)
    table["compound_class"] = table["compound"]
    return table


def _rt_columns(table: pd.DataFrame) -> pd.DataFrame:
    covariates = sorted(name for name in table if name.startswith(("IS", "RS", "ES_")))
    ids = [*RUN, "species", "species_cluster", "correct", "compound", "compound_class", "apex_rt"]
    return table[[*ids, *covariates]]


Step = Callable[[Path, Path, int, int], tuple[int, pd.DataFrame]]
STEPS: dict[str, Step] = {
    "merge": merge,
    "folds": folds,
    "support": support,
    "ranked": ranked,
    "capped": capped,
    "chemistry": chemistry,
    "rt_table": rt_table,
    "realtest": realtest,
}
"""In the order in which they read each other."""
