"""The batched algebra against scikit-learn and dense algebra, one group at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.ridge import Scalars, fit_groups
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.statistics import accumulate
from compassign_core.rt.table import read_training
from compassign_core.rt.train import train_ridge
from tests.rt import rt_tables

LAMBDA, DF0, SCALE0 = 3e-4, 2.5, 0.02


def ragged_rows(sizes: tuple[int, ...] = (1, 2, 3, 5, 8, 40, 1), features: int = 6) -> TrainingRows:
    rng = np.random.default_rng(3)
    n = sum(sizes)
    keys = np.arange(len(sizes), dtype=np.int64) + (1 << 32)
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    x = (
        rng.normal(size=(n, features)) * 0.1
        + np.repeat(rng.normal(size=len(sizes)), sizes)[:, None]
    )
    y = 5 + rng.normal(size=n) * 0.1 + x @ rng.normal(size=features)
    return TrainingRows({}, y, x, keys, start, np.array(sizes))


def group_of(rows: TrainingRows, g: int) -> tuple[np.ndarray, np.ndarray]:
    part = slice(rows.start[g], rows.start[g] + rows.count[g])
    return rows.x[part], rows.y[part]


@pytest.mark.parametrize("penalty", [LAMBDA, 0.5])
def test_coefficients_are_those_of_sklearn_for_one_few_and_many_rows(penalty: float) -> None:
    rows = ragged_rows()
    seen = 0
    for block in rows.blocks():
        fit = fit_groups(accumulate(block).total(), Scalars(penalty, DF0, SCALE0**2))
        for i, g in enumerate(block.groups):
            x, y = group_of(rows, g)
            oracle = Ridge(alpha=penalty, fit_intercept=True, solver="svd").fit(x, y)
            expected = np.concatenate([[oracle.intercept_], oracle.coef_])
            np.testing.assert_allclose(fit.coefficients()[i], expected, rtol=1e-10, atol=1e-10)
            seen += 1
    assert seen == rows.keys.size


def test_covariance_and_predictive_are_those_of_dense_algebra() -> None:
    rows = ragged_rows()
    x_new = np.random.default_rng(9).normal(size=(4, rows.x.shape[1]))
    for block in rows.blocks():
        fit = fit_groups(accumulate(block).total(), Scalars(LAMBDA, DF0, SCALE0**2))
        mean, scale = fit.predict(np.broadcast_to(x_new, (block.groups.size, *x_new.shape)))
        for i, g in enumerate(block.groups):
            x, y = group_of(rows, g)
            full = np.column_stack([np.ones(y.size), x])
            precision = full.T @ full + np.diag([0.0] + [LAMBDA] * x.shape[1])
            beta = np.linalg.solve(precision, full.T @ y)
            left = y - full @ beta
            penalised = left @ left + LAMBDA * beta[1:] @ beta[1:]
            df = DF0 + y.size - 1
            scale2 = (DF0 * SCALE0**2 + penalised) / df
            cov = scale2 * np.linalg.inv(precision)
            np.testing.assert_allclose(fit.covariance()[i], cov, rtol=1e-8, atol=1e-8 * cov.max())
            x1 = np.column_stack([np.ones(len(x_new)), x_new])
            np.testing.assert_allclose(mean[i], x1 @ beta, rtol=1e-9)
            spread = scale2 + np.einsum("ij,jk,ik->i", x1, cov, x1)
            np.testing.assert_allclose(scale[i], np.sqrt(spread), rtol=1e-8)
            assert fit.df[i] == df


def test_statistics_without_a_fold_are_those_of_the_other_rows() -> None:
    rows = ragged_rows()
    fold = np.random.default_rng(1).integers(0, 3, size=rows.y.size)
    for block in rows.blocks(3):
        statistics = accumulate(block, fold, 3)
        for left_out in range(3):
            rest = statistics.without(left_out)
            for i, g in enumerate(block.groups):
                part = np.arange(rows.start[g], rows.start[g] + rows.count[g])
                part = part[fold[part] != left_out]
                assert rest.n[i] == part.size
                if part.size == 0:
                    continue
                x, y = rows.x[part], rows.y[part]
                xc, yc = x - x.mean(axis=0), y - y.mean()
                np.testing.assert_allclose(rest.mean_x[i], x.mean(axis=0), atol=1e-13)
                np.testing.assert_allclose(rest.mean_y[i], y.mean(), rtol=1e-14)
                np.testing.assert_allclose(rest.xx[i], xc.T @ xc, atol=1e-12)
                np.testing.assert_allclose(rest.xy[i], xc.T @ yc, atol=1e-12)
                np.testing.assert_allclose(rest.yy[i], yc @ yc, atol=1e-12)


def test_statistics_keep_their_digits_far_from_the_origin() -> None:
    rows = ragged_rows(sizes=(30,), features=2)
    far = TrainingRows({}, rows.y + 1e5, rows.x + 1e5, rows.keys, rows.start, rows.count)
    (near_block,), (far_block,) = list(rows.blocks()), list(far.blocks())
    near, moved = accumulate(near_block).total(), accumulate(far_block).total()
    np.testing.assert_allclose(moved.xx, near.xx, rtol=1e-8)
    np.testing.assert_allclose(moved.yy, near.yy, rtol=1e-8)


def test_a_trained_model_centres_on_the_mean_over_rows() -> None:
    table = rt_tables.simulate(keep=0.6)
    summaries = train_ridge(
        "rt_rows",
        RidgeSettings(lambda_slopes=LAMBDA),
        WindowSettings(),
        rt_tables.register(table),
        model="m",
        fingerprint="f",
    )
    x = np.column_stack([table[f"IS_{j}"] for j in range(3)])
    np.testing.assert_allclose(summaries.centre, x.mean(axis=0), rtol=1e-13)
    for i in range(0, summaries.n_groups, 5):
        mask = (table["species_cluster"] == summaries.group_id[i]) & (
            table["comp_id"] == summaries.comp_id[i]
        )
        oracle = Ridge(alpha=LAMBDA, solver="svd").fit(x[mask] - x.mean(axis=0), table["rt"][mask])
        expected = np.concatenate([[oracle.intercept_], oracle.coef_])
        np.testing.assert_allclose(summaries.beta_mean[i], expected, rtol=1e-9, atol=1e-9)
        assert summaries.n_train[i] == mask.sum()


def test_blocks_hold_every_row_exactly_once_whatever_their_size() -> None:
    rows, _ = read_training(
        "rt_rows", RidgeSettings(), rt_tables.register(rt_tables.simulate(keep=0.5))
    )
    for values in (1, 300, 1 << 22):
        held = np.concatenate([b.rows[b.present] for b in rows.blocks(4, values)])
        assert sorted(held.tolist()) == list(range(rows.y.size))


def test_the_mean_model_is_the_mean_of_each_group() -> None:
    table = rt_tables.simulate(keep=0.7)
    summaries = train_ridge(
        "rt_rows",
        RidgeSettings(covariates="none"),
        WindowSettings(),
        rt_tables.register(table),
        model="m",
        fingerprint="f",
    )
    assert summaries.beta_mean.shape == (24, 1)
    for i in range(summaries.n_groups):
        mask = (table["species_cluster"] == summaries.group_id[i]) & (
            table["comp_id"] == summaries.comp_id[i]
        )
        np.testing.assert_allclose(summaries.beta_mean[i, 0], table["rt"][mask].mean(), rtol=1e-13)
        np.testing.assert_allclose(
            summaries.beta_cov[i, 0, 0], summaries.scale2[i] / mask.sum(), rtol=1e-12
        )
