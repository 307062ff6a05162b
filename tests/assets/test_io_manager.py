from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pytest

from compassign_assets.io_manager import LakeIOManager
from compassign_core.pipeline.loading import load
from compassign_core.store.lake import Partition, TableSource
from tests.support.installation import CAP, LIB


def _rows(value: object, connection: duckdb.DuckDBPyConnection) -> int:
    if isinstance(value, TableSource):
        return connection.execute(f"SELECT count(*) FROM {value}").fetchall()[0][0]
    if isinstance(value, ibis.Table):
        return value.count().execute()
    if isinstance(value, duckdb.DuckDBPyRelation):
        return value.count("*").fetchall()[0][0]
    if isinstance(value, Path):
        return connection.execute(f"SELECT count(*) FROM '{value}'").fetchall()[0][0]
    return len(value)


@pytest.mark.parametrize(
    "wanted", [TableSource, ibis.Table, duckdb.DuckDBPyRelation, pa.Table, pd.DataFrame, Path]
)
def test_an_input_comes_as_its_annotation_asks(made, wanted: type) -> None:
    lake = made.lake
    path = lake.need("lib_training", Partition(LIB))
    value = load(lake, [path], wanted)
    assert isinstance(value, wanted)
    assert _rows(value, lake.connection) == lake.arrow("lib_training", Partition(LIB)).num_rows


def test_several_partitions_come_as_one_table(made) -> None:
    lake = made.lake
    paths = [lake.need("lib_training", Partition(LIB)), lake.need("rt_table", Partition(LIB, CAP))]
    one = [load(lake, [path], pa.Table).num_rows for path in paths]
    assert load(lake, paths, pa.Table).num_rows == sum(one)


def test_a_type_that_nothing_can_be_loaded_as_is_refused(made) -> None:
    path = made.lake.need("lib_training", Partition(LIB))
    with pytest.raises(TypeError, match="annotate one of TableSource"):
        load(made.lake, [path], dict)


def _handle(value: object, name: str = "chem_classes") -> None:
    context = dg.build_output_context(asset_key=dg.AssetKey(name))
    LakeIOManager().handle_output(context, value)


@pytest.mark.parametrize("kind", ["arrow", "pandas", "relation", "ibis"])
def test_plain_values_are_published_through_the_same_gate(made, kind: str) -> None:
    table = pa.table({"compound_class": [1, 0], "chem_id": [8, 7], "extra": ["a", "b"]})
    connection = made.lake.connection
    values = {
        "arrow": lambda: table,
        "pandas": lambda: table.to_pandas(),
        "relation": lambda: connection.from_arrow(table),
        "ibis": lambda: ibis.memtable(table.to_pandas()),
    }
    if kind == "ibis":
        connection.register("given", table)
        value = ibis.duckdb.from_connection(connection).table("given")
    else:
        value = values[kind]()
    _handle(value)
    stored = made.lake.arrow("chem_classes", Partition()).to_pydict()
    assert stored == {"chem_id": [7, 8], "compound_class": [0, 1]}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"chem_id": [1]}), "column compound_class is missing"),
        (pa.table({"chem_id": [1, 1], "compound_class": [0, 0]}), "occur more than once"),
        (pa.table({"chem_id": [1], "compound_class": ["red"]}), "does not fit its column's type"),
        (pa.table({"chem_id": [1], "compound_class": [-5]}), "compound_class < 0"),
        (pa.table({"chem_id": pa.array([None], pa.int64()), "compound_class": [0]}), "is missing"),
    ],
)
def test_a_value_that_breaks_its_contract_keeps_the_last_good_file(made, table, said) -> None:
    path = made.lake.need("chem_classes", Partition())
    before = path.read_bytes()
    with pytest.raises(dg.Failure) as caught:
        _handle(table)
    assert said in str(caught.value.description)
    assert caught.value.allow_retries is False
    assert path.read_bytes() == before
    assert sorted(item.name for item in path.parent.iterdir()) == [
        "data.parquet",
        "lineage.json",
        "step.json",
    ]


def test_a_table_without_rows_is_published_with_its_columns(made) -> None:
    _handle(pa.table({"chem_id": pa.array([], pa.int64()), "compound_class": pa.array([])}))
    stored = made.lake.arrow("chem_classes", Partition())
    assert stored.num_rows == 0
    assert stored.column_names == ["chem_id", "compound_class"]
