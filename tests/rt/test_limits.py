"""Quick looks: whole groups and rows taken by a keyed hash, nested and counted."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from compassign_core.contracts.catalogue import RT_TABLE
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.prep.keyed_hash import keyed_hash
from compassign_core.rt.keyed_cut import SEED_SHIFT, hashed_rows
from compassign_core.rt.limits import limited
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.source import Source
from compassign_core.rt.table import open_training, read_training
from compassign_core.rt.training import train_kind
from compassign_core.store.lake import ibis_source
from tests.rt import rt_tables

WIDTHS = list(enumerate((4, 20, 31, 53)))


def read(table: dict[str, Any], **limits: int) -> TrainingRows:
    made = TrainingLimits(**limits)
    return read_training("rt_rows", RidgeSettings(), rt_tables.register(table), limits=made)[0]


def names(rows: TrainingRows) -> set[tuple[int, ...]]:
    ids = [rows.ids[name] for name in ("sampleset_id", "worksheet_id", "task_id", "comp_id")]
    return set(map(tuple, np.column_stack(ids).tolist()))


def test_groups_are_taken_whole() -> None:
    table = rt_tables.simulate(keep=0.7)
    whole, some = read(table), read(table, max_groups=9)
    assert some.keys.size == 9
    at = np.searchsorted(whole.keys, some.keys)
    np.testing.assert_array_equal(whole.count[at], some.count)


def test_rows_are_taken_exactly_as_many() -> None:
    table = rt_tables.simulate()
    assert read(table, max_train_rows=37).y.size == 37
    assert read(table, max_train_rows=10**6).y.size == table["rt"].size
    both = read(table, max_groups=5, max_train_rows=40)
    assert (both.keys.size, both.y.size) == (5, 40)


@pytest.mark.parametrize("limit", ["max_groups", "max_train_rows"])
def test_a_smaller_limit_takes_a_part_of_a_larger_one_in_any_order(limit: str) -> None:
    table = rt_tables.simulate(keep=0.7)
    taken = [names(read(table, **{limit: most})) for most in (3, 8, 15)]
    assert taken[0] < taken[1] < taken[2]
    again = names(read(rt_tables.shuffled(table, 1), **{limit: 8}))
    assert again == taken[1]
    assert names(read(table, **{limit: 8}, seed=7)) != taken[1]


def test_rows_left_out_are_counted_in_the_model() -> None:
    table = rt_tables.simulate()
    n, connection = table["rt"].size, rt_tables.register(table)
    limits = TrainingLimits(max_groups=10, max_train_rows=100)
    with open_training("rt_rows", RidgeSettings(), connection, limits=limits) as opened:
        of_groups = int(read(table, max_groups=10).y.size)
        assert opened.left_out == {"groups": 14, "rows": of_groups - 100}
        assert of_groups < n
    for kind in ("supercategory_ridge", "supercategory_lasso"):
        model = train_kind(
            kind, "rt_rows", WindowSettings(), connection, fingerprint="f", limits=limits
        )
        assert model.n_train.sum() == 100
        assert model.n_groups <= 10
        left_out = json.loads(model.settings)["left_out_of_training"]
        assert left_out == {"groups": 14, "rows": of_groups - 100}


@pytest.mark.parametrize("seed", [0, 42, 2**31 - 1])
def test_the_hash_of_a_cut_is_that_of_the_sampling_under_another_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    connection = duckdb.connect()
    connection.register("t", pa.table({f"c{k}": rng.integers(0, 2**b, 300) for k, b in WIDTHS}))
    names = [f"c{k}" for k, _ in WIDTHS]
    ours = connection.sql(f"FROM {hashed_rows(Source.open(connection, 't'), names, seed)}").df()
    rows = ibis_source(connection, "t")
    theirs = keyed_hash(rows, names, seed + SEED_SHIFT).to_pandas()
    pd.testing.assert_frame_equal(
        ours.sort_values(names, ignore_index=True).rename(columns={"_cut_hash": "hash"}),
        theirs.sort_values(names, ignore_index=True),
    )


def test_a_limit_does_not_prefer_pairs_that_lost_rows_to_a_cap() -> None:
    # rows that a cap keeps are those with the smallest hash of the sampling
    connection = duckdb.connect()
    connection.sql(
        "CREATE TABLE t AS SELECT range % 2 AS sampleset_id, 1 AS worksheet_id, range AS task_id, "
        "range % 10 // 9 AS comp_id FROM range(20000)"
    )
    rows = keyed_hash(ibis_source(connection, "t"), RT_TABLE.key, TrainingLimits().seed)
    connection.register("r", rows.to_pyarrow())
    capped = (
        "(SELECT * FROM r QUALIFY row_number() OVER (PARTITION BY comp_id ORDER BY hash) <= 2000)"
    )
    table = Source.open(connection, capped)
    part, _ = limited(table, "sampleset_id", TrainingLimits(max_train_rows=1000))
    counts = connection.sql(f"SELECT count(*) FROM {part.sql} GROUP BY comp_id").fetchall()
    assert sorted(n for (n,) in counts) == pytest.approx([500, 500], abs=70)
