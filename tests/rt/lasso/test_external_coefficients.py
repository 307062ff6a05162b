"""Import of coefficients fitted elsewhere: hand-computed predictions and every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.settings.lasso import ProductionWindowSettings
from compassign_core.rt.lasso.external import covariate_centre, read_external
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.student import t_quantiles
from compassign_core.rt.summaries import CoefficientSummaries

MAPPING = """
    (VALUES (1, 0, 0, '1 human blood'), (2, 3, 0, '1 human blood'), (3, 1, 4, ' 3 fecal'),
            (4, 2, 5, '3b faeces'), (5, 9, 6, 'unnumbered'))
    AS mapping(sampleset_id, species, species_cluster, species_group_raw)
"""
CENTRE = {"IS_a": 5.0, "RS_b": 2.0, "ES_c": 1.0}
BLOOD = (
    "comp_id,b,window,IS_a,RS_b,test_ws,lib_id\n"
    "7,1.5,0.02,0.25,0,3,100\n"
    "9,3.0,0.0005,0,-0.5,3,100\n"
)
FECAL = "comp_id,window,ES_c,b,IS_idle\n7,0.01,2.0,4.0,0\n"


def write(root: Path, name: str, text: str, lib: int = 100) -> Path:
    (root / name).mkdir(exist_ok=True)
    path = root / name / f"regression_{lib}.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "supercategory_1_human_blood", BLOOD)
    write(tmp_path, "supercategory_3_fecal", FECAL)
    write(tmp_path, "supercategory_3_fecal", "not,for,this,library\n", lib=101)
    (tmp_path / "notes").mkdir()
    return tmp_path


def imported(folder: Path, mapping: str = MAPPING, **options: Any) -> CoefficientSummaries:
    options.setdefault("centre", CENTRE)
    return read_external(folder, 100, mapping, duckdb.connect(), model="historic", **options)


def score(summaries: CoefficientSummaries, *rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    names = ("species", "species_cluster", "comp_id", "IS_a", "RS_b", "ES_c", "rt")
    columns = zip(*rows, strict=True)
    types = [pa.int64()] * 3 + [pa.float64()] * 4
    connection = duckdb.connect()
    connection.register(
        "peaks",
        pa.table({n: pa.array(v, t) for n, v, t in zip(names, columns, types, strict=True)}),
    )
    predicted: list[dict[str, Any]] = predict_table("peaks", summaries, connection).to_pylist()
    return predicted


def test_predictions_and_windows_are_those_worked_out_by_hand(folder: Path) -> None:
    got = score(
        imported(folder),
        (0, 0, 7, 6.0, 2.5, 0.5, 3.05),  # 1.5 + 0.25 * 6
        (3, 0, 9, 6.0, 2.5, 0.5, 1.76),  # 3.0 - 0.5 * 2.5
        (1, 4, 7, 6.0, 2.5, 0.5, 5.05),  # 4.0 + 2.0 * 0.5
        (2, 5, 7, 6.0, 2.5, 1.5, 7.0),  # the other supercategory numbered 3
        (1, 4, 9, 6.0, 2.5, 0.5, 1.0),  # no line
        (9, 6, 7, 6.0, 2.5, 0.5, 1.0),  # no number
    )
    np.testing.assert_allclose([r["rt_predicted"] for r in got[:4]], [3.0, 1.75, 5.0, 7.0])
    half = [(r["rt_high"] - r["rt_low"]) / 2 for r in got[:4]]
    np.testing.assert_allclose(half, [0.08, 0.004, 0.04, 0.04], rtol=1e-9)
    assert [r["covered"] for r in got] == [True, False, False, True, None, None]
    assert [r["scored"] for r in got] == [True] * 4 + [False] * 2
    assert {r["n_train"] for r in got} == {0}
    assert [r["novelty"] for r in got] == ["seen"] * 4 + ["unseen_pair"] * 2


def test_a_missing_covariate_counts_as_its_centre_and_not_as_zero(folder: Path) -> None:
    (row,) = score(imported(folder), (0, 0, 7, None, 2.5, 0.5, 3.0))
    assert row["rt_predicted"] == 1.5 + 0.25 * 5.0


def test_the_centre_changes_no_prediction_of_a_complete_row(folder: Path) -> None:
    row = (0, 0, 7, 6.0, 2.5, 0.5, 3.0)
    far = imported(folder, centre={name: 100.0 for name in CENTRE})
    got = [score(summaries, row)[0]["rt_predicted"] for summaries in (imported(folder), far)]
    np.testing.assert_allclose(got, 3.0, rtol=1e-13)


def test_without_a_centre_the_covariates_are_named(folder: Path) -> None:
    for centre in (None, {"IS_a": 5.0, "RS_b": np.nan}):
        with pytest.raises(InputError, match=r"no centre: .*RS_b, ES_c") as caught:
            imported(folder, centre=centre)
        assert "covariate_centre" in caught.value.advice


def test_the_centre_of_a_table_is_the_mean_of_what_is_there() -> None:
    rows = "(VALUES (1.0, NULL, 9), (2.0, NULL, 9), (NULL, NULL, 9)) AS t(IS_a, IS_b, rt)"
    assert covariate_centre(rows, duckdb.connect()) == {"IS_a": 1.5}


def test_the_artifact_names_files_and_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    write(folder, "supercategory_8_cells", FECAL)
    made = imported(folder)
    made.save(tmp_path / "external.npz")
    loaded = CoefficientSummaries.load(tmp_path / "external.npz")
    settings = json.loads(loaded.settings)
    assert settings["window_rule"] == loaded.calibration.removesuffix(" rule") == "production"
    assert settings["files"] == [
        "supercategory_1_human_blood/regression_100.csv",
        "supercategory_3_fecal/regression_100.csv",
    ]
    assert settings["unmatched_supercategories"] == [8]
    assert loaded.covariates.tolist() == ["IS_a", "RS_b", "ES_c"]
    assert loaded.dropped.tolist() == ["IS_idle"]


def test_the_fingerprint_follows_the_content(folder: Path) -> None:
    before = imported(folder).fingerprint
    assert imported(folder).fingerprint == before
    write(folder, "supercategory_3_fecal", FECAL.replace("4.0", "4.1"))
    assert imported(folder).fingerprint != before


def test_the_rule_can_be_another(folder: Path) -> None:
    rule = ProductionWindowSettings(window_multiplier=1.0, window_minimum=0.015)
    summaries = imported(folder, rule=rule)
    half = np.sqrt(summaries.scale2) * t_quantiles(summaries.df, summaries.levels)[0]
    np.testing.assert_allclose(half, [0.02, 0.015, 0.015, 0.015], rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BLOOD.replace("comp_id", "compid"), r"lacks 1 column\(s\).*: comp_id"),
        (BLOOD.replace("window,", "width,"), r"lacks 1 column\(s\).*: window"),
        (BLOOD.replace("9,3.0", "7,3.0"), r"1 value\(s\) of comp_id more than once: 7"),
        (BLOOD.replace("9,3.0", "9.5,3.0"), r"comp_id \(1 rows\)"),
        (BLOOD.replace("9,3.0", ",3.0"), r"comp_id \(1 rows\)"),
        (BLOOD.replace("9,3.0", "-9,3.0"), "1 row.* with comp_id below zero"),
        (BLOOD.replace("9,3.0", "4294967296,3.0"), "no group key"),
        (BLOOD.replace(",-0.5,", ",steep,"), r"not finite numbers: RS_b \(1 rows\)"),
        (BLOOD.replace(",-0.5,", ",inf,"), r"not finite numbers: RS_b \(1 rows\)"),
        (BLOOD.replace(",-0.5,", ",,"), r"empty values in 1 column\(s\): RS_b \(1 rows\)"),
        (BLOOD.replace("7,1.5", "7,"), r"empty values in 1 column\(s\): b \(1 rows\)"),
        (BLOOD.replace("0.0005", "-0.1"), "1 row.* with window below zero"),
        (BLOOD.replace("RS_b", "colour"), r"1 column\(s\) that are no covariate: colour"),
        (BLOOD.replace("3,100", "3,101"), r"2 row\(s\) of another library in lib_id: 101"),
        (BLOOD.splitlines()[0] + "\n", "has no rows"),
    ],
)
def test_a_bad_file_is_refused_by_name(folder: Path, text: str, problem: str) -> None:
    path = write(folder, "supercategory_1_human_blood", text)
    with pytest.raises(InputError, match=problem) as caught:
        imported(folder)
    assert str(path.parent.parent) in caught.value.problem
    assert caught.value.advice


def test_missing_folders_and_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        imported(tmp_path / "absent")
    with pytest.raises(InputError, match=r"has no supercategory_<N>_<name>/regression_100\.csv"):
        imported(tmp_path)
    with pytest.raises(SettingsError, match="library id"):
        read_external(tmp_path, -1, MAPPING, duckdb.connect(), model="historic")


def test_two_folders_of_one_number_are_refused(folder: Path) -> None:
    write(folder, "supercategory_1_again", BLOOD)
    with pytest.raises(InputError, match="1: supercategory_1_again, supercategory_1_human_blood"):
        imported(folder)


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ("(VALUES (0, 0, 'blood')) AS m(species, species_cluster, species_group_raw)", "none of"),
        ("(VALUES (0, 0)) AS m(species, species_cluster)", "species_group_raw"),
        (
            "(VALUES (0, 0, '1 a'), (1, 0, '3 b')) "
            "AS m(species, species_cluster, species_group_raw)",
            r"1 value\(s\) of species_cluster have labels with different numbers: 0",
        ),
        (
            "(VALUES (0, 0, '1 a'), (0, 1, '3 b')) "
            "AS m(species, species_cluster, species_group_raw)",
            "1 species have more than one",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(folder: Path, mapping: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        imported(folder, mapping)
