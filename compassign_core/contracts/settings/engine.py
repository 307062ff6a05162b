"""Settings of the relational engine."""

from __future__ import annotations

from pydantic import Field

from compassign_core.contracts.settings.base import Settings


class EngineSettings(Settings):
    """How much of the machine one process may use."""

    memory_limit: str = Field(
        "4GB", pattern=r"^[0-9]+(\.[0-9]+)?(KB|MB|GB|TB)$", description="then DuckDB spills"
    )
    threads: int = Field(2, ge=1, le=256)
    temp_directory: str = Field("", description="where DuckDB spills; empty for its default")
