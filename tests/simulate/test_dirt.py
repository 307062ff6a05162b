"""Each fault does to an export what it says, and nothing else."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pytest

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.simulate import layout
from compassign_core.simulate.dirt import DIRT, dirty, missing_peak_column
from compassign_core.simulate.export import simulate_export
from tests.support import export_oracle as oracle

IN_PEAKS = (
    "nan_and_negative_rt",
    "null_keys",
    "fractional_comp_id",
    "duplicate_peaks",
    "conflicting_peaks",
    "missing_covariate_rows",
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return simulate_export(tmp_path_factory.mktemp("clean"), SimulationSettings())


@pytest.fixture
def copy(clean, tmp_path):
    return shutil.copytree(clean.folder, tmp_path / "copy")


def _changed(before, after):
    """Files that differ or are gone."""
    paths = {p.relative_to(before) for p in before.rglob("*") if p.is_file()}
    return sorted(
        path.as_posix()
        for path in paths
        if not (after / path).exists()
        or (after / path).read_bytes() != (before / path).read_bytes()
    )


@pytest.mark.parametrize("name", IN_PEAKS)
def test_refused_rows_are_as_many_as_sql_finds(clean, copy, name):
    fault = dirty(copy, name, 900)
    before = oracle.rows_by_fate(oracle.export_in(clean.folder, 900))
    after = oracle.rows_by_fate(oracle.export_in(copy, 900))
    assert sum(fault.rejects.values()) > 0
    assert after == {
        **before,
        "kept": before["kept"] + fault.training_rows_change,
        **fault.rejects,
    }
    assert sum(after.values()) == sum(before.values()) + fault.raw_rows_change


@pytest.mark.parametrize("name", IN_PEAKS)
def test_faults_apply_to_a_shipped_export(tmp_path, name):
    for part in ("create_training_data/lib_id=101", "combine_predictors/lib_id=101"):
        shutil.copytree(oracle.SHIPPED / part, tmp_path / part)
    fault = dirty(tmp_path, name, 101)
    after = oracle.rows_by_fate(oracle.export_in(tmp_path, 101))
    assert {reason: after[reason] for reason in fault.rejects} == fault.rejects
    assert after["kept"] == 11_785 + fault.training_rows_change


@pytest.mark.parametrize("name", sorted(DIRT))
def test_a_fault_carries_its_name_and_touches_only_its_files(clean, copy, name):
    fault = dirty(copy, name, 900)
    assert fault.name == name
    assert fault.stops == (not fault.rejects)
    assert fault.offenders or not fault.stops
    changed = _changed(clean.folder, copy)
    place = {
        "species_mapping": "metadata/",
        "comp_chem_mapping": "mappings/",
        "run_covariates": "combine_predictors/",
    }.get(fault.table, "create_training_data/")
    if name == "missing_covariate_rows":
        place = "combine_predictors/"
    assert changed and all(path.startswith(place) for path in changed)
    assert len(changed) == (3 if name == "empty_export" else 1)


def test_a_truncated_shard_cannot_be_opened(copy):
    fault = dirty(copy, "truncated_peak_shard", 900)
    with pytest.raises(pa.ArrowInvalid):
        layout.read_shard(copy / fault.offenders[0])


@pytest.mark.parametrize("column", ["apex_rt", "task_id", "correct"])
def test_a_missing_column_is_gone_from_the_named_file(copy, column):
    fault = missing_peak_column(copy, 900, column)
    assert fault.offenders[1] == column
    assert column not in layout.read_shard(copy / fault.offenders[0]).column_names


def test_a_text_column_stands_in_the_named_file_only(copy):
    file, column = dirty(copy, "column_text_in_one_shard", 900).offenders
    kinds = {
        path.relative_to(copy).as_posix(): layout.read_shard(path).schema.field(column).type
        for path in layout.peak_shards(copy, 900)
    }
    assert kinds.pop(file) == pa.string()
    assert set(kinds.values()) == {pa.float64()}


def test_an_empty_export_keeps_its_folders(copy):
    dirty(copy, "empty_export", 900)
    assert layout.peak_shards(copy, 900) == []
    assert len(list(layout.peak_folder(copy, 900).iterdir())) == 3


def test_a_species_comes_to_lie_in_two_groups(copy):
    (species,) = dirty(copy, "species_in_two_groups", 900).offenders
    rows = layout.read_csv(layout.metadata_file(copy, 900)).to_pylist()
    groups = {}
    for row in rows:
        groups.setdefault(row["species_matrix_type"], set()).add(row["group"])
    assert {label for label, found in groups.items() if len(found) > 1} == {species}


@pytest.mark.parametrize(
    ("name", "times"), [("sample_set_listed_twice", 2), ("sample_set_missing_in_metadata", 0)]
)
def test_a_sample_set_is_listed_so_many_times(clean, copy, name, times):
    (sample_set,) = dirty(copy, name, 900).offenders
    listed = layout.read_csv(layout.metadata_file(copy, 900))["sample_set_id"].to_pylist()
    assert listed.count(sample_set) == times
    assert int(sample_set) in clean.libraries[900].sample_set_ids
    assert len(listed) == 12 + times - 1


def test_a_sample_set_loses_its_group(copy):
    (sample_set,) = dirty(copy, "sample_set_without_group", 900).offenders
    rows = layout.read_csv(layout.metadata_file(copy, 900)).to_pylist()
    assert [row["sample_set_id"] for row in rows if row["group"] is None] == [sample_set]


def test_an_entry_is_mapped_to_two_chemicals(copy):
    (comp,) = dirty(copy, "comp_mapped_twice", 900).offenders
    rows = layout.read_csv(layout.comp_chem_file(copy, 900)).to_pylist()
    assert len({row["chemical_id"] for row in rows if row["comp_id"] == comp}) == 2
    assert len({row["comp_id"] for row in rows}) == len(rows) - 1


@pytest.mark.parametrize(
    ("name", "distinct"), [("duplicate_covariate_rows", 24), ("conflicting_covariate_rows", 27)]
)
def test_repeated_covariates_are_alike_or_not(copy, name, distinct):
    dirty(copy, name, 900)
    table = layout.read_shard(layout.covariate_shards(copy, 900)[0])
    assert table.num_rows == 27
    assert table.group_by(table.column_names).aggregate([]).num_rows == distinct


def test_an_unknown_fault_is_refused_with_the_known_ones(copy):
    with pytest.raises(SettingsError, match="no fault called 'rust'") as error:
        dirty(copy, "rust", 900)
    assert "null_keys" in str(error.value)
