"""Products and rotations of covariates: the same features in training, scoring and windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.archive import read_arrays, write_arrays
from compassign_core.rt.design import Design, product_columns
from compassign_core.rt.design_arrays import design_of
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.table import read_training
from compassign_core.rt.train import train_ridge
from compassign_core.rt.windows import library_windows
from tests.rt import rt_tables

NUMBERS = ("rt_predicted", "scale", "df", "rt_low", "rt_high")


def train(table: Any, **settings: Any) -> CoefficientSummaries:
    return train_ridge(
        "rt_rows", RidgeSettings(**settings), WindowSettings(), rt_tables.register(table),
        model="m", fingerprint="f",
    )  # fmt: skip


def predicted(model: Any, table: Any) -> dict[str, np.ndarray]:
    made = predict_table("rt_rows", model, rt_tables.register(table))
    return {name: made[name].to_numpy() for name in NUMBERS}


def agree(a: dict[str, np.ndarray], b: dict[str, np.ndarray], tolerance: float) -> None:
    for name in NUMBERS:
        np.testing.assert_allclose(a[name], b[name], rtol=tolerance, atol=tolerance, err_msg=name)


def test_products_are_those_of_written_out_columns() -> None:
    table = rt_tables.simulate(missing=0.15, keep=0.9)
    table["ES_q"] = np.cos(np.arange(table["rt"].size))
    made = train(table, covariates="all", expansion="poly2", lambda_slopes=0.1)
    centred = {n: table[n] - np.nanmean(table[n]) for n in ("IS_0", "IS_1", "IS_2")}
    centred = {name: np.where(np.isnan(v), 0.0, v) for name, v in centred.items()}
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    columns = {f"IS_x{i}{j}": centred[f"IS_{i}"] * centred[f"IS_{j}"] for i, j in pairs}
    explicit = table | columns
    plain = train(explicit, covariates="all", lambda_slopes=0.1)
    assert made.feature_names.tolist() == [
        "IS_0", "IS_1", "IS_2", "ES_q",
        "poly2_sq(IS_0)", "poly2_sq(IS_1)", "poly2_sq(IS_2)",
        "poly2_int(IS_0,IS_1)", "poly2_int(IS_0,IS_2)", "poly2_int(IS_1,IS_2)",
    ]  # fmt: skip
    order = {name: i for i, name in enumerate(plain.feature_names.tolist())}
    same = ["IS_0", "IS_1", "IS_2", "ES_q", *(f"IS_x{i}{j}" for i, j in pairs)]
    at = [order[name] for name in same]
    np.testing.assert_allclose(made.centre, plain.centre[at], rtol=1e-9, atol=1e-12)
    slopes = plain.beta_mean[:, 1:][:, at]
    np.testing.assert_allclose(made.beta_mean[:, 1:], slopes, rtol=1e-7, atol=1e-9)
    agree(predicted(made, table), predicted(plain, explicit), 1e-9)


def test_a_curve_is_found_by_products_only() -> None:
    table = rt_tables.simulate(slope_sd=0.0, noise_sd=0.002, n_runs=60)
    bend = 0.8 * (table["IS_0"] - 5.0) ** 2 + 0.5 * (table["IS_0"] - 5.0) * (table["IS_1"] - 5.0)
    table["rt"] = table["rt"] + bend
    straight = train(table, lambda_slopes=1e-3)
    curved = train(table, lambda_slopes=1e-3, expansion="poly2")
    names = curved.feature_names.tolist()
    found = np.median(curved.beta_mean, axis=0)[1:]
    assert found[names.index("poly2_sq(IS_0)")] == pytest.approx(0.8, abs=0.02)
    assert found[names.index("poly2_int(IS_0,IS_1)")] == pytest.approx(0.5, abs=0.02)
    assert found[names.index("poly2_sq(IS_1)")] == pytest.approx(0.0, abs=0.02)
    assert np.sqrt(curved.scale2).mean() < 0.1 * np.sqrt(straight.scale2).mean()


@pytest.mark.parametrize("expansion", ["none", "poly2"])
def test_a_rotation_changes_no_prediction_where_the_penalty_is_the_same_all_round(
    expansion: str,
) -> None:
    table = rt_tables.simulate(missing=0.1, keep=0.8)
    rest = {"expansion": expansion, "lambda_slopes": 0.05, "missing_indicator": True}
    plain, turned = train(table, **rest), train(table, rotation="pca", **rest)
    agree(predicted(plain, table), predicted(turned, table), 1e-10)
    axes = turned.rotation
    np.testing.assert_allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-12)
    assert turned.feature_names[0] == "pca_1"
    assert turned.log_evidence == pytest.approx(plain.log_evidence, rel=1e-10)


def test_axes_go_by_falling_variance_and_may_be_cut() -> None:
    table = rt_tables.simulate(missing=0.1)
    settings = RidgeSettings(rotation="pca")
    rows, design = read_training("rt_rows", settings, rt_tables.register(table))
    covariance = rows.x.T @ rows.x / rows.y.size
    spread = np.diag(covariance)
    assert (np.diff(spread) < 0).all()
    np.testing.assert_allclose(covariance, np.diag(spread), atol=1e-12 * spread[0])
    largest = np.abs(design.rotation).argmax(axis=0)
    assert (design.rotation[largest, np.arange(3)] > 0).all()
    cut = RidgeSettings(rotation="pca", rotation_components=2)
    fewer, shorter = read_training("rt_rows", cut, rt_tables.register(table))
    np.testing.assert_array_equal(shorter.rotation, design.rotation[:, :2])
    np.testing.assert_allclose(fewer.x, rows.x[:, :2], atol=1e-15)
    assert shorter.names == ("pca_1", "pca_2")


def test_every_feature_has_mean_zero_over_the_training_rows() -> None:
    table = rt_tables.simulate(missing=0.2)
    settings = RidgeSettings(expansion="poly2", rotation="pca", missing_indicator=True)
    rows, design = read_training("rt_rows", settings, rt_tables.register(table))
    assert design.size == 3 + 3 + 6
    np.testing.assert_allclose(rows.x.mean(axis=0), 0.0, atol=1e-14)


def test_windows_use_the_products_of_the_mean_run() -> None:
    table = rt_tables.simulate(keep=0.8)
    model = train(table, expansion="poly2", rotation="pca", lambda_slopes=0.1)
    connection = rt_tables.register(table)
    species = np.unique(table["species"])
    labels = pa.table({"species": species, "species_raw": [f"s{i}" for i in species]})
    connection.register("mapping", labels)
    windows = library_windows(model, "rt_rows", "mapping", connection).to_pandas()
    one = windows[windows["species"] == 0].reset_index(drop=True)
    _, first = np.unique(np.where(table["species"] == 0, table["task_id"], -1), return_index=True)
    runs = [i for i in first if table["species"][i] == 0]
    mean = {f"IS_{j}": np.full(len(one), table[f"IS_{j}"][runs].mean()) for j in range(3)}
    asked = {name: one[name].to_numpy() for name in ("species", "species_cluster", "comp_id")}
    scored = predict_table("rt_rows", model, rt_tables.register(asked | mean)).to_pandas()
    np.testing.assert_allclose(one["rt_predicted"], scored["rt_predicted"], rtol=1e-12)


def test_a_design_comes_back_from_its_file(tmp_path: Path) -> None:
    table = rt_tables.simulate(missing=0.2)
    made = train(table, expansion="poly2", rotation="pca", missing_indicator=True)
    made.save(tmp_path / "m.npz")
    back = CoefficientSummaries.load(tmp_path / "m.npz")
    agree(predicted(made, table), predicted(back, table), 0.0)
    assert design_of(back).names == tuple(made.feature_names.tolist())


@pytest.mark.parametrize("damage", ["expansion", "rotation", "centre"])
def test_a_design_that_does_not_fit_together_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.npz"
    train(rt_tables.simulate(), expansion="poly2", rotation="pca").save(path)
    arrays = read_arrays(path)
    arrays[damage] = np.array("none") if damage == "expansion" else arrays[damage][1:]
    write_arrays(path, arrays)
    with pytest.raises(InputError, match="features do not follow"):
        CoefficientSummaries.load(path)


def test_covariates_of_the_sample_are_never_multiplied() -> None:
    a, b = product_columns(("IS_0", "ES_1", "RS_2"))
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 0), (2, 2), (0, 2)]
    design = Design(("ES_1",), (), np.zeros(1), np.zeros(1, dtype=np.int64), expansion="poly2")
    assert design.names == ("ES_1",)


@pytest.mark.parametrize("family", [RidgeSettings, PoolingSettings])
@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"covariates": "none", "expansion": "poly2"}, ("expansion", "covariates")),
        ({"covariates": "none", "rotation": "pca"}, ("rotation", "covariates")),
        ({"rotation_components": 3}, ("rotation_components", "rotation='none'")),
        ({"rotation": "pca", "rotation_components": 0}, ("rotation_components",)),
    ],
)
def test_features_without_covariates_are_refused(
    family: Any, values: dict[str, Any], fields: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        family.parse(values, "test")
    assert all(field in caught.value.problem for field in fields)
