"""Descriptors: whitening, invariance, rejects and padding."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compassign_core.chemistry.descriptors import describe_structures, whitened_components
from compassign_core.chemistry.vectors import stack_vectors
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.rejects import REJECT_COLUMNS
from compassign_core.simulate.chemicals import CHEMICALS
from tests.support import export_oracle as oracle


def _structures(rows):
    return pa.table(
        {
            "chem_id": pa.array([chem for chem, _ in rows], pa.int64()),
            "chem_name": pa.array([None] * len(rows), pa.string()),
            "smiles": pa.array([smiles for _, smiles in rows], pa.string()),
        }
    )


SMALL = [(n, smiles) for n, (_, smiles) in enumerate(CHEMICALS)]


@pytest.fixture(scope="module")
def shipped():
    columns = ["chem_id", "chem_name", "smiles"]
    structures = pq.read_table(oracle.SHIPPED / "structures.parquet", columns=columns)
    return structures, describe_structures(structures)


def test_shipped_chemicals_are_described_or_rejected(shipped):
    structures, described = shipped
    assert (described.rows_in, described.table.num_rows) == (861, 843)
    assert described.rejects["reason"].to_pylist() == ["smiles_missing"] * 18
    without = {
        f"chem_id={row['chem_id']}" for row in structures.to_pylist() if row["smiles"] is None
    }
    assert set(described.rejects["detail"].to_pylist()) == without
    assert described.notes["components"] == 20
    assert 0.9 < described.notes["explained_variance"] < 1


def test_components_of_the_shipped_chemicals_are_white(shipped):
    _, vectors = stack_vectors(shipped[1].table, "descriptors")
    assert vectors.shape == (843, 20)
    np.testing.assert_allclose(np.cov(vectors.T), np.eye(20), atol=1e-8)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-8)


def test_equal_structures_get_equal_components(shipped):
    structures, described = shipped
    smiles = dict(
        zip(structures["chem_id"].to_pylist(), structures["smiles"].to_pylist(), strict=True)
    )
    vectors = {}
    for row in described.table.to_pylist():
        vectors.setdefault(smiles[row["chem_id"]], set()).add(tuple(row["embedding20"]))
    assert len(vectors) < 843  # some structures stand for several chemicals
    assert {len(found) for found in vectors.values()} == {1}


def test_shipped_result_is_the_same_for_any_row_order(shipped):
    structures, described = shipped
    shuffled = structures.take(np.random.default_rng(0).permutation(structures.num_rows))
    again = describe_structures(shuffled)
    assert again.table.equals(described.table)
    assert again.rejects.equals(described.rejects)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(SMALL))), st.integers(2, len(SMALL)))
def test_any_subset_gives_the_same_result_in_any_row_order(order, size):
    rows = [SMALL[n] for n in order[:size]]
    assert describe_structures(_structures(rows)).table.equals(
        describe_structures(_structures(sorted(rows))).table
    )


def test_two_spellings_of_a_structure_get_the_same_components():
    rows = [(100, "OC(=O)CCC"), (101, "CCCC(=O)O"), (102, "C(CC)C(O)=O")]
    by_id = {
        row["chem_id"]: row["embedding20"]
        for row in describe_structures(_structures(SMALL + rows)).table.to_pylist()
    }
    assert by_id[100] == by_id[101] == by_id[102] == by_id[5]


def test_missing_and_unreadable_smiles_become_rejects_with_their_reason():
    rows = [*SMALL, (50, None), (51, "  "), (52, "C1CC"), (53, "?")]
    described = describe_structures(_structures(rows))
    assert described.table["chem_id"].to_pylist() == [chem for chem, _ in SMALL]
    assert described.rejects.column_names == [column.name for column in REJECT_COLUMNS]
    refused = [(row["reason"], row["detail"]) for row in described.rejects.to_pylist()]
    assert refused == [
        ("smiles_missing", "chem_id=50"),
        ("smiles_missing", "chem_id=51"),
        ("smiles_unreadable", "chem_id=52, smiles=C1CC"),
        ("smiles_unreadable", "chem_id=53, smiles=?"),
    ]
    assert described.rows_in == described.table.num_rows + described.rejects.num_rows


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_few_chemicals_are_padded_with_zeros(size):
    described = describe_structures(_structures(SMALL[:size]))
    ids, vectors = stack_vectors(described.table, "descriptors")
    assert vectors.shape == (size, 20) and ids.tolist() == list(range(size))
    used = max(size - 1, 0)
    assert described.notes["components"] == used
    assert described.notes["padded_with_zeros"] == 20 - used
    assert not vectors[:, used:].any()
    if used:
        covariance = np.cov(vectors[:, :used].T).reshape(used, used)
        np.testing.assert_allclose(covariance, np.eye(used), atol=1e-8)


def test_repeated_and_null_ids_are_refused():
    with pytest.raises(InputError, match="1 ids more than once: 3"):
        describe_structures(_structures([*SMALL, (3, "C")]))
    with pytest.raises(InputError, match="chem_id is null in 1 rows"):
        describe_structures(_structures([*SMALL, (None, "C")]))


def test_whitened_components_are_those_of_the_covariance_matrix():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(200, 30)) @ rng.normal(size=(30, 30))
    features -= features.mean(axis=0)
    components = whitened_components(features)
    # oracle: eigenvectors of the covariance; signs by the largest loading
    variances, vectors = np.linalg.eigh(np.cov(features.T))
    variances, vectors = variances[::-1][:20], vectors[:, ::-1][:, :20]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(20)]
    expected = features @ vectors * np.sign(largest) / np.sqrt(variances)
    np.testing.assert_allclose(components.values, expected, atol=1e-7)
    share = variances / np.trace(np.cov(features.T))
    np.testing.assert_allclose(components.explained, share, rtol=1e-9)


def test_the_sign_does_not_turn_with_the_sign_of_the_decomposition():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(50, 25))
    # a column and its mirror image tie for the largest loading, with opposite signs; which is
    # larger is then up to rounding
    features = np.column_stack([10 * features[:, 0], -10 * features[:, 0], features])
    features -= features.mean(axis=0)
    straight = whitened_components(features).values
    for column in (0, 1):
        nudged = features.copy()
        nudged[:, column] *= 1 + 1e-12
        np.testing.assert_allclose(whitened_components(nudged).values, straight, atol=1e-8)
    np.testing.assert_allclose(
        whitened_components(features[::-1]).values[::-1], straight, atol=1e-8
    )
