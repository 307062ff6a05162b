"""Faulty results: what stops the import, what is refused, and what a user is told."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compassign_core.contracts.errors import CheckFailed, CompassignError, InputError
from compassign_core.contracts.settings.libraries import load_libraries
from compassign_core.store.lake import Partition
from tests.prep.importers import results
from tests.prep.importers.results import LIB, NATIVE, imported, project_with, run_steps

PEAKS = results.peaks()
NAMED = 'columns = { run = "acquisition", compound = "lipid", rt = "time" }\n'
LONG = imported("long", '["a.csv"]', NAMED)
MANY = "prep.max_reject_share = 1.0\n"


def _project(root, content, section=LONG, name="a.csv"):
    project = project_with(root, section)
    text = (project.data / "libraries.toml").read_text()
    (project.data / "libraries.toml").write_text(
        text.replace("prep.test_share = 0.4\n", f"prep.test_share = 0.4\n{MANY}")
    )
    content = content if isinstance(content, bytes) else results.csv_bytes(content)
    (project.data / name).write_bytes(content)
    return project


def _step(project, table="imported_peaks"):
    return json.loads(project.lake.file(table, Partition(LIB), "step.json").read_text())


def _rejects(project):
    file = project.lake.file("imported_peaks_rejects", Partition(LIB))
    return pq.read_table(file).to_pylist()


def _long(*rows):
    return [*results.long_rows(PEAKS), *rows]


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        (["S11_W1_101", "PC 34:1", "PC", "soon", ""], "rt_unreadable", "rt=soon"),
        (["S11_W1_101", "PC 34:1", "PC", "inf", ""], "rt_unreadable", "rt=inf"),
        (["", "PC 34:1", "PC", 1.5, ""], "run_missing", "compound=PC 34:1"),
        (["S11_W1_101", " ", "PC", 1.5, ""], "compound_missing", "run=S11_W1_101"),
        (["blank 1", "PC 34:1", "PC", 1.5, ""], "run_not_listed", "run=blank 1"),
        (["S11_W1_101", "mystery", "PC", 1.5, ""], "compound_not_listed", "compound=mystery"),
        (["S11_W1_101", "PC 34:1", "PC"], "row_malformed", "3 cells instead of 5"),
        (["S11_W1_101", "PC 34:1", "PC", 1, "", "x"], "row_malformed", "6 cells instead of 5"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_and_counted(row, reason, words, tmp_path):
    project = _project(tmp_path, _long(row))
    run_steps(project, steps=results.STEPS[:3])
    step = _step(project)
    absent = sum(p.rt is None for p in PEAKS)
    assert step["rejects"] == {reason: 1}
    assert step["set_aside"] == {"not_found": absent}
    assert step["rows_in"] == len(PEAKS) + 1 == step["rows_out"] + 1 + absent
    (refused,) = _rejects(project)
    assert refused["source_file"] == "a.csv"
    assert f"row {len(PEAKS) + 2}," in refused["detail"] and words in refused["detail"]


def test_a_run_without_species_is_refused_by_its_key(tmp_path):
    project = _project(tmp_path, _long())
    rows = [["run", "species"], *[[r.name, results.SPECIES[r.sample_set]] for r in results.RUNS]]
    rows[1][1] = ""
    results.write_csv(project.data / "samples.csv", rows)
    run_steps(project, steps=results.STEPS[:3])
    found = sum(p.rt is not None for p in PEAKS if p.run == results.RUNS[0])
    assert _step(project)["rejects"]["key_unreadable"] >= found


def test_judging_is_that_of_every_export(tmp_path):
    """Times of zero, and two times of one compound in one run, are refused as from an export."""
    run = results.RUNS[0].name
    project = _project(
        tmp_path,
        _long([run, "SM; 42:2 [M+H]+", "SM", -1.0, ""], [run, "PC 34:1", "PC", 1.25, ""]),
        LONG + 'peaks = "all"\n',
    )
    run_steps(project)
    rejects = _step(project, "lib_training")["rejects"]
    assert rejects == {"rt_not_positive": 1, "conflicting_peaks": 2}


def test_a_second_copy_of_a_file_is_refused_as_a_copy(tmp_path):
    project = _project(tmp_path, _long(), imported("long", '["*a.csv"]', NAMED))
    (project.data / "copy of a.csv").write_bytes((project.data / "a.csv").read_bytes())
    run_steps(project, steps=results.STEPS)
    kept = [p for p in PEAKS if p.rt is not None and p.name not in results.STANDARDS]
    assert _step(project, "lib_training")["rejects"] == {"duplicate_row": len(kept)}
    assert _step(project, "lib_training")["rows_out"] == len(kept)


def test_states_are_kept_and_judged(tmp_path):
    rows = _long()
    rows[2][4] = "Rejected"
    columns = NAMED.replace(" }", ', status = "state" }')
    project = _project(tmp_path, rows, imported("long", '["a.csv"]', columns))
    run_steps(project)
    assert _step(project, "lib_training")["rejects"] == {"status_not_kept": 1}


SKYLINE = imported("skyline", '["a.csv"]')
MZTAB = imported("mztab_m", '["a.csv"]')
TARGETLYNX = imported("targetlynx", '["a.csv"]')
MASSHUNTER = imported("masshunter", '["a.csv"]')


def _mztab(old, new):
    return results.mztab_text(PEAKS).replace(old, new).encode()


@pytest.mark.parametrize(
    ("section", "content", "words"),
    [
        (LONG, b"", ["a.csv is empty (0 bytes)", "export or copy it again"]),
        (LONG, [["acquisition", "lipid", "zeit"]], ["no column 'time'", "columns.rt", "zeit"]),
        (
            SKYLINE,
            [["Replicate Name", "Molecule Name", "Area"]],
            ["a.csv", "skyline", "to hold rt", "Replicate Name, Molecule Name, Area"],
        ),
        (
            LONG,
            b'acquisition,lipid,time\nr,"PC,1\nr,x,2\n',
            ["a.csv, row 2", "quotation mark is never closed", "1 lines"],
        ),
        (
            LONG,
            "acquisition,lipid,time\nr,\xe4,1\n".encode("cp1252"),
            ["a.csv is not text in utf-8", 'encoding = "cp1252"'],
        ),
        (
            SKYLINE,
            results.csv_bytes(
                [
                    ["ReplicateName", "Molecule", "RetentionTime"],
                    ["r", "x", "1,5"],
                    ["r", "y", "2.5"],
                ]
            ),
            ["comma ('1,5')", "point ('2.5')", 'decimal = ","'],
        ),
        (
            SKYLINE,
            [["Replicate", "Peptide", "Best Retention Time"]]
            + [["S11_W1_101", "PC 34:1", t] for t in (1, 2)],
            ["'PC 34:1' has 2 peaks in run 'S11_W1_101'", "no area", "columns.area"],
        ),
        (
            MASSHUNTER,
            [["Sample", "", "PC 34:1 Results"], ["Data File", "RT", "Area"]],
            ["no compound has a column RT among its results"],
        ),
        (
            TARGETLYNX,
            b"Compound 1:  x\r\n1\ta\t2.0\r\n",
            ["a.csv, line 2", "results before a header line"],
        ),
        (MZTAB, b"MTD\tmzTab-version\t1.0.0\n", ["a.csv is mzTab 1.0.0, not 2.x-M"]),
        (MZTAB, b"MTD\tmzTab-version\t2.0.0-M\n", ["no line SFH"]),
        (
            MZTAB,
            _mztab("opt_assay[2]_retention_time", "opt_assay[2]_peak_width"),
            ["holds 8 runs, and 1 of them (assay[2])", "aggregate run", "opt_assay[n]"],
        ),
        (MZTAB, _mztab("S11_W1_102\n", "S11_W1_101\n"), ["8 assays share 7 names"]),
        (MZTAB, _mztab("SMF_ID_REFS", "REFS"), ["no column SMF_ID_REFS"]),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_what_to_do(section, content, words, tmp_path):
    project = _project(tmp_path, content, section)
    with pytest.raises(InputError) as error:
        run_steps(project)
    for word in words:
        assert word in str(error.value)
    assert error.value.advice and "arrow" not in str(error.value)


def test_a_file_that_is_no_parquet_is_named_in_the_manifest(tmp_path):
    section = imported("long", '["a.parquet"]', NAMED)
    project = _project(tmp_path, b"acquisition,lipid\n", section, "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet is not a readable Parquet file"):
        run_steps(project)


def test_a_nested_column_is_named(tmp_path):
    section = imported("long", '["a.parquet"]', NAMED)
    project = project_with(tmp_path, section)
    pq.write_table(pa.table({"acquisition": [["x"]]}), project.data / "a.parquet")
    with pytest.raises(InputError, match="column acquisition is neither text nor number"):
        run_steps(project)


def test_no_file_is_an_error_that_names_the_pattern(tmp_path):
    project = project_with(tmp_path, imported("skyline", '["results/*.csv"]'))
    with pytest.raises(InputError, match=r"library 901: no file matches 'results/\*\.csv'"):
        run_steps(project)


def test_a_file_that_changed_since_it_was_listed_is_not_read(tmp_path):
    project = _project(tmp_path, _long())
    run_steps(project, steps=["export_manifest"])
    (project.data / "a.csv").write_bytes(results.csv_bytes(_long()[:-1]))
    with pytest.raises(InputError, match=r"a\.csv has changed since it was listed"):
        run_steps(project, steps=["imported_names"])
    (project.data / "a.csv").unlink()
    with pytest.raises(InputError, match=r"a\.csv was listed in the manifest but is gone"):
        run_steps(project, steps=["imported_names"])


def test_results_without_a_standard_name_the_compounds(tmp_path):
    section = imported("long", '["a.csv"]', NAMED, 'standards = [{ names = ["heavy water"] }]\n')
    project = _project(tmp_path, _long(), section)
    with pytest.raises(InputError) as error:
        run_steps(project)
    assert "none of the 5 compounds of the results is a standard" in str(error.value)
    assert "[[library.901.import.standards]]" in error.value.advice


def test_a_standard_with_two_times_names_the_run_and_the_rows(tmp_path):
    name = results.STANDARDS[0]
    run = next(p.run.name for p in PEAKS if p.name == name and p.rt is not None)
    project = _project(tmp_path, _long([run, name, "IS", 9.5, ""]))
    with pytest.raises(InputError) as error:
        run_steps(project)
    for word in (name, run, "2 retention times", f"{len(PEAKS) + 2}", "a.csv"):
        assert word in str(error.value)


def test_a_list_of_samples_that_fits_nothing_is_said_so(tmp_path):
    project = _project(tmp_path, _long())
    results.write_csv(project.data / "samples.csv", [["run", "species"], ["another", "goat"]])
    with pytest.raises(InputError) as error:
        run_steps(project)
    assert f"none of the {len(PEAKS)} rows" in str(error.value)
    assert f"(run_not_listed {len(PEAKS)})" in str(error.value)
    assert "row 2 of a.csv, run 'S11_W1_101', compound 'PC 34:1'" in str(error.value)


def test_too_many_faulty_rows_stop_the_import(tmp_path):
    project = project_with(tmp_path, LONG)
    bad = [["S11_W1_101", "PC 34:1", "PC", "soon", ""]] * 20
    results.write_csv(project.data / "a.csv", _long(*bad))
    with pytest.raises(CheckFailed, match="rt_unreadable 20"):
        run_steps(project)
    assert not project.lake.exists("imported_peaks", Partition(LIB))


SAMPLES = [["run", "species"], *[[r.name, results.SPECIES[r.sample_set]] for r in results.RUNS]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["name", "species"]], ["samples.csv (samples) lacks column run", "name, species"]),
        ([*SAMPLES, ["S11_W1_101", "goat"]], ["1 runs are listed twice", "S11_W1_101"]),
        ([*SAMPLES, ["S11_W1_101"]], ["samples.csv (samples), row 10", "1 cells instead of 2"]),
    ],
)
def test_a_faulty_list_of_samples_is_named(rows, words, tmp_path):
    project = _project(tmp_path, _long())
    results.write_csv(project.data / "samples.csv", rows)
    with pytest.raises(InputError) as error:
        run_steps(project)
    for word in words:
        assert word in str(error.value)


def test_a_list_of_samples_repeated_word_for_word_is_no_fault(tmp_path):
    project = _project(tmp_path, _long())
    results.write_csv(project.data / "samples.csv", [*SAMPLES, *SAMPLES[1:]], delimiter=";")
    run_steps(project)
    assert _step(project)["rejects"] == {}


def test_a_name_with_two_ids_in_the_list_of_compounds_is_named(tmp_path):
    project = _project(tmp_path, _long())
    rows = [["comp_id", "feature_name"], [1, "PC 34:1"], [2, "PC 34:1"]]
    results.write_csv(project.data / "compounds.csv", rows)
    with pytest.raises(InputError, match="1 names have two or more comp_id: PC 34:1"):
        run_steps(project)


def test_a_library_with_an_export_has_empty_imports(tmp_path):
    project = project_with(tmp_path, LONG)
    run_steps(project, NATIVE)
    for table in ("imported_names", "imported_peaks"):
        assert results.rows_of(project, table, NATIVE) == []


BASE = 'kind = "skyline"\nfiles = ["a.csv"]\n'


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('kind = "excel"\nfiles = ["a"]\n' + results.STANDARD_RULE, ["import.kind", "excel"]),
        (BASE, ["import.standards: Field required"]),
        (BASE + "standards = []\n", ["import.standards", "at least 1"]),
        (BASE + "standards = [{ prefix = 'IS_' }]\n", ["names, pattern or values"]),
        (BASE + "standards = [{ pattern = '(' }]\n", ["is no regular expression"]),
        (BASE + "standards = [{ pattern = '(?=x)' }]\n", ["look-around"]),
        (BASE + "standards = [{ names = ['x'], prefix = 'QC_' }]\n", ["prefix", "QC_"]),
        (BASE + results.STANDARD_RULE + "run_pattern = '(.*)'\n", ["named groups", "it has none"]),
        (BASE + results.STANDARD_RULE + "run_pattern = '(?P<study>.*)'\n", ["it has study"]),
        (BASE + results.STANDARD_RULE + "encoding = 'latin-9000'\n", ["no text encoding"]),
        (BASE + results.STANDARD_RULE + "colums = {}\n", ["import.colums"]),
        (
            'kind = "long"\nfiles = ["a"]\ncolumns.run = "r"\n' + results.STANDARD_RULE,
            ['kind = "long" needs columns.compound, columns.rt'],
        ),
        (
            'kind = "mztab_m"\nfiles = ["a"]\nrt_unit = "min"\n' + results.STANDARD_RULE,
            ['rt_unit cannot be set with kind = "mztab_m"'],
        ),
        (
            'kind = "targetlynx"\nfiles = ["a"]\nstandards = [{ values = ["IS"] }]\n',
            ["standards.values needs columns.standard"],
        ),
        ('kind = "skyline"\nfiles = ["/data/a.csv"]\n' + results.STANDARD_RULE, ["relative"]),
    ],
)
def test_an_illegal_section_names_the_field(section, words, tmp_path):
    file = tmp_path / "libraries.toml"
    head = f"[library.{LIB}.import]\n{section}"
    file.write_text(results.HEAD + results.entry(LIB, head), encoding="utf-8")
    with pytest.raises(CompassignError) as error:
        load_libraries(file)
    for word in ("[library.901]", *words):
        assert word in str(error.value)


def test_one_source_of_peaks_is_allowed(tmp_path):
    file = tmp_path / "libraries.toml"
    section = f'export = "."\n{LONG}'
    file.write_text(results.HEAD + results.entry(LIB, section), encoding="utf-8")
    with pytest.raises(CompassignError, match="exactly one of export and merged and import"):
        load_libraries(file)
