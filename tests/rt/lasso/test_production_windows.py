"""The window rule: multiplier × max(6 sd of held-out residuals, minimum), exactly."""

from __future__ import annotations

import numpy as np
import pytest

from compassign_core.contracts.settings.lasso import LassoSettings, ProductionWindowSettings
from compassign_core.contracts.settings.rt import RidgeSettings
from compassign_core.rt.lasso.train import fit_groups, train_lasso
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.production import half_widths
from compassign_core.rt.student import t_quantiles
from compassign_core.rt.table import read_training
from compassign_core.rt.windows import library_windows
from tests.rt import rt_tables


def test_small_base_windows_are_raised_to_the_minimum_before_multiplying() -> None:
    rule = ProductionWindowSettings()
    np.testing.assert_array_equal(
        half_widths(np.array([0.0, 0.0009, 0.001, 0.25]), rule), [0.004, 0.004, 0.004, 1.0]
    )
    other = ProductionWindowSettings(window_multiplier=2.0, window_minimum=0.5)
    np.testing.assert_array_equal(half_widths(np.array([0.25, 1.5]), other), [1.0, 3.0])


@pytest.mark.parametrize(("multiplier", "minimum", "sds"), [(4.0, 0.001, 6.0), (1.0, 0.05, 2.0)])
def test_every_window_is_the_rule_of_its_groups_held_out_residuals(
    multiplier: float, minimum: float, sds: float
) -> None:
    settings = LassoSettings(
        window_multiplier=multiplier, window_minimum=minimum, base_window_sds=sds
    )
    table = rt_tables.simulate(n_runs=30, keep=0.7, noise_sd=0.02, noise_df=4.0)
    connection = rt_tables.register(table)
    rows, _ = read_training("rt_rows", RidgeSettings(), connection)
    residuals = [fit.held_out for fit in fit_groups(rows, settings)]
    expected = {
        key: multiplier * max(sds * float(np.std(left, ddof=1)), minimum)
        for key, left in zip(rows.keys.tolist(), residuals, strict=True)
    }
    raised = sum(half == multiplier * minimum for half in expected.values())
    assert (raised > 0) == (minimum > 0.01)  # both branches of the rule are seen
    assert raised < len(expected)
    summaries = train_lasso("rt_rows", settings, connection, model="lasso", fingerprint="f")
    for row in predict_table("rt_rows", summaries, connection).to_pylist():
        half = expected[(row["species_cluster"] << 32) + row["comp_id"]]
        np.testing.assert_allclose(row["rt_high"] - row["rt_predicted"], half, rtol=1e-9)
        np.testing.assert_allclose(row["rt_predicted"] - row["rt_low"], half, rtol=1e-9)
        assert row["covered"] == (abs(row["rt"] - row["rt_predicted"]) <= half)


def test_windows_of_the_library_have_the_same_width() -> None:
    table = rt_tables.simulate(n_runs=30)
    connection = rt_tables.register(table)
    summaries = train_lasso("rt_rows", LassoSettings(), connection, model="lasso", fingerprint="f")
    connection.execute(
        "CREATE TABLE mapping AS SELECT DISTINCT species, 'species ' || species AS species_raw "
        "FROM rt_rows"
    )
    width = dict(
        zip(
            summaries.keys.tolist(),
            2 * np.sqrt(summaries.scale2) * t_quantiles(summaries.df, summaries.levels)[0],
            strict=True,
        )
    )
    windows = library_windows(summaries, "rt_rows", "mapping", connection).to_pylist()
    assert len(windows) == 4 * 12
    for row in windows:
        key = (row["species_cluster"] << 32) + row["comp_id"]
        np.testing.assert_allclose(row["width"], width[key], rtol=1e-12)
