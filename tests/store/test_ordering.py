"""Order of written tables: sorted narrow, widened afterwards, and looked at."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.tables import Column, TableContract
from compassign_core.store import lake as lake_module
from compassign_core.store.engine import connect, one_thread
from compassign_core.store.lake import Lake, Partition, parquet_source
from compassign_core.store.ordering import Widened, is_ascending
from compassign_core.store.sql import one_of

CONTRACT = TableContract(
    "rt_table",
    "peaks",
    ("lib_id",),
    (
        Column("run", "BIGINT", "run"),
        Column("comp", "BIGINT", "entry"),
        Column("rt", "DOUBLE", "time"),
    ),
    key=("run", "comp"),
    order_by=("comp", "run"),
    covariates=True,
)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", connect(EngineSettings()))


def _tables(tmp_path, n_runs, n_comps, seed=0):
    """Peaks in random order and their runs, as SQL text of files."""
    rng = np.random.default_rng(seed)
    run, comp = np.divmod(rng.permutation(n_runs * n_comps), n_comps)
    peaks = pa.table({"run": run, "comp": comp, "rt": rng.random(run.size), "label": run % 3})
    runs = {"run": np.arange(n_runs), "label": np.arange(n_runs) % 3, "other": ["x"] * n_runs}
    runs |= {f"IS_{p}": pa.array(rng.random(n_runs), mask=rng.random(n_runs) < 0.2) for p in "ba"}
    for name, table in (("peaks", peaks), ("runs", pa.table(runs))):
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=1000)
    return (parquet_source(tmp_path / f"{name}.parquet") for name in ("peaks", "runs"))


def _expected(lake, peaks, runs):
    return lake.connection.sql(
        f"""SELECT run, comp, rt, IS_a, IS_b
            FROM {peaks} AS peaks JOIN {runs} AS runs USING (run, label) ORDER BY comp, run"""
    ).to_arrow_table()


@pytest.mark.parametrize(("n_runs", "n_comps"), [(300, 500), (5000, 2), (7, 1), (1, 3000)])
def test_a_widened_table_is_the_join_in_order(lake, tmp_path, n_runs, n_comps):
    """Whichever side is the larger one, and so the side that the engine streams."""
    peaks, runs = _tables(tmp_path, n_runs, n_comps)
    staged = lake.stage(Widened(peaks, runs, ("run", "label")), CONTRACT, Partition(1))
    written = pq.read_table(staged.aside)
    assert written.equals(_expected(lake, peaks, runs))
    assert all(outcome.passed for outcome in lake.check_contract(staged))


def test_a_widened_table_is_the_same_bytes_as_the_join_sorted_whole(lake, tmp_path):
    peaks, runs = _tables(tmp_path, 400, 400)
    wide = Widened(peaks, runs, ("run", "label"))
    narrow = lake.stage(wide, CONTRACT, Partition(1))
    whole = lake.stage(wide.joined, CONTRACT, Partition(2))
    assert narrow.aside.read_bytes() == whole.aside.read_bytes()


def test_rows_that_come_in_another_order_are_sorted_whole(lake, tmp_path, monkeypatch):
    peaks, runs = _tables(tmp_path, 30, 40)
    made = []

    def disordered(contract, wide, present, further):
        made.append(wide)
        return f"SELECT run, comp, rt, IS_a, IS_b FROM {wide.joined} ORDER BY rt"

    monkeypatch.setattr(lake_module, "widened_query", disordered)
    staged = lake.stage(Widened(peaks, runs, ("run", "label")), CONTRACT, Partition(1))
    assert made
    assert pq.read_table(staged.aside).equals(_expected(lake, peaks, runs))


def test_a_row_without_its_run_is_lost_so_that_it_is_counted(lake, tmp_path):
    peaks, runs = _tables(tmp_path, 10, 20)
    fewer = f"(SELECT * FROM {runs} WHERE run <> 3)"
    staged = lake.stage(Widened(peaks, fewer, ("run", "label")), CONTRACT, Partition(1))
    assert staged.n_rows == 10 * 20 - 20


@pytest.mark.parametrize(
    ("rows", "ascending"),
    [
        ([(1, 1), (1, 2), (2, 0)], True),
        ([(1, 1), (1, 1)], False),
        ([(1, 2), (1, 1)], False),
        ([(2, 0), (1, 9)], False),
        ([(1, 1)], True),
        ([], True),
        ([(1, 1), (None, 2)], False),
        ([(1, None), (2, 1)], False),
    ],
)
def test_ascending_rows_are_told_from_others(lake, tmp_path, rows, ascending):
    columns = {name: pa.array([row[i] for row in rows], pa.int64()) for i, name in enumerate("ab")}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = parquet_source(tmp_path / "t.parquet")
    assert is_ascending(lake.connection, source, ("a", "b")) is ascending


@pytest.mark.parametrize("place", [1, 999, 122_880, 122_881, 250_000])
def test_one_row_out_of_place_is_found_wherever_it_stands(lake, tmp_path, place):
    values = np.arange(300_000)
    values[place] = values[place - 1]
    pq.write_table(pa.table({"a": values}), tmp_path / "t.parquet", row_group_size=50_000)
    assert not is_ascending(lake.connection, parquet_source(tmp_path / "t.parquet"), ("a",))


def test_threads_come_back_after_one_thread_also_after_an_error(lake):
    def threads():
        return lake.connection.execute("SELECT current_setting('threads')").fetchall()[0][0]

    before = threads()
    with pytest.raises(ZeroDivisionError), one_thread(lake.connection):
        assert threads() == 1
        raise ZeroDivisionError
    assert threads() == before > 1


@pytest.mark.parametrize("values", [["b", "a", "b", "it's"], ["x"], []])
def test_text_kept_as_known_values_is_written_as_text(lake, values):
    contract = TableContract("rt_table", "t", (), (Column("v", "VARCHAR", "v"),), order_by=("v",))
    listed = pa.table({"v": pa.array(values, pa.string())})
    lake.connection.register("known_values", listed)
    try:
        query = f"(SELECT {one_of('v', values)} AS v FROM known_values)"
        staged = lake.stage(query, contract, Partition())
    finally:
        lake.connection.unregister("known_values")
    written = pq.read_table(staged.aside)["v"]
    assert written.to_pylist() == sorted(values)
    assert pa.types.is_string(written.type)
