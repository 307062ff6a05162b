"""A user's own vectors: what is accepted, and how faults are named."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compassign_core.chemistry.embeddings import read_embeddings
from compassign_core.contracts.errors import InputError

VECTORS = np.arange(60, dtype=np.float64).reshape(3, 20) / 7


def _write(path, ids=(5, 2, 9), vectors=None, kind=None, id_type=None):
    vectors = VECTORS.tolist() if vectors is None else vectors
    table = pa.table(
        {
            "chem_id": pa.array(ids, id_type or pa.int64()),
            "embedding20": pa.array(vectors, kind or pa.list_(pa.float64())),
            "model": ["mine"] * len(ids),
        }
    )
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()),
        pa.list_(pa.float32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float64(), 20),
    ],
    ids=str,
)
def test_any_list_of_numbers_is_read_by_ascending_id(tmp_path, kind):
    read = read_embeddings(_write(tmp_path / "e.parquet", kind=kind))
    assert read.table["chem_id"].to_pylist() == [2, 5, 9]
    assert read.table.schema.names == ["chem_id", "embedding20"]
    assert read.table.schema.field("embedding20").type == pa.list_(pa.float64())
    expected = VECTORS[[1, 0, 2]]
    np.testing.assert_allclose(read.table["embedding20"].to_pylist(), expected, rtol=1e-6)
    assert read.rows_in == 3


def test_an_empty_file_gives_an_empty_table(tmp_path):
    read = read_embeddings(_write(tmp_path / "e.parquet", ids=[], vectors=[]))
    assert read.table.num_rows == 0


def _changed(row, column, value):
    vectors = VECTORS.tolist()
    vectors[row][column] = value
    return vectors


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (
            {"vectors": [VECTORS[0].tolist(), [1.0], None]},
            "length 20 for 2 chemicals: chem_id 2, 9",
        ),
        ({"vectors": _changed(1, 3, np.nan)}, "finite number for 1 chemicals: chem_id 2"),
        ({"vectors": _changed(0, 3, -np.inf)}, "finite number for 1 chemicals: chem_id 5"),
        ({"vectors": _changed(2, 0, None)}, "finite number for 1 chemicals: chem_id 9"),
        ({"ids": [5, 2, 5]}, "chem_id stands in several rows for 1 ids: 5"),
        ({"ids": [5, None, 9]}, "chem_id is null in 1 rows"),
        ({"ids": [5, -2, 9]}, "chem_id is negative for 1 ids: -2"),
        ({"id_type": pa.float64()}, "column chem_id is double, no whole number"),
        (
            {"vectors": [["a"] * 20] * 3, "kind": pa.list_(pa.string())},
            "embedding20 is list<.*string>, no list of numbers",
        ),
        ({"vectors": [1.0, 2.0, 3.0], "kind": pa.float64()}, "embedding20 is double, no list"),
    ],
)
def test_faults_name_file_column_ids_and_number(tmp_path, faulty, message):
    path = _write(tmp_path / "mine.parquet", **faulty)
    with pytest.raises(InputError, match=message) as error:
        read_embeddings(path)
    assert "mine.parquet" in str(error.value)
    assert error.value.advice


@pytest.mark.parametrize("column", ["chem_id", "embedding20"])
def test_a_missing_column_is_named(tmp_path, column):
    path = _write(tmp_path / "e.parquet")
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    with pytest.raises(InputError, match=f"column {column} is missing"):
        read_embeddings(path)


def test_an_absent_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.parquet"):
        read_embeddings(tmp_path / "none.parquet")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"broken\.parquet cannot be read"):
        read_embeddings(broken)
