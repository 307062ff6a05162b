from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from compassign_core.contracts.catalogue import RT_COMPARISON, RT_PREDICTIONS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.rt import ComparisonSettings
from compassign_core.rt.arrow import arrow_schema
from compassign_core.rt.comparison import METRICS, compare
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.limits import judged_part
from compassign_core.rt.source import Source
from tests.rt import rt_tables

SETTINGS = ComparisonSettings(baselines=("base",), n_bootstrap=500)


def predictions(errors: dict[str, np.ndarray], sets: np.ndarray, scored=None) -> pa.Table:
    """Predictions of several models with given errors, all at rt 5 and scale 0.01."""
    n = sets.size
    rows = {name: [] for name in arrow_schema(RT_PREDICTIONS).names}
    for model, error in errors.items():
        ok = np.ones(n, bool) if scored is None else scored.get(model, np.ones(n, bool))
        for i in range(n):
            values = {
                "model": model,
                "sampleset_id": int(sets[i]),
                "worksheet_id": 1,
                "task_id": i,
                "species": 0,
                "species_cluster": int(sets[i]) % 2,
                "comp_id": 7,
                "compound": 1,
                "compound_class": 1,
                "n_train": 4,
                "support_bin": "3-5" if i % 3 else "2",
                "pair_support": i % 3,
                "pair_support_bin": "012"[i % 3],
                "novelty": "seen",
                "scored": bool(ok[i]),
                "rt": 5.0,
                "rt_predicted": 5.0 - error[i] if ok[i] else None,
                "scale": 0.01 if ok[i] else None,
                "df": 8.0 if ok[i] else None,
                "rt_low": None,
                "rt_high": None,
                "covered": None,
            }
            for name, column in rows.items():
                column.append(values.get(name))
    return pa.table(rows, schema=arrow_schema(RT_PREDICTIONS))


@pytest.fixture
def paired():
    rng = np.random.default_rng(5)
    sets = np.repeat(np.arange(12), 30)
    common = rng.normal(0, 0.02, 12)[sets]
    base = common + rng.normal(0, 0.02, sets.size)
    return sets, base, 0.8 * base


def rows_of(table: pa.Table, **wanted) -> list[dict]:
    return [r for r in table.to_pylist() if all(r[k] == v for k, v in wanted.items())]


def test_values_are_those_of_the_evaluation(paired) -> None:
    sets, base, better = paired
    table = predictions({"base": base, "better": better}, sets)
    compared = compare(table, SETTINGS)
    assert compared.schema.equals(arrow_schema(RT_COMPARISON))
    evaluated = {(r["model"], r["slice"], r["level"]): r for r in evaluate(table).to_pylist()}
    for row in compared.to_pylist():
        for model, value in (("base", "baseline_value"), ("better", "model_value")):
            expected = evaluated[(model, row["slice"], row["level"])][row["metric"]]
            assert row[value] == pytest.approx(expected, rel=1e-12)
        assert row["difference"] == pytest.approx(row["model_value"] - row["baseline_value"])


def test_a_model_that_is_better_everywhere_is_significantly_better(paired) -> None:
    sets, base, better = paired
    compared = compare(predictions({"base": base, "better": better}, sets), SETTINGS)
    for metric in ("rmse", "mae", "crps"):
        (row,) = rows_of(compared, slice="overall", metric=metric)
        assert row["difference"] < 0 and row["high"] < 0
        assert (row["n_rows"], row["n_units"]) == (360, 12)
    (row,) = rows_of(compared, slice="overall", metric="width95")
    assert row["difference"] == row["low"] == row["high"] == 0


def test_intervals_of_two_equal_models_cover_zero_about_as_often_as_stated() -> None:
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sets = np.repeat(np.arange(25), 8)
        errors = {
            m: rng.normal(0, 0.02, 25)[sets] + rng.normal(0, 0.01, sets.size)
            for m in ("base", "same")
        }
        compared = compare(predictions(errors, sets), SETTINGS)
        (row,) = rows_of(compared, slice="overall", metric="mae")
        covered += row["low"] <= 0 <= row["high"]
    assert covered >= 50  # 95 % of 60 is 57; below 50 has probability 3e-4 at 92 %


def test_one_bootstrap_draw_equals_counting_by_hand(paired) -> None:
    sets, base, better = paired
    settings = ComparisonSettings(baselines=("base",), n_bootstrap=100, seed=9)
    compared = compare(predictions({"base": base, "better": better}, sets), settings)
    draws = np.random.default_rng(9).multinomial(12, np.full(12, 1 / 12), size=100)
    differences = []
    for draw in draws:
        picked = np.concatenate([np.flatnonzero(sets == s) for s in np.repeat(range(12), draw)])
        differences.append(np.abs(better[picked]).mean() - np.abs(base[picked]).mean())
    (row,) = rows_of(compared, slice="overall", metric="mae")
    assert (row["low"], row["high"]) == pytest.approx(
        tuple(np.quantile(differences, (0.025, 0.975))), rel=1e-9
    )


def test_only_rows_that_both_models_scored_are_compared(paired) -> None:
    sets, base, better = paired
    half = np.arange(sets.size) % 2 == 0
    compared = compare(
        predictions({"base": base, "better": better}, sets, {"better": half}), SETTINGS
    )
    (row,) = rows_of(compared, slice="overall", metric="mae")
    assert row["n_rows"] == half.sum()
    assert row["baseline_value"] == pytest.approx(np.abs(base[half]).mean())


def test_the_order_of_rows_does_not_matter(paired) -> None:
    sets, base, better = paired
    table = predictions({"base": base, "better": better}, sets)
    mixed = table.take(np.random.default_rng(1).permutation(table.num_rows))
    assert compare(mixed, SETTINGS).equals(compare(table, SETTINGS))


def test_every_slice_has_every_metric(paired) -> None:
    sets, base, better = paired
    compared = compare(predictions({"base": base, "better": better}, sets), SETTINGS)
    assert len(compared) == len(METRICS) * (1 + 2 + 2 + 1 + 3 + 2)


def test_faults_are_named(paired) -> None:
    sets, base, better = paired
    table = predictions({"base": base, "better": better}, sets)
    with pytest.raises(InputError, match="baseline 'absent' is not among the models base, better"):
        compare(table, ComparisonSettings(baselines=("absent",)))
    lacking = table.slice(0, table.num_rows - 1)
    twice = pa.concat_tables([table, table.slice(0, 1)])
    for faulty in (lacking, twice, pa.concat_tables([lacking, table.slice(3, 1)])):
        with pytest.raises(InputError, match="do not have the same held-out rows"):
            compare(faulty, SETTINGS)
    with pytest.raises(InputError, match="lack 1 column"):
        compare(table.drop_columns(["task_id"]), SETTINGS)


def test_every_model_is_compared_with_every_baseline(paired) -> None:
    sets, base, better = paired
    table = predictions({"base": base, "better": better, "same": base}, sets)
    both = ComparisonSettings(baselines=("better", "base"), n_bootstrap=500)
    compared = compare(table, both)
    pairs = {(row["model"], row["baseline"]) for row in compared.to_pylist()}
    assert pairs == {
        ("base", "better"), ("same", "better"), ("better", "base"), ("same", "base"),
    }  # fmt: skip
    one = compare(table, SETTINGS)
    assert rows_of(compared, baseline="base") == one.to_pylist()
    for row in rows_of(compared, model="base", metric="mae"):
        (mirrored,) = rows_of(
            compared, model="better", baseline="base", metric="mae",
            slice=row["slice"], level=row["level"],
        )  # fmt: skip
        assert row["difference"] == pytest.approx(-mirrored["difference"])
        assert row["low"] == pytest.approx(-mirrored["high"])
    with pytest.raises(ValueError, match="twice"):
        ComparisonSettings(baselines=("base", "base"))


@pytest.mark.parametrize("rows", [1, 5, 17, 100_000])
def test_the_size_of_batches_changes_no_byte(paired, rows: int) -> None:
    sets, base, better = paired
    table = predictions({"base": base, "better": better, "same": 1.1 * base}, sets)
    assert compare(table, SETTINGS, batch_rows=rows).equals(compare(table, SETTINGS))


def test_a_cut_compares_that_part_of_the_rows(paired) -> None:
    sets, base, better = paired
    table = predictions({"base": base, "better": better}, sets)
    settings = EvaluationSettings(max_test_rows=100, seed=3)
    compared = compare(table, SETTINGS, settings=settings)
    assert rows_of(compared, slice="overall", metric="mae")[0]["n_rows"] == 100
    source = Source.open(rt_tables.register(table), "rt_rows")
    once = replace(source, sql="(FROM rt_rows WHERE model = 'base')")
    part = judged_part(source, settings, once)
    assert compared.equals(compare(part.sql, SETTINGS, source.connection))


def test_no_predictions_give_an_empty_table() -> None:
    assert compare(arrow_schema(RT_PREDICTIONS).empty_table(), SETTINGS).num_rows == 0


def test_models_that_share_no_scored_row_give_no_rows(paired) -> None:
    sets, base, better = paired
    none = np.zeros(sets.size, bool)
    table = predictions({"base": base, "better": better}, sets, {"better": none})
    assert compare(table, SETTINGS).num_rows == 0
