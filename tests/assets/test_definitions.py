from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from compassign_assets.definitions import defs
from compassign_assets.partitions import DEFINITIONS, read_key, write_key
from compassign_core.contracts.catalogue import CONTRACTS
from compassign_core.contracts.check_rules import RULES, WARNINGS
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.identifiers import CAPS
from compassign_core.pipeline.artifacts import upstream_first
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.store.lake import Partition

GRAPH = defs.resolve_asset_graph()


def test_the_whole_repository_loads_with_every_job() -> None:
    # Loads what the web server loads; two graphs of one name fail only here.
    jobs = {job.name for job in defs.get_repository_def().get_all_jobs()}
    assert {"chemistry", "prepare_library", "train_and_evaluate", "refresh_warehouse"} <= jobs


def test_every_table_contract_is_an_asset_with_its_partitions() -> None:
    for name, contract in CONTRACTS.items():
        node = GRAPH.get(dg.AssetKey(name))
        assert node.partitions_def == DEFINITIONS[contract.partitions], name
        assert ARTIFACTS[name].dimensions == contract.partitions


@pytest.mark.parametrize("name", sorted(ARTIFACTS))
def test_every_asset_says_what_it_is_who_owns_it_and_where_it_belongs(name: str) -> None:
    node = GRAPH.get(dg.AssetKey(name))
    assert len(node.description or "") > 20
    assert node.owners == ["team:compassign"]
    assert node.group_name != "default"
    assert node.kinds
    assert node.code_version
    assert {key.path[-1] for key in node.parent_keys} == set(ARTIFACTS[name].upstream)


def test_assets_can_be_put_upstream_first() -> None:
    names = upstream_first(ARTIFACTS)
    assert sorted(names) == sorted(ARTIFACTS)
    for name, record in ARTIFACTS.items():
        for parent in record.upstream:
            assert names.index(parent) < names.index(name), (parent, name)


def test_every_declared_check_has_a_rule_and_only_warnings_let_data_go_on() -> None:
    keys = list(GRAPH.asset_check_keys)
    assert {key.name for key in keys} <= set(RULES)
    assert set(RULES) >= WARNINGS
    for key in keys:
        spec = GRAPH.get_check_spec(key)
        assert spec.blocking == (key.name not in WARNINGS)
        assert spec.description == RULES[key.name]


def test_the_data_flow_from_export_to_report() -> None:
    upstream: set[str] = set()
    todo = ["rt_report"]
    while todo:
        name = todo.pop()
        upstream.add(name)
        todo += [parent for parent in ARTIFACTS[name].upstream if parent not in upstream]
    assert {"export_manifest", "lib_training", "ranked_training", "rt_table"} <= upstream
    assert {"chem_classes", "realtest_table", "supercategory_ridge_coefficients"} <= upstream


def test_loading_the_code_location_imports_no_numerical_library() -> None:
    code = (
        "import sys, compassign_assets.definitions; "
        "heavy = {'sklearn', 'rdkit', 'scipy', 'plotly', 'matplotlib', 'torch', 'pymc'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == "[]"


@pytest.mark.parametrize(
    "partition", [Partition(), Partition(100), *(Partition(208, cap) for cap in CAPS)]
)
def test_partition_keys_round_trip(partition: Partition) -> None:
    assert read_key(write_key(partition)) == partition


def test_the_library_is_the_primary_axis_of_the_key() -> None:
    assert write_key(Partition(208, 5)) == "208|5"


@pytest.mark.parametrize("key", ["", "abc", "100|7", "100|", "../x", "100|5|5", "-1", "1e2"])
def test_a_key_that_names_no_partition_is_refused(key: str) -> None:
    if key == "100|":
        assert read_key(key) == Partition(100)
        return
    with pytest.raises(SettingsError, match=r"library id|cap"):
        read_key(key)
