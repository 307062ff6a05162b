"""Where an installation keeps its things, and the settings that all of it shares.

Everything hangs on one folder, the project root: the working directory, or COMPASSIGN_ROOT. The
folder of `libraries.toml` is `data/` in it, or COMPASSIGN_DATA.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.libraries import Libraries, LibrarySettings, load_libraries
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake


@dataclass(frozen=True)
class Project:
    """Paths of one installation."""

    root: Path
    data: Path

    @property
    def libraries(self) -> Libraries:
        """The libraries as `libraries.toml` describes them now."""
        return load_libraries(self.data / "libraries.toml")

    def library(self, lib: int) -> LibrarySettings:
        """The entry of one library."""
        return self.libraries.get(lib)

    @property
    def lake(self) -> Lake:
        """The lake, on the process's one engine connection."""
        return Lake(self.root / "lake", connect(self.engine))

    @property
    def engine(self) -> EngineSettings:
        """How much of the machine a run may use."""
        values = {
            "memory_limit": os.environ.get("COMPASSIGN_MEMORY_LIMIT", "4GB"),
            "threads": os.environ.get("COMPASSIGN_THREADS", "2"),
            "temp_directory": str(self.root / "lake" / ".spill"),
        }
        return EngineSettings.parse(values, "the environment (COMPASSIGN_…)")

    @property
    def registry(self) -> Path:
        """Folder of the id registries."""
        return self.data / "registry"

    @property
    def warehouse(self) -> Path:
        """The database of views over the lake."""
        return self.root / "warehouse.duckdb"


def current_project() -> Project:
    """The project of this process, from its environment or working directory."""
    root = Path(os.environ.get("COMPASSIGN_ROOT", ".")).resolve()
    data = Path(os.environ.get("COMPASSIGN_DATA", root / "data")).resolve()
    return Project(root, data)
