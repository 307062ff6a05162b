"""Support and novelty: how many training rows stand behind a prediction, and what was never seen.

The bins and words are those of the catalogue.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BIN_EDGES

_MAX_GROUP = 1 << 31
_MAX_COMP = 1 << 32


def support_bin_index(n_train: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Index into `SUPPORT_BINS` of each number of training rows; upper edges are inclusive."""
    return np.searchsorted(np.asarray(SUPPORT_BIN_EDGES), np.asarray(n_train), side="left")


def lookup(
    sorted_keys: npt.NDArray[np.int64], keys: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Position of each of `keys` in `sorted_keys`, -1 where it is absent; shape of `keys`."""
    if sorted_keys.size == 0:
        return np.full(keys.shape, -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(sorted_keys, keys), sorted_keys.size - 1)
    return np.where(sorted_keys[place] == keys, place, -1)


def safe_keys(
    group_id: npt.NDArray[np.int64], comp_id: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Group keys as `group_keys` makes them, but -1 (never trained) where an id has no key."""
    legal = (group_id >= 0) & (group_id < _MAX_GROUP) & (comp_id >= 0) & (comp_id < _MAX_COMP)
    return np.where(legal, (np.where(legal, group_id, 0) << 32) + np.where(legal, comp_id, 0), -1)


def novelty_index(
    species: npt.NDArray[np.int64],
    comp_id: npt.NDArray[np.int64],
    trained_pairs: npt.NDArray[np.int64],
    trained_species: npt.NDArray[np.int64],
    trained_comps: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Index into `NOVELTY` of each (species, comp), the rarer kind first.

    seen: the pair trained; unseen_compound: the comp never did; unseen_species: the species never
    did; unseen_pair: both did, but not together. The trained arrays are sorted.
    """
    seen = lookup(trained_pairs, safe_keys(species, comp_id)) >= 0
    new_comp = lookup(trained_comps, comp_id) < 0
    new_species = lookup(trained_species, species) < 0
    kinds = [NOVELTY.index(k) for k in ("seen", "unseen_compound", "unseen_species")]
    return np.select([seen, new_comp, new_species], kinds, NOVELTY.index("unseen_pair"))
