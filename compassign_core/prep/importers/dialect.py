"""How a text file is written: its encoding and what separates its cells."""

from __future__ import annotations

import codecs
import csv
import itertools
from dataclasses import dataclass
from pathlib import Path

from compassign_core.contracts.errors import InputError

_HEAD_BYTES = 1 << 16
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = ("\t", ";", ",", "|")


@dataclass(frozen=True)
class Dialect:
    """Encoding (a Python codec) and delimiter of a text file."""

    encoding: str
    delimiter: str

    @property
    def shown(self) -> str:
        """In words, for messages."""
        names = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
        return f"{self.encoding}, {names.get(self.delimiter, self.delimiter)}"


def find_encoding(path: Path, shown: str) -> str:
    """The encoding: UTF-8 or UTF-16, with or without a byte-order mark.

    Raises
    ------
    InputError
        when the file has no byte.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise InputError(f"{shown} is empty (0 bytes).", "export or copy it again.")
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    # Latin text in UTF-16 has a zero in every second byte, and text in UTF-8 has none at all.
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[0::2].count(0) > len(head) // 4:
        return "utf-16-be"
    return "utf-8"


def find_dialect(
    path: Path, shown: str, encoding: str = "auto", delimiter: str = "auto"
) -> Dialect:
    """The dialect of a file with a header; what is not ``auto`` is taken as given.

    The delimiter is the one that splits the first two lines most often, outside quotes.
    """
    if encoding == "auto":
        encoding = find_encoding(path, shown)
    if delimiter == "auto":
        lines = head_lines(path, shown, encoding, 2)
        counts = {
            mark: sum(len(next(csv.reader([line], delimiter=mark), [])) for line in lines)
            for mark in _DELIMITERS
        }
        delimiter = max(_DELIMITERS, key=lambda mark: counts[mark])
    return Dialect(encoding, delimiter)


def head_lines(path: Path, shown: str, encoding: str, n_lines: int) -> list[str]:
    """The first lines that are not blank, without their ends.

    Raises
    ------
    InputError
        when they are not text in this encoding.
    """
    with path.open(encoding=encoding, newline=None) as file:
        try:
            filled = (line.rstrip("\n") for line in file if line.strip())
            return list(itertools.islice(filled, n_lines))
        except UnicodeError as error:
            raise not_this_encoding(shown, encoding, str(error)) from error


def head_rows(path: Path, shown: str, dialect: Dialect, n_rows: int) -> list[list[str]]:
    """The first rows that are not blank, as cells.

    Raises
    ------
    InputError
        when they cannot be read as text.
    """
    with path.open(encoding=dialect.encoding, newline="") as file:
        try:
            rows = (row for row in csv.reader(file, delimiter=dialect.delimiter) if row)
            return list(itertools.islice(rows, n_rows))
        except (UnicodeError, csv.Error) as error:
            raise not_this_encoding(shown, dialect.encoding, str(error)) from error


def not_this_encoding(shown: str, encoding: str, reason: str) -> InputError:
    """The error of a file in another encoding."""
    return InputError(
        f"{shown} is not text in {encoding}: {reason}.",
        'save it as UTF-8, or name its encoding in [library.<id>.import], such as encoding = "cp125'
        '2" for files of a Western Windows.',
    )
