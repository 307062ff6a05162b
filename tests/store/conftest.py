"""A lake in a temporary folder, and rows that keep a small contract."""

from __future__ import annotations

import pytest

from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", connect(EngineSettings()))
