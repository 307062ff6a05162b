"""Folds: how many sample sets of a species are held out, which, and what a split file may say."""

from __future__ import annotations

import math

import pytest

from compassign_core.contracts.errors import CheckFailed, InputError
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.prep.folds import build_fold_assignment
from compassign_core.store.engine import connect

# species k has k sample sets, for k up to 30; sample set ids are k * 1000 + i
MAPPING = """(SELECT k * 1000 + i AS sampleset_id, k AS species, 0 AS species_cluster
              FROM range(1, 31) AS s(k), range(30) AS r(i) WHERE i < k)"""
PEAKS = f"(SELECT sampleset_id FROM {MAPPING}, range(3))"


@pytest.fixture(scope="module")
def connection():
    return connect(EngineSettings())


def _folds(connection, mapping=MAPPING, peaks=PEAKS, split=None, lib=1, **settings):
    result = build_fold_assignment(
        connection, peaks, mapping, PrepSettings(**settings), lib=lib, split=split
    )
    table = (
        result.table
        if not isinstance(result.table, str)
        else connection.sql(f"SELECT * FROM {result.table}")
    )
    rows = (table.df() if hasattr(table, "df") else table.to_pandas()).to_dict("records")
    assert len(rows) == result.rows_in
    return {row["sampleset_id"]: row for row in rows}


def _test_sets(folds):
    return {number for number, row in folds.items() if row["fold"] == "test"}


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.99])
def test_the_share_of_every_species_is_held_out_but_never_none_nor_all(connection, share):
    folds = _folds(connection, test_share=share)
    assert {row["fold"] for row in folds.values()} == {"train", "test"}
    for k in range(1, 31):
        n_test = sum(number // 1000 == k for number in _test_sets(folds))
        rounded = math.floor(k * share + 0.5)
        assert n_test == (0 if k == 1 else min(max(rounded, 1), k - 1))


def test_a_quarter_is_held_out_by_default(connection):
    folds = _folds(connection)
    n_test = [sum(n // 1000 == k for n in _test_sets(folds)) for k in (1, 2, 3, 4, 8, 12, 20)]
    assert n_test == [0, 1, 1, 1, 2, 3, 5]


def test_the_seed_decides_and_the_order_of_rows_does_not(connection):
    shuffled = f"(SELECT * FROM {MAPPING} ORDER BY (sampleset_id * 7919) % 1013)"
    folds = _test_sets(_folds(connection))
    assert folds == _test_sets(_folds(connection, mapping=shuffled))
    others = [_test_sets(_folds(connection, seed=seed)) for seed in (1, 2, 3)]
    assert all(other != folds and len(other) == len(folds) for other in others)


def test_every_sample_set_is_held_out_by_some_seed(connection):
    mapping = (
        "(SELECT 100 + range AS sampleset_id, 0 AS species, 0 AS species_cluster FROM range(6))"
    )
    peaks = f"(SELECT sampleset_id FROM {mapping})"
    drawn = [_test_sets(_folds(connection, mapping, peaks, seed=seed)) for seed in range(15)]
    assert set.union(*drawn) == set(range(100, 106))


def test_sample_sets_without_peaks_or_without_species_get_no_fold(connection):
    peaks = f"(SELECT sampleset_id FROM {PEAKS} WHERE sampleset_id < 3000 UNION ALL SELECT 99)"
    folds = _folds(connection, peaks=peaks)
    assert set(folds) == {1000, 2000, 2001}
    assert all(row["n_rows"] == 3 for row in folds.values())


# -- a split file --------------------------------------------------------------------------------

TWO = """(SELECT * FROM (VALUES (11, 0, 0), (12, 0, 0), (13, 1, 0))
          AS t(sampleset_id, species, species_cluster))"""
TWO_PEAKS = f"(SELECT sampleset_id FROM {TWO})"


def _given(connection, tmp_path, text, lib=1):
    split = tmp_path / "split.csv"
    split.write_text(text)
    return _folds(connection, TWO, TWO_PEAKS, split=split, lib=lib)


def test_a_split_file_decides_every_fold(connection, tmp_path):
    folds = _given(
        connection, tmp_path, "sample_set_id,fold\n11,train\n12.0,Test\n13, test\n99,train\n"
    )
    assert {n: row["fold"] for n, row in folds.items()} == {11: "train", 12: "test", 13: "test"}


def test_a_split_file_of_several_libraries_is_read_for_one(connection, tmp_path):
    text = (
        "lib,sample_set_id,group,fold\n1,11,a,train\n1,12,a,test\n1,13,a,train\n"
        "2,11,a,test\n2,12,a,test\n2,13,a,test\n"
    )
    assert _test_sets(_given(connection, tmp_path, text)) == {12}
    assert _test_sets(_given(connection, tmp_path, text, lib=2)) == {11, 12, 13}


def test_a_repeated_equal_line_of_a_split_file_counts_once(connection, tmp_path):
    text = "sample_set_id,fold\n11,train\n11,train\n12,test\n13,train\n"
    assert _test_sets(_given(connection, tmp_path, text)) == {12}


@pytest.mark.parametrize(
    ("text", "offender"),
    [
        ("sample_set_id,fold\n11,train\n12,test\n", "sampleset_id=13, n_folds=0"),
        ("sample_set_id,fold\n11,train\n11,test\n12,test\n13,test\n", "sampleset_id=11, n_folds=2"),
    ],
    ids=["missing", "in two folds"],
)
def test_a_sample_set_without_exactly_one_fold_stops_the_step(connection, tmp_path, text, offender):
    with pytest.raises(
        CheckFailed, match=r"1 sample sets have no fold, or two, in split\.csv"
    ) as e:
        _given(connection, tmp_path, text)
    assert offender in str(e.value)
    assert e.value.advice == "list every sample set once, with train or test."


@pytest.mark.parametrize("fold", ["validation", ""])
def test_a_third_fold_stops_the_step(connection, tmp_path, fold):
    text = f"sample_set_id,fold\n11,train\n12,{fold}\n13,test\n"
    with pytest.raises(InputError, match=r"split\.csv: fold .* is neither train nor test") as e:
        _given(connection, tmp_path, text)
    assert (fold or "empty") in str(e.value)


def test_a_split_file_without_the_column_stops_the_step(connection, tmp_path):
    with pytest.raises(InputError, match=r"split\.csv lacks column fold; it has sample_set"):
        _given(connection, tmp_path, "sample_set_id,part\n11,train\n")
