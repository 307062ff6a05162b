"""CSV files for people: what is written can be read back, and runs in no spreadsheet."""

from __future__ import annotations

import csv

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.prep.csv_export import write_csv
from compassign_core.store.engine import connect

STARTS = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture(scope="module")
def connection():
    return connect(EngineSettings())


def _written(connection, table, tmp_path):
    target = tmp_path / "data.csv"
    connection.register("csv_input", table)
    try:
        n_rows = write_csv(connection, "csv_input", target)
    finally:
        connection.unregister("csv_input")
    with target.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert n_rows == len(rows) == table.num_rows
    return header, rows


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.one_of(
            st.text(st.characters(blacklist_characters="\x00", codec="utf-8"), max_size=8),
            st.tuples(
                st.sampled_from(STARTS), st.sampled_from(["1+1", "", "cmd|' /C calc'!A0"])
            ).map("".join),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_cell_begins_as_a_formula_and_all_else_is_unchanged(connection, tmp_path, texts):
    table = pa.table({"text": pa.array(texts, pa.string()), "n": list(range(len(texts)))})
    header, rows = _written(connection, table, tmp_path)
    assert header == ["text", "n"]
    for original, (written, number) in zip(texts, rows, strict=True):
        assert texts[int(number)] == original
        assert not written.startswith(STARTS)
        assert written == (f"'{original}" if original.startswith(STARTS) else original)


def test_numbers_are_written_as_they_are(connection, tmp_path):
    table = pa.table({"rt": [-1.5, 0.1 + 0.2, None], "n": [-3, 2**60, 0]})
    _, rows = _written(connection, table, tmp_path)
    assert [row[1] for row in rows] == ["-3", str(2**60), "0"]
    assert [float(row[0]) for row in rows[:2]] == [-1.5, 0.1 + 0.2]
    assert rows[2][0] == ""


@pytest.mark.parametrize("start", STARTS)
def test_a_column_name_is_disarmed_too(connection, tmp_path, start):
    header, _ = _written(connection, pa.table({f"{start}x": ["a"]}), tmp_path)
    assert header == [f"'{start}x"]


def test_the_rt_table_comes_back_from_its_csv(shipped, tmp_path):
    pipeline = shipped(101)
    source = pipeline.source("rt_table", 5)
    target = tmp_path / "rt.csv"
    assert write_csv(pipeline.connection, source, target) == pipeline.count("rt_table", 5)
    again = pipeline.rows(f"SELECT * FROM read_csv('{target}', header = true)")
    assert again == pipeline.rows(f"SELECT * FROM {source}")
