"""Rows that are streamed give the same bytes as rows that are held, whatever the chunk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt import left_out, tiles
from compassign_core.rt.hierarchy import train as pooling
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.table import StreamedRows, TrainingTable, open_training
from compassign_core.rt.tiles import retiled
from compassign_core.rt.train import fit_rows
from tests.rt import rt_tables
from tests.rt.hierarchy import tables

WINDOWS = WindowSettings(min_rows_per_bin=50)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles that cut the small tables of tests too; the same for both ways of reading."""
    monkeypatch.setattr("compassign_core.rt.reading.TILE_ROWS", 64)
    monkeypatch.setattr(tiles.retiled, "__defaults__", (64,))
    monkeypatch.setattr("compassign_core.rt.reading._BATCH_ROWS", 2048)


@contextmanager
def both(
    table: dict[str, Any], settings: RidgeSettings, chunk_values: int = 200
) -> Iterator[tuple[TrainingTable, TrainingTable]]:
    with (
        open_training("rt_rows", settings, rt_tables.register(table)) as held,
        open_training(
            "rt_rows", settings, rt_tables.register(table), held_values=0,
            chunk_values=chunk_values,
        ) as streamed,
    ):  # fmt: skip
        assert isinstance(held.data, TrainingRows)
        assert isinstance(streamed.data, StreamedRows)
        yield held, streamed


DESIGNS = [
    {},
    {"group_col": "species", "missing_indicator": True},
    {"expansion": "poly2", "rotation": "pca"},
    {"covariates": "none"},
]


@pytest.mark.parametrize("chunk_values", [1, 300, 10**9])
@pytest.mark.parametrize("settings", DESIGNS)
def test_a_ridge_is_the_same_bytes_held_or_streamed(
    tmp_path: Path, settings: dict[str, Any], chunk_values: int
) -> None:
    made = RidgeSettings(**settings)
    table = rt_tables.simulate(keep=0.7, missing=0.1, n_runs=40)
    with both(table, made, chunk_values) as pair:
        for name, read in zip(("held", "streamed"), pair, strict=True):
            fit_rows(
                read.data, read.design, made, WINDOWS, model="m", fingerprint="f"
            ).save(tmp_path / name)  # fmt: skip
    assert (tmp_path / "held").read_bytes() == (tmp_path / "streamed").read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"noise": "global", "lambda_slopes": 3e-4, "chemistry": False},
        {"group_col": "species_cluster", "intercept_prior": "flat", "slope_head_mode": "none",
         "chemistry": False, "rotation": "pca"},
    ],
)  # fmt: skip
def test_a_hierarchy_is_the_same_bytes_held_or_streamed(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = PoolingSettings(**settings)
    drawn = tables.draw(6, missing=0.1, n_comps=12, n_runs=32)
    chemistry = Embeddings.of(drawn.embeddings) if made.chemistry else Embeddings.none()
    with both(drawn.table, made.design()) as pair:
        for name, read in zip(("held", "streamed"), pair, strict=True):
            pooling.fit_rows(
                read.data, read.design, chemistry, made, WINDOWS, model="m", fingerprint="f"
            ).save(tmp_path / name)
    assert (tmp_path / "held").read_bytes() == (tmp_path / "streamed").read_bytes()


@pytest.mark.parametrize("group_col", ["species", "species_cluster"])
def test_what_is_known_of_the_groups_is_the_same_held_or_streamed(group_col: str) -> None:
    table = rt_tables.simulate(keep=0.6)
    with both(table, RidgeSettings(group_col=group_col)) as (held, streamed):
        a, b = held.data, streamed.data
        for name in ("keys", "count", "mean_y"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        for name in a.seen.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(a.seen, name), getattr(b.seen, name))
        key = (table[group_col] << 32) + table["comp_id"]
        np.testing.assert_array_equal(a.keys, np.unique(key))
        means = [table["rt"][key == k].mean() for k in a.keys]
        np.testing.assert_allclose(a.mean_y, means, rtol=1e-14)


def test_chunks_hold_whole_groups_once_each_and_stay_small() -> None:
    table = rt_tables.simulate(keep=0.7, n_runs=60)
    with both(table, RidgeSettings(group_col="species"), chunk_values=90) as (held, streamed):
        for data in (held.data, streamed.data):
            chunks = list(data.chunks(90) if isinstance(data, TrainingRows) else data.chunks())
            keys = np.concatenate([rows.keys for rows in chunks])
            np.testing.assert_array_equal(keys, data.keys)
            np.testing.assert_array_equal(np.concatenate([r.count for r in chunks]), data.count)
            assert max(rows.y.size for rows in chunks) <= 30 + 64 + data.count.max()
            assert len(chunks) > 5
        again = [rows.y for rows in streamed.data.chunks()]
        np.testing.assert_array_equal(np.concatenate(again), held.data.y)


def test_a_streamed_table_leaves_nothing_behind() -> None:
    connection = rt_tables.register(rt_tables.simulate())
    with open_training("rt_rows", RidgeSettings(), connection, held_values=0) as table:
        assert connection.sql("SELECT count(*) FROM duckdb_tables()").fetchall() == [(1,)]
        assert isinstance(table.data, StreamedRows)
    assert connection.sql("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]
    broken = rt_tables.simulate()
    broken["species_cluster"] = broken["species_cluster"].copy()
    broken["species_cluster"][0] = 1 - broken["species_cluster"][0]
    connection = rt_tables.register(broken)
    with (
        pytest.raises(InputError, match=r"1 value\(s\) of species have more than one"),
        open_training("rt_rows", RidgeSettings(), connection, held_values=0, chunk_values=1),
    ):
        pass
    assert connection.sql("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_more_left_out_rows_than_are_kept_are_sampled_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_out, "MOST_LEFT_OUT", 400)
    made = PoolingSettings(chemistry=False)
    drawn = tables.draw(9, n_runs=60)
    n = drawn.table["rt"].size
    with both(drawn.table, made.design()) as pair:
        models = [
            pooling.fit_rows(
                read.data, read.design, Embeddings.none(), made, WINDOWS, model="m", fingerprint="f"
            )
            for read in pair
        ]
    for name, model in zip(("held", "streamed"), models, strict=True):
        kept = model.kappa_rows.sum() + model.novelty_rows[1:].sum()
        assert 300 < kept < 500 < n
        model.save(tmp_path / name)
    assert (tmp_path / "held").read_bytes() == (tmp_path / "streamed").read_bytes()


def test_tiles_do_not_depend_on_the_parts() -> None:
    rows = np.arange(1000.0)
    expected = [rows[i : i + 64] for i in range(0, 1000, 64)]
    for cuts in ([10, 20, 500], [64, 128], [], list(range(1, 1000))):
        parts = [(part, part.astype(np.int64)) for part in np.split(rows, cuts)]
        found = list(retiled(parts, 64))
        assert len(found) == len(expected)
        for (a, b), tile in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, tile)
            np.testing.assert_array_equal(b, tile)


def test_new_rows_can_be_read_by_the_design_of_a_model() -> None:
    table = rt_tables.simulate(missing=0.1)
    settings = RidgeSettings(expansion="poly2", rotation="pca")
    first = table["task_id"] < 1012
    connection = rt_tables.register(rt_tables.rows(table, first))
    connection.register("later", rt_tables.arrow(rt_tables.rows(table, ~first)))
    connection.register("all_rows", rt_tables.arrow(table))
    with open_training("rt_rows", settings, connection) as known:
        design = known.design
    with open_training("later", settings, connection, design=design) as later:
        assert later.design is design
        part = later.data
        assert isinstance(part, TrainingRows)
    with open_training("all_rows", settings, connection, design=design) as whole:
        rows = whole.data
        assert isinstance(rows, TrainingRows)
        np.testing.assert_allclose(part.x, rows.x[rows.ids["task_id"] >= 1012], atol=1e-14)
