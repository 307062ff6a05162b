"""Reading of structures: formats, order, and faults that are named."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compassign_core.chemistry.structures import read_structures
from compassign_core.contracts.errors import InputError
from tests.support import export_oracle as oracle


@pytest.fixture
def connection():
    with duckdb.connect() as db:
        yield db


def _write(path, rows):
    """Rows of (chem_id, chem_name, smiles) as Parquet or CSV."""
    names = ("chem_id", "chem_name", "smiles")
    if path.suffix == ".parquet":
        columns = [list(column) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(dict(zip(names, columns, strict=True))), path)
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [mark.join("" if x is None else str(x) for x in row) for row in (names, *rows)]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv"])
def test_all_formats_give_the_same_table_by_ascending_id(tmp_path, connection, suffix):
    rows = [(12, "b", "CCO"), (3, "a", None), (7, None, "  ")]
    read = read_structures(_write(tmp_path / f"s{suffix}", rows), connection)
    assert read.table.to_pylist() == [
        {"chem_id": 3, "chem_name": "a", "smiles": None},
        {"chem_id": 7, "chem_name": None, "smiles": None},
        {"chem_id": 12, "chem_name": "b", "smiles": "CCO"},
    ]
    assert read.table.schema.field("chem_id").type == pa.int64()
    assert (read.rows_in, read.notes["with_smiles"]) == (3, 1)


def test_shipped_structures_are_read(connection):
    read = read_structures(oracle.SHIPPED / "structures.parquet", connection)
    assert (read.rows_in, read.table.num_rows, read.notes["with_smiles"]) == (861, 861, 843)
    assert read.table.column_names == ["chem_id", "chem_name", "smiles"]


def test_whole_numbers_written_as_decimals_are_read(tmp_path, connection):
    path = _write(tmp_path / "s.parquet", [(2.0, "a", "C"), (1.0, "b", "CC")])
    assert read_structures(path, connection).table["chem_id"].to_pylist() == [1, 2]


def test_a_large_id_keeps_its_last_digit(tmp_path, connection):
    path = _write(tmp_path / "s.csv", [(900719925474099313, "a", "C")])
    assert read_structures(path, connection).table["chem_id"].to_pylist() == [900719925474099313]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_repeated_ids_are_named_with_their_number(tmp_path, connection, suffix):
    rows = [(5, "a", "C"), (4, "b", "C"), (5, "c", "CC"), (4, "d", "C"), (1, "e", "C")]
    with pytest.raises(InputError) as error:
        read_structures(_write(tmp_path / f"s{suffix}", rows), connection)
    assert "2 ids more than once: 4, 5" in str(error.value)
    assert f"s{suffix}" in str(error.value)


@pytest.mark.parametrize("bad", ["12.5", "x7", "-3", ""])
def test_an_unreadable_id_is_named(tmp_path, connection, bad):
    path = _write(tmp_path / "s.csv", [(1, "a", "C"), (bad, "b", "C")])
    with pytest.raises(InputError, match=r"chem_id is no whole number in 1 rows") as error:
        read_structures(path, connection)
    assert (bad or "null") in str(error.value)


def test_a_missing_column_is_named_with_those_there(tmp_path, connection):
    path = tmp_path / "s.csv"
    path.write_text("chem_id,smiles\n1,C\n")
    with pytest.raises(InputError, match="column chem_name is missing; the file has chem_id, smi"):
        read_structures(path, connection)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.xlsx", b"PK", "cannot be read from a .xlsx file"),
        ("s.parquet", b"PAR1 cut off", "cannot be read"),
        ("s.csv", None, "there is no file"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, connection, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_structures(path, connection)
    assert name in str(error.value)
    assert error.value.advice
