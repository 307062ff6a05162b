"""Windows that a user asks for: any level, the production rule, and what cannot be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import stdtrit

from compassign_core.contracts.catalogue import NOVELTY
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.rt import RidgeSettings, WindowRequest, WindowSettings
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.model import Model
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.scoring import Tally, measured_rows, score_batches, score_file
from compassign_core.rt.support import support_bin_index
from compassign_core.rt.train import train_ridge
from compassign_core.rt.windows import library_windows
from tests.rt import rt_tables
from tests.rt.hierarchy import tables

WITHIN_ONE_SD = 0.8413447460685429
"""Probability of a Normal value below one standard deviation above the mean."""


def ridge(table: dict[str, Any]) -> Model:
    return train_ridge(
        "rt_rows", RidgeSettings(), WindowSettings(min_rows_per_bin=50), rt_tables.register(table),
        model="ridge", fingerprint="f",
    )  # fmt: skip


@pytest.fixture(scope="module", params=["ridge", "pooling"])
def scene(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Model]:
    if request.param == "ridge":
        table = rt_tables.simulate(keep=0.8, n_runs=40)
        return table, ridge(table)
    drawn = tables.draw(5, n_species=8, n_comps=30, n_runs=60)
    train = drawn.table["comp_id"] % 7 > 0
    return drawn.table, tables.train(tables.subset(drawn.table, train), drawn.embeddings)


def predict(table: Any, model: Model, **request: Any) -> dict[str, np.ndarray]:
    window = WindowRequest(**request)
    found = predict_table("rt_rows", model, rt_tables.register(table), window=window)
    return {name: np.array(found[name].to_pylist()) for name in found.column_names}


def half(found: dict[str, np.ndarray]) -> np.ndarray:
    return 0.5 * (found["rt_high"] - found["rt_low"])


def kappa(model: Model, found: dict[str, np.ndarray], level: float) -> np.ndarray:
    """Factor of every row."""
    at = np.array([level])
    made = model.kappa_at(at)[0][support_bin_index(found["n_train"])]
    if isinstance(model, PoolingSummaries):
        kinds = np.array([NOVELTY.index(kind) for kind in found["novelty"]])
        made = np.where(found["n_train"] > 0, made, model.novelty_kappa_at(at)[0][kinds])
    return made


@pytest.mark.parametrize("level", [0.5, 0.8123, 0.95, 0.975, 0.99871])
def test_a_window_of_any_level_is_its_factor_and_its_quantile(scene, level: float) -> None:
    table, model = scene
    found = predict(table, model, level=level)
    raw = found["scale"] / kappa(model, found, 0.95)
    expected = raw * kappa(model, found, level) * stdtrit(found["df"], 0.5 + 0.5 * level)
    np.testing.assert_allclose(half(found), expected, rtol=1e-6)
    np.testing.assert_array_equal(
        found["covered"], np.abs(found["rt"] - found["rt_predicted"]) <= half(found)
    )


def test_the_level_asked_for_changes_nothing_but_the_window(scene) -> None:
    table, model = scene
    a, b = predict(table, model), predict(table, model, level=0.6)
    same = set(a) - {"rt_low", "rt_high", "covered"}
    for name in same:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    np.testing.assert_allclose(half(predict(table, model, level=0.8)), a["half_width_80"])
    assert (half(b) < half(a)).all()


@pytest.mark.parametrize(
    "rule", [{}, {"window_multiplier": 0.5}, {"window_multiplier": 2.0, "window_minimum": 0.2}]
)
def test_the_production_rule_is_a_multiple_of_six_sd_or_the_minimum(scene, rule) -> None:
    table, model = scene
    found = predict(table, model, rule="production", **rule)
    sd = found["scale"] / kappa(model, found, 0.95) * stdtrit(found["df"], WITHIN_ONE_SD)
    minimum = rule.get("window_minimum", 0.001)
    expected = rule.get("window_multiplier", 4.0) * np.maximum(6.0 * sd, minimum)
    np.testing.assert_allclose(half(found), expected, rtol=1e-6)
    if minimum > 0.1:
        assert 0 < (6.0 * sd < minimum).mean()
    predictive = predict(table, model)
    for name in ("scale", "half_width_50", "half_width_99"):
        np.testing.assert_array_equal(found[name], predictive[name], err_msg=name)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rule": "production", "level": 0.9}, ("rule", "level")),
        ({"window_multiplier": 3.0}, ("window_multiplier", "rule")),
        ({"window_minimum": 0.1, "level": 0.9}, ("window_minimum", "rule")),
        ({"rule": "production", "window_multiplier": 0.0}, ("window_multiplier",)),
        ({"rule": "lasso"}, ("rule",)),
        ({"level": 0.49}, ("level",)),
        ({"level": 0.9999}, ("level",)),
        ({"level": float("nan")}, ("level",)),
    ],
)
def test_what_cannot_be_asked_is_named(values: dict[str, Any], named: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as caught:
        WindowRequest.parse(values, "test")
    assert all(name in caught.value.problem for name in named)


def test_library_windows_of_the_rule_state_no_coverage() -> None:
    table = rt_tables.simulate(n_runs=30)
    connection = rt_tables.register(table)
    model = ridge(table)
    connection.execute(
        "CREATE TABLE mapping AS SELECT DISTINCT species, 'species ' || species AS species_raw "
        "FROM rt_rows"
    )
    found = {}
    for request in (WindowRequest(rule="production"), WindowRequest(level=0.6826894921370859)):
        windows = library_windows(model, "rt_rows", "mapping", connection, window=request)
        found[request.rule] = windows.to_pydict()
    assert set(found["production"]["coverage"]) == {None}
    correction = np.array(found["predictive"]["width"]) / np.array(found["production"]["width"])
    at = model.kappa_at(np.array([0.6826894921370859]))[0]
    bins = support_bin_index(np.array(found["production"]["n_train"]))
    np.testing.assert_allclose(24.0 * correction, at[bins], rtol=1e-6)


def test_windows_that_no_left_out_rows_speak_for_are_counted(tmp_path: Path) -> None:
    table = rt_tables.simulate(keep=0.8, n_runs=40)
    model = ridge(table)
    n = table["rt"].size
    assert 0.99 < model.measured_to < 0.999  # fewer than 999 rows were left out
    pq.write_table(rt_tables.arrow(table), tmp_path / "rows.parquet")
    for request, expected in (
        (WindowRequest(), 0),
        (WindowRequest(level=model.measured_to), 0),
        (WindowRequest(level=0.999), n),
        (WindowRequest(rule="production"), 0),
    ):
        tally = Tally(model, request)
        batches = score_batches(
            model, tmp_path / "rows.parquet", rt_tables.register(table), window=request
        )
        found = tally.counted(batches).read_all()
        assert (tally.rows, tally.scored, tally.judged) == (n, n, n)
        assert tally.covered == sum(found["covered"].to_pylist())
        assert tally.unmeasured == expected


def test_a_file_is_scored_as_its_batches_are(tmp_path: Path) -> None:
    table = rt_tables.simulate(n_runs=12)
    model = ridge(table)
    model.save(tmp_path / "model.npz")
    few = {name: values[:9].copy() for name, values in table.items()} | {"rt": np.full(9, np.nan)}
    few["comp_id"][:4] = 9999
    pq.write_table(rt_tables.arrow(few), tmp_path / "rows.parquet")
    request = WindowRequest(level=0.7)
    connection = rt_tables.register(table)
    paths = tmp_path / "model.npz", tmp_path / "rows.parquet"
    whole = score_file(*paths, connection, window=request)
    tally = Tally(model, request)
    batches = score_batches(model, paths[1], connection, window=request)
    assert tally.counted(batches).read_all().equals(whole)
    assert (tally.rows, tally.scored, tally.judged, tally.covered) == (9, 5, 0, 0)


def test_untrained_rows_are_counted_by_their_novelty() -> None:
    drawn = tables.draw(5, n_species=8, n_comps=30, n_runs=60)
    train = drawn.table["comp_id"] % 7 > 0
    model = tables.train(tables.subset(drawn.table, train), drawn.embeddings)
    scored = predict_table("rt_rows", model, tables.connect(drawn.table))
    new = np.array(scored["novelty"].to_pylist()) == "unseen_compound"
    assert new.any()
    # no compound was left out whole, so nothing is known of windows of unseen ones
    measured = measured_rows(model, scored, WindowRequest())
    np.testing.assert_array_equal(measured, ~new)
