"""The rules for single peaks, on exports of a handful of rows."""

from __future__ import annotations

from urllib.parse import quote

import pyarrow as pa
import pytest

from compassign_core.simulate import layout
from tests.support.pipeline import Pipeline

LABEL = "plasma"


def _prepared(tmp_path, peaks, label=LABEL, folder=None, runs=(1, 2, 3), prep="", **covariates):
    """Peaks as columns (defaults filled in) of sample set 10, joined with runs of these tasks."""
    n = len(next(iter(peaks.values())))
    table = {
        "sample_set_id": ["10"] * n,
        "task_id": [1] * n,
        "worksheet_id": [5] * n,
        "species_matrix_type": [label] * n,
        "correct": list(range(n)),
        "apex_rt": [1.5] * n,
        **peaks,
    }
    export = tmp_path / "export"
    layout.write_shard(layout.peak_folder(export, 7) / "group=g/part.parquet", pa.table(table))
    n_runs = len(runs)
    layout.write_shard(
        layout.covariate_folder(export, 7)
        / f"species_matrix_type={label if folder is None else folder}/part.parquet",
        pa.table(
            {
                "sample_set_id": ["10"] * n_runs,
                "task_id": list(runs),
                **(covariates or {"IS_a": [2.0] * n_runs}),
            }
        ),
    )
    for name in ("m.csv", "c.csv"):
        (export / name).write_text("x\n")
    file = export / "libraries.toml"
    file.write_text(
        '[chemistry]\nstructures = "s.parquet"\n[library.7]\ntitle = "t"\nexport = "."\n'
        f'metadata = "m.csv"\ncomp_chem = "c.csv"\n[library.7.prep]\nmax_reject_share = 1\n{prep}'
    )
    pipeline = Pipeline(file, 7, tmp_path / "lake")
    for table_name in ("export_manifest", "run_covariates", "lib_training"):
        pipeline.run(table_name)
    return pipeline


def _kept(pipeline, columns="comp_id"):
    rows = pipeline.rows(f"SELECT {columns} FROM {pipeline.source('lib_training')}")
    return [row[0] for row in rows] if columns == "comp_id" else rows


STATUSES = ["Complete", "Complete - NFS", "complete", "Not curated", None, ""]


def test_only_curated_states_are_kept_and_a_missing_state_is_none(tmp_path):
    pipeline = _prepared(tmp_path, {"cpd_status": STATUSES})
    assert _kept(pipeline) == [0, 1]
    assert pipeline.reports["lib_training", None].rejects == {"status_not_kept": 4}
    details = {row[-1] for row in pipeline.rejects("lib_training")}
    assert details == {"complete", "Not curated", None, ""}


def test_the_kept_states_are_a_setting(tmp_path):
    pipeline = _prepared(tmp_path, {"cpd_status": STATUSES}, prep='statuses = ["Not curated"]')
    assert _kept(pipeline) == [3]


def test_an_export_without_states_is_all_curated(tmp_path):
    assert _kept(_prepared(tmp_path, {"apex_rt": [1.0, 2.0]})) == [0, 1]


@pytest.mark.parametrize(
    ("setting", "kept"),
    [("", [0, 2]), ("excluded_sample_types = []", [0, 1, 2]),
     ('excluded_sample_types = ["SPL", "PRCS"]', [2])],
)  # fmt: skip
def test_excluded_sample_types_are_a_setting_and_a_missing_type_is_kept(tmp_path, setting, kept):
    pipeline = _prepared(tmp_path, {"sample_type": ["SPL", "PRCS", None]}, prep=setting)
    assert _kept(pipeline) == kept


def test_the_first_reason_is_the_one_given(tmp_path):
    pipeline = _prepared(
        tmp_path,
        {
            "cpd_status": ["x", "Complete", "Complete", "Complete", "Complete", "Complete"],
            "sample_type": ["PRCS", "PRCS", None, None, None, None],
            "task_id": [None, None, None, 1, 99, 99],
            "correct": [None, None, None, None, 4, 5],
            "apex_rt": [None, None, None, None, -1.0, 1.0],
        },
    )
    assert [row[0] for row in pipeline.rejects("lib_training")] == [
        "comp_unreadable", "key_unreadable", "rt_not_positive", "run_without_covariates",
        "sample_type_excluded", "status_not_kept",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rt", "kept"), [(5e-324, True), (0.0, False), (-0.0, False), (-5e-324, False), (1e300, True)]
)
def test_a_time_is_kept_exactly_when_it_is_positive(tmp_path, rt, kept):
    pipeline = _prepared(tmp_path, {"apex_rt": [rt, 1.0]}, prep="max_rt = 1e301")
    assert _kept(pipeline) == ([0, 1] if kept else [1])


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (["7", "7.0", " 8 ", "9.5", "-1", "a", None, "1e3"], [7, 8, 1000]),
        ([7.0, 8.5, -1.0, float("nan"), float("inf"), 2.0**53], [7]),
        ([7, -1, 2**32 - 1, 2**53, 2**53 + 1], [7, 2**32 - 1]),
    ],
    ids=["text", "floating", "whole"],
)
def test_an_id_is_a_whole_number_however_it_is_written(tmp_path, ids, kept):
    pipeline = _prepared(tmp_path, {"correct": ids, "task_id": list(range(1, len(ids) + 1))},
                         runs=range(1, 10))  # fmt: skip
    assert sorted(set(_kept(pipeline))) == kept
    refused = len(ids) - pipeline.count("lib_training")
    assert pipeline.reports["lib_training", None].rejects == {"comp_unreadable": refused}


@pytest.mark.parametrize("label", ["a/b 100%", "liver=left", "100%25", "肝 (é)"])
def test_a_label_that_a_path_cannot_hold_is_percent_encoded_in_the_folder(tmp_path, label):
    assert _kept(_prepared(tmp_path, {"apex_rt": [1.0]}, label, quote(label, safe=" "))) == [0]


def test_identical_repeats_are_kept_once_and_contradictions_not_at_all(tmp_path):
    pipeline = _prepared(
        tmp_path,
        {
            "correct": [1, 1, 2, 2, 3, 3, 4],
            "apex_rt": [1.0, 1.0, 1.0, 1.1, 1.0, -1.0, 1.0],
            "run_order": [9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        },
    )
    # the faulty repeat of comp 3 contradicts nothing
    assert _kept(pipeline, "comp_id, run_order") == [(1, 1.0), (3, 1.0), (4, 1.0)]
    assert pipeline.reports["lib_training", None].rejects == {
        "conflicting_peaks": 2, "duplicate_row": 1, "rt_not_positive": 1
    }  # fmt: skip


def test_an_infinite_standard_is_a_missing_one(tmp_path):
    pipeline = _prepared(
        tmp_path,
        {"task_id": [1, 2, 3]},
        IS_a=[1.0, float("inf"), float("nan")],
        RS_b=[None, 2.0, 3.0],
    )
    rows = pipeline.rows(
        f"""SELECT runs."IS_a", runs."RS_b" FROM {pipeline.source("lib_training")}
            JOIN {pipeline.source("run_covariates")} AS runs
            USING (sampleset_id, task_id, species_matrix_type) ORDER BY task_id"""
    )
    assert rows == [(1.0, None), (None, 2.0), (None, 3.0)]


def test_every_refused_row_names_its_shard(tmp_path):
    pipeline = _prepared(tmp_path, {"apex_rt": [-2.5, 1.0]})
    assert pipeline.rejects("lib_training") == [
        (
            "rt_not_positive", "create_training_data/lib_id=7/group=g/part.parquet",
            "10", "5", "1", "0", "rt=-2.5, species=plasma",
        )
    ]  # fmt: skip
    (row,) = _kept(pipeline, "source_file, cpd_group")
    assert row == ("create_training_data/lib_id=7/group=g/part.parquet", "g")
