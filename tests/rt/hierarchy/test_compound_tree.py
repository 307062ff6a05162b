"""The compound tree: likelihood, gradient, posterior and predictions are those of dense algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.compound_tree.layout import Layout
from compassign_core.rt.hierarchy.compound_tree.marginal import (
    CompoundForward,
    CompoundVariances,
    forward_compounds,
)
from compassign_core.rt.hierarchy.compound_tree.moments import backward_compounds
from compassign_core.rt.hierarchy.compound_tree.stored import CompoundPosterior
from compassign_core.rt.hierarchy.conjugate import prior
from compassign_core.rt.hierarchy.fit import Mode, Problem
from compassign_core.rt.hierarchy.noise import Fitted, NoisePrior, NoiseState
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import locate, predict
from compassign_core.rt.hierarchy.scales import Noise, ScaleSet
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.summaries import unpack
from tests.rt.hierarchy.dense import Case, case
from tests.rt.hierarchy.dense_compounds import DenseCompounds, compound_variances

CASES = {
    "fewer and more rows than features": {"seed": 0, "features": 2, "chemistry": 2},
    "no chemistry": {"seed": 1, "features": 5, "chemistry": 0},
    "three supercategories": {
        "seed": 2,
        "features": 3,
        "chemistry": 4,
        "n_species": 7,
        "n_super": 3,
    },
    "more features than rows": {"seed": 3, "features": 8, "chemistry": 2},
    "one supercategory": {"seed": 4, "features": 2, "chemistry": 1, "n_super": 1},
    "one species": {"seed": 5, "features": 2, "chemistry": 1, "n_species": 1, "n_super": 1},
    "one compound": {"seed": 6, "features": 2, "chemistry": 1, "n_comps": 1},
    "no features": {"seed": 7, "features": 0, "chemistry": 1},
}


def setting(
    seed: int, features: int, chemistry: int, **sizes: int
) -> tuple[Case, Problem, CompoundVariances, DenseCompounds]:
    made = case(seed, features, max(chemistry, 1), **sizes)  # type: ignore[arg-type]
    tree = Hierarchy.of(made.rows, "species", made.embeddings if chemistry else Embeddings.none())
    problem = Problem(decompose(made.rows, tree.offset[tree.comp_of]), tree)
    v = compound_variances(tree, features + 1, seed)
    return made, problem, v, DenseCompounds(made.rows, tree, v)


def eliminated(problem: Problem, v: CompoundVariances) -> CompoundForward:
    return forward_compounds(problem.spectra, problem.tree, problem.layout, v)


@pytest.mark.parametrize("name", CASES)
def test_the_log_marginal_is_that_of_one_dense_normal(name: str) -> None:
    _, problem, v, dense = setting(**CASES[name])
    found = eliminated(problem, v).log_marginal
    np.testing.assert_allclose(found, dense.log_marginal, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_moments_of_every_level_are_those_of_dense_conditioning(name: str) -> None:
    _, problem, v, dense = setting(**CASES[name])
    tree, layout = problem.tree, problem.layout
    m = backward_compounds(problem.spectra, tree, layout, eliminated(problem, v))
    close = {"rtol": 1e-8, "atol": 1e-10}
    c, s = tree.sizes[1:3]
    theta = [dense.described(e) for e in np.eye(tree.z.shape[1])]
    effects = [dense.species(i) for i in range(c)] + [dense.supercategory(i) for i in range(s)]
    effects += theta
    mean, cov = dense.moments(np.stack(effects))
    np.testing.assert_allclose(m.effects, mean, **close)
    np.testing.assert_allclose(m.effects_cov, cov, **close)
    np.testing.assert_allclose(m.root, dense.moments(dense.root())[0], **close)
    np.testing.assert_allclose(m.root_cov, dense.moments(dense.root())[1], **close)
    expected = dense.root() @ dense.cov @ np.stack(effects).T
    np.testing.assert_allclose(m.root_cross, expected, **close)
    vectors = [(m.compounds, k, dense.compound(k), tree.offset[k]) for k in range(tree.sizes[3])]
    vectors += [
        (m.nodes, j, dense.node(*pair), tree.offset[pair[1]])
        for j, pair in enumerate(zip(layout.node_super, layout.node_comp, strict=True))
    ]
    for level, j, rows, offset in vectors:
        mean, cov = dense.moments(rows)
        mean[0] -= offset
        np.testing.assert_allclose(level.mean[j], mean, **close)
        np.testing.assert_allclose(level.cov[j], cov, **close)
    for g in range(tree.sizes[0]):
        mean, cov = dense.moments(dense.group(g))
        own = dense.of_row == g
        residual = dense.y[own] - dense.x1[own] @ mean
        leverage = np.einsum("ij,jk,ik->", dense.x1[own], cov, dense.x1[own])
        np.testing.assert_allclose(m.rss[g], residual @ residual, rtol=1e-6, atol=1e-11)
        np.testing.assert_allclose(m.p_eff[g], leverage / v.sigma2[g], rtol=1e-7)


def varied(v: CompoundVariances, name: str, index: object, by: float) -> CompoundVariances:
    value = getattr(v, name)
    if np.ndim(value) == 0:
        return replace(v, **{name: value * np.exp(by)})
    changed = value.copy()
    changed[index] *= np.exp(by)
    return replace(v, **{name: changed})


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_central_differences(name: str) -> None:
    _, problem, v, _ = setting(**CASES[name])
    tree = problem.tree
    moments = backward_compounds(problem.spectra, tree, problem.layout, eliminated(problem, v))
    gradient, step = moments.gradient, 1e-3

    def agree(found: float, field: str, index: object = ...) -> None:
        ends = [
            eliminated(problem, varied(v, field, index, e)).log_marginal
            for e in (step, -step, 2 * step, -2 * step)
        ]
        slope = (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * step)
        np.testing.assert_allclose(found, slope, rtol=1e-7, atol=1e-7, err_msg=field)

    for g in range(0, tree.sizes[0], 3):
        agree(gradient.sigma2[g], "sigma2", g)
        agree(gradient.psi[g], "psi", g)
        agree(gradient.tau_b2[g], "tau_b2", g)
    for s in range(tree.sizes[2]):
        agree(gradient.node_b[s], "node", (s, 0))
        agree(gradient.node_w[s], "node", (s, slice(1, None)))
        agree(gradient.species[s], "species", s)
    agree(gradient.compound_b, "compound", 0)
    agree(gradient.compound_w, "compound", slice(1, None))
    agree(gradient.supercategory, "supercategory")
    agree(gradient.theta2, "theta2")


def test_batches_hold_every_group_and_row_once() -> None:
    _, problem, _, _ = setting(**CASES["three supercategories"])
    tree, spectra = problem.tree, problem.spectra
    layout = Layout.of(tree, spectra.rank, 3)
    for batches, size in ((layout.nodes, layout.node_comp.size), (layout.compounds, 5)):
        units = np.concatenate([b.units for b in batches])
        groups = np.concatenate([b.groups.at[b.groups.real] for b in batches])
        np.testing.assert_array_equal(np.sort(units), np.arange(size))
        np.testing.assert_array_equal(np.sort(groups), np.arange(tree.sizes[0]))
    rows = np.concatenate([b.rows.at[b.rows.real] for b in layout.nodes])
    np.testing.assert_array_equal(np.sort(rows), np.arange(spectra.lam.size))


def exported(problem: Problem, v: CompoundVariances) -> CompoundPosterior:
    """The posterior at given variances, with noise of untrained groups made up."""
    tree = problem.tree
    g, _, n_super, k = tree.sizes
    state = NoiseState(
        v.sigma2, np.full(g, 7.0), np.linspace(0.01, 0.02, k), np.full(k, 5.0), 0.03, 3.0,
        NoisePrior((0.03,), (3.0,)),
    )  # fmt: skip
    settings = PoolingSettings(slope_head_mode="compound_supercat")
    scales = ScaleSet(settings, n_super, problem.features > 0, False)
    noise = Noise(v.sigma2, float(np.log(v.sigma2).mean()))
    done = eliminated(problem, v)
    moments = backward_compounds(problem.spectra, tree, problem.layout, done)
    mode = Mode(scales.start(0.01), 0.0, 1)
    made = export_posterior(problem, Fitted(scales, mode, noise, state, done, moments, 1))
    assert isinstance(made, CompoundPosterior)
    return made


NEVER = 999_999


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_prediction_is_exact(name: str) -> None:
    made, problem, v, dense = setting(**CASES[name])
    tree, features = problem.tree, CASES[name]["features"]
    post = exported(problem, v)
    species, comps = [*tree.species.tolist(), NEVER], [*tree.comps.tolist(), NEVER]
    supers = [*tree.supercategories.tolist(), NEVER]
    known_chem = made.embeddings.chem_id[-1]  # of no trained compound
    asked = [
        (c, s, k, chem)
        for c in species
        for s in supers
        for k in comps
        for chem in ((known_chem, NEVER) if k == NEVER else (k + 100,))
    ]
    ids = [np.array(column) for column in zip(*asked, strict=True)]
    x = np.random.default_rng(0).normal(size=(len(asked), features)) * 0.5
    found = predict(post, locate(post, *ids), x)
    kinds = set()
    for i, (c, s, k, chem) in enumerate(asked):
        kind, row, variance = expected(problem, v, dense, post, (c, s, k, chem), x[i])
        kinds.add(kind)
        mean, own = row @ dense.mean, row @ dense.cov @ row
        if chem == NEVER and k == NEVER:
            variance += plain(problem, dense)
        np.testing.assert_allclose(found.mean[i], mean, rtol=1e-8, atol=1e-9, err_msg=kind)
        np.testing.assert_allclose(found.variance[i], own + variance, rtol=1e-8, err_msg=kind)
    wanted = {"trained", "compound", "whole"}
    assert kinds >= wanted if min(tree.sizes[1:]) == 1 else kinds == {*wanted, "node"}


def expected(
    problem: Problem,
    v: CompoundVariances,
    dense: DenseCompounds,
    post: CompoundPosterior,
    ids: tuple[int, int, int, int],
    x: np.ndarray,
) -> tuple[str, np.ndarray, float]:
    """What a row is predicted from, its loading on the latents, and the variance besides."""
    tree, (c, s, k, chem) = problem.tree, ids
    x1 = np.concatenate([[1.0], x])
    if (key := (c << 32) + k) in tree.keys:
        return "trained", x1 @ dense.group(int(np.searchsorted(tree.keys, key))), 0.0
    variance = 0.0
    if c != NEVER:
        at = int(np.searchsorted(tree.species, c))
        effect, of_super = dense.species(at), int(tree.supercat_of[at])
    elif s != NEVER:
        of_super = int(np.searchsorted(tree.supercategories, s))
        effect, variance = dense.supercategory(of_super), float(v.species[of_super])
    else:
        effect, of_super = np.zeros(dense.at[-1]), -1
        variance = v.supercategory + float(v.species.mean())
    spread = v.node[of_super] if of_super >= 0 else v.node.mean(axis=0)
    if k == NEVER:
        kind, row = "whole", x1 @ dense.root()
        if tree.z.shape[1] and chem != NEVER:
            row = row + dense.described(tree.embeddings.rows(np.array([chem]))[0][0])
        variance += x1**2 @ (spread + v.compound) + post.new_tau_b2 + post.new_psi * (x @ x)
    else:
        at = int(np.searchsorted(tree.comps, k))
        trained = (tree.comp_of == at) & (tree.supercat_of[tree.species_of] == of_super)
        kind = "node" if trained.any() else "compound"
        row = x1 @ (dense.node(of_super, at) if trained.any() else dense.compound(at))
        variance += 0.0 if trained.any() else x1**2 @ spread
        variance += post.pair_tau_b2[at] + post.pair_psi[at] * (x @ x)
    return kind, row + effect, variance


def plain(problem: Problem, dense: DenseCompounds) -> float:
    """What chemistry adds to the variance of a compound without descriptors."""
    tree = problem.tree
    if not tree.z.shape[1]:
        return 0.0
    used = tree.z[tree.described]
    mean, cov = dense.moments(np.stack([dense.described(e) for e in np.eye(tree.z.shape[1])]))
    return float(np.trace(used.T @ used / max(used.shape[0], 1) @ (cov + np.outer(mean, mean))))


@pytest.mark.parametrize("name", CASES)
def test_coefficients_of_groups_are_exact(name: str) -> None:
    _, problem, v, dense = setting(**CASES[name])
    post = exported(problem, v)
    for g in range(problem.tree.sizes[0]):
        mean, cov = dense.moments(dense.group(g))
        np.testing.assert_allclose(post.beta_mean[g], mean, rtol=1e-8, atol=1e-10)
        packed = unpack(post.beta_cov_packed[g : g + 1])[0]
        np.testing.assert_allclose(packed, cov, rtol=1e-8, atol=1e-12)


def test_what_is_known_of_a_group_before_its_first_row_is_exact() -> None:
    _, problem, v, dense = setting(**CASES["three supercategories"])
    tree, post = problem.tree, exported(problem, v)
    keys = (tree.species[:, None] << 32) + tree.comps
    species, comp = np.nonzero(~np.isin(keys, tree.keys))
    psi, tau_b2 = np.full(species.size, 0.3), np.full(species.size, 0.2)
    means, covs = prior(post, species, comp, psi, tau_b2)
    own = np.diag([0.2, 0.3, 0.3, 0.3])
    assert species.size > 5
    for i, (c, k) in enumerate(zip(species, comp, strict=True)):
        of_super = int(tree.supercat_of[c])
        trained = (tree.comp_of == k) & (tree.supercat_of[tree.species_of] == of_super)
        rows = dense.node(of_super, k) if trained.any() else dense.compound(k)
        rows = rows.copy()
        rows[0] += dense.species(c)
        mean, cov = dense.moments(rows)
        spread = 0.0 if trained.any() else np.diag(v.node[of_super])
        np.testing.assert_allclose(means[i], mean, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(covs[i], cov + own + spread, rtol=1e-8, atol=1e-11)
