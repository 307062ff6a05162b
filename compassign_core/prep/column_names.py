"""Which column was probably meant, when a needed one is not there."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

_LIKENESS = 0.6


def nearest_names(missing: Sequence[str], present: Sequence[str]) -> str:
    """Words for the end of a message that lists what is there; empty when nothing is alike.

    Case, spaces and underscores do not count, so that ``Apex RT`` is found for ``apex_rt``.
    """
    plain = {_plain(name): name for name in reversed(present)}
    found = {
        name: plain[near[0]]
        for wanted in missing
        for name in wanted.split(" or ")
        if (near := get_close_matches(_plain(name), plain, n=1, cutoff=_LIKENESS))
    }
    words = ", ".join(f"{near!r} for {name}" for name, near in found.items())
    return f"; perhaps {words}" if words else ""


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())
