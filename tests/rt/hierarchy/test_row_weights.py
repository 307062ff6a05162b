"""Rows of unequal weight: y_i has variance sigma_g² / omega_i, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.marginal import forward
from compassign_core.rt.hierarchy.moments import backward
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.tree import Hierarchy
from compassign_core.rt.rows import TrainingRows
from tests.rt.hierarchy.dense import Case, Dense, case, variances


def weighted(made: Case, seed: int) -> tuple[Problem, np.ndarray]:
    tree = Hierarchy.of(made.rows, "species", made.embeddings)
    omega = np.exp(np.random.default_rng(seed).normal(size=made.rows.y.size))

    def weights(rows: TrainingRows) -> np.ndarray:
        return omega[rows.ids["task_id"]]  # the row's number in these cases

    spectra = decompose(made.rows, tree.offset[tree.comp_of], 100, weights)
    return Problem(spectra, tree), omega


@pytest.mark.parametrize("slopes", [True, False])
@pytest.mark.parametrize(("seed", "features", "chemistry"), [(0, 2, 2), (3, 8, 2), (4, 1, 1)])
def test_marginal_and_moments_are_those_of_dense_algebra(
    seed: int, features: int, chemistry: int, slopes: bool
) -> None:
    made = case(seed, features, chemistry)
    problem, omega = weighted(made, seed)
    tree = problem.tree
    v = variances(tree, features, seed, slopes=slopes)
    dense = Dense(made.rows, tree, v)
    loads = np.stack([dense.x1[i] @ dense.group(g) for i, g in enumerate(dense.of_row)])
    covariance = (loads * dense.prior) @ loads.T + np.diag(v.sigma2[dense.of_row] / omega)
    gain = np.linalg.solve(covariance, loads * dense.prior).T
    quad = dense.y @ np.linalg.solve(covariance, dense.y)
    n, logdet = dense.y.size, np.linalg.slogdet(covariance)[1]
    done = forward(problem.spectra, tree, v)
    expected = -0.5 * (n * np.log(2 * np.pi) + logdet + quad)
    np.testing.assert_allclose(done.log_marginal, expected, rtol=1e-10, atol=1e-8)
    found = backward(problem.spectra, tree, done)
    species = np.stack([dense.species(c) for c in range(tree.sizes[1])]) @ (gain @ dense.y)
    np.testing.assert_allclose(found.species, species, rtol=1e-8, atol=1e-10)


def test_the_gradient_in_the_noise_is_that_of_central_differences() -> None:
    made = case(1, 3, 2)
    problem, _ = weighted(made, 1)
    tree, v = problem.tree, variances(problem.tree, 3, 1)
    gradient = backward(problem.spectra, tree, forward(problem.spectra, tree, v)).gradient.sigma2
    step = 1e-4
    for g in range(tree.sizes[0]):
        ends = []
        for by in (step, -step):
            sigma2 = v.sigma2.copy()
            sigma2[g] *= np.exp(by)
            ends.append(forward(problem.spectra, tree, replace(v, sigma2=sigma2)).log_marginal)
        np.testing.assert_allclose(gradient[g], (ends[0] - ends[1]) / (2 * step), rtol=1e-5)


def test_a_weight_of_two_is_two_rows_up_to_their_normalisation() -> None:
    made = case(2, 3, 2)
    rows = made.rows
    tree = Hierarchy.of(rows, "species", made.embeddings)
    twice = TrainingRows.of(
        {name: np.repeat(ids, 2) for name, ids in rows.ids.items()},
        np.repeat(rows.y, 2),
        np.repeat(rows.x, 2, axis=0),
        np.repeat(rows.keys, 2 * rows.count),
    )
    offsets = tree.offset[tree.comp_of]
    heavy = decompose(rows, offsets, weights=lambda part: np.full(part.y.size, 2.0))
    double = decompose(twice, offsets)
    for name in ("weight", "sum_y", "yy"):
        np.testing.assert_allclose(getattr(heavy, name), getattr(double, name), rtol=1e-12)
    np.testing.assert_allclose(heavy.log_weight, rows.count * np.log(2.0))
    np.testing.assert_array_equal(heavy.n, rows.count)


def test_weights_of_one_change_no_bit_but_that_they_are_counted() -> None:
    made = case(5, 4, 1)
    tree = Hierarchy.of(made.rows, "species", made.embeddings)
    offsets = tree.offset[tree.comp_of]
    plain = decompose(made.rows, offsets)
    ones = decompose(made.rows, offsets, weights=lambda part: np.ones(part.y.size))
    for name in plain.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(plain, name), getattr(ones, name), err_msg=name)
