"""Evaluation by slice, and the windows of a library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import kstest, t

from compassign_core.contracts.catalogue import RT_EVALUATION, RT_WINDOWS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt import metrics
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.predictions import predict_table
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
    first = predict_table("test_rows", train(connection), connection)
    second = predict_table("test_rows", train(connection, covariates="none"), connection)
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
    }
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
    shown = {(r["model"], r["slice"], r["level"]) for r in got}
    assert len(shown) == len(got)
    for model in ("ridge", "mean"):
        assert (model, "overall", "all") in shown
        assert (model, "novelty", "unseen_compound") in shown
        assert (model, "support_bin", "0") in shown


def test_slices_do_not_depend_on_the_order_of_rows(predictions: pa.Table) -> None:
    order = np.random.default_rng(0).permutation(predictions.num_rows)
    assert evaluate(predictions.take(order)).equals(evaluate(predictions))


def test_a_table_without_any_scored_row_has_counts_and_no_metrics(predictions: pa.Table) -> None:
    unscored = predictions.filter(pa.compute.invert(predictions["scored"]))
    overall = [r for r in evaluate(unscored).to_pylist() if r["slice"] == "overall"]
    assert [r["n_unscored"] for r in overall] == [unscored.num_rows // 2] * 2
    assert all(r[m] is None for r in overall for m in ("rmse", "mae", "cov95", "width95", "crps"))


def test_no_predictions_give_no_rows(predictions: pa.Table) -> None:
    assert evaluate(predictions.slice(0, 0)).num_rows == 0


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
    windows = library_windows(summaries, "rt_rows", "mapping", connection, level=0.9)
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
        (expected,) = predict_table("one_row", summaries, connection, level=0.9).to_pylist()
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
