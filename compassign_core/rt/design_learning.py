"""Learning a design from the rows to be trained on, in one pass, or two where it has products.

All sums run over tiles of one size in the order of the rows (`tiles`): they are the same bits
however the rows are held or read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.rt import RidgeSettings
from compassign_core.rt.design import Design, product_columns

Floats = npt.NDArray[np.float64]


def learn_design(
    columns: Sequence[str], tiles: Callable[[], Iterator[Floats]], settings: RidgeSettings
) -> Design:
    """The design of raw covariates, given as tiles ``(n, C)`` that can be asked for again.

    There is at least one row; NaN means missing. A column without a single value is dropped.
    """
    linear = _linear(columns, tiles(), settings.missing_indicator)
    if (settings.expansion, settings.rotation) == ("none", "none") or not linear.columns:
        return linear
    n_products = product_columns(linear.columns)[0].size if settings.expansion == "poly2" else 0
    plain = replace(
        linear,
        expansion=settings.expansion,
        centre=np.concatenate([linear.centre, np.zeros(n_products)]),
    )
    kept = [list(columns).index(name) for name in linear.columns]
    with_products = settings.rotation == "pca"
    n, total, second = _sums(plain, (tile[:, kept] for tile in tiles()), with_products)
    # means of covariates and indicators are known; what is left of them here is rounding
    mean = np.concatenate([np.zeros(linear.centre.size), total[linear.centre.size :] / n])
    design = replace(plain, centre=plain.centre + mean)
    if not with_products:
        return design
    covariance = second / n - np.outer(mean, mean)
    return replace(design, rotation=_directions(covariance, settings.rotation_components))


def _linear(columns: Sequence[str], tiles: Iterator[Floats], indicator: bool) -> Design:
    """Centre and counts of the covariates.

    The mean is taken over the rows that have a value, as a deviation from the column's first
    value, so that a large offset costs no digits.
    """
    n = 0
    present = np.zeros(len(columns), dtype=np.int64)
    origin, total = np.zeros(len(columns)), np.zeros(len(columns))
    for tile in tiles:
        given = ~np.isnan(tile)
        new = (present == 0) & given.any(axis=0)
        origin[new] = tile[given[:, new].argmax(axis=0), np.flatnonzero(new)]
        total += np.where(given, tile - origin, 0.0).sum(axis=0)
        present += given.sum(axis=0)
        n += tile.shape[0]
    kept = np.flatnonzero(present > 0)
    centre = origin[kept] + total[kept] / present[kept]
    imputed = n - present[kept]
    names = tuple(columns[i] for i in kept.tolist())
    dropped = tuple(columns[i] for i in np.flatnonzero(present == 0).tolist())
    flagged = np.flatnonzero(imputed > 0) if indicator else np.zeros(0, dtype=np.int64)
    centre = np.concatenate([centre, imputed[flagged] / n])
    return Design(names, tuple(names[i] for i in flagged), centre, imputed, dropped)


def _sums(
    design: Design, tiles: Iterator[Floats], with_products: bool
) -> tuple[int, Floats, Floats]:
    """Rows, and sums over them of the expanded features and of their products, if asked for."""
    size = design.centre.size
    n, total = 0, np.zeros(size)
    second = np.zeros((size, size) if with_products else (0, 0))
    for tile in tiles:
        expanded = design.expanded(tile)
        n += tile.shape[0]
        total += expanded.sum(axis=0)
        if with_products:
            second += expanded.T @ expanded
    return n, total, second


def _directions(covariance: Floats, components: int | None) -> Floats:
    """Eigenvectors as columns by falling eigenvalue; the largest entry of each is positive."""
    values, vectors = np.linalg.eigh(covariance)
    vectors = vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(values.size)])
    return np.ascontiguousarray(vectors[:, : components or values.size])
