"""Folds of whole runs by a keyed hash of their ids, the same on every machine and row order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

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


@dataclass(frozen=True, eq=False)
class Folds:
    """Which fold each unit is in.

    Attributes
    ----------
    hashes : hashes of the distinct units, sorted, ``(U,)``; a unit's place, dealt round, is its
        fold. Units are told apart by their 64-bit hash.
    seed : key of the hash.
    used : number of folds, never more than units.
    """

    hashes: npt.NDArray[np.uint64]
    seed: int
    used: int

    @classmethod
    def deal(cls, units: npt.NDArray[np.int64], folds: int, seed: int) -> Self:
        """Deal the distinct units among ids ``(n, k)`` round, in the order of their hash.

        Folds hold equally many units (within one) and depend on the set of units only.
        """
        hashes = np.unique(keyed_hash(units, seed))
        return cls(hashes, seed, min(folds, hashes.size))

    def of(self, units: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Fold of each of the units dealt, by its ids ``(n, k)``, ``(n,)``."""
        return np.searchsorted(self.hashes, keyed_hash(units, self.seed)) % self.used


def assign_folds(
    units: npt.NDArray[np.int64], folds: int, seed: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Fold of each row, by the unit whose ids ``(n, k)`` it carries, and the number of folds."""
    dealt = Folds.deal(units, folds, seed)
    return dealt.of(units), dealt.used
