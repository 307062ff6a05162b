"""Untrained species when the scales are uncertain: a mixture made by hand from dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.noise import Fitted, fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import locate, predict
from compassign_core.rt.hierarchy.scale_posterior import (
    ScalePosterior,
    laplace_posterior,
    normal_draws,
    thinned,
)
from compassign_core.rt.hierarchy.scale_uncertainty import truncated_weights, with_uncertain_scales
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.train import make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.table import read_training
from tests.rt.hierarchy import tables
from tests.rt.hierarchy.dense import Dense, case

SEED, FEATURES = 2, 2
NEVER = 999_999


def fitted_case() -> tuple[Any, Problem, Fitted]:
    made = case(SEED, FEATURES, 2, n_species=6)
    tree = Hierarchy.of(made.rows, "species", made.embeddings)
    problem = Problem(decompose(made.rows, tree.offset[tree.comp_of]), tree)
    return made, problem, fit_model(problem, scale_set(problem, PoolingSettings(noise="global")))


def some_draws(fitted: Fitted, spread: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    phi = fitted.mode.phi
    return phi + spread * rng.normal(size=(7, phi.size))


def unseen_rows(made: Any, problem: Problem) -> tuple[list[np.ndarray], np.ndarray]:
    """A species never seen of each supercategory and of none, with every compound."""
    tree = problem.tree
    supers = [*tree.supercategories.tolist(), NEVER]
    asked = [(NEVER, s, k, k + 100) for s in supers for k in tree.comps.tolist()]
    x = np.random.default_rng(1).normal(size=(len(asked), FEATURES)) * 0.4
    return [np.array(column) for column in zip(*asked, strict=True)], x


def mixture(made: Any, problem: Problem, fitted: Fitted, draws: np.ndarray, x: np.ndarray) -> Any:
    """Mean and variance of ``x~·a + alpha_k`` over draws, one dense posterior for each."""
    tree, s = problem.tree, problem.tree.sizes[2]
    k = tree.sizes[3]
    means, variances = [], []
    for phi in draws:
        v = fitted.scales.variances(phi, tree, fitted.noise, FEATURES)
        dense = Dense(made.rows, tree, v)
        within = np.zeros((s, FEATURES + 1))
        within[tree.supercat_of] = v.species
        nodes = [(dense.supercategory(i), within[i]) for i in range(s)]
        nodes.append((dense.root(), v.supercategory + within.mean(axis=0)))
        x1 = np.concatenate([np.ones((x.shape[0], 1)), x], axis=1)
        rows = np.stack(
            [x1[i] @ nodes[i // k][0] + dense.compound(i % k) for i in range(x.shape[0])]
        )
        mean, cov = dense.moments(rows)
        extra = np.array([x1[i] ** 2 @ nodes[i // k][1] for i in range(x.shape[0])])
        means.append(mean)
        variances.append(np.diag(cov) + extra)
    mean = np.mean(means, axis=0)
    return mean, np.mean(variances, axis=0) + np.var(means, axis=0)


def given_compounds(
    made: Any, problem: Problem, fitted: Fitted, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The module's formula for every unseen node, from dense joints of node and compounds."""
    tree = problem.tree
    d = FEATURES + 1

    def joint(phi: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
        v = fitted.scales.variances(phi, tree, fitted.noise, FEATURES)
        dense = Dense(made.rows, tree, v)
        within = np.zeros((tree.sizes[2], d))
        within[tree.supercat_of] = v.species
        above = i == tree.sizes[2]
        node = dense.root() if above else dense.supercategory(i)
        extra = v.supercategory + within.mean(axis=0) if above else within[i]
        compounds = [dense.compound(j) for j in range(tree.sizes[3])]
        mean, cov = dense.moments(np.concatenate([node, compounds]))
        cov[:d, :d] += np.diag(extra)
        return mean, cov

    means, covs = [], []
    for i in range(tree.sizes[2] + 1):
        fit_mean, fit_cov = joint(fitted.mode.phi, i)
        loading = -fit_cov[:d, d:] @ np.linalg.inv(fit_cov[d:, d:])
        take = np.concatenate([np.eye(d), loading], axis=1)  # g = a + F alpha
        drawn = [joint(phi, i) for phi in draws]
        g = np.stack([take @ mean for mean, _ in drawn])
        within_g = np.mean([take @ cov @ take.T for _, cov in drawn], axis=0)
        means.append(g.mean(axis=0) - loading @ fit_mean[d:])
        between = np.cov(g, rowvar=False, bias=True)
        covs.append(within_g + between + loading @ fit_cov[d:, d:] @ loading.T)
    return np.stack(means), np.stack(covs)


@pytest.mark.parametrize("spread", [0.1, 0.6])
def test_nodes_given_the_compounds_are_averaged_exactly(spread: float) -> None:
    made, problem, fitted = fitted_case()
    draws = some_draws(fitted, spread)
    known = ScalePosterior(fitted.mode.phi, np.zeros((0, 0)), draws)
    averaged, _ = with_uncertain_scales(problem, fitted, export_posterior(problem, fitted), known)
    mean, cov = given_compounds(made, problem, fitted, draws)
    c = problem.tree.sizes[1]
    np.testing.assert_allclose(averaged.node_mean[c:], mean, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(averaged.node_cov[c:], cov, rtol=1e-6, atol=1e-9)


# what is left out: how much compounds given the scales differ between draws
@pytest.mark.parametrize(("spread", "tolerance"), [(0.0, 1e-8), (0.05, 0.015), (0.3, 0.03)])
def test_untrained_species_are_predicted_by_the_mixture_over_draws(
    spread: float, tolerance: float
) -> None:
    made, problem, fitted = fitted_case()
    draws = some_draws(fitted, spread)
    plain = export_posterior(problem, fitted)
    known = ScalePosterior(fitted.mode.phi, np.zeros((0, 0)), draws)
    averaged, numbers = with_uncertain_scales(problem, fitted, plain, known)
    ids, x = unseen_rows(made, problem)
    found = predict(averaged, locate(averaged, *ids), x)
    mean, variance = mixture(made, problem, fitted, draws, x)
    k = problem.tree.sizes[3]
    own = np.tile(averaged.pair_tau_b2, x.shape[0] // k)
    own = own + np.tile(averaged.pair_psi, x.shape[0] // k) * (x**2).sum(axis=1)
    np.testing.assert_allclose(found.variance - own, variance, rtol=tolerance)
    np.testing.assert_allclose(found.mean, mean, atol=tolerance * np.sqrt(variance).max() + 1e-8)
    assert numbers["scale_draws_ess"] == pytest.approx(7)


def test_uncertain_scales_widen_untrained_species_and_leave_trained_ones() -> None:
    made, problem, fitted = fitted_case()
    plain = export_posterior(problem, fitted)
    phi = fitted.mode.phi
    draws, _ = normal_draws(phi, 0.25 * np.eye(phi.size), np.random.default_rng(0))
    averaged, _ = with_uncertain_scales(
        problem, fitted, plain, ScalePosterior(phi, np.zeros((0, 0)), draws)
    )
    ids, x = unseen_rows(made, problem)
    before, after = (predict(p, locate(p, *ids), x).variance for p in (plain, averaged))
    assert (after > 1.1 * before).all()
    tree = problem.tree
    species = np.repeat(tree.species, tree.sizes[3])
    comps = np.tile(tree.comps, tree.sizes[1])
    cluster = np.repeat(tree.supercategories[tree.supercat_of], tree.sizes[3])
    x = np.ones((species.size, FEATURES))
    seen = [predict(p, locate(p, species, cluster, comps, comps), x) for p in (plain, averaged)]
    np.testing.assert_array_equal(seen[0].mean, seen[1].mean)
    np.testing.assert_array_equal(seen[0].variance, seen[1].variance)


def test_draws_of_an_approximation_are_corrected_by_the_exact_posterior() -> None:
    # two supercategories hardly inform their spread: drawn wide, it would be minutes, which the
    # exact posterior with its HalfNormal prior forbids
    settings = PoolingSettings(noise="global", chemistry=False)
    drawn = tables.draw(5)
    rows, _ = read_training("rt_rows", settings.design(), tables.connect(drawn.table))
    problem = make_problem(rows, settings.group_col, Embeddings.none())
    fitted = fit_model(problem, scale_set(problem, settings))
    plain = export_posterior(problem, fitted)
    laplace = laplace_posterior(problem, fitted)
    stretched = np.where(np.array(fitted.scales.names) == "tau_mu_super", 2.0, 1.0)
    wide = stretched[:, None] * laplace.cov * stretched
    phi, none = fitted.mode.phi, np.zeros((0, 0))
    draws, log_density = normal_draws(phi, wide, np.random.default_rng(0))
    sd, ess = [], []
    for known in (
        laplace,
        ScalePosterior(phi, none, draws, log_density),
        ScalePosterior(phi, none, draws),
    ):
        averaged, numbers = with_uncertain_scales(problem, fitted, plain, known)
        sd.append(float(np.sqrt(averaged.node_cov[-1, 0, 0])))
        ess.append(numbers["scale_draws_ess"])
    assert sd[1] == pytest.approx(sd[0], rel=0.35)
    assert sd[2] > 3.0 * sd[0]
    assert 5.0 < ess[1] < ess[0] < ess[2] == pytest.approx(draws.shape[0])


def test_importance_weights_sum_to_one_and_none_rules() -> None:
    w = truncated_weights(np.array([0.0] * 24 + [50.0]))
    assert w.sum() == pytest.approx(1.0)
    # exp(50) is cut to five times the mean weight: next to nothing is left for the others
    assert w[-1] > 0.99
    np.testing.assert_allclose(truncated_weights(np.full(8, -1e4)), 1 / 8)


def test_draws_come_in_pairs_about_the_mean_and_are_thinned_evenly() -> None:
    cov = np.array([[0.04, 0.01], [0.01, 0.09]])
    draws, log_density = normal_draws(np.array([-3.0, -2.0]), cov, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), [-3.0, -2.0], atol=1e-12)
    away = draws - [-3.0, -2.0]
    exact = -0.5 * np.einsum("ia,ab,ib->i", away, np.linalg.inv(cov), away)
    np.testing.assert_allclose(log_density, exact)
    many = np.arange(1000.0)[:, None]
    kept = thinned(many)
    assert kept.shape == (50, 1)
    assert kept[0, 0] == 0 and kept[-1, 0] == 999
    assert thinned(many[:7]).shape == (7, 1)


def test_laplace_models_say_more_of_a_species_never_seen_than_map_models() -> None:
    drawn = tables.draw(1)
    made = {
        method: tables.train(drawn.table, drawn.embeddings, method=method)
        for method in ("map", "laplace")
    }
    n = made["map"].posterior.species.size
    sd = {method: np.sqrt(model.posterior.node_cov[n:, 0, 0]) for method, model in made.items()}
    assert (sd["laplace"] > 1.05 * sd["map"]).all()
    v = made["laplace"].scale_names.size
    assert made["laplace"].scale_log_cov.shape == (v, v)
    np.testing.assert_array_equal(
        made["map"].posterior.beta_mean, made["laplace"].posterior.beta_mean
    )


def test_a_model_that_scores_no_untrained_groups_has_nothing_to_average() -> None:
    drawn = tables.draw(2)
    flat = {"intercept_prior": "flat", "chemistry": False, "slope_head_mode": "none"}
    plain, laplace = (
        tables.train(drawn.table, drawn.embeddings, method=method, **flat)
        for method in ("map", "laplace")
    )
    np.testing.assert_array_equal(plain.posterior.node_cov, laplace.posterior.node_cov)
