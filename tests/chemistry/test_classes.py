"""Chemistry classes: recovery of known clusters, invariance, canonical labels."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compassign_core.chemistry.classes import canonical_labels, classify
from compassign_core.chemistry.descriptors import describe_structures
from compassign_core.chemistry.vectors import vector_table
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.chemistry import ChemistrySettings
from tests.support import export_oracle as oracle


def _clustered(sizes, seed=0):
    """Well separated clusters, and the cluster of each chemical."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = 100 * np.eye(20)[: len(sizes)]
    return truth, centres[truth] + rng.normal(size=(truth.size, 20))


def _ids(n):
    return np.arange(n, dtype=np.int64) * 3 + 1


def test_separated_clusters_are_recovered_and_numbered_by_size():
    sizes = (5, 20, 11)
    truth, vectors = _clustered(sizes)
    made = classify(vector_table(_ids(36), vectors), ChemistrySettings(n_classes=3))
    labels = made.table["compound_class"].to_numpy()
    # largest first: cluster 1 (20), 2 (11), 0 (5)
    np.testing.assert_array_equal(labels, np.array([2, 0, 1])[truth])
    assert made.table["chem_id"].to_pylist() == _ids(36).tolist()
    assert (made.notes["largest_class"], made.notes["smallest_class"]) == (20, 5)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(30)), st.integers(0, 5))
def test_classes_do_not_depend_on_row_order(order, seed):
    vectors = np.random.default_rng(seed).normal(size=(30, 20))
    chosen = ChemistrySettings(n_classes=6, seed=seed)
    straight = classify(vector_table(_ids(30), vectors), chosen)
    shuffled = classify(vector_table(_ids(30)[order], vectors[order]), chosen)
    assert straight.table.equals(shuffled.table)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_canonical_labels_keep_the_division_and_order_it(labels):
    labels = np.array(labels)
    canonical = canonical_labels(labels)
    same = labels[:, None] == labels[None, :]
    np.testing.assert_array_equal(canonical[:, None] == canonical[None, :], same)
    sizes = np.bincount(canonical)
    first = [int(np.argmax(canonical == k)) for k in range(sizes.size)]
    keys = list(zip((-sizes).tolist(), first, strict=True))
    assert keys == sorted(keys) and sizes.min() > 0


def test_there_are_never_more_classes_than_distinct_vectors():
    vectors = np.repeat(np.eye(20)[:3], (4, 2, 3), axis=0)
    made = classify(vector_table(_ids(9), vectors), ChemistrySettings(n_classes=32))
    assert made.table["compound_class"].to_pylist() == [0] * 4 + [2] * 2 + [1] * 3
    assert made.notes["classes"] == made.notes["distinct_vectors"] == 3


def test_no_chemicals_give_no_classes():
    made = classify(vector_table(_ids(0), np.zeros((0, 20))), ChemistrySettings())
    assert made.table.num_rows == 0
    assert made.table.column_names == ["chem_id", "compound_class"]
    assert made.notes["classes"] == 0


def test_unusable_vectors_are_refused():
    vectors = np.zeros((2, 20))
    vectors[1, 4] = np.nan
    with pytest.raises(InputError, match="finite number for 1 chemicals: chem_id 4"):
        classify(vector_table(_ids(2), vectors), ChemistrySettings())


def test_shipped_chemicals_fall_into_all_classes_by_lipid_class():
    names = ["chem_id", "chem_name", "smiles", "lipid_class"]
    structures = pq.read_table(oracle.SHIPPED / "structures.parquet", columns=names)
    described = describe_structures(structures.drop_columns("lipid_class"))
    made = classify(described.table, ChemistrySettings())
    assert made.table.num_rows == 843
    labels = made.table["compound_class"].to_numpy()
    assert set(labels.tolist()) == set(range(32))
    assert classify(described.table, ChemistrySettings()).table.equals(made.table)
    # independent of how classes are made: a class is mostly of one lipid class
    of = dict(
        zip(structures["chem_id"].to_pylist(), structures["lipid_class"].to_pylist(), strict=True)
    )
    lipids = np.array([str(of[chem]) for chem in made.table["chem_id"].to_pylist()])
    _, coded = np.unique(lipids, return_inverse=True)
    table = np.zeros((32, coded.max() + 1), dtype=int)
    np.add.at(table, (labels, coded), 1)
    assert table.max(axis=1).sum() / 843 > 0.8
    assert np.bincount(coded).max() / 843 < 0.2  # what one class for all would reach
