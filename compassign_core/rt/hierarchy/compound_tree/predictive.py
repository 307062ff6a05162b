"""The predictive of untrained groups in the compound tree; NumPy alone.

With x~ = (1, x), coefficients ``h = a + e_0 effect`` and the group's own deviation::

    mean x~·E[h],  variance x~'Cov(h)x~ + tau_b² + psi |x|²
    Cov(h) = Cov(a) + e_0 Cov(effect, a) + Cov(a, effect) e_0' + Var(effect) e_0 e_0'

a is that of the compound in the supercategory, where any of its species is trained; else that of
the compound and the spread of such nodes; or, of a compound never seen, that of the whole, the
spreads of compounds and nodes, and ``z·theta`` in its intercept. The effect is that of the species,
of its supercategory and the spread in it, or nothing but spread.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.compound_tree.stored import CompoundPosterior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def coefficients(
    posterior: CompoundPosterior,
    effect: Ints,
    comp: Ints,
    z: Floats,
    described: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Mean ``(n, d)`` and packed covariance ``(n, d(d+1)/2)`` of what groups are drawn about.

    Parameters
    ----------
    effect : species, or C + supercategory, or C + S, as in `predictive.Places.node`, ``(n,)``.
    comp : trained compound, or -1, ``(n,)``.
    z, described : descriptors ``(n, D)``, zero where unknown, and whether they are known ``(n,)``;
        of no account for trained compounds.
    """
    supercategory = supercategory_of(posterior, effect)
    vector = posterior.vector_of(supercategory, comp)
    mean, cov = posterior.vector_mean[vector], posterior.vector_cov_packed[vector]
    known = comp >= 0
    cross = np.where(known[:, None], posterior.cross[comp, effect], posterior.root_cross[effect])
    own = posterior.effect_variance[effect]
    spread = np.zeros(mean.shape)
    without = vector >= posterior.node_comp.size
    spread[without] += posterior.node_spread[supercategory[without]]
    new = ~known
    if new.any():
        spread[new] += posterior.compound_spread
        chemistry = ((z[new] @ posterior.theta_cov) * z[new]).sum(axis=1)
        chemistry += 2.0 * (z[new] * posterior.effect_theta[effect[new]]).sum(axis=1)
        own[new] += chemistry + np.where(described[new], 0.0, posterior.plain_variance)
        cross[new] += z[new] @ posterior.root_theta.T
        mean[new, 0] += z[new] @ posterior.theta
    mean[:, 0] += posterior.effect_mean[effect]
    first, diagonal = _places(mean.shape[1])
    cov[:, diagonal] += spread
    cov[:, first] += cross
    cov[:, 0] += cross[:, 0] + own
    return mean, cov


def supercategory_of(posterior: CompoundPosterior, effect: Ints) -> Ints:
    """Supercategory of effects, and S of one never seen, ``(n,)``."""
    c = posterior.species.size
    return np.where(effect < c, posterior.supercat_of[np.minimum(effect, c - 1)], effect - c)


def untrained(
    posterior: CompoundPosterior,
    effect: Ints,
    comp: Ints,
    z: Floats,
    described: npt.NDArray[np.bool_],
    x1: Floats,
) -> tuple[Floats, ...]:
    """Mean, variance, noise variance and its df of n rows with x~ ``(n, d)``; see above."""
    mean, cov = coefficients(posterior, effect, comp, z, described)
    rows, columns = np.tril_indices(x1.shape[1])
    twice = np.where(rows == columns, 1.0, 2.0)
    known = comp >= 0
    psi = np.where(known, posterior.pair_psi[comp], posterior.new_psi)
    variance = (x1[:, rows] * x1[:, columns] * twice * cov).sum(axis=1)
    variance += np.where(known, posterior.pair_tau_b2[comp], posterior.new_tau_b2)
    variance += psi * (x1[:, 1:] ** 2).sum(axis=1)
    noise = np.where(known, posterior.pair_variance[comp], posterior.new_variance)
    noise_df = np.where(known, posterior.pair_df[comp], posterior.new_df)
    return (mean * x1).sum(axis=1), variance, noise, noise_df


def _places(d: int) -> tuple[Ints, Ints]:
    """Of a packed lower triangle: places of the first column, and of the diagonal, ``(d,)``."""
    at = np.arange(d)
    return at * (at + 1) // 2, at * (at + 3) // 2
