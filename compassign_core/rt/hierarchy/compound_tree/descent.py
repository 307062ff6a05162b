"""One level of the compound tree from the one above it: means, covariances, deviations.

Down the tree, with G_j = E_j T_j^-1, and x = (mu, theta) the crossed effects::

    a_j = E_j nu_j - E_j B_j x + G_j h_j + N(0, E_j)

where h_j is what a_j is drawn about: its compound, and for compounds ``a_0 + e_0 (z·theta - o)``.
Of Cov(a_j, x) only the columns of the species below j are needed, one for each group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.compound_tree.layout import Batch
from compassign_core.rt.hierarchy.compound_tree.marginal import Ascent

Floats = npt.NDArray[np.float64]

Above = Callable[[Batch], tuple[Floats, Floats, Floats]]
"""Mean ``(B, d)`` and covariance ``(B, d, d)`` of what the units of a batch are drawn about, and
its covariance with the effects of the species below, ``(B, m, d)``."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Coefficients of J units: mean ``(J, d)``, covariance ``(J, d, d)``.

    Attributes
    ----------
    cross : Cov(a_j, mu_c) of every group below, ``(G, d)``.
    deviation : E[(a_j - h_j)²], ``(J, d)``.
    """

    mean: Floats
    cov: Floats
    cross: Floats
    deviation: Floats


def descend(
    batches: tuple[Batch, ...],
    level: Ascent,
    prior: Floats,
    mu: Floats,
    sigma: Floats,
    above: Above,
) -> Vectors:
    """Posterior of one level from that of what it is drawn about; `prior` is T, ``(J, d)``."""
    j, d = level.nu_e.shape
    made = Vectors(
        np.empty((j, d)), np.empty((j, d, d)), np.empty(level.eb.shape), np.empty((j, d))
    )
    diagonal = np.arange(d)
    for batch in batches:
        units, at, real = batch.units, batch.groups.at, batch.groups.real
        h, h_cov, h_cross = above(batch)
        e = level.e[units]
        away = e / prior[units][:, None, :]  # G
        away[:, diagonal, diagonal] -= 1.0
        eb = level.eb[at] * real[:, :, None]  # (B, m, d)
        s_eb = sigma[batch.species[:, :, None], batch.species[:, None, :]] @ eb
        ebt = eb.transpose(0, 2, 1)
        own, mixed = ebt @ s_eb, ebt @ h_cross
        back = away.transpose(0, 2, 1)
        moved = away @ h_cov
        lost = mixed @ back
        mean = level.nu_e[units] - (ebt @ mu[batch.species][:, :, None])[:, :, 0]
        mean += (away @ h[:, :, None])[:, :, 0]  # a - h
        spread = e + own + moved @ back
        spread -= lost
        spread -= lost.transpose(0, 2, 1)
        made.deviation[units] = mean**2 + np.einsum("jaa->ja", spread)
        made.mean[units] = mean + h
        # Cov(a - h, h), which is on both sides of Cov(a)
        moved -= mixed
        spread += moved
        spread += moved.transpose(0, 2, 1)
        made.cov[units] = spread + h_cov
        made.cross[at[real]] = (h_cross @ back + h_cross - s_eb)[real]
    return made
