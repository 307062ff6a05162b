"""From covariate columns to the design matrix: which features, their centre, what is imputed.

Belongs here: everything that turns raw covariates (minutes, with gaps) into the centred matrix
that a model multiplies, in the same way at training and at scoring. How it is learned from rows
stands in `design_learning`, how it is stored in `design_arrays`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.tables import is_covariate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STANDARD_PREFIXES = ("IS", "RS")
"""Covariates that a polynomial expansion multiplies; the sample's own (ES_) stay linear."""


@dataclass(frozen=True, eq=False)
class Design:
    """How raw covariates become P features.

    E expanded features are the centred covariates, then the indicators, then the products; they
    are the P features unless a rotation makes P of them.

    Attributes
    ----------
    columns : covariate columns, ``(C,)``, in the order of the features.
    indicators : of these, the ones that also have a 0/1 feature for "missing", ``(I,)``.
    centre : training mean over rows of every expanded feature, ``(E,)``; minutes for covariates,
        min² for products. A missing covariate takes it, so that it contributes nothing.
    imputed : missing training values of each of `columns`, ``(C,)``.
    dropped : columns left out because no training row has a value.
    expansion : ``none``, or ``poly2``: squares of the centred, imputed standards and their
        pairwise products. Products of raw covariates span the same functions; of centred ones
        they are nearly orthogonal to the covariates themselves, and far better conditioned.
    rotation : orthonormal directions as columns ``(E, P)``, ``(0, 0)`` for none.
    """

    columns: tuple[str, ...]
    indicators: tuple[str, ...]
    centre: Floats
    imputed: Ints
    dropped: tuple[str, ...] = ()
    expansion: str = "none"
    rotation: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def expanded_names(self) -> tuple[str, ...]:
        """Names of the E features before rotation."""
        missing = (f"missing({name})" for name in self.indicators)
        a, b = self._factors()
        products = (
            f"poly2_sq({self.columns[i]})"
            if i == j
            else f"poly2_int({self.columns[i]},{self.columns[j]})"
            for i, j in zip(a.tolist(), b.tolist(), strict=True)
        )
        return (*self.columns, *missing, *products)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the P features; of a rotated design ``pca_1`` and so on, by falling variance."""
        if not self.rotation.size:
            return self.expanded_names
        return tuple(f"pca_{i + 1}" for i in range(self.rotation.shape[1]))

    @property
    def size(self) -> int:
        """P."""
        return int((self.rotation if self.rotation.size else self.centre[None]).shape[1])

    def matrix(self, raw: Floats) -> Floats:
        """The centred features ``(n, P)`` of raw covariates ``(n, C)``; NaN means missing."""
        expanded = self.expanded(raw)
        return expanded @ self.rotation if self.rotation.size else expanded

    def expanded(self, raw: Floats) -> Floats:
        """The centred features before rotation, ``(n, E)``."""
        n_columns = len(self.columns)
        values = raw - self.centre[:n_columns]
        missing = np.isnan(values)
        values[missing] = 0.0
        parts = [values]
        if self.indicators:
            flagged = missing[:, [self.columns.index(name) for name in self.indicators]]
            parts.append(flagged - self.centre[n_columns : n_columns + len(self.indicators)])
        a, b = self._factors()
        if a.size:
            parts.append(values[:, a] * values[:, b] - self.centre[-a.size :])
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def _factors(self) -> tuple[Ints, Ints]:
        """Columns whose products are features: squares first, then pairs i < j."""
        return product_columns(self.columns if self.expansion == "poly2" else ())


def product_columns(columns: tuple[str, ...]) -> tuple[Ints, Ints]:
    """Places of the two factors of every product of the standards among `columns`."""
    places = np.array(
        [i for i, name in enumerate(columns) if name.startswith(STANDARD_PREFIXES)], dtype=np.int64
    )
    a, b = np.triu_indices(places.size, 1)
    return np.concatenate([places, places[a]]), np.concatenate([places, places[b]])


def choose_columns(names: Iterable[str], covariates: str, source: str) -> tuple[str, ...]:
    """The covariate columns to use: sorted IS, then sorted RS, then sorted ES_ for ``all``.

    Raises
    ------
    InputError
        when covariates were asked for and `source` has none of them.
    """
    if covariates == "none":
        return ()
    prefixes = STANDARD_PREFIXES if covariates == "standards" else (*STANDARD_PREFIXES, "ES_")
    available = [name for name in names if is_covariate(name)]
    chosen = [name for prefix in prefixes for name in sorted(available) if name.startswith(prefix)]
    if not chosen:
        raise InputError(
            f"{source} has no covariate column although covariates={covariates!r} asks for columns "
            f"beginning with {', '.join(prefixes)}.",
            "join the run covariates to the table, or train with covariates='none'.",
        )
    return tuple(chosen)
