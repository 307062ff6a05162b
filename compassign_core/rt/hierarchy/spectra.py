"""Sufficient statistics of the groups in the eigenbasis of their own covariates.

With ``X_g'X_g = U' diag(lam) U`` (rows of U are eigenvectors, r_g = min(n_g, P) of them) and
``t = U X_g'1``, ``z = U X_g'y``, any change of the scales costs no new decomposition. Sums are
uncentred; y is taken about its compound's mean (see `tree.Hierarchy.offset`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from compassign_core.rt.rows import BLOCK_VALUES, Block, GroupedRows, TrainingRows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_RANK_TOLERANCE = 1e-13


@dataclass(frozen=True, eq=False)
class Spectra:
    """Statistics of G groups, R = sum of r_g eigenvectors of P features.

    Attributes
    ----------
    n : rows, ``(G,)``.
    weight, log_weight : sums of their weights and of the logarithms of these; n and 0 where rows
        have no weights, ``(G,)``.
    sum_y, yy : weighted sum and sum of squares of y about the compound's mean, ``(G,)``.
    start : first eigenvector of each group, and R at the end, ``(G+1,)``.
    u : eigenvectors as rows, ``(R, P)``.
    lam, t, z : eigenvalues and the sums of x and xy along them, ``(R,)``.
    """

    n: Floats
    weight: Floats
    log_weight: Floats
    sum_y: Floats
    yy: Floats
    start: Ints
    u: Floats
    lam: Floats
    t: Floats
    z: Floats

    @property
    def rank(self) -> Ints:
        """Eigenvectors of each group, ``(G,)``."""
        return np.diff(self.start)

    def by_group(self, values: Floats) -> Floats:
        """Sums over the eigenvectors of each group of values ``(R,)``: ``(G,)``."""
        if not values.size:
            return np.zeros(self.n.size)
        return np.asarray(np.add.reduceat(values, self.start[:-1]))

    def of_groups(self, groups: Ints) -> Self:
        """The statistics of some groups, in their order."""
        rank = self.rank[groups]
        start = np.concatenate([[0], np.cumsum(rank)])
        rows = np.repeat(self.start[groups] - start[:-1], rank) + np.arange(start[-1])
        return replace(
            self,
            n=self.n[groups],
            weight=self.weight[groups],
            log_weight=self.log_weight[groups],
            sum_y=self.sum_y[groups],
            yy=self.yy[groups],
            start=start,
            u=self.u[rows],
            lam=self.lam[rows],
            t=self.t[rows],
            z=self.z[rows],
        )


def decompose(
    data: GroupedRows,
    offset_of_group: Floats,
    values: int = BLOCK_VALUES,
    weights: Callable[[TrainingRows], Floats] | None = None,
) -> Spectra:
    """Statistics of all groups; `values` bounds memory and changes no bit.

    Parameters
    ----------
    data : rows of G groups, gone over once, chunk by chunk.
    offset_of_group : taken off the retention times of each group, ``(G,)``.
    weights : positive weights omega ``(n,)`` of the rows of a chunk, whose noise variance is then
        sigma²/omega; all 1 when not given.
    """
    made = _empty(data.count.astype(np.float64), data.n_features)
    first = 0
    for chunk in data.chunks():
        omega = None if weights is None else weights(chunk)
        places = slice(first, first + chunk.keys.size)
        y = chunk.y - np.repeat(offset_of_group[places], chunk.count)
        rows = replace(chunk, y=y)
        for block in rows.blocks(1, values):
            _add_block(made, first, block, omega)
        first += chunk.keys.size
    return made


def _add_block(made: Spectra, first: int, block: Block, omega: Floats | None) -> None:
    """Write the statistics of a block's groups; `first` is the place of its chunk's first group."""
    groups = first + block.groups
    ones = block.present.astype(np.float64)
    x, y = block.x, block.y
    if omega is not None:
        weight = np.where(block.present, omega[block.rows], 1.0)
        made.log_weight[groups] = np.log(weight).sum(axis=1)
        root = np.sqrt(weight)
        ones, x, y = ones * root, x * root[:, :, None], y * root
        made.weight[groups] = (ones * ones).sum(axis=1)
    made.sum_y[groups] = (ones * y).sum(axis=1)
    made.yy[groups] = (y * y).sum(axis=1)
    if x.shape[2]:
        _place(made, groups, *_block_spectrum(x, y, ones))


def merged(old: Spectra, new: Spectra, at: Ints) -> Spectra:
    """`old` with the rows behind `new` added to its groups `at` ``(G_new,)``, each named once.

    Only these groups are decomposed again.
    """
    p = old.u.shape[1]
    n = old.n.copy()
    n[at] += new.n
    made = _empty(n, p)
    for name in ("weight", "log_weight", "sum_y", "yy"):
        total = getattr(made, name)
        total[:] = getattr(old, name)
        total[at] += getattr(new, name)
    untouched = np.setdiff1d(np.arange(old.n.size), at)
    source, target = _rows_of(old.start, untouched), _rows_of(made.start, untouched)
    for name in ("u", "lam", "t", "z"):
        getattr(made, name)[target] = getattr(old, name)[source]
    step = max(1, BLOCK_VALUES // max(1, p * p))
    for begin in range(0, at.size if p else 0, step):
        part = slice(begin, begin + step)
        sums = [a + b for a, b in zip(_sums(old, at[part]), _sums(new, np.arange(at.size)[part]),
                                      strict=True)]  # fmt: skip
        _place(made, at[part], *_from_sums(*sums))
    return made


def _empty(n: Floats, p: int) -> Spectra:
    rank = np.minimum(n, p).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(rank)])
    r, g = int(start[-1]), n.size
    one = [np.zeros(r) for _ in range(3)]
    return Spectra(
        n, n.copy(), np.zeros(g), np.zeros(g), np.zeros(g), start, np.zeros((r, p)), *one
    )


def _block_spectrum(x: Floats, y: Floats, ones: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Eigenvalues ``(B, r)`` rising, eigenvectors ``(B, r, P)``, t and z ``(B, r)`` of a block.

    From features ``(B, m, P)``, y and the constant ``(B, m)``, each times the root of the weight.
    """
    m, p = x.shape[1:]
    xt = x.transpose(0, 2, 1)
    if m >= p:
        sums = np.stack([ones, y], axis=2)  # (B, m, 2)
        xs = xt @ sums
        return _from_sums(xt @ x, xs[:, :, 0], xs[:, :, 1])
    # fewer rows than features: the small Gram matrix has the same non-zero eigenvalues
    lam, v = np.linalg.eigh(x @ xt)
    root, inverse = _roots(lam)
    u = (v.transpose(0, 2, 1) @ x) * inverse[:, :, None]
    t = root * np.einsum("gnr,gn->gr", v, ones)
    z = root * np.einsum("gnr,gn->gr", v, y)
    return root**2, u, t, z


def _from_sums(xx: Floats, x1: Floats, xy: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The same from X'X ``(B, P, P)``, X'1 and X'y ``(B, P)``."""
    lam, v = np.linalg.eigh(xx)
    some = _roots(lam)[0] > 0
    u = v.transpose(0, 2, 1)
    tz = u @ np.stack([x1, xy], axis=2)
    return (
        np.where(some, lam, 0.0),
        u,
        np.where(some, tz[:, :, 0], 0.0),
        np.where(some, tz[:, :, 1], 0.0),
    )


def _roots(lam: Floats) -> tuple[Floats, Floats]:
    """Square roots of eigenvalues and their inverses, both zero where rounding is all there is."""
    some = lam > _RANK_TOLERANCE * np.maximum(lam[:, -1:], np.finfo(np.float64).tiny)
    root = np.sqrt(np.where(some, lam, 0.0))
    return root, np.divide(1.0, root, out=np.zeros_like(root), where=some)


def _place(made: Spectra, groups: Ints, lam: Floats, u: Floats, t: Floats, z: Floats) -> None:
    """Write the r_g largest of each group where they belong."""
    rank = made.rank[groups]
    wide = lam.shape[1]
    kept = np.arange(wide) >= (wide - rank)[:, None]  # (B, wide); eigenvalues rise
    at = _rows_of(made.start, groups)
    made.lam[at], made.u[at], made.t[at], made.z[at] = lam[kept], u[kept], t[kept], z[kept]


def _rows_of(start: Ints, groups: Ints) -> Ints:
    """Eigenvector rows of `groups`, one after another."""
    rank = np.diff(start)[groups]
    begin = np.concatenate([[0], np.cumsum(rank)])
    return np.repeat(start[groups] - begin[:-1], rank) + np.arange(begin[-1])


def _sums(spectra: Spectra, groups: Ints) -> tuple[Floats, Floats, Floats]:
    """X'X ``(B, P, P)``, X'1 and X'y ``(B, P)`` of groups, from their spectra."""
    p = spectra.u.shape[1]
    rank = spectra.rank[groups]
    inside = np.arange(p) < rank[:, None]
    at = np.where(inside, spectra.start[groups][:, None] + np.arange(p), 0)
    u = spectra.u[at] if spectra.u.size else np.zeros((groups.size, p, p))

    def padded(values: Floats) -> Floats:
        return np.where(inside, values[at] if values.size else 0.0, 0.0)

    ut = u.transpose(0, 2, 1)
    lam, t, z = padded(spectra.lam), padded(spectra.t), padded(spectra.z)
    tz = ut @ np.stack([t, z], axis=2)
    return ut @ (lam[:, :, None] * u), tz[:, :, 0], tz[:, :, 1]
