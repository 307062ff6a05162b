"""The PyMC models: density and gradient are ours, and samplers find what the exact fit found."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.sampling import AdviSettings, SamplerSettings
from compassign_core.rt.hierarchy.fit import Problem, laplace_covariance, log_posterior
from compassign_core.rt.hierarchy.noise import Fitted, fit_model
from compassign_core.rt.hierarchy.train import make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.table import read_training
from tests.rt.hierarchy import tables

pm = pytest.importorskip("pymc", reason="needs the extra bayes (`make all-extras`)")
pytestmark = pytest.mark.bayes

FLAT = {"intercept_prior": "flat", "chemistry": False, "slope_head_mode": "none"}
WITHOUT = {"covariates": "none", "slope_head_mode": "none"}


def fit(drawn: tables.Drawn, **values: Any) -> tuple[Problem, Fitted]:
    settings = PoolingSettings(**values)
    rows, _ = read_training("rt_rows", settings.design(), tables.connect(drawn.table))
    chemistry = Embeddings.of(drawn.embeddings) if settings.chemistry else Embeddings.none()
    problem = make_problem(rows, settings.group_col, chemistry)
    return problem, fit_model(problem, scale_set(problem, settings))


def tiny() -> tables.Drawn:
    return tables.draw(0, n_species=4, n_comps=5, n_runs=12, features=2)


@cache
def well_identified() -> tuple[Problem, Fitted]:
    return fit(tables.draw(3, n_species=12, n_comps=30, n_runs=96, features=2), noise="global")


@pytest.mark.parametrize(
    "values", [{"noise": "global"}, {}, {"noise": "global", "lambda_slopes": 3e-4, **FLAT}]
)
def test_the_density_and_gradient_in_pymc_are_those_of_the_exact_posterior(
    values: dict[str, Any],
) -> None:
    from compassign_core.rt.sampling.op import interpreted, scale_model

    problem, fitted = fit(tables.draw(1), **values)
    model, op = scale_model(problem, fitted.scales, fitted.noise)
    mode = interpreted()
    both = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    both.set_extra_values({})
    rng = np.random.default_rng(0)
    for _ in range(3):
        phi = fitted.mode.phi + 0.2 * rng.normal(size=fitted.mode.phi.size)
        before = op.evaluations
        found = both(phi)
        assert op.evaluations == before + 1
        expected = log_posterior(problem, fitted.scales, phi, fitted.noise)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-9)
    value, gradient = op.at(np.full(phi.size, 7.0))
    assert value == -np.inf
    assert not gradient.any()


def test_the_mode_that_pymc_climbs_to_is_the_mode_of_the_fit() -> None:
    from compassign_core.rt.sampling.op import LOG_SCALES, scale_model

    problem, fitted = well_identified()
    model, _ = scale_model(problem, fitted.scales, fitted.noise)
    with model:
        found = pm.find_MAP(start={LOG_SCALES: fitted.mode.phi + 0.3}, progressbar=False)[
            LOG_SCALES
        ]
    at = log_posterior(problem, fitted.scales, found, fitted.noise)[0]
    assert at == pytest.approx(fitted.mode.log_posterior, abs=0.05)
    cov = laplace_covariance(problem, fitted.scales, found, fitted.noise)
    assert (np.abs(found - fitted.mode.phi) < 0.3 * np.sqrt(np.diag(cov))).all()


@pytest.mark.parametrize(
    "values",
    [
        {"noise": "global"},
        {"noise": "global", "lambda_slopes": 3e-4, "chemistry": False},
        {"noise": "per_compound_and_group"},
        {"noise": "global", **WITHOUT},
        {"noise": "per_compound", **FLAT},
    ],
)
def test_integrating_the_explicit_model_over_its_latents_gives_the_exact_marginal(
    values: dict[str, Any],
) -> None:
    from compassign_core.rt.sampling import advi
    from compassign_core.rt.sampling.explicit import explicit_model
    from compassign_core.rt.sampling.op import LOG_SCALES

    problem, fitted = fit(tiny(), **values)
    model = explicit_model(problem, fitted.scales.settings, fitted.noise)
    density = model.logp_dlogp_function(ravel_inputs=True, mode="FAST_COMPILE")
    density.set_extra_values({})
    means, _ = advi.start(problem, fitted)
    names = [variable.name for variable in model.value_vars]
    point, where = advi.ravelled(means, names), advi.places(means, names)[LOG_SCALES]
    latents = np.setdiff1d(np.arange(point.size), np.arange(where.start, where.stop))
    rng = np.random.default_rng(0)
    found = []
    for shift in (0.0, 0.3):
        phi = fitted.mode.phi + shift * rng.normal(size=fitted.mode.phi.size)
        at = point.copy()
        at[where] = phi
        # given the scales the latents are normal: value, gradient and Hessian at any point are all
        value, gradient = density(at)
        hessian = np.empty((latents.size, latents.size))
        for j, latent in enumerate(latents):
            moved = at.copy()
            moved[latent] += 1e-2
            hessian[j] = (density(moved)[1] - gradient)[latents] / 1e-2
        hessian = 0.5 * (hessian + hessian.T)
        g = gradient[latents]
        integral = value - 0.5 * g @ np.linalg.solve(hessian, g)
        integral += 0.5 * (latents.size * np.log(2 * np.pi) - np.linalg.slogdet(-hessian)[1])
        exact = log_posterior(problem, fitted.scales, phi, fitted.noise)[0]
        found.append(float(integral - exact))
        if shift == 0.0:
            assert np.abs(g / np.sqrt(-np.diag(hessian))).max() < 1e-4
    # a flat intercept is integrated out without its (2 pi)^1/2, a constant
    flat = fitted.scales.settings.intercept_prior == "flat"
    constant = 0.5 * problem.tree.sizes[0] * np.log(2 * np.pi) if flat else 0.0
    np.testing.assert_allclose(found, constant, atol=1e-4)


def test_the_explicit_model_refuses_what_it_does_not_have() -> None:
    from compassign_core.rt.sampling.explicit import explicit_model

    problem, _ = fit(tiny(), noise="global")
    with pytest.raises(SettingsError, match="none was given"):
        explicit_model(problem, PoolingSettings())
    with pytest.raises(SettingsError, match="compound_supercat"):
        explicit_model(problem, PoolingSettings(slope_head_mode="compound_supercat"))


def test_nuts_finds_the_spread_that_laplace_states_where_data_speak() -> None:
    from compassign_core.rt.sampling.nuts import sample_scales

    drawn = tables.draw(3, n_species=12, n_comps=30, n_runs=96, features=2)
    problem, fitted = fit(drawn, noise="global", chemistry=False)
    found = sample_scales(problem, fitted, SamplerSettings(chains=2, draws=150, tune=50))
    cov = laplace_covariance(problem, fitted.scales, fitted.mode.phi, fitted.noise)
    for name in ("sigma_y", "slope", "tau_b"):
        i = fitted.scales.names.index(name)
        sd = np.sqrt(cov[i, i])
        assert np.sqrt(found.cov[i, i]) == pytest.approx(sd, rel=0.15), name
        assert abs(found.phi[i] - fitted.mode.phi[i]) < 0.25 * sd, name
    numbers = found.diagnostics
    assert numbers["rhat_max"] < 1.05
    assert numbers["ess_bulk_min"] > 50
    assert numbers["divergence_share"] < 0.01
    assert numbers["draws"] == 300
    assert found.draws.shape == (50, fitted.mode.phi.size)


def test_a_nuts_model_is_the_same_bytes_again_and_says_how_it_converged(tmp_path: Path) -> None:
    drawn = tiny()
    for name in ("a", "b"):
        made = tables.train(
            drawn.table, drawn.embeddings, method="nuts", sampler=SamplerSettings.quick(), **FLAT
        )
        made.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    numbers = json.loads(made.diagnostics)
    assert numbers["draws"] == 120
    assert {"rhat_max", "ess_bulk_min", "ess_tail_min", "divergences", "gradient_norm"} <= set(
        numbers
    )
    assert made.scale_log_cov.shape == (made.scales.size, made.scales.size)


def test_advi_stays_at_the_exact_scales() -> None:
    from compassign_core.rt.sampling.advi import approximate_scales

    drawn = tables.draw(3, n_species=12, n_comps=30, n_runs=96, features=0)
    problem, fitted = fit(drawn, noise="global", chemistry=False, **WITHOUT)
    settings = AdviSettings(steps=3000, window=1000)
    found = approximate_scales(problem, fitted, settings)
    for name, tolerance in (("sigma_y", 0.02), ("tau_b", 0.1), ("tau_comp", 0.1)):
        i = fitted.scales.names.index(name)
        assert found.phi[i] == pytest.approx(fitted.mode.phi[i], abs=tolerance), name
    # independent normals leave out what scales and latents share
    cov = laplace_covariance(problem, fitted.scales, fitted.mode.phi, fitted.noise)
    assert (np.diag(found.cov) < 1.1 * np.diag(cov)).all()
    assert found.diagnostics["elbo_drift"] < 0.5
    # the bound is below the evidence, which Laplace's formula gives
    evidence = fitted.mode.log_posterior + 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]
    assert evidence - 60.0 < found.diagnostics["elbo"] < evidence + 1.0
