"""The evidence against a dense density, and the scalars it recovers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import multivariate_t

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.rt import RidgeSettings
from compassign_core.rt.evidence import (
    Spectra,
    _value_and_gradient,
    learn_scalars,
    log_evidence,
)
from compassign_core.rt.ridge import Scalars
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.statistics import accumulate


def spectra_of(groups: list[tuple[np.ndarray, np.ndarray]]) -> Spectra:
    count = np.array([y.size for _, y in groups])
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    rows = TrainingRows(
        {},
        np.concatenate([y for _, y in groups]),
        np.concatenate([x for x, _ in groups]),
        np.arange(len(groups)),
        start,
        count,
    )
    return Spectra.joined([Spectra.of(accumulate(block).total()) for block in rows.blocks()])


def simulated(
    penalty: float, df0: float, scale0: float, n_groups: int = 600, n: int = 12, seed: int = 0
) -> Spectra:
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(n_groups):
        variance = df0 * scale0**2 / rng.chisquare(df0)
        x = rng.normal(size=(n, 3)) * 0.2
        w = rng.normal(size=3) * np.sqrt(variance / penalty)
        groups.append((x, rng.uniform(1, 9) + x @ w + rng.normal(size=n) * np.sqrt(variance)))
    return spectra_of(groups)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_evidence_is_the_multivariate_t_density_of_the_contrasts(n: int) -> None:
    rng = np.random.default_rng(n)
    penalty, df0, scale0 = 0.3, 2.7, 0.4
    x, y = rng.normal(size=(n, 4)), rng.normal(size=n)
    contrasts = np.linalg.svd(np.ones((1, n)))[2][1:]  # orthonormal, orthogonal to the intercept
    shape = scale0**2 * contrasts @ (np.eye(n) + x @ x.T / penalty) @ contrasts.T
    dense = multivariate_t(np.zeros(n - 1), shape, df=df0).logpdf(contrasts @ y)
    # a flat intercept integrates to 1/sqrt(n) times the density of orthonormal contrasts
    expected = dense - 0.5 * np.log(n)
    value = log_evidence(spectra_of([(x, y)]), Scalars(penalty, df0, scale0**2))
    np.testing.assert_allclose(value, expected, rtol=1e-11)


def test_evidence_without_features_is_that_of_the_mean_model() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(size=6)
    contrasts = np.linalg.svd(np.ones((1, 6)))[2][1:]
    dense = multivariate_t(np.zeros(5), 0.25 * np.eye(5), df=3.0).logpdf(contrasts @ y)
    value = log_evidence(spectra_of([(np.zeros((6, 0)), y)]), Scalars(np.inf, 3.0, 0.25))
    np.testing.assert_allclose(value, dense - 0.5 * np.log(6), rtol=1e-11)


def test_the_gradient_is_that_of_finite_differences() -> None:
    spectra = simulated(0.05, 4.0, 0.01, n_groups=20, n=3)
    point = np.log([0.02, 3.0, 2e-4])

    def value(p: np.ndarray) -> float:
        return _value_and_gradient(spectra, Scalars(*np.exp(p)))[0]

    def gradient(p: np.ndarray) -> np.ndarray:
        return _value_and_gradient(spectra, Scalars(*np.exp(p)))[1]

    size = np.linalg.norm(gradient(point))
    assert check_grad(value, gradient, point, epsilon=1e-6) < 1e-5 * size


@pytest.mark.parametrize(
    ("penalty", "df0", "scale0"), [(0.05, 4.0, 0.01), (3e-4, 2.2, 0.005), (0.2, 8.0, 0.02)]
)
def test_learning_recovers_the_scalars_that_made_the_data(
    penalty: float, df0: float, scale0: float
) -> None:
    learned = learn_scalars(simulated(penalty, df0, scale0), RidgeSettings())
    assert learned.lambda_slopes == pytest.approx(penalty, rel=0.15)
    assert learned.df0 == pytest.approx(df0, rel=0.25)
    assert np.sqrt(learned.variance0) == pytest.approx(scale0, rel=0.1)


def test_learned_scalars_beat_their_neighbours() -> None:
    spectra = simulated(0.05, 4.0, 0.01, n_groups=100)
    best = learn_scalars(spectra, RidgeSettings())
    top = log_evidence(spectra, best)
    for i in range(3):
        for factor in (0.97, 1.03):
            point = [best.lambda_slopes, best.df0, best.variance0]
            point[i] *= factor
            assert log_evidence(spectra, Scalars(*point)) < top


def test_fixed_scalars_stay_and_the_rest_is_learned() -> None:
    spectra = simulated(0.05, 4.0, 0.01, n_groups=300)
    settings = RidgeSettings(lambda_slopes=0.5, noise_df0=9.0)
    learned = learn_scalars(spectra, settings)
    assert (learned.lambda_slopes, learned.df0) == (0.5, 9.0)
    for factor in (0.97, 1.03):
        other = Scalars(0.5, 9.0, learned.variance0 * factor)
        assert log_evidence(spectra, other) < log_evidence(spectra, learned)
    every = RidgeSettings(lambda_slopes=0.5, noise_df0=9.0, noise_scale0=0.02)
    assert learn_scalars(spectra, every) == Scalars(0.5, 9.0, 0.02**2)


def test_groups_of_equal_times_do_not_drag_the_noise_to_nothing() -> None:
    rng = np.random.default_rng(0)
    spread = [(rng.normal(size=(30, 2)), 5 + 0.01 * rng.normal(size=30)) for _ in range(50)]
    constant = [(rng.normal(size=(100, 2)), np.full(100, 7.123))] * 3
    with_constant = learn_scalars(spectra_of(spread + constant), RidgeSettings())
    without = learn_scalars(spectra_of(spread), RidgeSettings())
    assert with_constant.variance0 == pytest.approx(without.variance0, rel=1e-6)
    assert np.sqrt(with_constant.variance0) == pytest.approx(0.01, rel=0.1)


def test_groups_of_one_row_cannot_teach_the_noise() -> None:
    single = spectra_of([(np.zeros((1, 2)), np.array([5.0])), (np.zeros((1, 2)), np.array([6.0]))])
    with pytest.raises(InputError, match="no group has two rows"):
        learn_scalars(single, RidgeSettings())
    fixed = RidgeSettings(lambda_slopes=0.1, noise_df0=3.0, noise_scale0=0.01)
    assert learn_scalars(single, fixed) == Scalars(0.1, 3.0, 0.01**2)


def test_useless_covariates_are_shrunk_away() -> None:
    rng = np.random.default_rng(2)
    groups = [(rng.normal(size=(20, 3)), 5 + 0.01 * rng.normal(size=20)) for _ in range(200)]
    learned = learn_scalars(spectra_of(groups), RidgeSettings())
    assert learned.lambda_slopes > 1e3
