"""Nodes of a tree, integrated out level by level; any tree, any batch.

With prior N(a_parent, T) and likelihood ``exp(-1/2 [a'Na + 2 a'B x - 2 a'nu])`` of a node, where x
are effects that cross the tree, integrating a out gives::

    L L' = I + T^1/2 N T^1/2,  Gm = L^-1 T^1/2,  E = Gm'Gm = (N + T^-1)^-1
    logdet += 2 sum log diag L,  quad -= |Gm nu|²,  D -= (Gm B)'(Gm B),  d -= (Gm B)'(Gm nu)
    upwards:  N' = T^-1 - T^-1 E T^-1,  B' = T^-1 E B,  nu' = T^-1 E nu
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import dsyrk

Floats = npt.NDArray[np.float64]

_FEW = 16
"""Matrices below which a general inverse is quicker."""


@dataclass(frozen=True, eq=False)
class Level:
    """Nodes of one level, eliminated; the batch axis is J nodes (absent at the root)."""

    gm: Floats  # (J, d, d)
    e: Floats  # (J, d, d)
    w: Floats  # (J, d) Gm nu
    nu_e: Floats  # (J, d) E nu
    n_up: Floats  # (J, d, d)
    logdet: float


def syrk(a: Floats) -> Floats:
    """``a'a`` of ``(m, n)``, from half the work."""
    if not a.size:
        return np.zeros((a.shape[1], a.shape[1]))
    lower = np.asarray(dsyrk(1.0, a.T, trans=0, lower=1))  # a.T is Fortran-ordered: no copy
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


def eliminate(n: Floats, nu: Floats, prior: Floats) -> Level:
    """Eliminate J nodes with N ``(J, d, d)``, nu ``(J, d)`` and prior variances ``(J, d)``."""
    d = nu.shape[1]
    diagonal = np.arange(d)
    root_t, inverse_t = np.sqrt(prior), 1.0 / prior
    scaled = root_t[:, :, None] * n
    scaled *= root_t[:, None, :]
    scaled[:, diagonal, diagonal] += 1.0
    chol = np.asarray(np.linalg.cholesky(scaled), dtype=np.float64)
    gm = lower_inverse(chol)
    gm *= root_t[:, None, :]
    e = gm.transpose(0, 2, 1) @ gm
    n_up = e * -inverse_t[:, :, None]
    n_up *= inverse_t[:, None, :]
    n_up[:, diagonal, diagonal] += inverse_t
    w = (gm @ nu[:, :, None])[:, :, 0]
    nu_e = (w[:, None, :] @ gm)[:, 0, :]
    logdet = 2.0 * float(np.log(np.einsum("jaa->ja", chol)).sum())
    return Level(gm, e, w, nu_e, n_up, logdet)


def lower_inverse(chol: Floats) -> Floats:
    """Inverses of lower triangular matrices ``(J, d, d)``, by halves; many at a time are cheap."""
    if chol.shape[0] < _FEW:
        return np.asarray(np.linalg.inv(chol), dtype=np.float64)
    made = np.zeros_like(chol)
    _invert(chol, made)
    return made


def _invert(chol: Floats, made: Floats) -> None:
    d = chol.shape[1]
    if d == 1:
        np.divide(1.0, chol, out=made)
        return
    h = d // 2
    upper, lower = (slice(None), slice(h), slice(h)), (slice(None), slice(h, d), slice(h, d))
    _invert(chol[upper], made[upper])
    _invert(chol[lower], made[lower])
    made[:, h:, :h] = -(made[lower] @ (chol[:, h:, :h] @ made[upper]))
