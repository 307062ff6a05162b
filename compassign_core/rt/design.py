"""From covariate columns to the design matrix: which features, their centre, what is imputed.

Belongs here: everything that turns raw covariates (minutes, with gaps) into the centred matrix
that a model multiplies, in the same way at training and at scoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.tables import is_covariate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """How raw covariates become P features.

    Attributes
    ----------
    columns : covariate columns, ``(C,)``, in the order of the features.
    indicators : of these, the ones that also have a 0/1 feature for "missing", ``(I,)``.
    centre : training mean over rows of every feature, ``(P,)`` with P = C + I; minutes for
        covariates. A missing covariate takes it, so that it contributes nothing.
    imputed : missing training values of each of `columns`, ``(C,)``.
    dropped : columns left out because no training row has a value.
    """

    columns: tuple[str, ...]
    indicators: tuple[str, ...]
    centre: Floats
    imputed: npt.NDArray[np.int64]
    dropped: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the P features."""
        return (*self.columns, *(f"missing({name})" for name in self.indicators))

    def matrix(self, raw: Floats) -> Floats:
        """The centred features ``(n, P)`` of raw covariates ``(n, C)``; NaN means missing."""
        missing = np.isnan(raw)
        n_columns = len(self.columns)
        values = np.where(missing, 0.0, raw - self.centre[:n_columns])
        if not self.indicators:
            return values
        flagged = missing[:, [self.columns.index(name) for name in self.indicators]]
        return np.hstack([values, flagged - self.centre[n_columns:]])


def choose_columns(names: Iterable[str], covariates: str, source: str) -> tuple[str, ...]:
    """The covariate columns to use: sorted IS, then sorted RS, then sorted ES_ for ``all``.

    Raises
    ------
    InputError
        when covariates were asked for and `source` has none of them.
    """
    if covariates == "none":
        return ()
    prefixes = ("IS", "RS") if covariates == "standards" else ("IS", "RS", "ES_")
    available = [name for name in names if is_covariate(name)]
    chosen = [name for prefix in prefixes for name in sorted(available) if name.startswith(prefix)]
    if not chosen:
        raise InputError(
            f"{source} has no covariate column although covariates={covariates!r} asks for columns "
            f"beginning with {', '.join(prefixes)}.",
            "join the run covariates to the table, or train with covariates='none'.",
        )
    return tuple(chosen)


def fit_design(columns: Sequence[str], raw: Floats, missing_indicator: bool) -> Design:
    """Learn the centre of raw covariates ``(n, C)``; NaN means missing, n is at least 1.

    The mean of a column is taken over the rows that have a value, in float64 and as a deviation
    from the column's first value, so that a large offset costs no digits.
    """
    missing = np.isnan(raw)
    present = (~missing).sum(axis=0)
    kept = np.flatnonzero(present > 0)
    dropped = tuple(columns[i] for i in np.flatnonzero(present == 0).tolist())
    raw, missing, present = raw[:, kept], missing[:, kept], present[kept]
    origin = raw[missing.argmin(axis=0), np.arange(kept.size)]
    centre = origin + np.where(missing, 0.0, raw - origin).sum(axis=0) / present
    imputed = missing.sum(axis=0).astype(np.int64)
    names = tuple(columns[i] for i in kept.tolist())
    flagged = np.flatnonzero(imputed > 0) if missing_indicator else np.zeros(0, dtype=np.int64)
    shares = imputed[flagged] / max(raw.shape[0], 1)
    indicators = tuple(names[i] for i in flagged)
    return Design(names, indicators, np.concatenate([centre, shares]), imputed, dropped)
