"""Whether a fit says of itself where it ended: gradients and curvature against known answers."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy import fit, noise
from compassign_core.rt.hierarchy.convergence import (
    Curvature,
    diagnostics_of,
    gradient_of,
    hessian,
    stored_gradient,
)
from compassign_core.rt.hierarchy.fit import Problem, find_mode, log_posterior
from compassign_core.rt.hierarchy.held import Held, held_of
from compassign_core.rt.hierarchy.noise import fit_model
from compassign_core.rt.hierarchy.scales import LOG_BOUNDS, Noise, ScaleSet
from compassign_core.rt.hierarchy.train import make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.table import read_training
from tests.rt.hierarchy import tables


def problem_of(drawn: tables.Drawn, settings: PoolingSettings) -> tuple[Problem, ScaleSet]:
    rows, _ = read_training("rt_rows", settings.design(), tables.connect(drawn.table))
    problem = make_problem(rows, "species", Embeddings.of(drawn.embeddings))
    return problem, scale_set(problem, settings)


def test_a_fit_that_was_stopped_early_says_so_and_one_that_was_not_does_not() -> None:
    drawn = tables.draw(1, n_comps=40, n_runs=96)
    problem, scales = problem_of(drawn, PoolingSettings(noise="global"))
    whole = fit_model(problem, scales)
    assert diagnostics_of(problem, whole)["gradient_norm"] < 0.1
    with pytest.MonkeyPatch.context() as patch:
        stopped = partial(find_mode, iterations=1, tolerance=0.05)
        patch.setattr(noise, "find_mode", lambda *a, **_: stopped(*a))
        early = fit_model(problem, scales)
    found = diagnostics_of(problem, early)
    assert found["gradient_norm"] > 2
    assert found["evaluations"] == early.evaluations < whole.evaluations


def test_the_gradient_is_that_of_the_log_posterior() -> None:
    drawn = tables.draw(2)
    for settings in (PoolingSettings(noise="global"), PoolingSettings()):
        problem, scales = problem_of(drawn, settings)
        fitted = fit_model(problem, scales)
        expected = log_posterior(problem, fitted.scales, fitted.mode.phi, fitted.noise)[1]
        np.testing.assert_allclose(gradient_of(fitted), expected, rtol=1e-12, atol=1e-12)
        stored = json.loads(json.dumps(diagnostics_of(problem, fitted)))
        np.testing.assert_array_equal(stored_gradient(stored, fitted.scales), gradient_of(fitted))
    assert stored_gradient({}, fitted.scales) is None


def test_a_scale_that_presses_on_its_bound_has_nowhere_to_go() -> None:
    drawn = tables.draw(2)
    problem, scales = problem_of(drawn, PoolingSettings(noise="global"))
    fitted = fit_model(problem, scales)
    pressed = fitted.mode.phi.copy()
    pressed[:2] = LOG_BOUNDS[1], LOG_BOUNDS[0]
    done, moments = problem.evaluate(scales, pressed, Noise())
    held = replace(fitted, mode=replace(fitted.mode, phi=pressed), done=done, moments=moments)
    raw = scales.chain(moments.gradient) + scales.log_prior(pressed)[1]
    assert raw[0] < 0 < raw[1]  # both lead inwards
    np.testing.assert_array_equal(gradient_of(held), raw)
    swapped = replace(held, moments=replace(moments, gradient=_turned(moments.gradient)))
    outwards = scales.chain(swapped.moments.gradient) + scales.log_prior(pressed)[1]
    assert outwards[1] < 0
    assert gradient_of(swapped)[1] == 0


def _turned(gradient: Any) -> Any:
    return replace(gradient, psi=-1e6 * np.abs(gradient.psi) - 1e6)


def test_settled_noise_would_not_change_and_displaced_noise_would() -> None:
    drawn = tables.draw(3, n_comps=40, n_runs=96, noise_sd=0.4)
    problem, scales = problem_of(drawn, PoolingSettings(noise="per_compound"))
    fitted = fit_model(problem, scales)
    settled = diagnostics_of(problem, fitted)["noise_change"]
    assert settled < 0.02
    moved = replace(fitted, state=replace(fitted.state, variance=fitted.state.variance * np.e))
    assert diagnostics_of(problem, moved)["noise_change"] == pytest.approx(1.0, abs=2 * settled)
    assert "noise_change" not in diagnostics_of(*_even(drawn))


def _even(drawn: tables.Drawn) -> Any:
    problem, scales = problem_of(drawn, PoolingSettings(noise="global"))
    return problem, fit_model(problem, scales)


def test_the_curvature_of_a_quadratic_is_its_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    matrix, mode = root @ root.T + np.eye(4), rng.normal(size=4)
    monkeypatch.setattr(fit, "log_posterior", lambda p, s, phi, n: (0.0, -matrix @ (phi - mode)))
    found = Curvature.of(fit.curvature(None, None, mode + 0.3, None))  # type: ignore[arg-type]
    np.testing.assert_allclose(found.matrix, matrix, rtol=1e-10)
    assert found.positive_definite
    assert found.condition == pytest.approx(np.linalg.cond(matrix))
    np.testing.assert_allclose(found.sd, np.sqrt(np.diag(np.linalg.inv(matrix))))


def test_a_saddle_has_no_spread() -> None:
    saddle = Curvature.of(np.diag([3.0, -1.0]))
    assert not saddle.positive_definite
    assert saddle.condition == np.inf
    assert np.isnan(saddle.sd).all()
    nothing = Curvature.of(np.zeros((0, 0)))
    assert nothing.positive_definite and nothing.sd.size == 0


def test_the_curvature_of_one_noise_scale_is_the_one_on_paper() -> None:
    """Flat intercepts, no slopes: log p = -(N - G) phi - RSS exp(-2 phi)/2 + log prior."""
    drawn = tables.draw(4)
    made = tables.train(
        drawn.table, drawn.embeddings, noise="global", intercept_prior="flat", covariates="none",
        slope_head_mode="none", chemistry=False,
    )  # fmt: skip
    held, _ = held_of(made, "model")
    assert held.scales.names == ("sigma_y",)
    spectra = held.problem.spectra
    rss = float((spectra.yy - spectra.sum_y**2 / spectra.n).sum())
    phi, prior = held.phi[0], held.scales.prior[0]
    expected = 2 * rss * np.exp(-2 * phi) + 2 * np.exp(2 * phi) / prior**2
    # central differences of step 0.05 see (sinh 0.1 / 0.1) of an exponential's slope
    assert hessian(held).matrix[0, 0] == pytest.approx(expected, rel=2e-3)
    spare = float((spectra.n - 1).sum())
    assert hessian(held).sd[0] == pytest.approx(1 / np.sqrt(2 * spare), rel=0.02)


def test_the_distance_of_a_moved_scale_is_how_far_it_was_moved() -> None:
    drawn = tables.draw(5, n_comps=40, n_runs=96)
    problem, scales = problem_of(drawn, PoolingSettings(noise="global"))
    fitted = fit_model(problem, scales)
    held = Held.of(problem, fitted)
    spread = hessian(held).sd
    for j in (0, 1):
        moved = replace(held, phi=held.phi + 0.5 * spread[j] * np.eye(spread.size)[j])
        gradient = gradient_of(moved.fitted())
        # the others are held too, so that the slope is that of the conditional
        assert abs(gradient[j]) / np.sqrt(hessian(moved).matrix[j, j]) == pytest.approx(
            0.5 * spread[j] * np.sqrt(hessian(held).matrix[j, j]), rel=0.2
        )
