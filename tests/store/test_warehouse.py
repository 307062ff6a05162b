"""The warehouse: views over all partitions of what has been made, for reading only."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from compassign_core.contracts.errors import InputError, MissingArtifactError
from compassign_core.store.lake import Partition
from compassign_core.store.warehouse import build_warehouse, query


def _folds(lake, lib, n_rows=2):
    table = pa.table(
        {
            "sampleset_id": range(lib * 10, lib * 10 + n_rows),
            "species": [0] * n_rows,
            "species_cluster": [0] * n_rows,
            "fold": ["train"] * n_rows,
            "n_rows": [5] * n_rows,
        }
    )
    lake.publish(lake.stage(table, "fold_assignment", Partition(lib)))


def _rt_table(lake, lib, cap, n_rows, covariate):
    ids = ["sampleset_id", "worksheet_id", "task_id", "species", "species_cluster", "comp_id"]
    table = pa.table(
        {
            **dict.fromkeys([*ids, "compound", "compound_class"], range(n_rows)),
            "rt": [1.0] * n_rows,
            covariate: [2.0] * n_rows,
        }
    )
    lake.publish(lake.stage(table, "rt_table", Partition(lib, cap)))


@pytest.fixture
def warehouse(lake, tmp_path):
    _folds(lake, 100)
    _folds(lake, 7)
    for cap, n_rows in ((5, 3), (10, 4)):
        _rt_table(lake, 100, cap, n_rows, "IS_a")
    _rt_table(lake, 7, 5, 1, "IS_b")
    structures = pa.table({"chem_id": [1], "chem_name": ["x"], "smiles": [None]})
    lake.publish(lake.stage(structures, "structures", Partition()))
    target = tmp_path / "warehouse.duckdb"
    assert build_warehouse(lake.root, target) == ["fold_assignment", "structures", "rt_table"]
    return target


def test_views_read_all_partitions_with_their_dimensions(warehouse):
    result = query(
        warehouse, "SELECT lib_id, row_cap, count(*) FROM rt_table GROUP BY ALL ORDER BY ALL"
    )
    assert result.columns == ["lib_id", "row_cap", "count_star()"]
    assert result.rows == [(7, 5, 1), (100, 5, 3), (100, 10, 4)]
    described = dict(
        row[:2] for row in query(warehouse, "DESCRIBE SELECT * FROM fold_assignment").rows
    )
    assert described["lib_id"] == "INTEGER" and "row_cap" not in described
    assert "lib_id" not in query(warehouse, "SELECT * FROM structures").columns


def test_covariates_of_one_library_are_null_in_another(warehouse):
    rows = query(warehouse, 'SELECT DISTINCT lib_id, "IS_a", "IS_b" FROM rt_table ORDER BY 1').rows
    assert rows == [(7, None, 2.0), (100, 2.0, None)]


def test_only_tables_that_were_made_have_a_view(warehouse):
    names = [name for (name,) in query(warehouse, "SHOW TABLES").rows]
    assert names == ["fold_assignment", "rt_table", "structures"]


def test_a_new_partition_is_seen_without_a_rebuild(lake, warehouse):
    _folds(lake, 8)
    assert query(warehouse, "SELECT count(DISTINCT lib_id) FROM fold_assignment").rows == [(3,)]


def test_every_view_tells_what_it_is(warehouse):
    rows = query(warehouse, "SELECT comment FROM duckdb_views() WHERE NOT internal").rows
    assert len(rows) == 3 and all(comment.endswith(".") for (comment,) in rows)


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT * FROM no_such_table",
        "SELECT no_such_column FROM rt_table",
        "DROP VIEW rt_table",
        "CREATE TABLE x AS SELECT 1",
        "CREATE OR REPLACE VIEW rt_table AS SELECT 1",
    ],
)
def test_a_wrong_or_writing_query_is_refused(warehouse, sql):
    before = warehouse.read_bytes()
    with pytest.raises(InputError) as error:
        query(warehouse, sql)
    assert "SHOW TABLES" in error.value.advice
    assert warehouse.read_bytes() == before


def test_rows_can_be_limited(warehouse):
    assert len(query(warehouse, "SELECT * FROM rt_table", limit=2).rows) == 2


def test_two_readers_read_at_once_and_a_rebuild_does_not_wait(lake, warehouse):
    with duckdb.connect(str(warehouse), read_only=True) as reader:
        count = "SELECT count(*) FROM rt_table"
        assert reader.execute(count).fetchall() == query(warehouse, count).rows == [(8,)]
        build_warehouse(lake.root, warehouse)
        assert reader.execute(count).fetchall() == [(8,)]


def test_an_empty_lake_makes_no_warehouse_and_keeps_the_old_one(warehouse, tmp_path):
    before = warehouse.read_bytes()
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingArtifactError, match="holds no table yet"):
        build_warehouse(tmp_path / "empty", warehouse)
    assert warehouse.read_bytes() == before
    assert not list(tmp_path.glob(".*.aside*"))


def test_a_file_left_aside_by_a_killed_run_is_in_no_view(lake, warehouse):
    folder = lake.file("fold_assignment", Partition(100)).parent
    (folder / ".data.parquet.0.aside").write_bytes(b"half a file")
    assert query(warehouse, "SELECT count(*) FROM fold_assignment").rows == [(4,)]


def test_a_warehouse_that_was_not_built_is_named(tmp_path):
    with pytest.raises(MissingArtifactError, match=r"there is no warehouse\.duckdb yet"):
        query(tmp_path / "warehouse.duckdb", "SELECT 1")
    assert list(tmp_path.iterdir()) == []
