"""What each field of a settings class means, read from the class's own docstring."""

from __future__ import annotations

import inspect
import re

from compassign_core.contracts.settings.base import Settings

_ENTRY = re.compile(r"(\w+(?:, \w+)*) : (.*)")


def descriptions(settings: type[Settings]) -> dict[str, str]:
    """The text of each field under ``Attributes``, as one line; inherited fields included.

    A field that no docstring explains is left out.
    """
    found: dict[str, str] = {}
    for one in reversed(settings.__mro__):
        if issubclass(one, Settings):
            found |= _entries(inspect.cleandoc(one.__dict__.get("__doc__") or ""))
    return {name: text for name, text in found.items() if name in settings.model_fields}


def _entries(text: str) -> dict[str, str]:
    """Entries ``name, name : text`` of the section ``Attributes``, with their indented lines."""
    found: dict[str, str] = {}
    names: list[str] = []
    section = text.partition("Attributes\n----------\n")[2]
    for line in section.splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry:
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif line.startswith("    "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        elif line.strip():
            break
    return found
