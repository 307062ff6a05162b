"""Names get ids that stay, lists may go by name, and standards are what the settings say."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compassign_core.pipeline.lineage import is_current
from compassign_core.prep.registry import NAME_KINDS, names_file, read_registry
from compassign_core.store.lake import Partition
from tests.prep.importers import results
from tests.prep.importers.results import LIB, STEPS, rows_of, run_steps

PEAKS = results.peaks()
ALL = (*STEPS, "species_mapping", "comp_chem_mapping", "library_compounds")
FACTS = [["Run", "Sample Set", "worksheet", "species", "Sample_Type"]]
FACTS += [
    [r.name, f"study {r.sample_set}", "A|B", results.SPECIES[r.sample_set], "QC"]
    for r in results.RUNS
]


def _named_project(root, more="", standards=results.STANDARD_RULE):
    """All lists by name, ids from the registry."""
    section = (
        f'[library.{LIB}.import]\nkind = "skyline"\nfiles = ["r/*.csv"]\nsamples = "facts.csv"\n'
        f"{more}{standards}"
    )
    project = results.project_with(root, section)
    data = project.data
    text = (data / "libraries.toml").read_text().replace('compounds = "compounds.csv"\n', "")
    text = text.replace("sets.csv", "named_sets.csv").replace("chemicals.csv", "named.csv")
    (data / "libraries.toml").write_text(text)
    results.write_csv(data / "facts.csv", FACTS)
    sets = [["sample_set", "species_matrix_type", "group"]]
    sets += [[f"study {n}", species, "blood"] for n, species in results.SPECIES.items()]
    results.write_csv(data / "named_sets.csv", sets)
    chemicals = [["compound", "chemical_id"], ["never seen", 1]]
    chemicals += [[name, comp - 69] for comp, (name, _) in results.COMPOUNDS.items()]
    results.write_csv(data / "named.csv", chemicals)
    results.write_csv(data / "r" / "a.csv", results.skyline_rows(PEAKS))
    return project


def _ids(project):
    return read_registry(names_file(project.registry, LIB), NAME_KINDS)


def test_names_are_numbered_in_sorted_order_and_lists_go_by_name(tmp_path):
    project = _named_project(tmp_path)
    run_steps(project, steps=ALL)
    ids = _ids(project)
    compounds = sorted([*(name for name, _ in results.COMPOUNDS.values()), "never seen"])
    assert list(ids["compound"].items()) == list(zip(compounds, range(6), strict=True))
    assert ids["sample_set"] == {f"study {n}": n - 11 for n in results.SPECIES}
    assert ids["worksheet"] == {"A|B": 0}
    label = "study 11 | A\\|B | S11_W1_101"
    assert ids["run"][label] == 0 and len(ids["run"]) == len(results.RUNS)
    chemical = {name: comp - 69 for comp, (name, _) in results.COMPOUNDS.items()}
    chemical["never seen"] = 1
    assert dict(rows_of(project, "comp_chem_mapping")) == {
        ids["compound"][name]: number for name, number in chemical.items()
    }
    mapped = [(row[0], row[1]) for row in rows_of(project, "species_mapping")]
    assert mapped == [(n - 11, species) for n, species in results.SPECIES.items()]


def test_tables_by_name_are_those_by_id_under_other_numbers(tmp_path):
    project = _named_project(tmp_path)
    run_steps(project)
    run_steps(project, results.NATIVE)
    ids = _ids(project)
    comps = {comp: ids["compound"][name] for comp, (name, _) in results.COMPOUNDS.items()}
    tasks = {r.task: ids["run"][f"study {r.sample_set} | A\\|B | {r.name}"] for r in results.RUNS}
    native = rows_of(project, "lib_training", results.NATIVE, "source_file, sample_type")
    expected = [
        (s - 11, 0, tasks[t], species, comps[c], *rest) for s, _, t, species, c, *rest in native
    ]
    assert rows_of(project, "lib_training", LIB, "source_file, sample_type") == sorted(
        expected, key=lambda row: row[:5]
    )


def test_ids_stay_when_names_come_before_them(tmp_path):
    project = _named_project(tmp_path)
    run_steps(project)
    before = _ids(project)
    earlier = [["S11_W0_001", "a", "AAA", 1, 2, 3.5, 7.0, "light"]]
    earlier.append(["S11_W0_001", "a", "TG 48:1 (d7)", 1, 2, 4.5, 7.0, "heavy"])
    header = results.skyline_rows(PEAKS)[0]
    results.write_csv(project.data / "r" / "0.csv", [header, *earlier])
    facts = [*FACTS, ["S11_W0_001", "a study", "0", "human plasma", "QC"]]
    results.write_csv(project.data / "facts.csv", facts)
    run_steps(project)
    after = _ids(project)
    for kind in NAME_KINDS:
        assert before[kind].items() <= after[kind].items()
    assert after["compound"]["AAA"] == 6 and after["sample_set"]["a study"] == 4


def test_only_new_and_changed_files_are_read_again(tmp_path):
    project = _named_project(tmp_path)
    results.write_csv(project.data / "r" / "b.csv", results.skyline_rows(PEAKS[:1]))
    run_steps(project, steps=STEPS[:2])
    place = project.root / "lake" / ".imports" / f"lib_id={LIB}"
    first = {path: path.stat().st_mtime_ns for path in place.glob("*.parquet")}
    assert len(first) == 4  # two files, the list of samples, all rows together
    results.write_csv(project.data / "r" / "b.csv", results.skyline_rows(PEAKS[:2]))
    run_steps(project)
    second = {path: path.stat().st_mtime_ns for path in place.glob("*.parquet")}
    assert len(second) == 5  # and the rows as they were judged
    assert len(first.items() & second.items()) == 2


def test_what_was_made_is_current_until_a_file_or_a_setting_changes(tmp_path):
    project = _named_project(tmp_path)
    run_steps(project, steps=ALL)
    place = Partition(LIB)
    assert all(is_current(project, name, place) for name in ALL)
    file = project.data / "libraries.toml"
    file.write_text(
        file.read_text().replace('kind = "skyline"\n', 'kind = "skyline"\npeaks = "all"\n')
    )
    assert not is_current(project, "imported_peaks", place)
    assert is_current(project, "export_manifest", place)


@pytest.fixture(scope="module")
def unpermuted(tmp_path_factory):
    """Tables of all rows in one file."""
    project = _named_project(tmp_path_factory.mktemp("unpermuted"))
    run_steps(project)
    return _tables(project)


def _tables(project):
    made = [rows_of(project, t, LIB, "source_file") for t in ("lib_training", "run_covariates")]
    return [rows_of(project, "imported_names"), *made]


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1), n_files=st.integers(1, 4))
def test_rows_and_files_in_any_order_give_the_same_tables(
    unpermuted, tmp_path_factory, seed, n_files
):
    project = _named_project(tmp_path_factory.mktemp("permuted"))
    draw = random.Random(seed)
    header, *rows = results.skyline_rows(PEAKS)
    # transitions of one peak stay in one file: they are one choice
    homes = {(row[0], row[2]): draw.randrange(n_files) for row in rows}
    draw.shuffle(rows)
    (project.data / "r" / "a.csv").unlink()
    for n in range(n_files):
        mine = [row for row in rows if homes[row[0], row[2]] == n]
        results.write_csv(project.data / "r" / f"{draw.random()}.csv", [header, *mine])
    run_steps(project)
    assert _tables(project) == unpermuted


HEAVY = 'standards = [{ values = ["heavy"] }]\n'
BY_PATTERN = "standards = [{ pattern = '\\(d\\d\\)$' }]\n"
SPLIT = (
    'standards = [{ names = ["LPC 18:1 (d7)"], prefix = "RS_" },\n'
    "             { pattern = '\\(d7\\)' }]\n"
)
ENDOGENOUS = (
    results.STANDARD_RULE[:-2]
    + ', { names = ["PC 34:1"], prefix = "ES_", keep_as_peaks = true }]\n'
)


@pytest.mark.parametrize(
    ("rule", "covariates"),
    [
        (results.STANDARD_RULE, {"IS_LPC 18:1 (d7)", "IS_TG 48:1 (d7)"}),
        (HEAVY, {"IS_LPC 18:1 (d7)", "IS_TG 48:1 (d7)"}),
        (BY_PATTERN, {"IS_LPC 18:1 (d7)", "IS_TG 48:1 (d7)"}),
        (SPLIT, {"RS_LPC 18:1 (d7)", "IS_TG 48:1 (d7)"}),
        (ENDOGENOUS, {"IS_LPC 18:1 (d7)", "IS_TG 48:1 (d7)", "ES_PC 34:1"}),
    ],
)
def test_standards_become_covariates(rule, covariates, tmp_path):
    project = _named_project(tmp_path, standards=rule)
    run_steps(project)
    names = set(results.columns_of(project, "run_covariates"))
    assert {name for name in names if name[:2] in ("IS", "RS", "ES")} == covariates
    ids = {name for kind, name, _ in rows_of(project, "imported_names") if kind == "compound"}
    peaks = {row[0] for row in rows_of(project, "imported_peaks", LIB, without=_BUT_NAME)}
    assert peaks == {p.name for p in PEAKS}
    assert ("PC 34:1" in ids) and not {s for s in results.STANDARDS if s in ids}


_BUT_NAME = (
    "sampleset_id, worksheet_id, task_id, species_matrix_type, comp_id, standard, apex_rt, area, "
    "cpd_status, has_status, sample_type, run_order, cpd_group, run_name, source_file, source_row"
)


def test_the_same_run_name_in_two_worksheets_is_two_runs(tmp_path):
    rows = [["Replicate Name", "Molecule Name", "Retention Time", "Area"]]
    rows += [["QC1", "X", 2.0, 9.0], ["QC1", "ISTD", 3.0, 9.0]]
    more = "file_pattern = '^(?P<worksheet>[a-z]+)'\n"
    more += 'constants = { sample_set = "s", species = "p" }\n'
    project = _named_project(tmp_path, more, 'standards = [{ names = ["ISTD"] }]\n')
    toml = project.data / "libraries.toml"
    toml.write_text(toml.read_text().replace('samples = "facts.csv"\n', ""))
    (project.data / "r" / "a.csv").unlink()
    for name in ("first.csv", "second.csv"):
        results.write_csv(project.data / "r" / name, rows)
    run_steps(project)
    found = rows_of(project, "lib_training", LIB, "source_file")
    assert [row[:3] for row in found] == [(0, 0, 0), (0, 1, 1)]
