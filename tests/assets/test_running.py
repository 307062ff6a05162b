from __future__ import annotations

import json
import shutil

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compassign_assets.definitions import defs
from compassign_assets.runner import Runner
from compassign_core.pipeline.lineage import expected_lineage, is_current, stale
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.simulate import dirt
from compassign_core.store.lake import Partition
from tests.support import export_oracle as oracle
from tests.support.installation import CAP, LIB, lake_bytes, run_all


def _steps(runner: Runner, lib: int = LIB) -> bool:
    return runner.run("prepare_library", Partition(lib))


def test_everything_is_made_and_a_second_call_makes_nothing(made, runner) -> None:
    run_all(runner)
    assert runner.failures == {}
    assert (runner.made, runner.current) == (0, len(ARTIFACTS))


def test_the_rows_are_those_of_plain_sql_on_the_shards(made, exported) -> None:
    export = oracle.export_in(made.data, LIB)
    counts = oracle.counts(export)
    lake = made.lake
    rows = lake.arrow("lib_training", Partition(LIB)).num_rows
    assert rows == counts.complete
    support = lake.arrow("species_compound_support", Partition(LIB))
    assert support.num_rows == counts.pairs
    folds = {
        row["sampleset_id"]: row["fold"]
        for row in lake.arrow("fold_assignment", Partition(LIB)).to_pylist()
    }
    assert lake.arrow("rt_table", Partition(LIB, CAP)).num_rows == oracle.rows_at_cap(
        export, CAP, folds
    )
    assert lake.arrow("realtest_table", Partition(LIB)).num_rows == oracle.rows_of_fold(
        export, folds
    )


def test_the_same_inputs_give_the_same_bytes_on_another_number_of_threads(
    made, runner, monkeypatch
) -> None:
    before = lake_bytes(made)
    shutil.rmtree(made.root / "lake")
    monkeypatch.setenv("COMPASSIGN_THREADS", "1")
    run_all(runner)
    assert runner.failures == {}
    after = lake_bytes(made)
    assert after.keys() == before.keys()
    # Only the record of the spill folder's place may differ; there is none.
    assert [name for name in before if before[name] != after[name]] == []


def test_a_changed_shard_rebuilds_what_depends_on_it_and_nothing_else(made, runner) -> None:
    dirt.nan_and_negative_rt(made.data, LIB)
    todo = stale(made, list(ARTIFACTS), Partition(LIB))
    assert "lib_training" in todo
    run_all(runner)
    assert runner.failures == {}
    assert is_current(made, "rt_report", Partition(LIB, CAP))
    assert is_current(made, "chem_classes", Partition())


def test_a_changed_setting_rebuilds_what_it_decides(made, runner) -> None:
    file = made.data / "libraries.toml"
    section = f"[library.{LIB}.prep]"
    assert section in file.read_text()
    file.write_text(file.read_text().replace(section, f"{section}\nseed = 7"))
    names = list(ARTIFACTS)
    todo = stale(made, names, Partition(LIB))
    assert "ranked_training" in todo
    assert "export_manifest" not in todo
    assert _steps(runner)


def test_a_damaged_artifact_is_made_again(made, runner) -> None:
    file = made.lake.file("rt_evaluation", Partition(LIB, CAP))
    good = file.read_bytes()
    file.write_bytes(good[:100])
    assert not is_current(made, "rt_evaluation", Partition(LIB, CAP))
    runner.run("train_and_evaluate", Partition(LIB, CAP))
    assert file.read_bytes() == good


def test_lineage_names_code_inputs_and_upstream_but_no_time_and_no_machine(made) -> None:
    path = made.lake.file("rt_table", Partition(LIB, CAP), "lineage.json")
    lineage = json.loads(path.read_text())
    assert set(lineage) == {"artifact", "partition", "code", "inputs", "upstream", "output"}
    assert str(made.root) not in path.read_text()
    assert (
        lineage["upstream"] == expected_lineage(made, "rt_table", Partition(LIB, CAP))["upstream"]
    )


def test_rejects_are_kept_with_reason_and_source_file(made, runner) -> None:
    fault = dirt.nan_and_negative_rt(made.data, LIB)
    assert _steps(runner)
    rejects = made.lake.arrow("lib_training_rejects", Partition(LIB)).to_pylist()
    found = {reason: 0 for reason in fault.rejects}
    for row in rejects:
        if row["reason"] in found:
            found[row["reason"]] += 1
            assert row["source_file"].startswith("create_training_data/")
            assert (made.data / row["source_file"]).is_file()
    assert found == dict(fault.rejects)


@pytest.mark.parametrize("fault", sorted(name for name in dirt.DIRT))
def test_a_fault_ends_in_one_clear_message_and_leaves_earlier_tables_untouched(
    made, runner, fault
) -> None:
    before = lake_bytes(made)
    expected = dirt.dirty(made.data, fault, LIB)
    good = _steps(runner)
    if not expected.stops:
        assert good, runner.failures
        return
    assert not good
    ((place, messages),) = runner.failures.items()
    assert place == f"prepare_library, lib {LIB}"
    first = messages[0]
    for offender in expected.offenders:
        assert offender in first
    assert any("What to do" in line for line in messages)
    kept = {
        name: content
        for name, content in lake_bytes(made).items()
        if name.startswith(f"{expected.table}/") or name.startswith("rt_table/")
    }
    assert kept
    assert all(before[name] == content for name, content in kept.items())
    assert not list((made.root / "lake").rglob("*.aside"))


def test_a_library_without_an_export_says_what_to_bring(made, runner) -> None:
    shutil.rmtree(made.data / "create_training_data")
    assert not _steps(runner)
    ((message, *_),) = runner.failures.values()
    assert f"library {LIB}: no peaks shard in" in message
    assert "put the export" in message


def test_a_library_without_an_entry_says_so(made, runner) -> None:
    assert not _steps(runner, 208)
    ((message, *_),) = runner.failures.values()
    assert "library 208 has no entry" in message


def test_a_failed_check_is_recorded_for_its_partition_and_stops_the_run(made) -> None:
    dirt.species_in_two_groups(made.data, LIB)
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("prepare_library").execute_in_process(
            instance=instance, partition_key=str(LIB), raise_on_error=False
        )
        assert not result.success
        evaluations = result.get_asset_check_evaluations()
        failed = [
            e for e in evaluations if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR
        ]
        assert [(e.check_name, e.partition, e.blocking) for e in failed] == [
            ("species_nested_in_supercategory", str(LIB), True)
        ]
        assert failed[0].metadata["offenders"].records
        unreached = {e.check_name for e in evaluations if "not reached" in str(e.description)}
        assert "key_is_unique" in unreached and "sample_set_in_one_species" not in unreached
        materialised = {
            event.asset_key.path[-1] for event in result.get_asset_materialization_events()
        }
        assert "lib_training" in materialised
        assert not materialised & {"species_mapping", "fold_assignment", "ranked_training"}


def test_stated_counts_that_differ_stop_the_library(made, runner) -> None:
    file = made.data / "libraries.toml"
    file.write_text(file.read_text() + f"\n[library.{LIB}.expected]\nrows_training = 1\n")
    assert not _steps(runner)
    ((message, *_),) = runner.failures.values()
    assert "rows_training is" in message
    assert "stated 1" in message


def test_a_large_move_of_rows_warns_and_goes_on(made) -> None:
    folder = made.data / "create_training_data" / f"lib_id={LIB}"
    groups = sorted(folder.iterdir())
    shutil.rmtree(groups[0])
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("prepare_library").execute_in_process(
            instance=instance, partition_key=str(LIB), raise_on_error=False
        )
    assert result.success
    warned = {
        (e.asset_key.path[-1], e.severity)
        for e in result.get_asset_check_evaluations()
        if e.check_name == "row_count_is_steady" and not e.passed
    }
    assert ("lib_training", dg.AssetCheckSeverity.WARN) in warned


def test_materialisations_carry_counts_schema_lineage_and_checksum(project, runner) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("prepare_library").execute_in_process(
            instance=instance,
            partition_key=str(LIB),
            asset_selection=[
                *map(dg.AssetKey, ("export_manifest", "imported_names", "imported_peaks")),
                *map(dg.AssetKey, ("run_covariates", "lib_training")),
            ],
        )
        events = {
            event.asset_key.to_user_string(): event.materialization.metadata
            for event in result.get_asset_materialization_events()
        }
    metadata = events["lib_training"]
    rows = metadata["dagster/row_count"].value
    assert rows == metadata["rows out"].value
    assert metadata["rows in"].value == rows + metadata["rows refused"].value
    names = [column.name for column in metadata["dagster/column_schema"].value.columns]
    assert names[:3] == ["sampleset_id", "worksheet_id", "task_id"]
    runs = [
        column.name for column in events["run_covariates"]["dagster/column_schema"].value.columns
    ]
    assert any(name.startswith("IS_") for name in runs)
    assert not any(name.startswith("IS_") for name in names)
    lineage = metadata["dagster/column_lineage"].value.deps_by_column
    assert dg.AssetKey("run_covariates") in [origin.asset_key for origin in lineage["task_id"]]
    assert len(metadata["sha256"].value) == 64
    assert metadata["seconds"].value >= 0


def test_missing_upstream_tables_are_named(project, runner) -> None:
    assert not runner.run("train_and_evaluate", Partition(LIB, CAP))
    ((message, *_),) = runner.failures.values()
    assert f"for lib {LIB} has not been made yet" in message


def test_embeddings_that_a_user_brings_replace_the_descriptors(project, runner) -> None:
    vectors = [[float(chem), *([0.5] * 19)] for chem in (3, 1, 2)]
    pq.write_table(
        pa.table({"chem_id": [3, 1, 2], "embedding20": vectors}), project.data / "own.parquet"
    )
    file = project.data / "libraries.toml"
    text = file.read_text()
    assert 'structures = "structures.parquet"' in text
    file.write_text(text.replace('structures = "structures.parquet"', 'embeddings = "own.parquet"'))
    assert runner.run("chemistry", Partition()), runner.failures
    lake = project.lake
    assert lake.arrow("structures", Partition()).num_rows == 0
    stored = lake.arrow("chem_descriptors", Partition()).to_pydict()
    assert stored["chem_id"] == [1, 2, 3]
    assert [vector[0] for vector in stored["embedding20"]] == [1.0, 2.0, 3.0]
    assert lake.arrow("chem_classes", Partition()).num_rows == 3
