"""Checks of the species mapping, each on the smallest table that breaks it."""

from __future__ import annotations

import pytest

from compassign_core.contracts.checks import MAX_OFFENDERS
from compassign_core.contracts.errors import CheckFailed
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.prep.registry import read_registry
from compassign_core.prep.species import build_species_mapping
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake, Partition
from compassign_core.store.steps import stage_step

N = 30
LINES = [(100 + n, f"species {n // 2}", f"group {n // 10}") for n in range(N)]


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", connect(EngineSettings()))


def _made(lake, tmp_path, lines, sets=range(100, 100 + N)):
    file = tmp_path / "sets.csv"
    text = [f"{number},{species},{group}" for number, species, group in lines]
    file.write_text("Sample Set ID,species_matrix_type,GROUP\n" + "\n".join(text) + "\n")
    peaks = f"(SELECT unnest({list(sets)}::BIGINT[]) AS sampleset_id, range FROM range(3))"
    result = build_species_mapping(
        lake.connection,
        file,
        peaks,
        tmp_path / "ids.csv",
        species_column="species_matrix_type",
        group_column="group",
    )
    return stage_step(lake, "species_mapping", Partition(1), result)


def test_good_metadata_pass_every_check(lake, tmp_path):
    staged = _made(lake, tmp_path, LINES)
    assert all(outcome.passed for outcome in staged.outcomes)
    staged.publish()
    rows = lake.relation("species_mapping", Partition(1)).fetchall()
    ids = read_registry(tmp_path / "ids.csv")
    assert rows == [
        (number, species, group, ids["species"][species], ids["supercategory"][group])
        for number, species, group in LINES
    ]


def test_sample_sets_without_peaks_may_be_listed(lake, tmp_path):
    staged = _made(lake, tmp_path, LINES, sets=[100])
    assert not staged.failed and staged.report.rows_out == N


@pytest.mark.parametrize(
    ("lines", "sets", "check", "first_offender"),
    [
        (
            [(100 + n, f"species {n // 2:02d}", f"group {n % 2}") for n in range(2 * N)],
            [100],
            "species_nested_in_supercategory",
            {"species_raw": "species 00", "supercategories": "group 0 | group 1"},
        ),
        (
            [*LINES, *LINES],
            [100],
            "sample_set_in_one_species",
            {"sampleset_id": 100, "n_rows": 2, "species": "species 0"},
        ),
        (
            LINES,
            range(200, 200 + N),
            "sample_sets_of_the_data_are_listed",
            {"sampleset_id": 200, "n_peaks": 3},
        ),
    ],
)
def test_a_broken_rule_stops_the_step_and_names_twenty_of_all(
    lake, tmp_path, lines, sets, check, first_offender
):
    with pytest.raises(CheckFailed) as error:
        _made(lake, tmp_path, lines, sets)
    (outcome,) = (o for o in error.value.outcomes if not o.passed)
    assert outcome.name == check and outcome.blocking
    assert outcome.n_offenders == N and len(outcome.offenders) == MAX_OFFENDERS
    assert outcome.offenders[0] == first_offender
    assert "sets.csv" in outcome.advice
    # ids are for life, so none may be given to a mapping that is refused
    assert not (tmp_path / "ids.csv").exists()


def test_a_sample_set_in_two_species_is_named_with_both(lake, tmp_path):
    with pytest.raises(CheckFailed, match=r"sampleset_id=100, n_rows=2, species=other . species 0"):
        _made(lake, tmp_path, [*LINES, (100, "other", "group 0")])


@pytest.mark.parametrize("gap", ["species", "group"])
def test_sample_sets_without_species_or_group_are_warned_of(lake, tmp_path, gap):
    lines = [
        (n, "  " if gap == "species" and n == 105 else s, "" if gap == "group" and n == 105 else g)
        for n, s, g in LINES
    ]
    staged = _made(lake, tmp_path, lines)
    (outcome,) = (o for o in staged.outcomes if not o.passed)
    assert outcome.name == "sample_sets_of_the_data_have_a_group" and not outcome.blocking
    assert outcome.offenders == [{"sampleset_id": 105, "n_peaks": 3}]
    assert staged.report.rejects == {f"{gap}_missing": 1}
    staged.refuse()


def test_many_lines_without_group_are_counted_and_do_not_stop_the_library(lake, tmp_path):
    staged = _made(lake, tmp_path, [(n, s, "") if n < 104 else (n, s, g) for n, s, g in LINES])
    assert staged.failed == []
    assert staged.report.rejects == {"group_missing": sum(n < 104 for n, _, _ in LINES)}
    staged.refuse()
