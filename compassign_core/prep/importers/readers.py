"""Which reader reads which kind of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.prep.importers.long import read_long
from compassign_core.prep.importers.masshunter import read_masshunter
from compassign_core.prep.importers.mztab import read_mztab_m
from compassign_core.prep.importers.targetlynx import read_targetlynx

Reader = Callable[
    [duckdb.DuckDBPyConnection, Path, str, ImportSettings], AbstractContextManager[str]
]

READERS: Mapping[str, Reader] = {
    "skyline": read_long,
    "long": read_long,
    "masshunter": read_masshunter,
    "targetlynx": read_targetlynx,
    "mztab_m": read_mztab_m,
}
"""By kind; each yields SQL of the canonical table, readable once, while its block runs."""
