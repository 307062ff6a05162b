"""Quadratic forms of packed symmetric matrices, a matrix a row; NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CACHED_VALUES = 1 << 18
"""Numbers of gathered matrices worked on at a time: 2 MiB, which stays in a core's cache."""


def parts(n: int, q: int, values: int = CACHED_VALUES) -> Iterator[slice]:
    """Parts of n rows whose packed matrices of q rows have about so many `values`."""
    step = max(1, values // (q * (q + 1) // 2))
    for begin in range(0, n, step):
        yield slice(begin, min(begin + step, n))


def quadratic_forms(x: Floats, packed: Floats) -> Floats:
    """``x' S x`` of every row, ``(n,)``: x ``(n, q)``, lower triangles ``(n, q(q+1)/2)``.

    One row of all triangles at a time, which needs no products of pairs of x to be written out.
    """
    total = np.zeros(x.shape[0])
    begin = 0
    for i in range(x.shape[1]):
        row = packed[:, begin : begin + i + 1]
        # what stands left of the diagonal counts twice
        left = 2.0 * np.einsum("nj,nj->n", row[:, :i], x[:, :i])
        total += x[:, i] * (left + row[:, i] * x[:, i])
        begin += i + 1
    return total
