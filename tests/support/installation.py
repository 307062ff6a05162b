"""A simulated installation: constants and moves that several test folders share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compassign_core.store.lake import Partition
from compassign_core.store.project import Project, current_project

if TYPE_CHECKING:
    from compassign_assets.runner import Runner

LIB = 305  # one of the code location's partitions; its data are simulated here
CAP = 5


def enter(monkeypatch: pytest.MonkeyPatch, root) -> Project:
    """Make `root` the project of this process."""
    monkeypatch.setenv("COMPASSIGN_ROOT", str(root))
    monkeypatch.setenv("COMPASSIGN_DATA", str(root / "data"))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    return current_project()


def run_all(runner: Runner) -> None:
    """Everything that `make demo` does, for one library and cap."""
    runner.run("chemistry", Partition())
    runner.run("prepare_library", Partition(LIB))
    runner.run("train_and_evaluate", Partition(LIB, CAP))
    runner.run("refresh_warehouse", Partition())


def lake_bytes(project: Project) -> dict[str, bytes]:
    """Content of every file of the lake by its place, less notes and spills in hidden folders."""
    return {
        path.relative_to(project.root / "lake").as_posix(): path.read_bytes()
        for path in lake_files(project)
    }


def lake_files(project: Project) -> list[Path]:
    """Every file of the lake that lies in no hidden folder."""
    root = project.root / "lake"
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(root).parts)
    ]
