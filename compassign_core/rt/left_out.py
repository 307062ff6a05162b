"""Rows whose predictions, made without them, calibrate windows: which ones, when they are many.

A few million of them place every quantile that is used; more would only be memory.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.identifiers import RUN_KEY
from compassign_core.rt.folds import keyed_hash
from compassign_core.rt.rows import TrainingRows

MOST_LEFT_OUT = 2_000_000
"""Left-out predictions kept at most, in expectation."""

_SEED = 0x6C65667430757400
_ALL = 2**64


def sampled_share(n_left_out: int) -> float:
    """Share of the left-out rows that is kept."""
    return min(1.0, MOST_LEFT_OUT / max(n_left_out, 1))


def sampled_rows(rows: TrainingRows, share: float) -> npt.NDArray[np.bool_]:
    """Which rows are kept, by a hash of run and comp, ``(N,)``: the same in any order."""
    if share >= 1.0:
        return np.ones(rows.y.size, dtype=np.bool_)
    ids = np.column_stack([rows.ids[name] for name in (*RUN_KEY, "comp_id")])
    return keyed_hash(ids, _SEED) < np.uint64(int(share * _ALL))
