"""Library entries: one chemical each, whatever the mapping file writes."""

from __future__ import annotations

import pytest

from compassign_core.contracts.errors import CheckFailed, InputError
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.prep.comp_chem import build_comp_chem_mapping, build_library_compounds
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake, Partition
from compassign_core.store.steps import stage_step


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", connect(EngineSettings()))


def _published(lake, tmp_path, text, table="comp_chem_mapping", lib=7):
    file = tmp_path / "mapping.csv"
    file.write_text(text)
    build = build_comp_chem_mapping if table == "comp_chem_mapping" else build_library_compounds
    staged = stage_step(lake, table, Partition(7), build(lake.connection, file, lib))
    staged.publish()
    return lake.relation(table, Partition(7)).fetchall(), staged.report.rejects


def test_the_mapping_is_read_for_one_library(lake, tmp_path):
    text = "lib_id,comp_id,chemical_id\n7,2,20\n7.0,1,10\n8,1,99\n8,3,30\n"
    assert _published(lake, tmp_path, text) == ([(1, 10), (2, 20)], {})


@pytest.mark.parametrize("header", ["lib_id,comp_id,chemical_id", " Lib ID,COMP_ID,Chemical Id"])
def test_headers_are_matched_without_case_and_spaces(lake, tmp_path, header):
    assert _published(lake, tmp_path, f"{header}\n7,1,10\n8,1,99\n") == ([(1, 10)], {})


def test_a_file_without_library_serves_any(lake, tmp_path):
    assert _published(lake, tmp_path, "comp_id,chemical_id\n1,10\n") == ([(1, 10)], {})


def test_unreadable_and_repeated_lines_are_refused_with_their_reason(lake, tmp_path):
    lines = [f"{n},{n * 10}" for n in range(1, 101)]
    lines += ["5,50", "5.0,50.0", "12.5,1", "x,2", "200,", "201,chem"]
    rows, rejects = _published(lake, tmp_path, "comp_id,chemical_id\n" + "\n".join(lines) + "\n")
    assert rows == [(n, n * 10) for n in range(1, 101)]
    assert rejects == {"chemical_missing": 2, "comp_unreadable": 2, "duplicate_row": 2}


def test_all_comps_with_two_chemicals_are_counted_and_twenty_named(lake, tmp_path):
    text = "comp_id,chemical_id\n" + "".join(f"{n},1\n{n},2\n" for n in range(25)) + "99,1\n"
    with pytest.raises(CheckFailed, match="25 comps have several chemicals") as error:
        _published(lake, tmp_path, text)
    (outcome,) = error.value.outcomes
    assert outcome.n_offenders == 25
    assert outcome.offenders == [{"comp_id": n, "chemicals": "1 | 2"} for n in range(20)]
    assert "comp_id=0, chemicals=1 | 2" in str(error.value) and "and 5 more" in str(error.value)


def test_the_compounds_have_names_and_transitions_where_given(lake, tmp_path):
    text = "lib_id,comp_id,feature_name,precursor_mz\n7,2,b,200.5\n7,1,,x\n8,1,other,1\n"
    rows, rejects = _published(lake, tmp_path, text, "library_compounds")
    assert rows == [(1, None, None, None), (2, "b", 200.5, None)]
    assert rejects == {}


def test_no_compounds_file_makes_an_empty_table(lake):
    result = build_library_compounds(lake.connection, None, 7)
    stage_step(lake, "library_compounds", Partition(7), result).publish()
    assert lake.arrow("library_compounds", Partition(7)).num_rows == 0


def test_a_compounds_file_without_the_comp_is_refused(lake, tmp_path):
    with pytest.raises(InputError, match=r"mapping\.csv lacks column comp_id; it has name"):
        _published(lake, tmp_path, "name\nx\n", "library_compounds")
