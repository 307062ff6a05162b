"""The benchmark of the preparation: every task can be measured, and pandas does the same."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from benchmarks import prep, prep_pandas

ROWS = 6000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small export, prepared by the product and in pandas."""
    folder = tmp_path_factory.mktemp("prep")
    prep.generate(folder, ROWS)
    for name in prep.steps():
        assert prep.make_step(folder, name)["rows_out"] >= 0
    for name in prep_pandas.STEPS:
        prep.pandas_step(folder, name)
    return folder


def _ours(place, table, columns, cap=None):
    folder = place / "lake" / table / f"lib_id={prep.LIB}" / (f"row_cap={cap}" if cap else "")
    return pd.read_parquet(folder / "data.parquet", columns=columns, partitioning=None)


def test_pandas_merges_the_same_peaks_with_the_same_covariates(place) -> None:
    ids = ["sampleset_id", "worksheet_id", "task_id", "comp_id"]
    ours = _ours(place, "lib_training", [*ids, "rt"])
    theirs = pd.read_parquet(place / "pandas" / "merge.parquet")
    names = ["sample_set_id", "worksheet_id", "task_id", "correct", "apex_rt"]
    assert (ours.to_numpy() == theirs[names].to_numpy()).all()
    covariates = [name for name in theirs if name.startswith(("IS", "RS"))]
    assert len(covariates) == prep.COVARIATES


def test_pandas_counts_the_same_pairs_and_refuses_the_same_rows(place) -> None:
    support = pd.read_parquet(place / "pandas" / "support.parquet")
    ours = _ours(place, "species_compound_support", ["n_rows"])
    assert sorted(ours["n_rows"]) == sorted(support["train"] + support["test"])
    refused = pd.read_parquet(place / "pandas" / "merge_rejects.parquet")
    assert len(refused) == len(_ours(place, "lib_training_rejects", ["reason"]))


def test_both_rt_tables_have_the_same_columns_but_for_names(place) -> None:
    theirs = pd.read_parquet(place / "pandas" / "rt_table.parquet")
    ours = _ours(place, "rt_table", None, prep.CAP)
    assert len(ours.columns) == len(theirs.columns)
    counts = theirs.groupby(prep_pandas.PAIR).size()
    assert counts.max() <= prep.CAP


def test_floors_and_cap_sampling_write_every_row(place) -> None:
    truth = json.loads((place / "truth.json").read_text())
    assert prep.rewrite_shards(place)["rows"] == truth["rows_raw"]
    assert prep.widen(place)["rows"] == truth["rows_raw"]
    assert prep.rewrite_wide(place)["rows"] == truth["rows_raw"]
    assert prep.prepare_sixteen(place)["rows"] == truth["rows_training"]
    found = prep.cap_sampling(place)
    assert 0 < found["rows_out"] <= found["rows"] == truth["rows_training"]


def test_a_step_in_a_process_of_its_own_reports_time_and_memory(place) -> None:
    found = prep.in_a_process("floor shards", place, memory="1GB", threads=1)
    assert found["cpu_seconds"] > 0 and found["seconds"] > 0
    assert 20 < found["peak_mb"] < 4000


def test_growth_is_the_exponent_of_rows() -> None:
    sizes = [{"rows": n, "chain total": {"cpu_seconds": 3.0 * n**1.5}} for n in (10, 40, 160)]
    assert prep.growth(sizes) == pytest.approx(1.5)
    assert prep.growth(sizes[:1]) is None
