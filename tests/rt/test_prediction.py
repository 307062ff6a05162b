"""Scoring tables and files: values, novelty, unseen rows, batches, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from scipy.special import stdtrit

from compassign_core.contracts.catalogue import NOVELTY, RT_PREDICTIONS, RT_TABLE, SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.pairs import count_pairs
from compassign_core.rt.predictions import HeldOut, predict_batches, predict_table
from compassign_core.rt.scoring import score_file
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.support import novelty_index, support_bin_index
from compassign_core.rt.train import train_ridge
from tests.rt import rt_tables


def trained(table: dict[str, Any], **settings: Any) -> CoefficientSummaries:
    return train_ridge(
        "rt_rows",
        RidgeSettings(**settings),
        WindowSettings(),
        rt_tables.register(table),
        model="ridge",
        fingerprint="f",
    )


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return rt_tables.simulate(keep=0.8, missing=0.1)


@pytest.fixture(scope="module")
def summaries(table: dict[str, Any]) -> CoefficientSummaries:
    return trained(table)


def predict(table: Any, summaries: CoefficientSummaries, **options: Any) -> pa.Table:
    return predict_table("rt_rows", summaries, rt_tables.register(table), **options)


def test_every_row_is_the_formula_row_by_row(
    table: dict[str, Any], summaries: CoefficientSummaries
) -> None:
    at_95 = summaries.kappa_at(np.array([0.95]))[0]
    got = predict(table, summaries).to_pylist()
    assert len(got) == table["rt"].size
    for i in range(0, len(got), 17):
        key = (int(table["species_cluster"][i]) << 32) + int(table["comp_id"][i])
        g = summaries.keys.tolist().index(key)
        x = np.array([table[f"IS_{j}"][i] for j in range(3)])
        x1 = np.concatenate([[1.0], np.where(np.isnan(x), 0.0, x - summaries.centre)])
        mean = x1 @ summaries.beta_mean[g]
        kappa = at_95[support_bin_index(summaries.n_train[g])]
        scale = np.sqrt(summaries.scale2[g] + x1 @ summaries.beta_cov[g] @ x1) * kappa
        row = got[i]
        assert row["rt_predicted"] == pytest.approx(mean, rel=1e-12)
        assert row["scale"] == pytest.approx(scale, rel=1e-10)
        assert row["df"] == summaries.df[g]
        half = scale * stdtrit(summaries.df[g], 0.975)
        assert row["rt_predicted"] - row["rt_low"] == pytest.approx(half, rel=1e-7)
        assert row["rt_high"] - row["rt_predicted"] == pytest.approx(half, rel=1e-7)
        assert row["covered"] == (abs(table["rt"][i] - mean) <= half)
        assert row["n_train"] == summaries.n_train[g]
        assert row["rt"] == table["rt"][i]


def test_the_columns_are_those_of_the_contract(
    table: dict[str, Any], summaries: CoefficientSummaries
) -> None:
    pairs = count_pairs("rt_rows", rt_tables.register(table))
    assert tuple(predict(table, summaries, pairs=pairs).column_names) == RT_PREDICTIONS.names()
    of_pairs = ("pair_support", "pair_support_bin")
    expected = tuple(n for n in RT_PREDICTIONS.names() if n not in of_pairs)
    assert tuple(predict(table, summaries).column_names) == expected
    new_runs = {name: values for name, values in table.items() if name != "rt"}
    expected = tuple(n for n in RT_PREDICTIONS.names() if n not in ("rt", "covered", *of_pairs))
    assert tuple(predict(new_runs, summaries).column_names) == expected


def test_support_of_the_pair_is_the_same_for_models_of_other_groups(
    table: dict[str, Any], summaries: CoefficientSummaries
) -> None:
    few = {name: values[:60].copy() for name, values in table.items()}
    few["comp_id"][0], few["species"][1] = 9999, -1
    pairs = count_pairs("rt_rows", rt_tables.register(table))
    frame = pd.DataFrame({name: table[name] for name in ("species", "comp_id")})
    count = frame.value_counts()
    expected = [count.get(key, 0) for key in zip(few["species"], few["comp_id"], strict=True)]
    by_species = trained(table, group_col="species")
    for model in (summaries, by_species):
        got = predict(few, model, pairs=pairs)
        assert got["pair_support"].to_pylist() == expected
        index = support_bin_index(np.array(expected))
        assert got["pair_support_bin"].to_pylist() == [SUPPORT_BINS[i] for i in index]
    assert by_species.group_col == "species"
    seen = predict(few, by_species, pairs=pairs)
    assert seen["n_train"].to_pylist() == seen["pair_support"].to_pylist()
    assert expected[:2] == [0, 0]


def test_a_table_with_no_rows_has_no_pairs(table: dict[str, Any]) -> None:
    none = count_pairs("(FROM rt_rows LIMIT 0)", rt_tables.register(table))
    assert none.of(np.array([1, 2]), np.array([7, 8])).tolist() == [0, 0]
    with pytest.raises(InputError, match="no group key"):
        count_pairs("(SELECT -1 AS species, 7 AS comp_id)", rt_tables.register(table))


def test_predictions_come_batch_by_batch(
    table: dict[str, Any], summaries: CoefficientSummaries
) -> None:
    connection = rt_tables.register(table)
    reader = predict_batches("rt_rows", summaries, connection, batch_rows=2048)
    assert isinstance(reader, pa.RecordBatchReader)
    assert reader.read_all().equals(predict(table, summaries))
    with pytest.raises(InputError, match="comp_id"):  # now, not when the batches are taken
        predict_batches("(SELECT 1 AS x)", summaries, connection)


def test_a_cut_judges_these_held_out_rows_and_no_others(
    table: dict[str, Any], summaries: CoefficientSummaries, tmp_path: Path
) -> None:
    summaries.save(tmp_path / "model.npz")
    settings = EvaluationSettings(max_test_rows=31)
    n = table["rt"].size
    found = []
    for rows in (table, rt_tables.shuffled(table, 4)):
        connection = rt_tables.register(rows)
        held_out = HeldOut.open("rt_rows", "rt_rows", connection, settings)
        assert (held_out.n_rows, held_out.n_judged) == (n, 31)
        batches = held_out.predicted([tmp_path / "model.npz"], 0.95)
        found.append(
            pa.Table.from_batches(batches).sort_by([(c, "ascending") for c in RT_TABLE.key])
        )
    assert found[0].equals(found[1]) and found[0].num_rows == 31
    whole = predict(table, summaries, pairs=held_out.pairs).to_pylist()
    assert all(row in whole for row in found[0].to_pylist())


def test_unseen_groups_are_kept_and_marked(
    table: dict[str, Any], summaries: CoefficientSummaries
) -> None:
    few = {name: values[:4].copy() for name, values in table.items()}
    few["comp_id"][1] = 9999
    few["species"][2], few["species_cluster"][2] = 77, 5
    few["comp_id"][3] = -3
    got = predict(few, summaries).to_pylist()
    assert [row["scored"] for row in got] == [True, False, False, False]
    for row in got[1:]:
        assert row["n_train"] == 0
        assert row["support_bin"] == "0"
        assert {
            row[c] for c in ("rt_predicted", "scale", "df", "rt_low", "rt_high", "covered")
        } == {None}
    assert [row["novelty"] for row in got] == [
        "seen",
        "unseen_compound",
        "unseen_species",
        "unseen_compound",
    ]


def test_novelty_names_the_pair_when_both_sides_were_seen() -> None:
    pairs = np.array([(1 << 32) + 10, (2 << 32) + 11])
    got = novelty_index(
        np.array([1, 1, 3, 3, 1]),
        np.array([10, 11, 10, 12, 12]),
        pairs,
        np.array([1, 2]),
        np.array([10, 11]),
    )
    assert [NOVELTY[i] for i in got] == [
        "seen",
        "unseen_pair",
        "unseen_species",
        "unseen_compound",
        "unseen_compound",
    ]


def test_a_new_species_of_a_known_supercategory_is_scored_as_unseen_species(
    table: dict[str, Any], summaries: CoefficientSummaries
) -> None:
    one = {name: values[:1].copy() for name, values in table.items()}
    one["species"][0] = 50
    (row,) = predict(one, summaries).to_pylist()
    assert (row["scored"], row["novelty"]) == (True, "unseen_species")


def test_support_bins_have_inclusive_upper_edges() -> None:
    n = [0, 1, 2, 3, 5, 6, 10, 11, 20, 21, 50, 51, 100, 101, 10**6]
    expected = "0 1 2 3-5 3-5 6-10 6-10 11-20 11-20 21-50 21-50 51-100 51-100 >100 >100".split()
    assert [SUPPORT_BINS[i] for i in support_bin_index(n)] == expected


@pytest.mark.parametrize("batch_rows", [1, 7, 100])
def test_predictions_do_not_depend_on_the_batch_size(
    table: dict[str, Any], summaries: CoefficientSummaries, batch_rows: int
) -> None:
    whole = predict(table, summaries)
    assert predict(table, summaries, batch_rows=batch_rows).combine_chunks() == (
        whole.combine_chunks()
    )


def test_a_group_with_one_row_has_a_finite_and_wider_window() -> None:
    table = rt_tables.simulate(n_comps=20)
    alone = (table["comp_id"] == 7) & (table["species_cluster"] == 0)
    first = np.flatnonzero(alone)[0]
    keep = ~alone
    keep[first] = True
    summaries = trained(rt_tables.rows(table, keep))
    got = predict(table, summaries).to_pylist()
    one = [r for r in got if r["n_train"] == 1]
    many = [r for r in got if r["n_train"] > 1]
    widths = np.array([r["rt_high"] - r["rt_low"] for r in one])
    assert len(one) == alone.sum()
    assert np.isfinite(widths).all()
    assert widths.min() > 1.2 * np.median([r["rt_high"] - r["rt_low"] for r in many])
    assert np.mean([r["covered"] for r in one]) > 0.8


def test_models_can_be_grouped_by_species(table: dict[str, Any]) -> None:
    summaries = trained(table, group_col="species")
    assert set(summaries.group_id.tolist()) == {0, 1, 2, 3}
    without = {name: values for name, values in table.items() if name != "species_cluster"}
    got = predict(without, summaries).to_pylist()
    assert all(row["scored"] and row["species_cluster"] == -1 for row in got)


def test_files_of_users_are_scored_as_they_are(
    tmp_path: Path, table: dict[str, Any], summaries: CoefficientSummaries
) -> None:
    keep = ("species_cluster", "comp_id", "IS_0", "IS_1", "IS_2")
    brought = rt_tables.arrow({name: table[name] for name in keep})
    pa.parquet.write_table(brought, tmp_path / "it's.parquet")
    pa.csv.write_csv(brought, tmp_path / "runs.csv")
    summaries.save(tmp_path / "model.npz")
    connection = duckdb.connect()
    parquet = score_file(tmp_path / "model.npz", tmp_path / "it's.parquet", connection)
    csv = score_file(tmp_path / "model.npz", tmp_path / "runs.csv", connection)
    assert parquet["rt_predicted"].to_pylist() == csv["rt_predicted"].to_pylist()
    assert parquet["comp_id"].to_pylist() == table["comp_id"].tolist()
    assert set(parquet["compound"].to_pylist()) == {-1}
    whole = predict(table, summaries)
    assert parquet["rt_high"].to_pylist() == whole["rt_high"].to_pylist()


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("comp_id,species_cluster,IS_0,IS_1,IS_2", *lines)) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x7,0,5,5,5", r"not whole numbers: comp_id \(1 rows\)"),
        ("7.5,0,5,5,5", r"not whole numbers: comp_id \(1 rows\)"),
        (",0,5,5,5", r"not whole numbers: comp_id \(1 rows\)"),
        ("7,0,five,5,5", r"not finite numbers: IS_0 \(1 rows\)"),
        ("7,0,5,inf,5", r"not finite numbers: IS_1 \(1 rows\)"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_its_count(
    tmp_path: Path, summaries: CoefficientSummaries, line: str, message: str
) -> None:
    summaries.save(tmp_path / "model.npz")
    path = write_csv(tmp_path / "runs.csv", *["7,0,5.1,5.0,5"] * 5, line)
    with pytest.raises(InputError, match=message) as caught:
        score_file(tmp_path / "model.npz", path, duckdb.connect())
    assert str(path) in caught.value.problem


def test_an_empty_cell_is_a_missing_covariate(
    tmp_path: Path, summaries: CoefficientSummaries
) -> None:
    summaries.save(tmp_path / "model.npz")
    path = write_csv(
        tmp_path / "runs.csv", "7,0,5.1,,5", f"7,0,5.1,{float(summaries.centre[1])!r},5"
    )
    got = score_file(tmp_path / "model.npz", path, duckdb.connect())["rt_predicted"].to_pylist()
    assert got[0] == got[1]


def test_what_a_file_lacks_is_named(tmp_path: Path, summaries: CoefficientSummaries) -> None:
    summaries.save(tmp_path / "model.npz")
    (tmp_path / "runs.csv").write_text("comp_id,IS_0\n7,5\n")
    with pytest.raises(InputError, match=r"runs.csv lacks 3 .*species_cluster, IS_1, IS_2"):
        score_file(tmp_path / "model.npz", tmp_path / "runs.csv", duckdb.connect())
    for name in ("none.csv", "runs.xlsx"):
        with pytest.raises(InputError, match=name):
            score_file(tmp_path / "model.npz", tmp_path / name, duckdb.connect())


def test_a_file_without_rows_gives_a_table_without_rows(
    tmp_path: Path, summaries: CoefficientSummaries
) -> None:
    summaries.save(tmp_path / "model.npz")
    got = score_file(tmp_path / "model.npz", write_csv(tmp_path / "runs.csv"), duckdb.connect())
    assert got.num_rows == 0
    assert "rt_high" in got.column_names
