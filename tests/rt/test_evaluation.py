"""Evaluation by slice, and the windows of a library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.stats import kstest, t

from compassign_core.contracts.catalogue import RT_EVALUATION, RT_PIT, RT_TABLE, RT_WINDOWS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowRequest, WindowSettings
from compassign_core.rt import metrics
from compassign_core.rt.arrow import arrow_schema
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.limits import judged_part
from compassign_core.rt.medians import Ranks
from compassign_core.rt.pairs import count_pairs
from compassign_core.rt.pit import pit_histogram
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.readback import Judged
from compassign_core.rt.source import Source
from compassign_core.rt.train import train_ridge
from compassign_core.rt.windows import library_windows
from tests.rt import rt_tables


def train(connection: Any, **settings: Any) -> Any:
    return train_ridge(
        "rt_rows",
        RidgeSettings(**settings),
        WindowSettings(),
        connection,
        model="ridge",
        fingerprint="f",
    )


def predictions_table() -> pa.Table:
    table = rt_tables.simulate(keep=0.8)
    connection = rt_tables.register(table)
    table["comp_id"] = np.where(table["comp_id"] == 9, 4444, table["comp_id"])
    connection.register("test_rows", rt_tables.arrow(table))
    pairs = count_pairs("rt_rows", connection)
    models = train(connection), train(connection, covariates="none")
    first, second = (predict_table("test_rows", model, connection, pairs=pairs) for model in models)
    renamed = second.set_column(0, "model", pa.array(["mean"] * second.num_rows))
    return pa.concat_tables([first, renamed])


@pytest.fixture(scope="module")
def predictions() -> pa.Table:
    return predictions_table()


def test_every_slice_is_the_count_and_mean_of_its_rows(predictions: pa.Table) -> None:
    frame = predictions.to_pandas()
    got = evaluate(predictions).to_pylist()
    assert set(got[0]) == set(RT_EVALUATION.names())
    columns = {
        "overall": None,
        "support_bin": "support_bin",
        "supercategory": "species_cluster",
        "species": "species",
        "novelty": "novelty",
        "pair_support": "pair_support_bin",
        "tail": "tail",
        "supercategory_support": "cell",
    }
    frame["tail"] = pd.cut(frame["pair_support"], [-1, 0, 5, 1e9], labels=["0", "1-5", ">5"])
    frame["cell"] = frame["species_cluster"].astype(str) + " / " + frame["pair_support_bin"]
    assert {row["slice"] for row in got} == set(columns)
    for row in got:
        mask = frame["model"] == row["model"]
        if columns[row["slice"]]:
            mask &= frame[columns[row["slice"]]].astype(str) == row["level"]
        part = frame[mask]
        scored = part[part["scored"]]
        counts = (row["n_rows"], row["n_scored"], row["n_unscored"])
        assert counts == (len(part), len(scored), len(part) - len(scored))
        if scored.empty:
            assert row["rmse"] is None
            assert row["crps"] is None
            continue
        error = scored["rt"] - scored["rt_predicted"]
        half = scored["scale"] * t.ppf(0.975, scored["df"])
        assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
        assert row["mae"] == pytest.approx(error.abs().mean())
        assert row["cov95"] == pytest.approx((error.abs() <= half).mean())
        assert row["cov95"] == pytest.approx(scored["covered"].astype(bool).mean())
        width = scored["rt_high"] - scored["rt_low"]
        assert row["width95"] == pytest.approx(width.mean())
        assert row["width95_median"] == pytest.approx(width.median())
        assert row["interval_score95"] == pytest.approx(
            (width + 40 * (error.abs() - half).clip(lower=0)).mean()
        )
        density = t.logpdf(error / scored["scale"], scored["df"]) - np.log(scored["scale"])
        assert row["log_score"] == pytest.approx(density.mean())
        assert row["cov95_low"] <= row["cov95"] <= row["cov95_high"]
        for percent in (50, 80, 99):
            covered = error.abs() <= scored[f"half_width_{percent}"]
            assert row[f"cov{percent}"] == pytest.approx(covered.mean())
            low, high = row[f"cov{percent}_low"], row[f"cov{percent}_high"]
            assert low <= row[f"cov{percent}"] <= high
            wilson = metrics.wilson_interval(np.array([covered.mean()]), np.array([len(covered)]))
            assert (low, high) == pytest.approx((wilson[0][0], wilson[1][0]))
        exact = kstest(t.cdf(error / scored["scale"], scored["df"]), "uniform").statistic
        assert exact - 0.01 <= row["pit_distance"] <= exact + 1e-12
    shown = {(r["model"], r["slice"], r["level"]) for r in got}
    assert len(shown) == len(got)
    for model in ("ridge", "mean"):
        assert (model, "overall", "all") in shown
        assert (model, "novelty", "unseen_compound") in shown
        assert (model, "support_bin", "0") in shown


def test_slices_do_not_depend_on_the_order_of_rows(predictions: pa.Table) -> None:
    order = np.random.default_rng(0).permutation(predictions.num_rows)
    assert evaluate(predictions.take(order)).equals(evaluate(predictions))


@pytest.mark.parametrize("rows", [1, 7, 64, 100_000])
def test_the_size_of_batches_changes_no_byte(predictions: pa.Table, rows: int) -> None:
    few = predictions.take(np.arange(0, predictions.num_rows, 3))
    assert evaluate(few, batch_rows=rows).equals(evaluate(few))
    assert pit_histogram(few, batch_rows=rows).equals(pit_histogram(few))


def test_a_stored_table_is_read_in_batches_and_judged_alike(
    predictions: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "predictions.parquet"
    pq.write_table(predictions, file)
    connection = duckdb.connect()
    largest = []
    judged_of = Judged.of

    def seen(batch: pa.Table) -> Judged:
        largest.append(batch.num_rows)
        return judged_of(batch)

    monkeypatch.setattr(Judged, "of", seen)
    stored = evaluate(f"read_parquet('{file}')", connection, batch_rows=50)
    assert max(largest) == 50 and sum(largest) == predictions.num_rows
    assert stored.equals(evaluate(predictions))
    assert (
        connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        == []
    )


def test_predictions_without_training_rows_of_pairs_have_all_other_slices(
    predictions: pa.Table,
) -> None:
    without = evaluate(predictions.drop_columns(["pair_support", "pair_support_bin"]))
    by_pairs = pc.is_in(
        without["slice"], pa.array(["pair_support", "tail", "supercategory_support"])
    )
    assert not pc.any(by_pairs).as_py()
    names = set(without["slice"].to_pylist())
    kept = [row for row in evaluate(predictions).to_pylist() if row["slice"] in names]
    for found, expected in zip(without.to_pylist(), kept, strict=True):
        # cells are others, so the last bits of sums are
        for name, value in found.items():
            close = pytest.approx(expected[name], rel=1e-12) if isinstance(value, float) else None
            assert value == (expected[name] if close is None else close), name


def test_a_cut_judges_the_same_rows_of_all_models_and_a_part_of_a_larger_cut(
    predictions: pa.Table,
) -> None:
    n = predictions.num_rows // 2
    source = Source.open(rt_tables.register(predictions, "p"), "p")
    once = replace(source, sql="(FROM p WHERE model = 'mean')")
    kept = {}
    for most in (10, 40, n, n + 5):
        settings = EvaluationSettings(max_test_rows=most)
        judged = judged_part(source, settings, once)
        if most >= n:
            assert judged == source
            continue
        part = source.connection.sql(f"FROM {judged.sql}").to_arrow_table()
        assert part.num_rows == 2 * most
        kept[most] = set(zip(*(part[name].to_pylist() for name in RT_TABLE.key), strict=True))
        assert len(kept[most]) == most
        assert evaluate(predictions, settings=settings).equals(evaluate(part))
        assert pit_histogram(predictions, settings=settings).equals(pit_histogram(part))
    assert kept[10] < kept[40]


def test_every_bin_of_the_pit_is_the_count_of_its_rows(predictions: pa.Table) -> None:
    frame = predictions.to_pandas()
    frame = frame[frame["scored"]]
    frame["pit"] = t.cdf((frame["rt"] - frame["rt_predicted"]) / frame["scale"], frame["df"])
    made = pit_histogram(predictions)
    assert made.schema.equals(arrow_schema(RT_PIT))
    rows = made.to_pylist()
    column = {"support_bin": "support_bin", "novelty": "novelty"}
    for row in rows:
        part = frame[frame["model"] == row["model"]]
        if row["slice"] != "overall":
            part = part[part[column[row["slice"]]] == row["level"]]
        count = ((part["pit"] * 20).astype(int).clip(upper=19) == row["bin"] - 1).sum()
        assert (row["n"], row["share"]) == (count, pytest.approx(count / len(part)))
        assert row["low"] - 1e-12 <= row["share"] <= row["high"] + 1e-12
    cells = {(row["model"], row["slice"], row["level"]) for row in rows}
    assert len(rows) == 20 * len(cells)
    assert ("ridge", "novelty", "seen") in cells
    assert ("ridge", "novelty", "unseen_compound") not in cells  # never scored


def test_a_median_is_exact_however_values_and_levels_are_mixed() -> None:
    rng = np.random.default_rng(8)
    cell = rng.integers(0, 6, 501)
    values = np.sort(np.round(rng.normal(size=501), 1))
    code = np.array([0, 1, 1, 3, 0, 3])  # level 2 has no cell
    level = code[cell]
    ranks = Ranks(code, np.bincount(level, minlength=4))
    for begin in range(0, 501, 40):
        ranks.add(cell[begin : begin + 40], values[begin : begin + 40])
    found = ranks.medians()
    assert found[[0, 1, 3]].tolist() == [np.median(values[level == i]) for i in (0, 1, 3)]
    assert np.isnan(found[2])


def test_a_table_without_any_scored_row_has_counts_and_no_metrics(predictions: pa.Table) -> None:
    unscored = predictions.filter(pa.compute.invert(predictions["scored"]))
    overall = [r for r in evaluate(unscored).to_pylist() if r["slice"] == "overall"]
    assert [r["n_unscored"] for r in overall] == [unscored.num_rows // 2] * 2
    assert all(r[m] is None for r in overall for m in ("rmse", "mae", "cov95", "width95", "crps"))


def test_no_predictions_give_no_rows(predictions: pa.Table) -> None:
    assert evaluate(predictions.slice(0, 0)).num_rows == 0
    assert pit_histogram(predictions.slice(0, 0)).num_rows == 0


def test_predictions_without_measured_times_cannot_be_evaluated(predictions: pa.Table) -> None:
    with pytest.raises(InputError, match="rt"):
        evaluate(predictions.drop_columns(["rt", "covered"]))


def test_probability_transforms_of_a_true_model_are_uniform() -> None:
    table = rt_tables.simulate(1, n_comps=40, n_runs=120, noise_df=4.0)
    train_rows = table["task_id"] < 1060
    connection = rt_tables.register(rt_tables.rows(table, train_rows))
    connection.register("new_runs", rt_tables.arrow(rt_tables.rows(table, ~train_rows)))
    found = predict_table("new_runs", train(connection), connection).filter(pc.field("scored"))
    columns = {name: found[name].to_numpy() for name in ("rt", "rt_predicted", "scale", "df")}
    error = columns["rt"] - columns["rt_predicted"]
    pit = metrics.probability_integral(error, columns["scale"], columns["df"])
    assert kstest(pit, "uniform").statistic < 0.05


def mapping() -> pa.Table:
    return pa.table(
        {
            "sampleset_id": [100, 101, 102, 103],
            "species_raw": ["plasma", "serum", "liver", "kidney"],
            "species_group_raw": ["blood", "blood", "organ", "organ"],
            "species": [0, 1, 2, 3],
            "species_cluster": [0, 0, 1, 1],
        }
    )


def test_windows_are_predictions_at_the_mean_run_of_each_species() -> None:
    table = rt_tables.simulate(missing=0.1, keep=0.8)
    drop = (table["comp_id"] == 8) & (table["species_cluster"] == 1)
    table = rt_tables.rows(table, ~drop)
    connection = rt_tables.register(table)
    connection.register("mapping", mapping())
    summaries = train(connection)
    windows = library_windows(
        summaries, "rt_rows", "mapping", connection, window=WindowRequest(level=0.9)
    )
    assert tuple(windows.column_names) == RT_WINDOWS.names()
    assert windows.num_rows == 4 * summaries.comps.size
    got = {(r["species"], r["comp_id"]): r for r in windows.to_pylist()}
    frame = rt_tables.arrow(table).to_pandas()
    runs = frame.drop_duplicates(["sampleset_id", "worksheet_id", "task_id"])
    means = runs.groupby("species")[["IS_0", "IS_1", "IS_2"]].mean()
    for species in range(4):
        one = {
            "species": [species],
            "species_cluster": [species // 2],
            "comp_id": [9],
            **{name: [means.loc[species, name]] for name in means},
        }
        connection.register("one_row", pa.table(one))
        (expected,) = predict_table(
            "one_row", summaries, connection, window=WindowRequest(level=0.9)
        ).to_pylist()
        row = got[species, 9]
        assert row["rt_predicted"] == pytest.approx(expected["rt_predicted"], rel=1e-12)
        assert row["width"] == pytest.approx(expected["rt_high"] - expected["rt_low"], rel=1e-9)
        assert (row["coverage"], row["scored"], row["novelty"]) == (0.9, True, "seen")
        assert row["species_raw"] == mapping()["species_raw"][species].as_py()
        assert row["compound"] == 9 - 7 + 500
    unseen = got[2, 8]
    assert (unseen["scored"], unseen["rt_low"], unseen["width"]) == (False, None, None)
    assert (unseen["n_train"], unseen["novelty"]) == (0, "unseen_pair")


def test_windows_refuse_a_mapping_or_a_table_of_something_else() -> None:
    connection = rt_tables.register(rt_tables.simulate())
    summaries = train(connection)
    connection.register("short_mapping", mapping().slice(0, 2))
    with pytest.raises(InputError, match=r"no label for 2 species.*2, 3"):
        library_windows(summaries, "rt_rows", "short_mapping", connection)
    connection.register("mapping", mapping())
    other = rt_tables.simulate()
    other["species"] = other["species"] + 40
    connection.register("other_rows", rt_tables.arrow(other))
    with pytest.raises(InputError, match="4 species that model ridge was not trained on"):
        library_windows(summaries, "other_rows", "mapping", connection)
