"""Illegal combinations are refused, naming both fields."""

from __future__ import annotations

from typing import Any

import pytest

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.pooling import PoolingSettings


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"group_col": "species_cluster"}, ("group_col", "intercept_prior")),
        (
            {"group_col": "species_cluster", "intercept_prior": "flat", "chemistry": False},
            ("group_col", "slope_head_mode"),
        ),
        ({"intercept_prior": "flat"}, ("intercept_prior", "chemistry")),
        (
            {
                "intercept_prior": "flat",
                "chemistry": False,
                "slope_head_mode": "compound_supercat",
            },
            ("intercept_prior", "slope_head_mode"),
        ),
        ({"lambda_slopes": 3e-4}, ("lambda_slopes", "noise")),
        ({"covariates": "none"}, ("covariates", "slope_head_mode")),
        (
            {"covariates": "none", "slope_head_mode": "none", "missing_indicator": True},
            ("covariates", "missing_indicator"),
        ),
        ({"lambda_slopes": -1.0, "noise": "global"}, ("lambda_slopes",)),
        ({"rows_df": 5.0}, ("rows_df", "rows")),
        ({"rows": "student_t", "rows_df": 2.0}, ("rows_df",)),
        ({"rows": "student_t", "rows_df": float("inf")}, ("rows_df",)),
    ],
)
def test_an_illegal_combination_names_its_fields(
    values: dict[str, Any], fields: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        PoolingSettings.parse(values, "settings")
    assert all(field in caught.value.problem for field in fields)
