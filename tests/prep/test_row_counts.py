"""Rows of every step, against plain SQL on the raw shards and against the stated figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pytest

from compassign_core.contracts.identifiers import CAPS
from tests.support import export_oracle as oracle
from tests.support.pipeline import Pipeline

SHIPPED = (100, 101, 109)
STATED = {
    # rows raw, complete; runs, sample sets, species, supercategories, comps, pairs; cap 5
    100: (139_232, 101_387, 190, 20, 4, 2, 612, 2_387, 11_758),
    101: (20_798, 11_785, 126, 13, 2, 1, 99, 198, 990),
    109: (36_542, 31_216, 121, 16, 4, 2, 258, 1_032, 5_160),
}


@dataclass(frozen=True)
class Prepared:
    """A prepared library and what plain SQL says of it; pairs are (species label, comp)."""

    pipeline: Pipeline
    export: oracle.Export
    fates: Mapping[str, int]
    train: Mapping[tuple[str, int], int]
    test: Mapping[tuple[str, int], int]
    chemicals: Mapping[int, int]
    with_class: Collection[int]

    def at_cap(self, cap: int) -> tuple[int, int, int]:
        """Training rows at a cap: all, those with a chemical, those with a class."""
        kept = [(self.chemicals.get(comp), min(n, cap)) for (_, comp), n in self.train.items()]
        return (
            sum(n for _, n in kept),
            sum(n for chem, n in kept if chem is not None),
            sum(n for chem, n in kept if chem in self.with_class),
        )


@pytest.fixture(scope="module", params=[*SHIPPED, "simulated", "deep"])
def prepared(request):
    """Every library in turn, shipped and simulated."""
    if request.param in SHIPPED:
        pipeline = request.getfixturevalue("shipped")(request.param)
        export = oracle.shipped(request.param)
    else:
        made = request.getfixturevalue(request.param)
        pipeline, export = made.pipeline, made.export
    folds = pipeline.folds()
    return Prepared(
        pipeline,
        export,
        oracle.rows_by_fate(export),
        oracle.pair_rows(export, folds, "train"),
        oracle.pair_rows(export, folds, "test"),
        oracle.chemicals(export),
        oracle.chemicals_with_smiles(export.folder / "structures.parquet"),
    )


@pytest.mark.parametrize("lib", SHIPPED)
def test_shipped_libraries_have_the_stated_figures_at_every_step(shipped, lib):
    pipeline = shipped(lib)
    training, support = pipeline.source("lib_training"), pipeline.source("species_compound_support")
    counted = pipeline.rows(
        f"""SELECT count(*), count(DISTINCT (sampleset_id, worksheet_id, task_id)),
                   count(DISTINCT sampleset_id), count(DISTINCT comp_id) FROM {training}"""
    )[0]
    species = pipeline.rows(
        "SELECT count(DISTINCT species), count(DISTINCT species_cluster), count(*), "
        f"sum(least(n_rows, 5)) FROM {support}"
    )[0]
    found = (
        pipeline.reports["lib_training", None].rows_in,
        *counted[:3],
        *species[:2],
        counted[3],
        *species[2:],
    )
    assert found == STATED[lib]


def test_peaks_and_their_rejects_are_those_of_sql(prepared):
    pipeline, fates = prepared.pipeline, dict(prepared.fates)
    report = pipeline.reports["lib_training", None]
    assert report.rows_in == sum(fates.values()) == oracle.raw_rows(prepared.export)
    assert report.rows_out == fates.pop("kept") == pipeline.count("lib_training")
    assert report.rejects == fates
    assert len(pipeline.rejects("lib_training")) == sum(fates.values())


def test_runs_and_missing_covariates_are_those_of_sql(prepared):
    pipeline = prepared.pipeline
    assert pipeline.count("run_covariates") == oracle.runs_with_covariates(prepared.export)
    nulls = oracle.covariate_nulls(prepared.export)
    counts = ", ".join(f'count(*) - count("{name}")' for name in nulls)
    (found,) = pipeline.rows(f"SELECT {counts} FROM {pipeline.source('run_covariates')}")
    assert dict(zip(nulls, found, strict=True)) == nulls


def test_sample_sets_are_listed_and_folded_once(prepared):
    listed = prepared.pipeline.count("species_mapping")
    assert listed == oracle.listed_sample_sets(prepared.export)
    assert sorted(prepared.pipeline.folds()) == oracle.sample_sets(prepared.export)


def test_support_of_every_pair_is_that_of_sql(prepared):
    pipeline = prepared.pipeline
    found = pipeline.rows(
        f"""SELECT species_raw, comp_id, n_rows, n_train, n_test
            FROM {pipeline.source("species_compound_support")}
            JOIN (SELECT DISTINCT species, species_raw FROM {pipeline.source("species_mapping")})
            USING (species)"""
    )
    train, test = prepared.train, prepared.test
    assert {(species, comp): tuple(counts) for species, comp, *counts in found} == {
        pair: (train.get(pair, 0) + test.get(pair, 0), train.get(pair, 0), test.get(pair, 0))
        for pair in {**train, **test}
    }


@pytest.mark.parametrize("cap", CAPS)
def test_capped_tables_have_the_rows_of_sql(prepared, cap):
    pipeline, (sampled, mapped, classed) = prepared.pipeline, prepared.at_cap(cap)
    for table in ("capped_training", "chemclass_training", "rt_table"):
        assert pipeline.count(table, cap) == sampled
    (found,) = pipeline.rows(
        "SELECT count(*) FILTER (compound >= 0), count(*) FILTER (compound_class >= 0) "
        f"FROM {pipeline.source('rt_table', cap)}"
    )
    assert found == (mapped, classed)
    notes = pipeline.reports["chemclass_training", cap].notes
    assert notes == {"rows_with_chemical": mapped, "rows_with_class": classed}
    kept = f"SELECT sum(kept_cap_{cap}) FROM {pipeline.source('species_compound_support')}"
    assert pipeline.value(kept) == sampled
    if cap == max(CAPS):
        assert pipeline.count("ranked_training") == sampled


@pytest.mark.parametrize("cap", CAPS)
def test_kept_and_held_out_rows_account_for_all(prepared, cap):
    pipeline = prepared.pipeline
    held_out, beyond = (
        sum(prepared.test.values()),
        sum(max(n - cap, 0) for n in prepared.train.values()),
    )
    assert 0 < held_out == pipeline.count("realtest_table")
    assert pipeline.count("rt_table", cap) + beyond + held_out == prepared.fates["kept"]
    set_aside = pipeline.reports["ranked_training", None].set_aside
    assert set_aside["held_out"] == held_out
    assert set_aside["sample_set_without_species"] == 0


def test_every_chemical_with_a_structure_has_a_class(prepared):
    source = prepared.pipeline.source("chem_classes")
    classed = prepared.pipeline.rows(f"SELECT chem_id FROM {source}")
    assert {chem for (chem,) in classed} == prepared.with_class


def test_every_check_of_a_clean_export_passes(prepared):
    failed = [
        (table, outcome.sentence())
        for table, outcomes in prepared.pipeline.outcomes.items()
        for outcome in outcomes
        if not outcome.passed and outcome.blocking
    ]
    assert failed == []


def test_counts_of_a_simulated_export_are_its_truth(simulated):
    truth, pipeline = simulated.truth.libraries[900], simulated.pipeline
    report = pipeline.reports["lib_training", None]
    assert (report.rows_in, report.rows_out) == (truth.rows_raw, truth.rows_complete)
    assert report.rejects == truth.filtered
    support = pipeline.source("species_compound_support")
    for cap in CAPS:
        kept = pipeline.value(f"SELECT sum(least(n_rows, {cap})) FROM {support}")
        assert kept == truth.rows_at_cap(cap)


def test_the_rt_table_holds_ids_rt_and_covariates_and_nothing_else(shipped):
    described = shipped(101).rows(f"DESCRIBE SELECT * FROM {shipped(101).source('rt_table', 5)}")
    names = [row[0] for row in described]
    ids = ["sampleset_id", "worksheet_id", "task_id", "species", "species_cluster", "comp_id"]
    assert names[:9] == [*ids, "compound", "compound_class", "rt"]
    assert names[9:] == sorted(names[9:]) and len(names[9:]) == 6
    assert all(name.startswith("IS_") for name in names[9:])
    assert {row[1] for row in described} == {"BIGINT", "DOUBLE"}
