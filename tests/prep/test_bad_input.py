"""Faults in an export end in one clear message, or are counted; what was published before stays."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pytest

from compassign_core.contracts.errors import CompassignError, InputError, SettingsError
from compassign_core.simulate import layout
from compassign_core.simulate.bad_input import KINDS
from compassign_core.simulate.dirt import DIRT, dirty, nan_and_negative_rt, sample_set_without_group
from compassign_core.store.steps import REFUSED_FILE
from tests.support.pipeline import LIBRARY_STEPS, Pipeline, published, refused

COUNTED = tuple(kind.name for kind in KINDS if kind.outcome == "refuses" and kind.name in DIRT)


def _run_before(pipeline: Pipeline, table: str) -> None:
    for step in LIBRARY_STEPS[: LIBRARY_STEPS.index(table)]:
        pipeline.run(step)


def _refused(pipeline: Pipeline, table: str) -> CompassignError:
    """The error that making `table` ends in; the lake and the registry must stay as they are."""
    folders = (pipeline.root, pipeline.root.parent / "registry")
    before = [published(folder) for folder in folders]
    assert any(name.startswith(f"{table}/") for name in before[0])
    with pytest.raises(CompassignError) as caught:
        pipeline.run(table)
    assert [published(folder) for folder in folders] == before
    assert caught.value.advice
    assert "\n" not in caught.value.problem
    return caught.value


@pytest.mark.parametrize("name", COUNTED)
def test_a_faulty_row_is_refused_with_its_reason_and_the_rest_is_made(simulated, copy, name):
    fault = dirty(copy.libraries_file.parent, name, 900)
    copy.run_library()
    copy.run("realtest_table")
    copy.run_caps((5,))
    assert not [o for outcomes in copy.outcomes.values() for o in outcomes if not o.passed]
    clean = simulated.pipeline.reports[fault.table, None]
    report = copy.reports[fault.table, None]
    assert fault.rejects
    assert report.rejects == {**clean.rejects, **fault.rejects}
    refused = sum(fault.rejects.values())
    assert report.rows_in - report.rows_out == clean.rows_in - clean.rows_out + refused
    if fault.table == "lib_training":
        assert report.rows_out == clean.rows_out + fault.training_rows_change
        assert report.rows_in == clean.rows_in + fault.raw_rows_change
    listed = [row for row in copy.rejects(fault.table) if row[0] in fault.rejects]
    assert len(listed) == refused
    assert all(row[1].endswith(".parquet") for row in listed)


def test_too_many_faulty_rows_stop_the_step(copy):
    fault = nan_and_negative_rt(copy.libraries_file.parent, 900, n=60)
    _run_before(copy, "lib_training")
    error = _refused(copy, "lib_training")
    assert "rejects_within_limit" in error.problem
    assert refused(copy.root) == {f"lib_training_rejects/lib_id=900/{REFUSED_FILE}"}
    for reason, n in fault.rejects.items():
        assert f"{reason} {n}" in error.problem
    assert "the limit is 10%" in error.problem
    assert "max_reject_share" in error.advice


def test_the_limit_of_faulty_rows_is_a_setting(copy):
    nan_and_negative_rt(copy.libraries_file.parent, 900, n=60)
    text = copy.libraries_file.read_text()
    copy.libraries_file.write_text(f"[prep]\nmax_reject_share = 0.5\n\n{text}")
    _run_before(copy, "lib_training")
    copy.run("lib_training")
    assert copy.reports["lib_training", None].rejects["rt_not_positive"] == 120


def test_a_sample_set_without_group_is_set_aside_and_warned_of(simulated, copy):
    fault = sample_set_without_group(copy.libraries_file.parent, 900)
    number = int(fault.offenders[0])
    copy.run_library()
    copy.run("realtest_table")
    copy.run_caps((5,))
    outcome = copy.outcome("species_mapping", "sample_sets_of_the_data_have_a_group")
    assert not outcome.passed and not outcome.blocking
    truth = simulated.truth.libraries[900]
    n_peaks = int(truth.set_pair_rows[truth.sample_set_ids.index(number)].sum())
    assert outcome.offenders == [{"sampleset_id": number, "n_peaks": n_peaks}]
    assert copy.reports["species_mapping", None].rejects == {"group_missing": 1}
    set_aside = copy.reports["ranked_training", None].set_aside
    assert set_aside["sample_set_without_species"] == n_peaks
    assert copy.reports["species_compound_support", None].notes["peaks_without_species"] == n_peaks
    for table, cap in (("rt_table", 5), ("realtest_table", None), ("ranked_training", None)):
        source = copy.source(table, cap)
        assert copy.value(f"SELECT count(*) FROM {source} WHERE sampleset_id = {number}") == 0
    assert number not in copy.folds()


# -- faults beyond those of the generator ------------------------------------------------------


def test_a_covariate_column_of_text_stops_the_manifest(copy):
    path = layout.covariate_shards(copy.libraries_file.parent, 900)[0]
    table = layout.read_shard(path)
    column = table.column_names.index("IS_00")
    layout.write_shard(path, table.set_column(column, "IS_00", table["IS_00"].cast("string")))
    error = _refused(copy, "export_manifest")
    assert "IS_00" in error.problem and path.name in error.problem and "text" in error.problem


def test_an_export_without_any_covariate_column_stops_the_manifest(copy):
    for path in layout.covariate_shards(copy.libraries_file.parent, 900):
        table = layout.read_shard(path).select(["sample_set_id", "task_id"])
        layout.write_shard(path, table)
    error = _refused(copy, "export_manifest")
    assert "no covariate column" in error.problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: shutil.rmtree(folder / "create_training_data"), "no peaks shard"),
        (lambda folder: shutil.rmtree(folder / "combine_predictors"), "no covariates shard"),
        (
            lambda folder: layout.metadata_file(folder, 900).unlink(),
            "metadata/sample_sets_lib900.csv does not exist",
        ),
        (
            lambda folder: layout.comp_chem_file(folder, 900).unlink(),
            "mappings/lib_comp_chem_mapping_lib900.csv does not exist",
        ),
    ],
    ids=["peaks", "covariates", "metadata", "mapping"],
)
def test_an_absent_part_of_the_export_stops_the_manifest(copy, change, words):
    change(copy.libraries_file.parent)
    error = _refused(copy, "export_manifest")
    assert words in error.problem and "library 900" in error.problem


def test_a_shard_that_goes_after_it_was_listed_stops_the_step(copy):
    path = layout.peak_shards(copy.libraries_file.parent, 900)[1]
    copy.run("export_manifest")
    copy.run("run_covariates")
    path.unlink()
    error = _refused(copy, "lib_training")
    assert path.relative_to(copy.libraries_file.parent).as_posix() in error.problem
    assert "export_manifest" in error.advice


def test_peaks_of_no_row_stop_the_step(copy):
    for path in layout.peak_shards(copy.libraries_file.parent, 900):
        layout.write_shard(path, layout.read_shard(path).slice(0, 0))
    _run_before(copy, "lib_training")
    assert "library 900: the export holds no peak row" in _refused(copy, "lib_training").problem


@pytest.mark.parametrize(
    ("file", "column", "table"),
    [
        (layout.metadata_file, "group", "species_mapping"),
        (layout.metadata_file, "sample_set_id", "species_mapping"),
        (layout.comp_chem_file, "chemical_id", "comp_chem_mapping"),
    ],
)
def test_a_list_without_a_column_stops_the_step(copy, file, column, table):
    path = file(copy.libraries_file.parent, 900)
    layout.write_csv(path, layout.read_csv(path).drop_columns([column]))
    copy.run("export_manifest")
    error = _refused(copy, table)
    assert f"{path.name} lacks column {column}" in error.problem


@pytest.mark.parametrize(
    "content",
    [
        b"sample_set_id,species_matrix_type,group\n1,a,b\n2,a,b,c,d\n",
        b"sample_set_id,species_matrix_type,group\n1,\xff\xfe,b\n",
        b"",
    ],
    ids=["ragged", "not UTF-8", "empty"],
)
def test_a_list_that_is_no_csv_stops_the_step(copy, content):
    path = layout.metadata_file(copy.libraries_file.parent, 900)
    path.write_bytes(content)
    copy.run("export_manifest")
    assert path.name in _refused(copy, "species_mapping").problem


def test_a_shard_spoiled_inside_stops_the_step(copy):
    """Its footer is whole; a page is not."""
    path = layout.peak_shards(copy.libraries_file.parent, 900)[0]
    content = bytearray(path.read_bytes())
    content[200:2000] = bytes(1800)
    path.write_bytes(content)
    problem = _refused(copy, "export_manifest").problem
    assert path.relative_to(copy.libraries_file.parent).as_posix() in problem
    assert f"{len(content):,} bytes" in problem


def test_a_library_whose_name_is_no_number_is_named(copy):
    text = copy.libraries_file.read_text().replace("[library.900]", "[library.abc]")
    copy.libraries_file.write_text(text.replace("[library.900.prep]", "[library.abc.prep]"))
    with pytest.raises(SettingsError, match="'abc' is not a positive whole number") as error:
        copy.run("export_manifest")
    assert "libraries.toml" in str(error.value)


def test_a_library_that_is_not_listed_is_named(copy):
    copy.lib = 7
    with pytest.raises(SettingsError, match="library 7 has no entry") as error:
        copy.run("export_manifest")
    assert "[library.7]" in error.value.advice and "900" in error.value.advice


def test_stated_counts_that_differ_stop_the_step(copy):
    text = copy.libraries_file.read_text()
    copy.libraries_file.write_text(
        f"{text}\n[library.900.expected]\nrows_training = 17\nruns = 3\ncap.5.sampled = 1\n"
    )
    _run_before(copy, "lib_training")
    problem = _refused(copy, "lib_training").problem
    assert "counts_as_stated" in problem and "stated 17" in problem and "runs is" in problem


def test_a_missing_upstream_table_is_an_error_that_names_it(copy):
    copy.file("lib_training").unlink()
    with pytest.raises(CompassignError, match="lib_training for lib 900 has not been made yet"):
        copy.run("species_mapping")


def test_labels_with_any_character_come_through(copy):
    """A label is text: commas, quotes, semicolons and signs of other scripts are part of it."""
    labels = ['a, "b"; c', "l'été | hiver", "肝 (liver)", "tab\tand = sign"]
    path = layout.metadata_file(copy.libraries_file.parent, 900)
    table = layout.read_csv(path)
    old = sorted(set(table["species_matrix_type"].to_pylist()))
    renamed = dict(zip(old, labels, strict=True))
    column = [renamed[label] for label in table["species_matrix_type"].to_pylist()]
    index = table.column_names.index("species_matrix_type")
    layout.write_csv(path, table.set_column(index, "species_matrix_type", [column]))
    copy.run("export_manifest")
    copy.run("species_mapping")
    found = copy.rows(f"SELECT sampleset_id, species_raw FROM {copy.source('species_mapping')}")
    assert dict(found) == dict(
        zip(map(int, table["sample_set_id"].to_pylist()), column, strict=True)
    )


def test_a_null_key_in_covariates_is_refused_and_joins_nothing(copy):
    path = layout.covariate_shards(copy.libraries_file.parent, 900)[0]
    table = layout.read_shard(path)
    nulls = table.slice(0, 2)
    nulls = nulls.set_column(nulls.column_names.index("task_id"), "task_id", [[None, None]]).cast(
        table.schema
    )
    layout.write_shard(path, pa.concat_tables([table, nulls]))
    dirty(copy.libraries_file.parent, "null_keys", 900)
    _run_before(copy, "lib_training")
    assert copy.reports["run_covariates", None].rejects == {"key_unreadable": 2}
    copy.run("lib_training")
    source = copy.source("lib_training")
    assert copy.value(f"SELECT count(*) FROM {source} WHERE task_id IS NULL") == 0


def test_registry_errors_reach_the_user(copy):
    file = copy.root.parent / "registry" / "lib900_ids.csv"
    file.write_text("kind,label,id\nspecies,a,x\n")
    with pytest.raises(InputError, match=r"lib900_ids\.csv, line 2"):
        copy.run("species_mapping")
