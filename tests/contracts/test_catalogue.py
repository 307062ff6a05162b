"""The contracts themselves: consistent, total in their order, and legible."""

from __future__ import annotations

import pytest

from compassign_core.contracts.catalogue import (
    CONTRACTS,
    SUPPORT_BIN_EDGES,
    SUPPORT_BINS,
    contract,
    rejects_contract,
)
from compassign_core.contracts.errors import MissingArtifactError
from compassign_core.contracts.identifiers import check_artifact_name
from compassign_core.contracts.tables import is_covariate

ALL = [*CONTRACTS.values(), *map(rejects_contract, CONTRACTS)]


@pytest.fixture(params=ALL, ids=lambda made: made.name)
def made(request):
    return request.param


def test_key_and_order_are_columns_of_the_table(made):
    names = made.names()
    assert len(set(names)) == len(names) > 0
    assert set(made.key) <= set(names)
    assert set(made.order_by) <= set(names)


def test_the_order_is_total(made):
    """The order holds the whole key, or every column, so that equal tables are equal bytes."""
    assert made.order_by
    within_pair = {"species_cluster", "species", "comp_id", "pair_rank"}
    identified = (
        set(made.key) <= set(made.order_by) if made.key else set(made.order_by) == set(made.names())
    )
    assert identified or within_pair == set(made.order_by)


def test_names_are_legal_and_partitions_known(made):
    assert check_artifact_name(made.name) == made.name
    assert made.partitions in ((), ("lib_id",), ("lib_id", "row_cap"))
    assert not set(made.partitions) & set(made.names())


def test_everything_is_described(made):
    assert made.description.endswith(".")
    assert all(column.description for column in made.columns)


def test_no_fixed_column_is_taken_for_a_covariate(made):
    assert not [name for name in made.names() if is_covariate(name)]


def test_key_columns_may_not_be_null(made):
    nullable = {column.name for column in made.columns if column.nullable}
    assert not nullable & set(made.key)


def test_times_are_in_minutes():
    units = {c.name: c.unit for made in ALL for c in made.columns if c.name.startswith("rt")}
    assert units and set(units.values()) == {"min"}


def test_names_are_unique_and_found():
    names = [made.name for made in ALL]
    assert len(set(names)) == len(names)
    assert all(contract(name) is CONTRACTS[name] for name in CONTRACTS)
    with pytest.raises(MissingArtifactError, match="no table called 'x'") as error:
        contract("x")
    assert "rt_table" in error.value.advice


def test_support_bins_and_edges_fit():
    assert len(SUPPORT_BINS) == len(SUPPORT_BIN_EDGES) + 1
    assert list(SUPPORT_BIN_EDGES) == sorted(SUPPORT_BIN_EDGES)


@pytest.mark.parametrize(
    ("name", "covariate"),
    [
        ("IS_01", True),
        ("IS1", True),
        ("RS_a", True),
        ("ES_x", True),
        ("IST", True),
        ("ES1", False),
        ("is_1", False),
        ("rt", False),
        ("xIS_1", False),
        ("", False),
    ],
)
def test_a_covariate_is_known_by_its_name(name, covariate):
    assert is_covariate(name) == covariate
