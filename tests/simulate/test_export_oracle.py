"""The oracle itself, against the counts that are stated of the shipped libraries."""

from __future__ import annotations

import pytest

from tests.support import export_oracle as oracle


@pytest.mark.parametrize(
    ("lib", "expected", "cap5"),
    [
        (100, oracle.Counts(139_232, 101_387, 190, 20, 4, 2, 612, 2_387), 11_758),
        (101, oracle.Counts(20_798, 11_785, 126, 13, 2, 1, 99, 198), 990),
        (109, oracle.Counts(36_542, 31_216, 121, 16, 4, 2, 258, 1_032), 5_160),
    ],
)
def test_shipped_libraries_have_the_stated_counts(lib, expected, cap5):
    export = oracle.shipped(lib)
    assert oracle.counts(export) == expected
    assert oracle.rows_at_cap(export, 5) == cap5


def test_training_and_held_out_rows_add_up_to_all():
    export = oracle.shipped(101)
    sets = oracle.sample_sets(export)
    folds = {number: "test" if n % 4 == 0 else "train" for n, number in enumerate(sets)}
    held_out = oracle.rows_of_fold(export, folds)
    assert held_out > 0
    assert held_out + oracle.rows_of_fold(export, folds, "train") == 11_785
    # a cap above every pair keeps all training rows, and none of the held-out ones
    assert oracle.rows_at_cap(export, 10**9, folds) == 11_785 - held_out


def test_chemistry_counts_shrink_with_the_chemicals_that_have_a_class():
    export = oracle.shipped(101)
    with_smiles = oracle.chemicals_with_smiles(oracle.SHIPPED / "structures.parquet")
    assert len(with_smiles) == 843
    assert oracle.chemistry_at_cap(export, 5, with_smiles) == (990, 990, 990)
    assert oracle.chemistry_at_cap(export, 5, ()) == (990, 990, 0)
