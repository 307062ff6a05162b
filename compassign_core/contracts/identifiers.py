"""Identifiers: libraries, caps, group keys, and the quoting of names that reach SQL or a path."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import SettingsError

CAPS: tuple[int, ...] = (5, 10, 20, 50, 100)
"""Most rows kept per (species, comp) pair, one value a partition."""

MAX_CAP = max(CAPS)

MAX_COMP_ID = 2**32 - 1
"""Largest id of a library entry: it is the lower half of a group key."""

RUN_KEY = ("sampleset_id", "worksheet_id", "task_id")
"""One injection."""

_ARTIFACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TRIAL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def parse_lib(text: str) -> int:
    """Read a library id, a positive whole number.

    Raises
    ------
    SettingsError
        when `text` is anything else, so that it can never reach a path or a query.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}", str(text)):
        raise SettingsError(
            f"library id {text!r} is not a positive whole number.",
            "name the library by its number, for example 100, as in data/libraries.toml.",
        )
    return int(text)


def parse_cap(text: str) -> int:
    """Read a cap, one of `CAPS`.

    Raises
    ------
    SettingsError
        when `text` is no such cap.
    """
    if not re.fullmatch(r"[0-9]{1,4}", str(text)) or int(text) not in CAPS:
        raise SettingsError(
            f"cap {text!r} is not one of {', '.join(map(str, CAPS))}.",
            "choose one of these caps.",
        )
    return int(text)


def check_artifact_name(name: str) -> str:
    """Return `name` when it may stand in a path and in SQL, else raise `SettingsError`."""
    if not _ARTIFACT_NAME.fullmatch(name):
        raise SettingsError(
            f"artifact name {name!r} is not legal.",
            "use lower-case letters, digits and underscores, beginning with a letter.",
        )
    return name


def check_trial_name(name: str) -> str:
    """Return `name` when a trial may be called so, in a path and a table, else `SettingsError`."""
    if not _TRIAL_NAME.fullmatch(name):
        raise SettingsError(
            f"trial name {name!r} is not legal.",
            "use lower-case letters, digits, underscores and hyphens, beginning with a letter, "
            "63 characters at most.",
        )
    return name


def quote_name(name: str) -> str:
    """Quote a column or table name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Quote a text value for the few places where SQL takes no bound parameter."""
    return "'" + text.replace("'", "''") + "'"


def group_keys(group_id: npt.ArrayLike, comp_id: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Encode (group, comp) pairs as ``(group_id << 32) + comp_id``, shape ``(n,)``.

    Raises
    ------
    ValueError
        when an id is negative or does not fit in 31 (group) or 32 (comp) bits.
    """
    groups = np.asarray(group_id, dtype=np.int64)
    comps = np.asarray(comp_id, dtype=np.int64)
    for name, ids, limit in (("group_id", groups, 1 << 31), ("comp_id", comps, MAX_COMP_ID + 1)):
        if ids.size and (ids.min() < 0 or ids.max() >= limit):
            raise ValueError(f"{name} must lie in [0, {limit}), got {ids.min()}..{ids.max()}")
    return (groups << 32) + comps


def split_group_keys(
    keys: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Decode group keys into ``(group_id, comp_id)``, each of shape ``(n,)``."""
    return keys >> 32, keys & 0xFFFFFFFF


def first(items: Sequence[object], count: int = 20) -> str:
    """The first `count` items as text, saying how many more there are."""
    shown = ", ".join(str(item) for item in items[:count])
    return shown + (f" and {len(items) - count} more" if len(items) > count else "")
