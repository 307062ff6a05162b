"""Folds of whole runs by a keyed hash of their ids, the same on every machine and row order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def keyed_hash(ids: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each row of integer `ids` ``(n, k)``, shape ``(n,)``.

    Each id is added to the state and stirred with the SplitMix64 finaliser (Steele, Lea and
    Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), integers only.
    """
    state = np.full(ids.shape[0], seed, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in range(ids.shape[1]):
            state = _stir(state + ids[:, column].astype(np.uint64) + _GOLDEN)
    return state


def _stir(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def assign_folds(
    units: npt.NDArray[np.int64], folds: int, seed: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Fold of each row, by the unit whose ids ``(n, k)`` it carries, and the number of folds.

    The distinct units are dealt round in the order of their hash, so folds hold equally many
    units (within one) and depend on the set of units only. There are never more folds than units.
    """
    unique, inverse = np.unique(units, axis=0, return_inverse=True)
    used = min(folds, unique.shape[0])
    order = np.argsort(keyed_hash(unique, seed), kind="stable")
    fold = np.empty(unique.shape[0], dtype=np.int64)
    fold[order] = np.arange(unique.shape[0]) % used
    return fold[inverse.reshape(-1)], used
