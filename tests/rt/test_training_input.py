"""What training accepts, imputes, drops and refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.settings.rt import MODEL_KINDS, RidgeSettings, WindowSettings
from compassign_core.rt.design import choose_columns
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.train import train_ridge
from tests.rt import rt_tables


def train(table: Any, **settings: Any) -> CoefficientSummaries:
    return train_ridge(
        "rt_rows",
        RidgeSettings(**settings),
        WindowSettings(),
        rt_tables.register(table),
        model="m",
        fingerprint="f",
    )


def test_missing_covariates_take_the_training_mean_and_are_counted() -> None:
    table = rt_tables.simulate(missing=0.2, keep=0.8)
    filled = dict(table)
    for name in ("IS_0", "IS_1", "IS_2"):
        filled[name] = np.where(np.isnan(table[name]), np.nanmean(table[name]), table[name])
    with_gaps, without = train(table, lambda_slopes=0.1), train(filled, lambda_slopes=0.1)
    np.testing.assert_allclose(with_gaps.centre, without.centre, rtol=1e-12)
    np.testing.assert_allclose(with_gaps.beta_mean, without.beta_mean, rtol=1e-9, atol=1e-9)
    expected = [int(np.isnan(table[f"IS_{j}"]).sum()) for j in range(3)]
    assert with_gaps.imputed.tolist() == expected
    assert sum(expected) > 0
    assert without.imputed.tolist() == [0, 0, 0]


def test_a_missing_covariate_at_scoring_counts_as_the_training_mean() -> None:
    table = rt_tables.simulate(missing=0.2)
    summaries = train(table)
    one = {name: values[:1] for name, values in table.items()}
    gap = one | {"IS_1": np.array([np.nan])}
    mean = one | {"IS_1": summaries.centre[1:2]}
    got, expected = (
        predict_table("rt_rows", summaries, rt_tables.register(t)).to_pylist() for t in (gap, mean)
    )
    assert got == expected


def test_indicators_are_features_for_columns_with_gaps_only() -> None:
    table = rt_tables.simulate(missing=0.2)
    table["IS_2"] = np.nan_to_num(table["IS_2"], nan=5.0)
    summaries = train(table, missing_indicator=True)
    assert summaries.feature_names.tolist() == [
        "IS_0",
        "IS_1",
        "IS_2",
        "missing(IS_0)",
        "missing(IS_1)",
    ]
    np.testing.assert_allclose(summaries.centre[3], np.isnan(table["IS_0"]).mean(), rtol=1e-12)
    scored = predict_table("rt_rows", summaries, rt_tables.register(table))
    assert all(scored["scored"].to_pylist())


def test_indicators_take_up_a_shift_of_runs_without_a_standard() -> None:
    table = rt_tables.simulate(missing=0.3, slope_sd=0.0, noise_sd=0.005)
    table["rt"] = table["rt"] + 0.5 * np.isnan(table["IS_0"])
    plain = train(table, lambda_slopes=1e-3)
    flagged = train(table, lambda_slopes=1e-3, missing_indicator=True)
    at = flagged.feature_names.tolist().index("missing(IS_0)") + 1
    assert np.median(flagged.beta_mean[:, at]) == pytest.approx(0.5, abs=0.05)
    assert flagged.scale2.mean() < 0.2 * plain.scale2.mean()


def test_a_covariate_without_any_value_is_dropped_and_named() -> None:
    table = rt_tables.simulate()
    table["IS_1"] = np.full(table["rt"].size, np.nan)
    summaries = train(table)
    assert summaries.dropped.tolist() == ["IS_1"]
    assert summaries.covariates.tolist() == ["IS_0", "IS_2"]


def test_covariates_are_chosen_by_prefix_in_a_fixed_order() -> None:
    names = ["ES_b", "rt", "RS_1", "IS_9", "IS10", "ESx"]
    assert choose_columns(names, "standards", "t") == ("IS10", "IS_9", "RS_1")
    assert choose_columns(names, "all", "t") == ("IS10", "IS_9", "RS_1", "ES_b")
    assert choose_columns(names, "none", "t") == ()


def test_asking_for_covariates_of_a_table_without_any_is_an_error() -> None:
    table = {k: v for k, v in rt_tables.simulate().items() if not k.startswith("IS")}
    with pytest.raises(InputError, match="no covariate column although covariates='standards'"):
        train(table)
    assert train(table, covariates="none").feature_names.size == 0


def test_an_empty_table_is_an_error_that_says_so() -> None:
    table = rt_tables.simulate()
    with pytest.raises(InputError, match="no rows to train on"):
        train(rt_tables.arrow(table).slice(0, 0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_an_unusable_retention_time_is_an_error_with_its_count(bad: float) -> None:
    table = rt_tables.simulate()
    table["rt"] = table["rt"].copy()
    table["rt"][3:5] = bad
    with pytest.raises(InputError, match=r"rt \(2 rows\)"):
        train(table)


def test_nan_retention_times_that_are_no_nulls_are_found_too() -> None:
    table = rt_tables.simulate()
    values = table["rt"].copy()
    values[0] = np.nan
    arrow = rt_tables.arrow(table)
    arrow = arrow.set_column(arrow.column_names.index("rt"), "rt", pa.array(values))
    with pytest.raises(InputError, match=r"rt \(1 rows\)"):
        train(arrow)


def test_an_infinite_covariate_is_an_error() -> None:
    table = rt_tables.simulate()
    table["IS_1"] = table["IS_1"].copy()
    table["IS_1"][7] = np.inf
    with pytest.raises(InputError, match=r"not finite numbers: IS_1 \(1 rows\)"):
        train(table)


def test_missing_columns_are_all_named() -> None:
    table = rt_tables.simulate()
    del table["compound"], table["rt"]
    with pytest.raises(InputError, match=r"lacks 2 column\(s\).*compound, rt"):
        train(table)


def test_a_species_in_two_supercategories_is_an_error() -> None:
    table = rt_tables.simulate()
    table["species_cluster"] = table["species_cluster"].copy()
    table["species_cluster"][0] = 1 - table["species_cluster"][0]
    with pytest.raises(InputError, match=r"1 value\(s\) of species have more than one"):
        train(table)


def test_a_comp_with_two_chemicals_is_an_error() -> None:
    table = rt_tables.simulate()
    table["compound"] = table["compound"].copy()
    table["compound"][0] = 999
    with pytest.raises(InputError, match="of comp_id have more than one"):
        train(table)


def test_a_negative_id_is_an_error() -> None:
    table = rt_tables.simulate()
    table["comp_id"] = table["comp_id"] - 8
    with pytest.raises(InputError, match="no group key"):
        train(table)


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"covariates": "none", "missing_indicator": True}, ("missing_indicator", "covariates")),
        ({"covariates": "none", "lambda_slopes": 0.1}, ("lambda_slopes", "covariates")),
        ({"lambda_slopes": -1.0}, ("lambda_slopes",)),
        ({"lambda_slopes": "guessed"}, ("lambda_slopes",)),
        ({"noise_scale0": 0.0}, ("noise_scale0",)),
        ({"group_col": "sampleset_id"}, ("group_col",)),
    ],
)
def test_an_illegal_setting_names_every_field_involved(
    values: dict[str, Any], fields: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        RidgeSettings.parse(values, "test")
    assert all(field in caught.value.problem for field in fields)


@pytest.mark.parametrize("level", [0.4999, 0.9991, float("nan")])
def test_a_window_level_out_of_range_is_an_error(level: float) -> None:
    with pytest.raises(SettingsError, match="level"):
        WindowSettings.parse({"level": level}, "test")
    assert WindowSettings(level=0.93).request.coverage == 0.93


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_settings_survive_json(kind: str) -> None:
    settings = MODEL_KINDS[kind]
    assert RidgeSettings.parse(settings.model_dump(mode="json"), "json") == settings
