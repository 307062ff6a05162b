"""Every kind of bad input does what the one table of them says; the page prints the same table."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest

from compassign_core.chemistry.embeddings import read_embeddings
from compassign_core.contracts.check_rules import RULES
from compassign_core.contracts.errors import CheckFailed, CompassignError, InputError
from compassign_core.contracts.tables import is_covariate
from compassign_core.prep.export import scan_export
from compassign_core.simulate import dirt_lists, layout
from compassign_core.simulate.bad_input import ELLIPSIS, KINDS
from compassign_core.simulate.dirt import DIRT
from compassign_core.simulate.dirt_lists import LIST_FAULTS
from compassign_core.simulate.dirt_shards import ODD_LABEL, SHARD_FAULTS
from compassign_core.store.steps import REFUSED_FILE
from tests.support.pipeline import LIBRARY_STEPS, published, refused

LIB = 900
SEPARATE = ("descriptor_not_finite", "folder_without_permission")


def _of(outcome):
    kinds = [k for k in KINDS if k.outcome == outcome and k.name not in SEPARATE]
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)


def _holds(message: str, told: str) -> None:
    """The message has all parts of what the table says is told, in their order."""
    pattern = ".*".join(re.escape(part.strip()) for part in told.split(ELLIPSIS))
    assert re.search(pattern, message, re.S), message


def _spoil(copy, kind):
    fault = kind.spoil(copy.libraries_file.parent, LIB)
    assert (fault.name, fault.table) == (kind.name, kind.table)
    assert fault.stops == (kind.outcome == "stops")
    assert set(fault.rejects) == set(kind.reasons)
    return fault


def _run_to(copy, table):
    for step in LIBRARY_STEPS[: LIBRARY_STEPS.index(table)]:
        copy.run(step)


@_of("stops")
def test_a_kind_that_stops_says_so_and_leaves_everything_in_place(copy, kind):
    fault = _spoil(copy, kind)
    _run_to(copy, kind.table)
    folders = (copy.root, copy.root.parent / "registry")
    before = [published(folder) for folder in folders]
    with pytest.raises(CompassignError) as caught:
        copy.run(kind.table)
    assert [published(folder) for folder in folders] == before
    _holds(caught.value.problem, kind.told)
    assert caught.value.advice and "\n" not in caught.value.problem
    for offender in fault.offenders:
        assert str(offender) in str(caught.value)
    failed = {o.name for o in getattr(caught.value, "outcomes", ()) if o.blocking and not o.passed}
    assert isinstance(caught.value, CheckFailed if kind.check else InputError)
    assert not kind.check or kind.check in failed
    kept = {f"{kind.table}_rejects/lib_id={LIB}/{REFUSED_FILE}"}
    assert refused(copy.root) <= kept
    assert (REFUSED_FILE in kind.untouched) <= (refused(copy.root) == kept)


@_of("refuses")
def test_a_kind_that_refuses_counts_its_rows_by_reason(simulated, copy, kind):
    fault = _spoil(copy, kind)
    _run_to(copy, kind.table)
    copy.run(kind.table)
    clean = simulated.pipeline.reports[kind.table, None]
    report = copy.reports[kind.table, None]
    assert report.rejects == {**clean.rejects, **fault.rejects}
    assert Counter(row[0] for row in copy.rejects(kind.table)) == report.rejects


@_of("warns")
def test_a_kind_that_warns_is_published_with_its_warning(copy, kind):
    fault = _spoil(copy, kind)
    cap = 5 if kind.table == "rt_table" else None
    copy.run_library()
    if cap:
        copy.run_caps((cap,))
    outcome = copy.outcome(kind.table, kind.check, cap)
    assert not outcome.passed and not outcome.blocking
    _holds(outcome.sentence(), kind.told)
    for offender in fault.offenders:
        assert str(offender) in outcome.sentence()
    assert copy.reports[kind.table, cap].rejects == fault.rejects


@_of("works")
def test_a_kind_that_works_loses_no_row_and_warns_of_nothing(simulated, copy, kind):
    _spoil(copy, kind)
    copy.run_library()
    assert not [o for outcomes in copy.outcomes.values() for o in outcomes if not o.passed]
    clean = simulated.pipeline
    query = "SELECT count(*), count(DISTINCT comp_id), sum(rt::DECIMAL(18, 9)) FROM {}"
    for table in ("lib_training", "ranked_training"):
        if table == "ranked_training" and kind.name == "ids_past_31_bits":
            continue  # other ids are another sample
        assert copy.rows(query.format(copy.source(table))) == clean.rows(
            query.format(clean.source(table))
        )
    assert copy.reports["lib_training", None].rejects == clean.reports["lib_training", None].rejects


def test_a_folder_that_may_not_be_read_is_named(copy, monkeypatch):
    """The kind's own spoiler does nothing to an administrator, so the refusal is made here."""
    (kind,) = (k for k in KINDS if k.name == "folder_without_permission")
    fault = kind.spoil(copy.libraries_file.parent, LIB)
    place = layout.peak_folder(copy.libraries_file.parent, LIB)
    assert place.stat().st_mode & 0o777 == 0
    place.chmod(0o700)
    real = Path.iterdir

    def iterdir(self):
        if self == place:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(InputError) as caught:
        scan_export(copy.libraries, LIB)
    _holds(caught.value.problem, kind.told)
    assert fault.offenders[0] in caught.value.problem


def test_an_embedding_with_nan_is_named(tmp_path):
    (kind,) = (k for k in KINDS if k.name == "descriptor_not_finite")
    fault = kind.spoil(tmp_path, LIB)
    with pytest.raises(InputError) as caught:
        read_embeddings(tmp_path / dirt_lists.EMBEDDINGS)
    _holds(caught.value.problem, kind.told)
    assert f"chem_id {fault.offenders[0]}" in caught.value.problem


def test_all_faults_of_several_shards_are_told_at_once(copy):
    for path in layout.peak_shards(copy.libraries_file.parent, LIB)[:2]:
        path.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        copy.run("export_manifest")
    assert caught.value.problem.count("it is 0 bytes") == 2
    assert caught.value.advice.count("copy this shard again") == 1


def test_a_label_of_any_signs_keeps_its_signs(copy):
    (kind,) = (k for k in KINDS if k.name == "label_of_any_signs")
    kind.spoil(copy.libraries_file.parent, LIB)
    copy.run_library()
    labels = {
        row[0] for row in copy.rows(f"SELECT species_raw FROM {copy.source('species_mapping')}")
    }
    assert ODD_LABEL in labels


def test_every_fault_is_in_the_table_once_with_checks_that_exist():
    names = [kind.name for kind in KINDS]
    assert sorted(names) == sorted({*DIRT, *(f.__name__ for f in (*SHARD_FAULTS, *LIST_FAULTS))})
    assert {kind.check for kind in KINDS} - {""} <= set(RULES)
    assert len({kind.what for kind in KINDS}) == len(KINDS)


def test_a_stated_longest_time_takes_the_place_of_the_standards(copy):
    """A method with early standards only is told so, and can be described."""
    for path in layout.covariate_shards(copy.libraries_file.parent, LIB):
        table = layout.read_shard(path)
        for name in filter(is_covariate, table.column_names):
            index = table.column_names.index(name)
            table = table.set_column(index, name, pc.multiply(table[name], 0.01))
        layout.write_shard(path, table)
    _run_to(copy, "lib_training")
    with pytest.raises(CheckFailed, match="look like seconds"):
        copy.run("lib_training")
    text = copy.libraries_file.read_text()
    copy.libraries_file.write_text(f"[prep]\nmax_rt = 30\n\n{text}")
    _run_to(copy, "lib_training")
    copy.run("lib_training")
    assert copy.outcome("lib_training", "retention_times_in_minutes").passed
