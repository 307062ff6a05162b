"""The quality study on a simulated export: its numbers against folds made by other means."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks import quality
from compassign_core.contracts.catalogue import RT_TABLE
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.rt import metrics
from compassign_core.rt.coverage import coverage_interval
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.training import train_kind
from compassign_core.simulate.export import simulate_export
from tests.support.pipeline import Pipeline

LIB, CAP = 900, 20
KINDS = ("partial_pooling", "supercategory_mean")
SEEDS = (3, 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "data"
    simulate_export(folder, SimulationSettings(n_sample_sets=2, n_comps=12, n_runs=4))
    return folder


@pytest.fixture(scope="module")
def studies(data):
    with quality.workplace(data) as place:
        yield {
            design: quality.study(place, design, LIB, CAP, KINDS, SEEDS)
            for design in quality.DESIGNS
        }


def by_hand(data, folder, *, split: str = "", seed: int = 42) -> pa.Table:
    """Predictions of both kinds on one fold, from a copy of the export and its own steps."""
    shutil.copytree(data, folder / "data")
    described = folder / "data" / "libraries.toml"
    text = described.read_text()
    changes = {f"[library.{LIB}.prep]": f"seed = {seed}"}
    if split:
        (folder / "data" / "split.csv").write_text(split)
        changes[f"[library.{LIB}]"] = 'split = "split.csv"'
    for section, line in changes.items():
        assert section in text
        text = text.replace(section, f"{section}\n{line}")
    described.write_text(text)
    made = Pipeline(described, LIB, folder / "lake").run_all([CAP])
    embeddings = made.lake.arrow("chem_descriptors", made.partition("chem_descriptors"))
    return pa.concat_tables(
        predict_table(
            made.source("realtest_table"),
            train_kind(
                kind,
                made.source("rt_table", CAP),
                WindowSettings(),
                made.connection,
                fingerprint="",
                embeddings=embeddings,
            ),
            made.connection,
        )
        for kind in KINDS
    )


@pytest.fixture(scope="module")
def pooled(data, tmp_path_factory):
    """Every worksheet left out in turn, by hand."""
    listed = (data / "metadata" / f"sample_sets_lib{LIB}.csv").read_text().splitlines()
    names = [name.strip('"') for name in listed[0].split(",")]
    rows = [dict(zip(names, line.split(","), strict=True)) for line in listed[1:]]
    sheets = sorted({row["worksheet_id"] for row in rows})
    assert len(sheets) == 2
    tables = []
    for sheet in sheets:
        split = "sample_set_id,fold\n" + "".join(
            f"{row['sample_set_id']},{'test' if row['worksheet_id'] == sheet else 'train'}\n"
            for row in rows
        )
        tables.append(by_hand(data, tmp_path_factory.mktemp("sheet"), split=split))
    return pa.concat_tables(tables)


def overall(table: pa.Table) -> dict[str, dict]:
    rows = evaluate(table).to_pylist()
    return {row["model"]: row for row in rows if row["slice"] == "overall"}


def column(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy()


def test_worksheets_are_pooled_as_evaluate_sees_them(studies, pooled) -> None:
    expected = overall(pooled)
    found = {row["model"]: row for row in studies["worksheets"]["models"]}
    assert set(found) == set(expected) == set(KINDS)
    for kind in KINDS:
        for name in ("n_rows", "n_unscored", *quality.EVALUATED):
            assert found[kind][name] == pytest.approx(expected[kind][name], rel=1e-9), name
        for name in quality.WINDOWS:
            windows = found[kind][f"windows_{name}"]
            assert windows == pytest.approx(expected[kind][name], rel=1e-9), name


def test_coverages_and_median_width_are_those_of_the_student_t(studies, pooled) -> None:
    table = pooled.filter(pc.equal(pooled["model"], KINDS[0]))
    table = table.filter(table["scored"])
    error = np.abs(column(table, "rt") - column(table, "rt_predicted"))
    half = {
        level: metrics.half_width(column(table, "scale"), column(table, "df"), level)
        for level in (0.5, 0.8, 0.95, 0.99)
    }
    found = studies["worksheets"]["models"][0]
    assert found["cov50"] < found["cov80"] < found["cov99"]
    for name, level in (("cov50", 0.5), ("cov80", 0.8), ("cov99", 0.99)):
        assert found[name] == pytest.approx(np.mean(error <= half[level]), abs=1e-12)
    assert found["width95_median"] == pytest.approx(2.0 * np.median(half[0.95]), rel=1e-9)
    runs = zip(column(table, "sampleset_id"), column(table, "task_id"), strict=True)
    for unit, n in (("sampleset", 8), ("run", len(set(runs)))):
        interval = found[f"cov95_by_{unit}"]
        assert interval["n_units"] == n
        assert interval["low"] < found["cov95"] < interval["high"]
        share = cells_by_hand(table, error, half, unit, interval["trials"] / error.size)
        assert interval["cells_with_95"] == pytest.approx(share)


def cells_by_hand(table: pa.Table, error, half, unit: str, trials_a_peak: float) -> float:
    """Share of (supercategory, support bin) cells whose interval holds .95, one cell at a time."""
    names = ["species_cluster", "support_bin"]
    good = []
    for values in {tuple(row.values()) for row in table.select(names).to_pylist()}:
        here = np.logical_and.reduce(
            [np.array(table[n].to_pylist()) == v for n, v in zip(names, values, strict=True)]
        )
        keys = ["sampleset_id"] if unit == "sampleset" else ["sampleset_id", "task_id"]
        if len(np.unique(column(table, "sampleset_id")[here])) < quality.LEAST_SETS:
            continue
        rows = np.column_stack([column(table, key)[here] for key in keys])
        code = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
        hit = (error <= half[0.95])[here].astype(float)
        one, zero = np.ones(hit.size), np.zeros(hit.size, dtype=np.int64)
        of_cell = coverage_interval(hit, one, zero, code, 1, trials_a_peak)
        good.append(of_cell.low[0] <= 0.95 <= of_cell.high[0])
    assert len(good) > 1
    return float(np.mean(good))


def test_seeds_are_averaged(studies, data, tmp_path) -> None:
    single = []
    for seed in SEEDS:
        (tmp_path / str(seed)).mkdir()
        single.append(overall(by_hand(data, tmp_path / str(seed), seed=seed)))
    assert single[0][KINDS[0]]["rmse"] != single[1][KINDS[0]]["rmse"]
    for row in studies["sample_sets"]["models"]:
        expected = [found[row["model"]] for found in single]
        assert row["n_rows"] == sum(found["n_rows"] for found in expected)
        for name in quality.EVALUATED:
            mean = np.mean([found[name] for found in expected])
            assert row[name] == pytest.approx(mean, rel=1e-9), name


def test_differences_are_the_reference_less_the_other(studies, pooled) -> None:
    # by_hand gives both kinds the rows of one table in one order, so places pair them
    first, second = (pooled.filter(pc.equal(pooled["model"], kind)) for kind in KINDS)
    assert first.select(RT_TABLE.key).equals(second.select(RT_TABLE.key))
    both = pc.and_(first["scored"], second["scored"])
    assert 0 < pc.sum(both).as_py() < first.num_rows
    expected = overall(pa.concat_tables([first.filter(both), second.filter(both)]))
    rows = [row for row in studies["worksheets"]["differences"] if row["slice"] == "overall"]
    assert [row["metric"] for row in rows] == sorted(quality.COMPARED)
    for row in rows:
        difference = expected[KINDS[0]][row["metric"]] - expected[KINDS[1]][row["metric"]]
        assert (row["model"], row["minus"], row["n_sample_sets"]) == (*KINDS, 8)
        assert row["difference"] == pytest.approx(difference, rel=1e-9)
        assert row["low"] <= row["difference"] <= row["high"]


def test_the_peaks_of_every_seed_enter_the_differences(studies) -> None:
    study = studies["sample_sets"]
    (row,) = (r for r in study["differences"] if (r["slice"], r["metric"]) == ("overall", "mae"))
    by_fold = {fold["fold"]: fold["n_rows"] for fold in study["folds"]}
    reference, other = study["models"]
    assert reference["n_unscored"] == 0 and len(by_fold) == len(SEEDS)
    assert row["n_rows"] == sum(by_fold.values()) - other["n_unscored"]


def test_nothing_is_written_but_the_json_file(data, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    target = tmp_path / "found.json"
    quality.main(
        f"--libs {LIB} --cap 5 --designs sample_sets --seeds 3 --models supercategory_mean "
        f"--data {data} --json {target}".split()
    )
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [target]
    written = json.loads(target.read_text())
    (study,) = written["results"]
    rmse = study["models"][0]["rmse"]
    assert study["models"][0]["model"] == "supercategory_mean" and rmse > 0
    assert f"{rmse:.5f}" in capsys.readouterr().out


def test_a_single_worksheet_cannot_be_left_out(tmp_path) -> None:
    simulate_export(tmp_path, SimulationSettings(n_sample_sets=1, n_comps=6, n_runs=3))
    with quality.workplace(tmp_path) as place, pytest.raises(InputError, match="it has 1, and 0"):
        quality.worksheet_folds(place, LIB, CAP)
