"""Which column of a file holds what: the names each program gives its columns.

Skyline writes its captions in the language of its user interface, or "invariant", as one word;
English, Japanese and Chinese captions are those of its own resource files. Names are compared
without regard to case, spaces and punctuation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.canonical import NEEDED, ROLES

SKYLINE: Mapping[str, Sequence[str]] = {
    "run": (
        *("Replicate Name", "繰り返し測定名", "重复测定名称"),
        *("Replicate", "繰り返し測定", "重复测定"),
    ),
    "compound": (
        *("Molecule Name", "Molecule", "分子名", "分子名称", "分子"),
        *("Peptide Modified Sequence", "ペプチド修飾シークエンス", "肽段修饰序列"),
        *("Peptide Sequence", "Peptide", "ペプチドシークエンス", "ペプチド", "肽段序列", "肽段"),
    ),
    "rt": (
        *("Retention Time", "保持時間", "保留时间"),
        *("Best Retention Time", "最良保持時間", "最佳保留时间"),
        *("Molecule Retention Time", "分子保持時間", "分子保留时间"),
        *("Peptide Retention Time", "ペプチド保持時間", "肽段保留时间"),
    ),
    "area": ("Area", "面積", "面积", "Total Area", "総面積", "总面积"),
    "sample_type": ("Sample Type", "試料タイプ", "样品类型"),
    "group": ("Molecule List Name", "Molecule List", "分子リスト名", "分子列表名称"),
    "standard": (
        *("Isotope Label Type", "同位体標識タイプ", "同位素标记类型"),
        *("Standard Type", "標準タイプ", "标准类型"),
    ),
}
MASSHUNTER: Mapping[str, Sequence[str]] = {
    "run": ("Data File", "Data File Name", "Sample Name", "Sample"),
    "compound": ("Compound Name", "Compound", "Target Compound", "Name"),
    "rt": ("RT", "Ret. Time", "Retention Time"),
    "area": ("Area", "Resp.", "Response"),
    "sample_type": ("Sample Type", "Type"),
    "group": ("Compound Group", "CmpdGroup"),
    "standard": ("Compound Type", "Target Type"),
}
TARGETLYNX: Mapping[str, Sequence[str]] = {
    "run": ("Sample Name", "File Name", "Name"),
    "compound": ("Compound Name", "Compound", "Analyte"),
    "rt": ("RT", "Retention Time", "Found RT"),
    "area": ("Area", "Peak Area"),
    "sample_type": ("Type", "Sample Type"),
    "group": ("Compound Group",),
}
BY_KIND: Mapping[str, Mapping[str, Sequence[str]]] = {
    "skyline": SKYLINE,
    "masshunter": MASSHUNTER,
    "targetlynx": TARGETLYNX,
    "mztab_m": {},
    "long": {},
}


def plain(name: str) -> str:
    """A name without what its spelling can differ in."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def match_columns(
    settings: ImportSettings,
    present: Sequence[str],
    shown: str,
    needed: Sequence[str] = NEEDED,
    roles: Sequence[str] = ROLES,
) -> dict[str, tuple[str, ...]]:
    """Columns of a file by role; a compound can have several.

    Parameters
    ----------
    settings : the kind, and columns named by the user, which are looked for first.
    present : names of the file's columns.
    shown : the file, for messages.
    needed : roles that must be there.
    roles : roles that are looked for.

    Raises
    ------
    InputError
        when a column that the user named, or one that is needed, is not there.
    """
    places = {plain(name): name for name in reversed(present)}
    found: dict[str, tuple[str, ...]] = {}
    for role in roles:
        given = getattr(settings.columns, role)
        if given is not None:
            wanted = (given,) if isinstance(given, str) else given
            absent = [name for name in wanted if name not in present and plain(name) not in places]
            if absent:
                raise InputError(
                    f"{shown} has no column {absent[0]!r}, named as columns.{role}; it has "
                    f"{', '.join(present)}.",
                    "correct the name under [library.<id>.import.columns] in libraries.toml.",
                )
            found[role] = tuple(name if name in present else places[plain(name)] for name in wanted)
            continue
        known = [
            places[plain(n)] for n in BY_KIND[settings.kind].get(role, ()) if plain(n) in places
        ]
        free = [name for name in known if (name,) not in found.values()]
        if free:
            found[role] = (free[0],)
    missing = [role for role in needed if role not in found]
    if missing:
        raise InputError(
            f"{shown}: no column of a {settings.kind} file is known to hold {', '.join(missing)}; "
            f"it has {', '.join(present)}.",
            f'name it under [library.<id>.import.columns], for example {missing[0]} = "…", or '
            "export the results with it.",
        )
    return found
