"""Exports that the tests of the preparation share, and what a clean run makes of them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.simulate.export import simulate_export
from compassign_core.simulate.truth import ExportTruth
from tests.support import export_oracle as oracle
from tests.support.pipeline import Pipeline


@dataclass(frozen=True)
class Simulated:
    """A simulated export, and its first library prepared in a lake."""

    truth: ExportTruth
    pipeline: Pipeline

    @property
    def export(self) -> oracle.Export:
        return oracle.export_in(self.truth.folder, self.pipeline.lib)


def _simulated(root: Path, settings: SimulationSettings) -> Simulated:
    truth = simulate_export(root / "export", settings)
    pipeline = Pipeline(truth.libraries_file, settings.libs[0], root / "lake")
    return Simulated(truth, pipeline.run_all())


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A tiny export with pairs of up to 24 rows."""
    return _simulated(tmp_path_factory.mktemp("simulated"), SimulationSettings())


@pytest.fixture(scope="session")
def deep(tmp_path_factory):
    """An export whose pairs stand on both sides of every cap, up to 200 rows."""
    settings = SimulationSettings(
        libs=(902,), seed=3, n_sample_sets=5, n_runs=40, n_comps=10, n_parts=2
    )
    return _simulated(tmp_path_factory.mktemp("deep"), settings)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory):
    """The shipped libraries, each prepared when first asked for: a function of the library."""
    root = tmp_path_factory.mktemp("shipped")

    @cache
    def prepared(lib: int) -> Pipeline:
        return Pipeline(oracle.DATA / "libraries.toml", lib, root / str(lib) / "lake").run_all()

    return prepared


@pytest.fixture
def copy(simulated, tmp_path):
    """A copy of the tiny export and of the lake made of it, to be spoiled."""
    shutil.copytree(simulated.truth.folder, tmp_path / "export")
    shutil.copytree(simulated.pipeline.root, tmp_path / "lake")
    shutil.copytree(simulated.pipeline.root.parent / "registry", tmp_path / "registry")
    return Pipeline(tmp_path / "export" / "libraries.toml", 900, tmp_path / "lake")
