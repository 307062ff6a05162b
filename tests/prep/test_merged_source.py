"""One merged Parquet file of several libraries gives what their shards give."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from compassign_core.contracts.errors import CheckFailed, InputError
from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.simulate import layout
from compassign_core.simulate.export import simulate_export
from tests.support import export_oracle as oracle
from tests.support.pipeline import Pipeline
from tests.support.rewrite import merge

LIBS = (900, 901)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Pipelines by ("shards" or "merged", library); the libraries have other standards."""
    folder = tmp_path_factory.mktemp("merged")
    made = {}
    exports = []
    for lib, n_standards in zip(LIBS, (6, 4), strict=True):
        settings = SimulationSettings(libs=(lib,), n_parts=2, n_internal_standards=n_standards)
        truth = simulate_export(folder / f"export {lib}", settings)
        exports.append(oracle.export_in(truth.folder, lib))
        made["shards", lib] = Pipeline(truth.libraries_file, lib, folder / "shards" / "lake")
    merge(exports, folder / "merged.parquet")
    for (_, lib), shards in list(made.items()):
        file = shards.libraries_file.with_name("merged.toml")
        text = shards.libraries_file.read_text()
        file.write_text(text.replace('export = "."', 'merged = "../merged.parquet"'))
        made["merged", lib] = Pipeline(file, lib, folder / "merged" / "lake")
    for pipeline in made.values():
        pipeline.run_all((5,))
    return made


@pytest.mark.parametrize("lib", LIBS)
def test_a_merged_file_gives_the_rows_of_the_shards(both, lib):
    rows = []
    for kind in ("shards", "merged"):
        p = both[kind, lib]
        rows.append(p.rows(f"SELECT * EXCLUDE (source_file) FROM {p.source('lib_training')}"))
    assert rows[0] and rows[0] == rows[1]


@pytest.mark.parametrize("lib", LIBS)
def test_a_merged_file_gives_the_bytes_of_the_rt_table(both, lib):
    shards, merged = both["shards", lib], both["merged", lib]
    for table, cap in (("rt_table", 5), ("realtest_table", None), ("fold_assignment", None)):
        assert shards.file(table, cap).read_bytes() == merged.file(table, cap).read_bytes()


def test_standards_of_another_library_are_no_columns_of_this_one(both):
    names = [
        [row[0] for row in p.rows(f"DESCRIBE SELECT * FROM {p.source('rt_table', 5)}")]
        for p in (both["merged", 900], both["merged", 901])
    ]
    assert set(names[0]) - set(names[1]) == {"IS_04", "IS_05"}


@pytest.mark.parametrize("lib", LIBS)
def test_only_the_rows_of_the_library_are_read_and_repeats_are_no_fault(both, lib):
    p = both["merged", lib]
    fates = oracle.rows_by_fate(oracle.export_in(p.libraries.folder, lib))
    report = p.reports["lib_training", None]
    assert report.rows_in == report.rows_out == fates["kept"]
    covariates = p.reports["run_covariates", None]
    assert covariates.rejects == {}
    assert covariates.set_aside == {"repeated_in_merged_file": fates["kept"] - covariates.rows_out}


def _one(tmp_path, change, lib=900):
    truth = simulate_export(tmp_path / "export", SimulationSettings())
    file = truth.folder / "merged.parquet"
    merge([oracle.export_in(truth.folder, 900)], file)
    layout.write_shard(file, change(pq.read_table(file)))
    text = truth.libraries_file.read_text().replace('export = "."', 'merged = "merged.parquet"')
    truth.libraries_file.write_text(text.replace(".900", f".{lib}"))
    return Pipeline(truth.libraries_file, lib, tmp_path / "lake")


def test_a_library_that_is_not_in_the_file_stops_the_step(tmp_path):
    pipeline = _one(tmp_path, lambda table: table, lib=777)
    pipeline.run("export_manifest")
    pipeline.run("run_covariates")
    with pytest.raises(InputError, match="library 777: the export holds no peak row"):
        pipeline.run("lib_training")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("lib_id", "lib_id"),
        ("apex_rt", "apex_rt"),
        ("comp_id", "correct or comp_id"),
        ("batch", "worksheet_id or batch"),
    ],
)
def test_a_merged_file_without_a_column_is_refused(tmp_path, column, words):
    pipeline = _one(tmp_path, lambda table: table.drop_columns([column]))
    with pytest.raises(InputError, match=f"merged.parquet .merged. lacks column {words}; it has"):
        pipeline.run("export_manifest")


def test_two_covariate_values_of_one_run_stop_the_step(tmp_path):
    def change(table):
        values = table["IS_01"].to_pylist()
        values[0] = 99.0
        column = table.column_names.index("IS_01")
        return table.set_column(column, "IS_01", [values])

    pipeline = _one(tmp_path, change)
    pipeline.run("export_manifest")
    with pytest.raises(CheckFailed, match="1 injections have two or more different covariate rows"):
        pipeline.run("run_covariates")
