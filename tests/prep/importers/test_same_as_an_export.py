"""The same results through every door give the same tables."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compassign_core.pipeline.plan import carry_out, steps_for
from compassign_core.store.lake import Partition
from tests.prep.importers import results
from tests.prep.importers.results import LIB, NATIVE, imported, project_with, rows_of, run_steps

PEAKS = results.peaks()
NAMED = """columns = { run = "acquisition", compound = "lipid", rt = "time", group = "class" }
"""
GROUPED = "source_file"
UNGROUPED = "source_file, cpd_group"


def _texts(rows, **how):
    return results.csv_bytes(rows, **how)


def _parquet(folder):
    header, *rows = results.long_rows(PEAKS)
    table = pa.table(
        {name: [row[place] for row in rows] for place, name in enumerate(header) if name != "time"}
    )
    times = pa.array([p.rt for p in PEAKS], pa.float64())
    pq.write_table(table.append_column("time", times), folder / "a.parquet")


CSV = {
    "skyline": ("skyline", results.skyline_rows(PEAKS), {}, "", GROUPED),
    "skyline, decimal comma": (
        *("skyline", results.skyline_rows(PEAKS)),
        *({"delimiter": ";", "comma": True, "end": "\r\n"}, "", GROUPED),
    ),
    "skyline, UTF-16": (
        *("skyline", results.skyline_rows(PEAKS)),
        *({"delimiter": "\t", "encoding": "utf-16", "end": "\r\n"}, "", GROUPED),
    ),
    "skyline, UTF-16 without mark": (
        *("skyline", results.skyline_rows(PEAKS)),
        *({"delimiter": "\t", "encoding": "utf-16-le"}, "", GROUPED),
    ),
    "skyline, byte-order mark": (
        *("skyline", results.skyline_rows(PEAKS)),
        *({"encoding": "utf-8-sig"}, "", GROUPED),
    ),
    "long": ("long", results.long_rows(PEAKS), {}, NAMED, GROUPED),
    "long, tabs, Greek Windows": (
        *("long", results.long_rows(PEAKS), {"delimiter": "\t", "encoding": "cp1253"}),
        *(f'encoding = "cp1253"\n{NAMED}', GROUPED),
    ),
    "masshunter long": ("masshunter", results.masshunter_long_rows(PEAKS), {}, "", UNGROUPED),
    "masshunter batch": ("masshunter", results.masshunter_batch_rows(PEAKS), {}, "", UNGROUPED),
    "masshunter batch, German": (
        *("masshunter", results.masshunter_batch_rows(PEAKS), {"comma": True}),
        *("", UNGROUPED),
    ),
    "masshunter compounds": (
        *("masshunter", results.masshunter_compound_rows(PEAKS), {}, "", UNGROUPED),
    ),
}


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """The export's own tables."""
    project = project_with(tmp_path_factory.mktemp("native"), imported("long", '["none"]', NAMED))
    run_steps(project, NATIVE)
    return project


def _same(project, native, without):
    expected = rows_of(native, "lib_training", NATIVE, without)
    found = rows_of(project, "lib_training", LIB, without)
    # MassHunter and TargetLynx say of what type each sample is; the export does not.
    drop = results.columns_of(native, "lib_training", NATIVE).index("sample_type")
    drop -= 1 if "cpd_group" in without else 0
    cut = [(*row[:drop], *row[drop + 1 :]) for row in found]
    assert cut == [(*row[:drop], *row[drop + 1 :]) for row in expected]
    assert len(expected) > 20
    covariates = rows_of(native, "run_covariates", NATIVE, "source_file")
    assert rows_of(project, "run_covariates", LIB, "source_file") == covariates
    names = results.columns_of(native, "lib_training", NATIVE)
    assert results.columns_of(project, "lib_training") == names


@pytest.mark.parametrize("case", list(CSV))
def test_a_table_gives_the_rows_of_the_export(case, tmp_path, native):
    kind, rows, how, more, without = CSV[case]
    project = project_with(tmp_path, imported(kind, '["r/*.csv"]', more))
    (project.data / "r").mkdir()
    (project.data / "r" / "a.csv").write_bytes(_texts(rows, **how))
    run_steps(project)
    _same(project, native, without)


@pytest.mark.parametrize("by", ["Compound", "Sample"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_sectioned_text_export_gives_the_rows_of_the_export(by, encoding, tmp_path, native):
    project = project_with(tmp_path, imported("targetlynx", '["a.txt"]'))
    text = results.targetlynx_text(PEAKS, by)
    (project.data / "a.txt").write_bytes(text.encode(encoding))
    run_steps(project)
    _same(project, native, UNGROUPED)


def test_an_mztab_m_file_gives_the_rows_of_the_export(tmp_path, native):
    project = project_with(tmp_path, imported("mztab_m", '["a.mztab"]'))
    (project.data / "a.mztab").write_text(results.mztab_text(PEAKS), encoding="utf-8")
    run_steps(project)
    _same(project, native, UNGROUPED)
    step = (project.lake.file("imported_peaks", Partition(LIB), "step.json")).read_text()
    assert f'"unidentified": {len(results.RUNS)}' in step


def test_mztab_m_files_of_one_run_each_give_the_rows_of_the_export(tmp_path, native):
    """The time of a feature is that of its run when the file has no other run."""
    project = project_with(tmp_path, imported("mztab_m", '["*.mztab"]'))
    for run in results.RUNS:
        text = results.mztab_text([p for p in PEAKS if p.run == run])
        text = text.replace("\tretention_time_in_seconds\t", "\taggregate\t")
        text = text.replace("opt_assay[1]_retention_time", "retention_time_in_seconds")
        (project.data / f"{run.name}.mztab").write_text(text, encoding="utf-8")
    run_steps(project)
    _same(project, native, UNGROUPED)


def test_times_of_runs_may_be_called_otherwise_in_mztab_m(tmp_path, native):
    section = imported("mztab_m", '["a.mztab"]', 'columns.rt = "opt_assay[n]_apex"\n')
    project = project_with(tmp_path, section)
    text = results.mztab_text(PEAKS).replace("]_retention_time", "]_apex")
    (project.data / "a.mztab").write_text(text, encoding="utf-8")
    run_steps(project)
    _same(project, native, UNGROUPED)


def test_a_parquet_file_gives_the_rows_of_the_export(tmp_path, native):
    project = project_with(tmp_path, imported("long", '["*a.parquet"]', NAMED))
    _parquet(project.data)
    run_steps(project)
    _same(project, native, GROUPED)


def test_the_training_table_is_the_same_to_the_byte(tmp_path):
    project = project_with(tmp_path, imported("skyline", '["a.csv"]'))
    results.write_csv(project.data / "a.csv", results.skyline_rows(PEAKS))
    outcome = carry_out(project, steps_for(["rt_table", "realtest_table"], [NATIVE, LIB], [5]))
    assert outcome.failed == {}
    for table, cap in (("rt_table", 5), ("realtest_table", None), ("comp_chem_mapping", None)):
        files = [project.lake.file(table, Partition(lib, cap)) for lib in (NATIVE, LIB)]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert pq.ParquetFile(files[0]).metadata.num_rows > 3


def test_seconds_become_minutes(tmp_path, native):
    rows = [
        [*row[:3], row[3] * 60 if row[3] else row[3], row[4]] if n else row
        for n, row in enumerate(results.long_rows(PEAKS))
    ]
    project = project_with(tmp_path, imported("long", '["a.csv"]', f'rt_unit = "s"\n{NAMED}'))
    results.write_csv(project.data / "a.csv", rows)
    run_steps(project)
    _same(project, native, GROUPED)
