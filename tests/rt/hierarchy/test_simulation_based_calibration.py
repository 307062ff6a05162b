"""Simulation-based calibration: posteriors of drawn data are where the truth is, as often as said.

Scales are drawn from their priors, everything below them from the model, and the posterior is
asked where the truth stands in it (Talts et al., "Validating Bayesian inference algorithms with
simulation-based calibration", arXiv:1804.06788, 2018). Given the scales every posterior is
Gaussian, so the rank among infinitely many draws is a probability in closed form: whitened
deviations from the truth are independent standard normals, and exactly so. Of the scales the
Laplace posterior is an approximation; how far off it may be is stated, and the marginal posterior
itself, reached by importance sampling, is held to exact uniformity in the long version:
``pytest -m slow tests/rt/hierarchy/test_simulation_based_calibration.py`` (2 minutes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import chi2, kstest, multivariate_t, norm

from compassign_core.contracts.settings.pooling import PoolingPriors, PoolingSettings
from compassign_core.rt.hierarchy.fit import (
    Mode,
    Problem,
    find_mode,
    laplace_covariance,
)
from compassign_core.rt.hierarchy.marginal import Variances, forward
from compassign_core.rt.hierarchy.noise import Fitted, global_noise
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import locate, predict
from compassign_core.rt.hierarchy.scales import LOG_BOUNDS, Noise, ScaleSet
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.hierarchy.tree import Hierarchy
from compassign_core.rt.rows import TrainingRows
from tests.rt.hierarchy.dense import Case, case

FEATURES, CHEMISTRY, N_SUPER = 2, 2, 2
NEW_ROWS = 16
NEVER = 999_999
# wide enough to matter, tight enough that no scale drowns another
PRIORS = PoolingPriors(
    sigma_y_prior=0.1,
    tau_mu_prior=0.3,
    tau_comp_prior=0.5,
    tau_b_prior=0.2,
    tau_w_prior=0.3,
    slope_prior=0.3,
    theta_alpha_prior_sigma=0.5,
    t0_prior_sigma=2.0,
    w0_prior_sigma=0.5,
)
SETTINGS = PoolingSettings(noise="global", priors=PRIORS)
SCALES = ScaleSet(SETTINGS, N_SUPER, True, True)
KINDS = (
    "group",
    "new rows of a group",
    "species",
    "compounds",
    "chemistry",
    "unseen pair",
    "unseen species",
    "unseen supercategory",
    "unseen compound",
    "unseen species and compound",
)


@dataclass
class World:
    """A truth and the data drawn from it."""

    seed: int
    case: Case
    problem: Problem
    phi: np.ndarray
    v: Variances
    root: np.ndarray  # (q,)
    supercategory: np.ndarray  # (S, q)
    species: np.ndarray  # (C, q)
    theta: np.ndarray  # (D,)
    alpha: np.ndarray  # (K,)
    beta: np.ndarray  # (G, q)

    def row(self, rng: np.random.Generator, node: np.ndarray, alpha: float, x: np.ndarray) -> float:
        """A retention time of a group never trained, of this node and compound."""
        slope, tau_b, sigma = (np.sqrt(u[0]) for u in (self.v.psi, self.v.tau_b2, self.v.sigma2))
        spread = np.array([tau_b] + [slope] * FEATURES)
        beta = node + spread * rng.normal(size=node.size)
        return float(np.append(1.0, x) @ beta + alpha + sigma * rng.normal())


def world(seed: int, n_species: int = 4, n_comps: int = 6) -> World:
    """Scales from their priors, coefficients from the scales, rows from the coefficients."""
    rng = np.random.default_rng([seed, 7])
    made = case(seed, FEATURES, CHEMISTRY, (1, 2, 3, 5, 8), n_species, n_comps, N_SUPER, keep=0.5)
    tree = Hierarchy.of(made.rows, "species", made.embeddings)
    phi = np.log(np.abs(rng.normal(size=len(SCALES.prior))) * np.array(SCALES.prior))
    v = variances(phi, tree)
    root = np.sqrt(v.root) * rng.normal(size=v.root.size)
    supercategory = root + np.sqrt(v.supercategory) * rng.normal(size=(tree.sizes[2], root.size))
    species = supercategory[tree.supercat_of] + np.sqrt(v.species) * rng.normal(
        size=v.species.shape
    )
    theta = np.sqrt(v.theta2) * rng.normal(size=tree.z.shape[1])
    alpha = tree.z @ theta + np.sqrt(v.tau_comp2) * rng.normal(size=tree.sizes[3])
    spread = np.sqrt(np.column_stack([v.tau_b2, *([v.psi] * FEATURES)]))
    beta = species[tree.species_of] + spread * rng.normal(size=spread.shape)
    beta[:, 0] += alpha[tree.comp_of]
    rows = made.rows
    of_row = np.repeat(np.arange(rows.keys.size), rows.count)
    y = beta[of_row, 0] + np.einsum("np,np->n", rows.x, beta[of_row, 1:])
    y += np.sqrt(v.sigma2[of_row]) * rng.normal(size=y.size)
    return World(
        seed, made, problem_of(replace(rows, y=y), made), phi, v, root, supercategory, species,
        theta, alpha, beta,
    )  # fmt: skip


def variances(phi: np.ndarray, tree: Hierarchy) -> Variances:
    made = SCALES.variances(phi, tree, Noise(), FEATURES)
    assert isinstance(made, Variances)
    return made


def problem_of(rows: TrainingRows, made: Case) -> Problem:
    tree = Hierarchy.of(rows, "species", made.embeddings)
    return Problem(decompose(rows, tree.offset[tree.comp_of]), tree)


def posterior_at(problem: Problem, phi: np.ndarray) -> HierarchyPosterior:
    done, moments = problem.evaluate(SCALES, phi, Noise())
    variance = float(np.exp(2.0 * phi[SCALES.names.index("sigma_y")]))
    state = global_noise(problem.tree, problem.spectra.n, moments, variance)
    fitted = Fitted(SCALES, Mode(phi, 0.0, 1), Noise(), state, done, moments, 1)
    made = export_posterior(problem, fitted)
    assert isinstance(made, HierarchyPosterior)
    return made


def whitened(truth: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Independent standard normals, when the truth is a draw from the Gaussian."""
    return np.linalg.solve(np.linalg.cholesky(cov), truth - mean)


def deviations(w: World, wrong: dict[str, float]) -> dict[str, np.ndarray]:
    """Whitened deviation of the truth from its posterior, by kind.

    `wrong` are factors on the scales that the posterior is told, by name.
    """
    phi = w.phi + np.log([wrong.get(name, 1.0) for name in SCALES.names])
    post, tree = posterior_at(w.problem, phi), w.problem.tree
    rng = np.random.default_rng([w.seed, 13])
    made = {
        "species": whitened(w.species[0], post.node_mean[0], post.node_cov[0]),
        "compounds": whitened(w.alpha, post.alpha, post.alpha_cov),
        "chemistry": whitened(w.theta, post.theta, post.theta_cov),
    }
    g = int(rng.integers(tree.keys.size))
    q = w.beta.shape[1]
    cov = np.zeros((q, q))
    cov[np.tril_indices(q)] = post.beta_cov_packed[g]
    cov += np.tril(cov, -1).T
    made["group"] = whitened(w.beta[g], post.beta_mean[g], cov)
    x = rng.normal(size=(NEW_ROWS, FEATURES)) * 0.5
    x1 = np.column_stack([np.ones(NEW_ROWS), x])
    y = x1 @ w.beta[g] + np.sqrt(w.v.sigma2[g]) * rng.normal(size=NEW_ROWS)
    at = (tree.species[tree.species_of[g]], 0, tree.comps[tree.comp_of[g]], 0)
    found = predict(post, locate(post, *(np.full(NEW_ROWS, i) for i in at)), x)
    joint = x1 @ cov @ x1.T
    joint[np.diag_indices(NEW_ROWS)] = found.variance + found.noise
    made["new rows of a group"] = whitened(y, found.mean, joint)
    return made | unseen(w, post, rng)


def unseen(w: World, post: HierarchyPosterior, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Whitened deviation of one row of each kind that was never trained."""
    tree, v = w.problem.tree, w.v
    chem = int(w.case.embeddings.chem_id[-1])  # of no trained compound
    z = tree.embeddings.rows(np.array([chem]))[0][0]
    within = np.stack([v.species[tree.supercat_of == s][0] for s in range(N_SUPER)])
    # a new species of a known supercategory, and one of a new supercategory
    spread = [within[1], v.supercategory + within.mean(axis=0)]
    drawn = [
        mean + np.sqrt(s) * rng.normal(size=mean.size)
        for mean, s in zip((w.supercategory[1], w.root), spread, strict=True)
    ]
    new_alpha = float(z @ w.theta + np.sqrt(v.tau_comp2) * rng.normal())
    pairs = tree.species_of * tree.sizes[3] + tree.comp_of
    free = np.setdiff1d(np.arange(tree.sizes[1] * tree.sizes[3]), pairs)
    c, k = divmod(int(rng.choice(free)), tree.sizes[3])
    s_c, s1 = tree.supercategories[[tree.supercat_of[c], 1]]
    known = tree.comps[k]
    asked = {
        "unseen pair": ((tree.species[c], s_c, known, 0), w.species[c], w.alpha[k]),
        "unseen species": ((NEVER, s1, known, 0), drawn[0], w.alpha[k]),
        "unseen supercategory": ((NEVER, NEVER, known, 0), drawn[1], w.alpha[k]),
        "unseen compound": ((tree.species[c], s_c, NEVER, chem), w.species[c], new_alpha),
        "unseen species and compound": ((NEVER, s1, NEVER, chem), drawn[0], new_alpha),
    }
    x = rng.normal(size=(len(asked), FEATURES)) * 0.5
    ids = np.array([place for place, _, _ in asked.values()]).T
    found = predict(post, locate(post, *ids), x)
    y = [w.row(rng, node, alpha, x[i]) for i, (_, node, alpha) in enumerate(asked.values())]
    u = (np.array(y) - found.mean) / found.scale
    return {kind: u[[i]] for i, kind in enumerate(asked)}


def p_values(worlds: Iterable[World], wrong: dict[str, float]) -> dict[tuple[str, str], float]:
    """Kolmogorov-Smirnov, of directions and of lengths of the deviations, by kind."""
    found = [deviations(w, wrong) for w in worlds]
    values = {}
    for kind in KINDS:
        parts = [f[kind] for f in found]
        lengths = [chi2.cdf(part @ part, part.size) for part in parts]
        values[kind, "direction"] = kstest(norm.cdf(np.concatenate(parts)), "uniform").pvalue
        values[kind, "length"] = kstest(lengths, "uniform").pvalue
    return values


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [world(seed) for seed in range(300)]


def test_given_the_scales_every_posterior_is_where_the_truth_is(worlds: list[World]) -> None:
    found = p_values(worlds, {})
    least = min(found, key=lambda key: found[key])
    assert found[least] > 0.01 / len(found), least


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"sigma_y": np.sqrt(0.85)}, ("new rows of a group", "length")),
        ({"tau_comp": 0.7}, ("chemistry", "length")),
    ],
    ids=["noise variance 15 % too small", "spread of compounds too small"],
)
def test_a_wrong_scale_is_detected(
    worlds: list[World], wrong: dict[str, float], where: tuple[str, str]
) -> None:
    found = p_values(worlds, wrong)
    assert found[where] < 1e-6
    assert found["unseen supercategory", "length"] > 1e-3  # where it drowns in other spreads


@dataclass
class Laplace:
    """Where the true log scales of a replication stand in their Laplace posterior."""

    w: World
    mode: np.ndarray  # (V,)
    cov: np.ndarray  # (V, V)

    @property
    def z(self) -> np.ndarray:
        return np.asarray((self.w.phi - self.mode) / np.sqrt(np.diag(self.cov)))

    def of(self, names: tuple[str, ...], inflation: float) -> np.ndarray:
        """Whitened deviation of some scales, with the covariance inflated."""
        at = [SCALES.names.index(name) for name in names]
        cov = inflation * self.cov[np.ix_(at, at)]
        return whitened(self.w.phi[at], self.mode[at], cov)

    def ranks(self, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Posterior probability below the true log scales, ``(V,)``, by importance sampling.

        The second is what follows when the prior density lacks the Jacobian of the logarithm.
        """
        rng = np.random.default_rng([seed, 11])
        proposal = multivariate_t(self.mode, self.cov, df=5, seed=rng)
        phi = proposal.rvs(draws)
        phi = phi[((phi > LOG_BOUNDS[0]) & (phi < LOG_BOUNDS[1])).all(axis=1)]
        problem = self.w.problem
        log_density = np.empty(len(phi))
        for i, at in enumerate(phi):
            done = forward(problem.spectra, problem.tree, variances(at, problem.tree))
            log_density[i] = done.log_marginal + SCALES.log_prior(at)[0]
        log_weight = log_density - proposal.logpdf(phi)
        found = []
        for log_w in (log_weight, log_weight - phi.sum(axis=1)):
            weight = np.exp(log_w - log_w.max())
            found.append(weight @ (phi < self.w.phi) / weight.sum())
        return found[0], found[1]


def laplace(seed: int) -> Laplace:
    w = world(seed, 6, 8)
    mode = find_mode(w.problem, SCALES, Noise(), SCALES.start(0.05)).phi
    return Laplace(w, mode, laplace_covariance(w.problem, SCALES, mode, Noise()))


INFORMED = ("sigma_y", "slope", "tau_b", "tau_comp")
"""Scales that many groups, or all compounds, speak about."""


def test_scales_that_data_speak_about_are_where_their_laplace_posterior_says() -> None:
    found = [laplace(seed) for seed in range(48)]

    def p_values_at(inflation: float) -> list[float]:
        parts = [f.of(INFORMED, inflation) for f in found]
        lengths = [chi2.cdf(part @ part, part.size) for part in parts]
        directions = norm.cdf(np.concatenate(parts))
        return [float(kstest(u, "uniform").pvalue) for u in (directions, lengths)]

    assert min(p_values_at(1.0)) > 0.005
    # half or twice the standard deviations are told apart from it
    assert min(p_values_at(0.25)) < 1e-6
    assert min(p_values_at(4.0)) < 1e-6


@pytest.mark.slow
def test_log_scales_are_uniform_in_their_marginal_posterior_and_near_it_in_laplaces() -> None:
    found = [laplace(seed) for seed in range(200)]
    ranks = np.array([f.ranks(300, seed) for seed, f in enumerate(found)])  # (R, 2, V)
    exact, without_jacobian = (
        [float(kstest(ranks[:, i, j], "uniform").pvalue) for j in range(len(SCALES.names))]
        for i in range(2)
    )
    assert min(exact) > 0.01 / len(exact), dict(zip(SCALES.names, exact, strict=True))
    assert min(without_jacobian) < 1e-6
    # distance of Laplace's distribution function from the uniform: two supercategories with three
    # species each say little of the upper scales, whose posteriors are skewed
    z = np.array([f.z for f in found])
    for j, name in enumerate(SCALES.names):
        distance = float(kstest(norm.cdf(z[:, j]), "uniform").statistic)
        assert distance < (0.15 if name in INFORMED else 0.25), name


@pytest.mark.slow
def test_given_the_scales_thousands_of_posteriors_are_where_the_truth_is() -> None:
    worlds = [world(seed) for seed in range(1000, 4000)]
    found = p_values(worlds, {})
    least = min(found, key=lambda key: found[key])
    assert found[least] > 0.01 / len(found), least
    assert p_values(worlds, {"sigma_y": np.sqrt(0.95)})["new rows of a group", "length"] < 1e-6
