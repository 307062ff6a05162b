"""The registry of species and supercategory ids of a library: it only ever grows.

A label keeps its integer for life, so that coefficients keyed by it stay valid when a new species
appears. One CSV per library: ``kind,label,id``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from filelock import FileLock

from compassign_core.contracts.errors import InputError
from compassign_core.store.atomic import write_text

KINDS = ("species", "supercategory")
NAME_KINDS = ("sample_set", "worksheet", "run", "compound")
"""Kinds of names that an import gives ids to; they stand in a file of their own."""

_RESTORE = "restore the file from version control; it is never edited by hand."


def registry_file(folder: Path, lib: int) -> Path:
    """The registry of a library."""
    return folder / f"lib{lib:d}_ids.csv"


def names_file(folder: Path, lib: int) -> Path:
    """The registry of the names that a library's imported results go by."""
    return folder / f"lib{lib:d}_names.csv"


def read_registry(file: Path, kinds: Sequence[str] = KINDS) -> dict[str, dict[str, int]]:
    """Label to id, by kind; empty when the library has no registry yet.

    Raises
    ------
    InputError
        when the file was edited into something that no longer gives each label one id.
    """
    ids: dict[str, dict[str, int]] = {kind: {} for kind in kinds}
    taken: dict[str, set[int]] = {kind: set() for kind in kinds}
    if not file.exists():
        return ids
    for number, row in enumerate(_lines(file), start=2):
        kind, label, text = row.get("kind"), row.get("label"), row.get("id") or ""
        known = ids.get(kind or "")
        if known is None or not label or not (text.isascii() and text.isdigit()):
            raise InputError(f"{file.name}, line {number}: {row} is no registry entry.", _RESTORE)
        if label in known or int(text) in taken[kind or ""]:
            raise InputError(
                f"{file.name}, line {number}: label {label!r} or id {text} occurs twice.", _RESTORE
            )
        known[label] = int(text)
        taken[kind or ""].add(int(text))
    return ids


def _lines(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file.name} is no CSV text in UTF-8: {error}.", _RESTORE) from error


def assign_ids(
    file: Path, labels: dict[str, Iterable[str]], kinds: Sequence[str] = KINDS
) -> dict[str, dict[str, int]]:
    """Ids of all labels; new labels get the next ids, in sorted order, and are written down.

    Parameters
    ----------
    file : the library's registry.
    labels : labels in use, by kind.
    kinds : all kinds that the registry holds.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock"), timeout=60):
        ids = read_registry(file, kinds)
        grown = False
        for kind in kinds:
            known = ids[kind]
            following = max(known.values(), default=-1) + 1
            for label in sorted(set(labels.get(kind, ())) - set(known)):
                known[label] = following
                following += 1
                grown = True
        if grown:
            text = io.StringIO()
            # labels are quoted, for one may hold a line break of any kind
            writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(("kind", "label", "id"))
            for kind in kinds:
                for label, number in sorted(ids[kind].items(), key=lambda item: item[1]):
                    writer.writerow((kind, label, number))
            write_text(file, text.getvalue())
    return ids
