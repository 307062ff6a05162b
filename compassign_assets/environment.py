"""The process environment that keeps the orchestrator inside the project's folder."""

from __future__ import annotations

import os
from pathlib import Path

from compassign_core.store.project import current_project


def prepare_environment() -> Path:
    """Point the orchestrator at the project's `dagster.yaml`, telemetry off; returns the root.

    Paths in `dagster.yaml` are relative to the working directory, so that is the root too.
    """
    root = current_project().root
    os.environ["DAGSTER_HOME"] = str(root)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    # MPLCONFIGDIR: matplotlib would otherwise write its font cache to the user's home.
    os.environ.setdefault("MPLCONFIGDIR", str(root / ".dagster" / "matplotlib"))
    (root / ".dagster").mkdir(exist_ok=True)
    os.chdir(root)
    return root
