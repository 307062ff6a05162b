"""Likelihood, gradient, posterior and every kind of prediction equal dense Gaussian algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.fit import Mode, Problem
from compassign_core.rt.hierarchy.marginal import Variances, forward
from compassign_core.rt.hierarchy.moments import backward
from compassign_core.rt.hierarchy.noise import Fitted, NoisePrior, NoiseState
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import locate, predict
from compassign_core.rt.hierarchy.scales import Noise, ScaleSet
from compassign_core.rt.hierarchy.spectra import decompose, merged
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from tests.rt.hierarchy.dense import Case, Dense, case, variances

CASES = [(0, 2, 2), (1, 5, 0), (2, 3, 4), (3, 8, 2), (4, 1, 1)]


def problem_of(made: Case, chemistry: int = 1) -> Problem:
    embeddings = made.embeddings if chemistry else Embeddings.none()
    tree = Hierarchy.of(made.rows, "species", embeddings)
    return Problem(decompose(made.rows, tree.offset[tree.comp_of]), tree)


def setting(seed: int, features: int, chemistry: int, *, slopes: bool = True):
    made = case(seed, features, max(chemistry, 1))
    problem = problem_of(made, chemistry)
    v = variances(problem.tree, features, seed, slopes=slopes)
    return made, problem, v, Dense(made.rows, problem.tree, v)


@pytest.mark.parametrize("slopes", [True, False])
@pytest.mark.parametrize(("seed", "features", "chemistry"), CASES)
def test_the_log_marginal_is_that_of_one_dense_normal(
    seed: int, features: int, chemistry: int, slopes: bool
) -> None:
    _, problem, v, dense = setting(seed, features, chemistry, slopes=slopes)
    found = forward(problem.spectra, problem.tree, v).log_marginal
    np.testing.assert_allclose(found, dense.log_marginal, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize(("seed", "features", "chemistry"), CASES)
def test_moments_of_every_level_are_those_of_dense_conditioning(
    seed: int, features: int, chemistry: int
) -> None:
    _, problem, v, dense = setting(seed, features, chemistry)
    tree = problem.tree
    m = backward(problem.spectra, tree, forward(problem.spectra, tree, v))
    close = {"rtol": 1e-8, "atol": 1e-10}
    for rows, mean, cov in (
        [(dense.root(), m.root, m.root_cov)]
        + [
            (dense.supercategory(s), m.supercategory[s], m.supercategory_cov[s])
            for s in range(tree.sizes[2])
        ]
        + [(dense.species(c), m.species[c], m.species_cov[c]) for c in range(tree.sizes[1])]
    ):
        expected = dense.moments(rows)
        np.testing.assert_allclose(mean, expected[0], **close)
        np.testing.assert_allclose(cov, expected[1], **close)
    alpha = np.stack([dense.compound(k) for k in range(tree.sizes[3])])
    np.testing.assert_allclose(m.alpha + tree.offset, dense.moments(alpha)[0], **close)
    np.testing.assert_allclose(m.sigma, dense.moments(alpha)[1], **close)
    for g in range(tree.sizes[0]):
        mean, cov = dense.moments(dense.group(g))
        own = dense.of_row == g
        residual = dense.y[own] - dense.x1[own] @ mean
        leverage = np.einsum("ij,jk,ik->", dense.x1[own], cov, dense.x1[own])
        np.testing.assert_allclose(m.rss[g], residual @ residual, rtol=1e-6, atol=1e-11)
        np.testing.assert_allclose(m.p_eff[g], leverage / v.sigma2[g], rtol=1e-7)


def varied(v: Variances, name: str, index: tuple[int, ...], by: float) -> Variances:
    value = getattr(v, name)
    if np.ndim(value) == 0:
        return replace(v, **{name: value * np.exp(by)})
    changed = value.copy()
    changed[index] *= np.exp(by)
    return replace(v, **{name: changed})


@pytest.mark.parametrize("slopes", [True, False])
@pytest.mark.parametrize(("seed", "features", "chemistry"), [(0, 2, 2), (1, 5, 0), (5, 3, 3)])
def test_the_gradient_is_that_of_central_differences(
    seed: int, features: int, chemistry: int, slopes: bool
) -> None:
    _, problem, v, _ = setting(seed, features, chemistry, slopes=slopes)
    tree = problem.tree
    gradient = backward(problem.spectra, tree, forward(problem.spectra, tree, v)).gradient
    step = 1e-4

    def slope(name: str, *index: object) -> float:
        ends = [
            forward(problem.spectra, tree, varied(v, name, index, e)).log_marginal
            for e in (step, -step, 2 * step, -2 * step)
        ]
        return (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * step)

    def agree(found: float, name: str, *index: object) -> None:
        np.testing.assert_allclose(found, slope(name, *index), rtol=1e-6, atol=1e-6)

    for g in range(tree.sizes[0]):
        agree(gradient.sigma2[g], "sigma2", g)
        agree(gradient.psi[g], "psi", g)
        agree(gradient.tau_b2[g], "tau_b2", g)
    for s in range(tree.sizes[2]):
        members = np.flatnonzero(tree.supercat_of == s)
        agree(gradient.species_b[s], "species", members, 0)
        if slopes:
            agree(gradient.species_w[s], "species", *np.ix_(members, range(1, features + 1)))
    agree(gradient.supercategory_b, "supercategory", 0)
    if slopes:
        agree(gradient.supercategory_w, "supercategory", slice(1, None))
    agree(gradient.tau_comp2, "tau_comp2")
    if chemistry:
        agree(gradient.theta2, "theta2")


def exported(problem: Problem, v: Variances) -> tuple[HierarchyPosterior, NoiseState]:
    """The posterior at given variances, with noise and spreads of untrained groups made up."""
    tree = problem.tree
    g, _, n_super, k = tree.sizes
    state = NoiseState(
        v.sigma2, np.full(g, 7.0), np.linspace(0.01, 0.02, k), np.full(k, 5.0), 0.03, 3.0,
        NoisePrior((0.03,), (3.0,)),
    )  # fmt: skip
    scales = ScaleSet(PoolingSettings(), n_super, problem.features > 0, False)
    phi = scales.start(0.01)
    noise = Noise(v.sigma2, float(np.log(v.sigma2).mean()))
    done = forward(problem.spectra, tree, v)
    moments = backward(problem.spectra, tree, done)
    fitted = Fitted(scales, Mode(phi, 0.0, 1), noise, state, done, moments, 1)
    return export_posterior(problem, fitted), state


@pytest.mark.parametrize("slopes", [True, False])
@pytest.mark.parametrize(("seed", "features", "chemistry"), CASES)
def test_every_kind_of_prediction_is_exact(
    seed: int, features: int, chemistry: int, slopes: bool
) -> None:
    made, problem, v, dense = setting(seed, features, chemistry, slopes=slopes)
    tree, d = problem.tree, dense.d
    post, _ = exported(problem, v)
    rng = np.random.default_rng(seed)
    never = 999_999
    species = [*tree.species.tolist(), never]
    comps = [*tree.comps.tolist(), never]
    supers = [*tree.supercategories.tolist(), never]
    known_chem = made.embeddings.chem_id[-1]  # of no trained compound
    asked = [
        (c, s, k, chem)
        for c in species
        for s in supers
        for k in comps
        for chem in ((known_chem, never) if k == never else (k + 100,))
    ]
    ids = [np.array(column) for column in zip(*asked, strict=True)]
    x = rng.normal(size=(len(asked), features)) * 0.5
    found = predict(post, locate(post, *ids), x)
    within = np.zeros((tree.sizes[2], d))
    within[tree.supercat_of] = v.species
    z_used = tree.z[tree.described]
    for i, (c, s, k, chem) in enumerate(asked):
        x1 = np.concatenate([[1.0], x[i]])
        key = (c << 32) + k
        if key in tree.keys:
            mean, cov = dense.moments(dense.group(int(np.searchsorted(tree.keys, key))))
            np.testing.assert_allclose(found.mean[i], x1 @ mean, rtol=1e-9)
            np.testing.assert_allclose(found.variance[i], x1 @ cov @ x1, rtol=1e-7)
            continue
        if c != never:
            node, extra = dense.species(species.index(c)), np.zeros(d)
        elif s != never:
            node, extra = dense.supercategory(supers.index(s)), within[supers.index(s)]
        else:
            node, extra = dense.root(), v.supercategory + within.mean(axis=0)
        row = x1[:d] @ node
        variance = x1[:d] ** 2 @ extra
        if k != never:
            at = comps.index(k)
            row = row + dense.compound(at)
            variance += post.pair_tau_b2[at] + post.pair_psi[at] * (x[i] @ x[i])
        else:
            variance += post.new_tau_b2 + post.new_psi * (x[i] @ x[i]) + v.tau_comp2
            if chemistry and chem == known_chem:
                row = row + dense.described(tree.embeddings.rows(np.array([chem]))[0][0])
            elif chemistry:
                theta = [dense.described(e) for e in np.eye(tree.z.shape[1])]
                mean, cov = dense.moments(np.stack(theta))
                spread = z_used.T @ z_used / z_used.shape[0]
                variance += np.trace(spread @ (cov + np.outer(mean, mean)))
        np.testing.assert_allclose(found.mean[i], row @ dense.mean, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found.variance[i], row @ dense.cov @ row + variance, rtol=1e-7)


def test_a_flat_intercept_is_the_limit_of_an_ever_wider_prior() -> None:
    made = case(7, 3, 1)
    problem = problem_of(made, 0)
    v = variances(problem.tree, 3, 7)
    flat = replace(v, tau_b2=np.full(v.tau_b2.shape, np.inf))
    wide = replace(v, tau_b2=np.full(v.tau_b2.shape, 1e7))
    done = [forward(problem.spectra, problem.tree, w) for w in (flat, wide)]
    lost = 0.5 * np.log(1e7) * v.tau_b2.size
    np.testing.assert_allclose(done[0].log_marginal, done[1].log_marginal + lost, rtol=1e-6)
    posts = [exported(problem, w)[0] for w in (flat, wide)]
    np.testing.assert_allclose(posts[0].beta_mean, posts[1].beta_mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        posts[0].beta_cov_packed, posts[1].beta_cov_packed, rtol=1e-3, atol=1e-7
    )
    at = locate(posts[0], *(np.array([i]) for i in (1, 1, 999, 999)))
    assert np.isnan(predict(posts[0], at, np.zeros((1, 3))).mean).all()


@pytest.mark.parametrize("features", [1, 3, 8])
def test_merged_statistics_are_those_of_all_rows(features: int) -> None:
    made = case(9, features, 1)
    rows = made.rows
    group = np.repeat(np.arange(rows.keys.size), rows.count)
    late = np.random.default_rng(1).uniform(size=rows.y.size) < 0.4
    # every group keeps a row, one gets none
    late[rows.start] = False
    late[group == 2] = False

    def part(mask: np.ndarray):
        at, start, count = np.unique(group[mask], return_index=True, return_counts=True)
        sub = replace(rows, y=rows.y[mask], x=rows.x[mask], keys=rows.keys[at], start=start,
                      count=count)  # fmt: skip
        return at, decompose(sub, np.full(at.size, 5.0))

    whole = decompose(rows, np.full(rows.keys.size, 5.0))
    _, old = part(~late)
    at, new = part(late)
    both = merged(old, new, at)
    np.testing.assert_array_equal(both.start, whole.start)
    for g in range(rows.keys.size):
        i = slice(whole.start[g], whole.start[g + 1])
        for weights in ("lam", "t", "z"):
            sums = [s.u[i].T @ (getattr(s, weights)[i][:, None] * s.u[i]) if weights == "lam"
                    else s.u[i].T @ getattr(s, weights)[i] for s in (both, whole)]  # fmt: skip
            np.testing.assert_allclose(sums[0], sums[1], rtol=1e-9, atol=1e-10)
