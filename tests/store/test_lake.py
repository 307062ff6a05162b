"""The lake: what is written, how it is named, and that a bad or broken write changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compassign_core.contracts.catalogue import FOLD_ASSIGNMENT, RUN_COVARIATES
from compassign_core.contracts.errors import (
    ContractError,
    InputError,
    MissingArtifactError,
    SettingsError,
)
from compassign_core.contracts.identifiers import CAPS, check_artifact_name, parse_cap, parse_lib
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.store import atomic
from compassign_core.store import lake as lake_module
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake, Partition
from tests.support.pipeline import published

ROOT = Path(__file__).parents[2]
PARTITION = Partition(7)
FOLDS = {
    "sampleset_id": [3, 1, 2],
    "species": [0, 0, 1],
    "species_cluster": [0, 0, 0],
    "fold": ["train", "test", "train"],
    "n_rows": [30, 10, 20],
}
SORTED = [(1, 0, 0, "test", 10), (2, 1, 0, "train", 20), (3, 0, 0, "train", 30)]


def _publish(lake, data, table="fold_assignment", partition=PARTITION):
    staged = lake.stage(data, table, partition)
    lake.publish(staged)
    return staged.target


def _values(rows=SORTED):
    listed = ", ".join(str(row) for row in rows)
    return f"(SELECT * FROM (VALUES {listed}) AS t({', '.join(FOLDS)}))"


# -- what is written -----------------------------------------------------------------------------


def test_a_table_is_stored_in_the_columns_types_and_order_of_its_contract(lake):
    target = _publish(lake, pa.table(FOLDS))
    assert target == lake.root / "fold_assignment" / "lib_id=7" / "data.parquet"
    assert lake.relation("fold_assignment", PARTITION).fetchall() == SORTED
    schema = pq.read_schema(target)
    assert schema.names == list(FOLD_ASSIGNMENT.names())
    assert schema.types == [pa.int64()] * 3 + [pa.string(), pa.int64()]
    assert list(target.parent.iterdir()) == [target]


TABLE = pa.table(FOLDS)
FORMS = {
    "pandas": lambda db: TABLE.to_pandas(),
    "pandas, numpy text": lambda db: pd.DataFrame(FOLDS).astype({"fold": object}),
    "relation": lambda db: db.sql(f"SELECT * FROM {_values()}"),
    "ibis": lambda db: ibis.duckdb.from_connection(db).sql(f"SELECT * FROM {_values()}"),
    "ibis in memory": lambda db: ibis.memtable(FOLDS),
    "query": lambda db: _values(),
    "shuffled": lambda db: TABLE.take([2, 0, 1]),
    "chunked": lambda db: pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)]),
    "ids of 32 bits": lambda db: _changed(sampleset_id=pa.array([3, 1, 2], pa.int32())),
    "ids as doubles": lambda db: _changed(sampleset_id=[3.0, 1.0, 2.0]),
    "ids as text": lambda db: _changed(sampleset_id=["3", "1", "2"]),
    "other column order": lambda db: TABLE.select(list(FOLDS)[::-1]),
    "more columns": lambda db: _changed(note=["a", "b", "c"]),
    "dictionary": lambda db: _changed(fold=TABLE["fold"].dictionary_encode()),
    "batches": lambda db: TABLE.take([1, 2, 0]).to_reader(max_chunksize=1),
    "batches read with the engine itself": lambda db: db.sql(
        f"SELECT * FROM {_values()}"
    ).to_arrow_reader(1),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_input_gives_the_same_bytes(lake, form):
    expected = _publish(lake, pa.table(FOLDS)).read_bytes()
    other = _publish(lake, FORMS[form](lake.connection), partition=Partition(8))
    assert other.read_bytes() == expected


def test_batches_that_break_off_leave_the_last_good_file_and_nothing_else(lake):
    target = _publish(lake, TABLE)
    before = target.read_bytes()

    def broken():
        yield TABLE.to_batches()[0]
        raise InputError("row 7 is no number.", "correct it.")

    with pytest.raises(InputError, match="row 7 is no number"):
        lake.stage(
            pa.RecordBatchReader.from_batches(TABLE.schema, broken()), "fold_assignment", PARTITION
        )
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


def test_no_batch_at_all_is_an_empty_table(lake):
    empty = pa.RecordBatchReader.from_batches(TABLE.schema, [])
    assert pq.read_table(_publish(lake, empty)).num_rows == 0


def test_swapped_columns_are_stored_by_name(lake):
    swapped = {**FOLDS, "species": FOLDS["n_rows"], "n_rows": FOLDS["species"]}
    _publish(lake, pa.table({name: swapped[name] for name in reversed(FOLDS)}))
    rows = lake.connection.execute(
        f"SELECT species, n_rows FROM {lake.source('fold_assignment', PARTITION)}"
    ).fetchall()
    assert rows == [(10, 0), (20, 1), (30, 0)]


def test_covariates_follow_in_name_order_and_other_columns_do_not(lake):
    table = pa.table(
        {
            "RS1": [1],
            "peak_area": [5.0],
            "IS_b": [2.0],
            "ES_x": [None],
            "IS_a": [3.0],
            "IST": [4.0],
            "is_c": [9.0],
            "source_file": ["f"],
            "species_matrix_type": ["m"],
            "task_id": [2],
            "sampleset_id": [1],
        }
    )
    target = _publish(lake, table, "run_covariates")
    schema = pq.read_schema(target)
    covariates = ["ES_x", "IST", "IS_a", "IS_b", "RS1"]
    assert schema.names == [*RUN_COVARIATES.names(), *covariates]
    assert schema.types[-5:] == [pa.float64()] * 5
    row = lake.relation("run_covariates", PARTITION).fetchall()[0]
    assert row[-5:] == (None, 4.0, 3.0, 2.0, 1.0)


def test_a_column_of_nulls_keeps_its_type(lake):
    table = pa.table({"chem_id": [1, 2], "chem_name": pa.nulls(2), "smiles": pa.nulls(2)})
    target = _publish(lake, table, "structures", Partition())
    assert pq.read_schema(target).field("smiles").type == pa.string()
    assert lake.arrow("structures", Partition())["smiles"].null_count == 2


def test_a_table_of_no_rows_keeps_its_schema(lake):
    target = _publish(lake, pa.table(FOLDS).slice(0, 0))
    assert pq.read_metadata(target).num_rows == 0
    assert pq.read_schema(target) == pq.read_schema(_publish(lake, pa.table(FOLDS)))


def test_a_list_column_comes_back(lake):
    table = pa.table({"chem_id": [2, 1], "embedding20": [[1.0, 2.0], [3.0, 4.0]]})
    _publish(lake, table, "chem_descriptors", Partition())
    assert lake.relation("chem_descriptors", Partition()).fetchall() == [
        (1, [3.0, 4.0]),
        (2, [1.0, 2.0]),
    ]


def test_what_cannot_be_a_table_is_a_programming_error(lake):
    with pytest.raises(TypeError, match="cannot store a dict as a table"):
        lake.stage({"a": 1}, "fold_assignment", PARTITION)
    with pytest.raises(MissingArtifactError, match="no table called 'planets'"):
        lake.stage(pa.table(FOLDS), "planets", PARTITION)


# -- what is refused -----------------------------------------------------------------------------


def _changed(**columns):
    return pa.table({**FOLDS, **columns})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pa.table(FOLDS).drop_columns(["fold"]), "column fold is missing; the step gave sampleset"),
        (_changed(n_rows=[1, -2, 3]), "n_rows < 0 in 1 rows"),
        (_changed(species=[0, None, None]), "species is missing in 2 rows"),
        (_changed(fold=["train", "Test", "x"]), "fold is none of 'train', 'test' in 2 rows"),
        (_changed(sampleset_id=[5, 5, 1]), "1 values of sampleset_id occur more than once"),
        (_changed(sampleset_id=["a", "1", "2"]), "a value does not fit its column's type"),
        (_changed(n_rows=[1e300, 1, 2]), "a value does not fit its column's type"),
        (_changed(sampleset_id=[1.5, 2.0, 3.0]), "a value does not fit its column's type"),
    ],
    ids=["column", "bound", "null", "value", "key", "text", "too large", "fraction"],
)
def test_a_violation_is_named_and_keeps_the_last_good_file(lake, data, words):
    _publish(lake, pa.table(FOLDS))
    before = published(lake.root)
    with pytest.raises(ContractError) as error:
        _publish(lake, data)
    assert words in error.value.problem and "fold_assignment" in error.value.problem
    assert error.value.advice
    assert published(lake.root) == before


def test_a_refused_first_table_leaves_no_file(lake):
    with pytest.raises(ContractError):
        _publish(lake, _changed(n_rows=[-1, -1, -1]))
    assert published(lake.root) == {}
    assert not lake.exists("fold_assignment", PARTITION)


def test_a_query_that_fails_leaves_no_file(lake):
    _publish(lake, pa.table(FOLDS))
    before = published(lake.root)
    with pytest.raises(duckdb.Error):
        _publish(lake, "(SELECT * FROM no_such_table)")
    assert published(lake.root) == before


def test_a_missing_table_is_an_error_that_says_what_to_do(lake):
    with pytest.raises(MissingArtifactError, match="fold_assignment for lib 7") as error:
        lake.relation("fold_assignment", PARTITION)
    assert "materialise fold_assignment" in error.value.advice


# -- what breaks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_an_exception_between_write_and_rename_keeps_the_last_good_file(lake, monkeypatch, place):
    _publish(lake, pa.table(FOLDS))
    before = published(lake.root)

    def broken(*_args):
        raise OSError("the disk is gone")

    monkeypatch.setattr(atomic.os, place, broken)
    with pytest.raises(OSError, match="the disk is gone"):
        _publish(lake, _changed(n_rows=[7, 8, 9]))
    monkeypatch.undo()
    after = published(lake.root)
    assert {name: after[name] for name in before} == before
    assert all(name.endswith(".aside") for name in set(after) - set(before))
    assert lake.relation("fold_assignment", PARTITION).fetchall() == SORTED


def test_an_exception_while_writing_keeps_the_last_good_file(lake, monkeypatch):
    _publish(lake, pa.table(FOLDS))
    before = published(lake.root)

    def broken(_self, _view, _contract, aside):
        aside.write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(lake_module.Lake, "_write", broken)
    with pytest.raises(KeyboardInterrupt):
        _publish(lake, _changed(n_rows=[7, 8, 9]))
    assert published(lake.root) == before


KILLED = """
import os, sys
from pathlib import Path
import pyarrow as pa
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.store import atomic
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake, Partition
atomic.os.replace = lambda *_: os._exit(9)
lake = Lake(Path(sys.argv[1]), connect(EngineSettings(threads=1)))
table = pa.table({"sampleset_id": [99], "species": [0], "species_cluster": [0],
                  "fold": ["test"], "n_rows": [1]})
lake.publish(lake.stage(table, "fold_assignment", Partition(7)))
"""


def test_a_process_killed_before_the_rename_leaves_the_old_file_and_one_aside(lake):
    target = _publish(lake, pa.table(FOLDS))
    before = target.read_bytes()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(lake.root)], cwd=ROOT, timeout=60)
    assert killed.returncode == 9
    assert target.read_bytes() == before
    (aside,) = set(target.parent.iterdir()) - {target}
    assert aside.name.startswith(".data.parquet.") and aside.suffix == ".aside"
    # the file aside was whole, and no reader takes it for a partition
    assert pq.read_metadata(aside).num_rows == 1
    assert lake.relation("fold_assignment", PARTITION).fetchall() == SORTED
    _publish(lake, _changed(n_rows=[1, 1, 1]))
    assert target.read_bytes() != before


WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake, Partition
lake = Lake(Path(sys.argv[1]), connect(EngineSettings(threads=1)))
first = int(sys.argv[2])
for round in range(5):
    for lib in range(first, first + 5):
        table = pa.table({"sampleset_id": [lib], "species": [0], "species_cluster": [0],
                          "fold": ["test"], "n_rows": [round]})
        for partition in (Partition(lib), Partition(1)):
            lake.publish(lake.stage(table, "fold_assignment", partition))
"""


def test_two_processes_publish_at_once_without_loss(lake):
    """Different partitions all arrive; of one that both write, a whole table of either stays."""
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(lake.root), first], cwd=ROOT)
        for first in ("10", "20")
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    for lib in (*range(10, 15), *range(20, 25)):
        rows = lake.relation("fold_assignment", Partition(lib)).fetchall()
        assert rows == [(lib, 0, 0, "test", 4)]
    ((last, *_),) = lake.relation("fold_assignment", Partition(1)).fetchall()
    assert last in (14, 24)
    assert not [name for name in published(lake.root) if name.endswith(".aside")]


# -- names ---------------------------------------------------------------------------------------

EVIL = ("../x", "a/b", "a'b", 'a"b', "a b", "a;b", "", "1a", "A", "a\n", "é", "a" * 64, ".", "a-b")


@pytest.mark.parametrize("name", EVIL)
def test_no_artifact_name_leaves_the_lake(lake, name):
    with pytest.raises(SettingsError, match="is not legal"):
        lake.file(name, Partition())


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5", "07", "1 ", "1\n", "x", "", "1/..", "١", "9" * 10]
)
def test_no_other_text_is_a_library(text):
    with pytest.raises(SettingsError, match="is not a positive whole number"):
        parse_lib(text)


@pytest.mark.parametrize(
    "text", ["0", "7", "-5", "5 ", "5\n", "05x", "", "5.0", "101", "٥", "00005"]
)
def test_no_other_text_is_a_cap(text):
    with pytest.raises(SettingsError, match="is not one of 5, 10, 20, 50, 100"):
        parse_cap(text)


@given(st.text(max_size=12))
def test_whatever_passes_as_a_name_is_harmless(text):
    for parse in (parse_lib, parse_cap, check_artifact_name):
        try:
            passed = str(parse(text))
        except SettingsError:
            continue
        assert passed.isascii() and passed.replace("_", "").isalnum()


def test_libraries_and_caps_are_read():
    assert [parse_lib(text) for text in ("1", "208", "999999999")] == [1, 208, 999_999_999]
    assert tuple(parse_cap(str(cap)) for cap in CAPS) == CAPS


def test_a_partition_takes_numbers_only(lake):
    for bad in (Partition("1/../../x"), Partition(1, "5/.."), Partition(1.5)):  # type: ignore
        with pytest.raises(ValueError, match="format code"):
            lake.file("rt_table", bad)


def test_a_folder_with_quotes_is_no_danger(tmp_path):

    lake = Lake(tmp_path / 'it\'s; DROP "x" [a-z]*?', connect(EngineSettings()))
    _publish(lake, _values())
    assert lake.relation("fold_assignment", PARTITION).fetchall() == SORTED
