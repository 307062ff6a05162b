"""A verdict on an export says what the run would do, and writes nothing that stays."""

from __future__ import annotations

import pytest

from compassign_core.contracts.errors import CompassignError, SettingsError
from compassign_core.contracts.settings.libraries import load_libraries
from compassign_core.pipeline.inspection import inspect_library, worst
from compassign_core.pipeline.make import make
from compassign_core.simulate import layout
from compassign_core.simulate.bad_input import KINDS
from compassign_core.store.lake import Partition
from tests.support.installation import LIB
from tests.support.pipeline import published

INGEST = ("export_manifest", "imported_names", "imported_peaks", "run_covariates", "lib_training")
INSPECTED = ("truncated_peak_shard", "conflicting_covariate_rows", "seconds_in_one_shard",
             "species_spelled_two_ways", "covariate_constant", "nan_and_negative_rt",
             "entry_not_mapped", "ids_as_text")  # fmt: skip


def _inspect(project):
    # read anew: a test changes files within the grain of their times
    return inspect_library(load_libraries(project.data / "libraries.toml"), LIB, project)


def test_a_clean_export_is_ok_with_its_counts_and_nothing_stays(project):
    before = published(project.root)
    findings = _inspect(project)
    assert published(project.root) == before
    assert {one.verdict for one in findings if one.subject != "chemicals"} == {"ok"}
    sentences = {one.subject: one.sentence for one in findings}
    for name in INGEST:
        make(project, name, Partition(LIB))
    rows = project.lake.arrow("lib_training", Partition(LIB)).num_rows
    assert f", {rows:,} kept" in sentences["lib_training"]
    assert sentences["size"].startswith(f"{rows:,} peaks of ")
    assert "IS_00" in sentences["covariates"]


@pytest.mark.parametrize("kind", [k for k in KINDS if k.name in INSPECTED], ids=lambda k: k.name)
def test_the_verdict_is_that_of_the_run(project, kind):
    kind.spoil(project.data, LIB)
    findings = _inspect(project)
    found = [one for one in findings if one.subject == kind.table]
    verdict = {"stops": "stop", "works": "ok"}.get(kind.outcome, "look")
    assert worst(found) == verdict
    if kind.check:
        assert any(kind.check in one.sentence for one in found if one.verdict == verdict)
    assert all(one.advice for one in found if one.verdict != "ok")
    stopped = []
    for name in INGEST:
        try:
            make(project, name, Partition(LIB))
        except CompassignError as error:
            stopped.append((name, error.problem))
            break
    if kind.outcome == "stops" and kind.table in INGEST:
        assert [name for name, _ in stopped] == [kind.table]
    assert (worst(findings) == "stop") == (kind.outcome == "stops")


def test_what_hangs_on_a_stopped_table_is_said_not_to_be_looked_at(project):
    layout.peak_shards(project.data, LIB)[0].write_bytes(b"")
    findings = {one.subject: one for one in _inspect(project)}
    assert findings["export_manifest"].verdict == "stop"
    assert "not looked at" in findings["lib_training"].sentence
    assert "size" not in findings


def test_entries_without_a_chemical_are_counted_with_their_peaks(project):
    path = layout.comp_chem_file(project.data, LIB)
    layout.write_csv(path, layout.read_csv(path).slice(0, 0))
    (found,) = (one for one in _inspect(project) if one.subject == "chemicals")
    for name in INGEST:
        make(project, name, Partition(LIB))
    comps = set(project.lake.arrow("lib_training", Partition(LIB))["comp_id"].to_pylist())
    rows = project.lake.arrow("lib_training", Partition(LIB)).num_rows
    assert found.verdict == "look"
    assert found.sentence.startswith(f"{len(comps):,} entries with {rows:,} peaks have no chemical")


def test_a_library_that_is_not_described_is_refused(project):
    with pytest.raises(SettingsError, match="library 7 has no entry"):
        inspect_library(project.libraries, 7, project)
