"""The variational optimiser on densities whose best mean field is known; no PyMC needed."""

from __future__ import annotations

import numpy as np
import pytest

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.sampling import AdviSettings
from compassign_core.rt.sampling.mean_field import climb, convergence, learning_rates

SETTINGS = AdviSettings(steps=4000, window=1000)


def normal(mean: np.ndarray, precision: np.ndarray):
    def density(x: np.ndarray) -> tuple[float, np.ndarray]:
        pulled = precision @ (x - mean)
        return -0.5 * float((x - mean) @ pulled), -pulled

    return density


def test_the_best_mean_field_of_a_normal_has_its_mean_and_conditional_spreads() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    scale = np.geomspace(1e-4, 10, 6)
    precision = (np.eye(6) + 0.3 * root @ root.T) / scale[:, None] / scale
    mean = scale * rng.normal(size=6)
    sd = 1.0 / np.sqrt(np.diag(precision))
    found = climb(normal(mean, precision), mean + 3.0 * sd, 2.0 * sd, SETTINGS)
    np.testing.assert_allclose((found.mean - mean) / sd, 0.0, atol=0.1)
    np.testing.assert_allclose(found.sd, sd, rtol=0.05)
    # E log p + entropy, in closed form
    best = -0.5 * 6 + 0.5 * float(np.log(2 * np.pi * np.e * sd**2).sum())
    assert convergence(found.loss, SETTINGS.window)["elbo"] == pytest.approx(best, abs=0.1)


def test_of_independent_normals_the_bound_is_the_evidence_without_noise() -> None:
    sd = np.array([0.01, 1.0, 30.0])
    found = climb(normal(np.zeros(3), np.diag(sd**-2)), np.zeros(3), sd, SETTINGS)
    evidence = 0.5 * np.log(2 * np.pi * sd**2).sum()
    np.testing.assert_allclose(found.loss, -evidence, atol=1e-9)


def test_the_same_seed_gives_the_same_answer_and_another_another() -> None:
    density = normal(np.ones(2), np.array([[1.0, 0.5], [0.5, 1.0]]))
    runs = [
        climb(density, np.zeros(2), np.ones(2), AdviSettings(steps=300, window=100, seed=seed))
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0].sd, runs[1].sd)
    assert (runs[0].sd != runs[2].sd).any()


def test_a_fit_stopped_early_is_seen_to_drift() -> None:
    target = normal(np.full(4, 200.0), np.eye(4))
    settings = AdviSettings(steps=400, window=200)
    early = convergence(climb(target, np.zeros(4), np.ones(4), settings).loss, settings.window)
    there = convergence(
        climb(target, np.full(4, 200.0), np.ones(4), SETTINGS).loss, SETTINGS.window
    )
    assert early["elbo_drift"] > 1.0
    assert early["elbo_slope"] > 0
    assert early["elbo_drift"] > 5.0 * there["elbo_drift"]


def test_a_trend_in_the_loss_is_measured_in_its_noise() -> None:
    rng = np.random.default_rng(1)
    steps = np.arange(10_000)
    loss = 50.0 - 0.002 * steps + rng.normal(size=steps.size) * 2.0
    found = convergence(np.concatenate([np.full(500, 1e9), loss]), steps.size)
    assert found["elbo_slope"] == pytest.approx(2.0, rel=0.05)
    assert found["elbo_noise"] == pytest.approx(2.0, rel=0.05)
    assert found["elbo_drift"] == pytest.approx(10.0, rel=0.05)


def test_steps_shrink_tenfold_over_the_second_half() -> None:
    rates = learning_rates(AdviSettings(steps=1000, window=100, learning_rate=0.1))
    assert (rates[:500] == 0.1).all()
    assert (np.diff(rates[500:]) < 0).all()
    assert rates[-1] == pytest.approx(0.01, rel=0.01)


def test_a_density_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="step 1 of"):
        climb(lambda x: (float("nan"), x), np.zeros(2), np.ones(2), SETTINGS)
