"""A simulated installation of its own for each test, with an orchestrator instance in memory.

The orchestrator is imported inside fixtures, so that tests of the core do not load it.
"""

from __future__ import annotations

import shutil

import pytest

from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.simulate.export import simulate_export
from compassign_core.store.project import Project
from tests.support.installation import LIB, enter, run_all


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A simulated export that no test changes, and its truth."""
    root = tmp_path_factory.mktemp("exported")
    truth = simulate_export(root / "data", SimulationSettings(libs=(LIB,), n_sample_sets=4))
    return root, truth


@pytest.fixture
def project(exported, tmp_path, monkeypatch) -> Project:
    """A copy of the simulated export as the current project; nothing is made yet."""
    shutil.copytree(exported[0] / "data", tmp_path / "data")
    return enter(monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def finished(exported, tmp_path_factory):
    """A project in which everything of one library and cap has been made."""
    import dagster as dg

    from compassign_assets.runner import Runner

    root = tmp_path_factory.mktemp("finished")
    shutil.copytree(exported[0] / "data", root / "data")
    with pytest.MonkeyPatch.context() as patch:
        enter(patch, root)
        with dg.DagsterInstance.ephemeral() as instance, Runner(instance) as runner:
            run_all(runner)
            assert runner.failures == {}
    return root


@pytest.fixture
def made(finished, tmp_path, monkeypatch) -> Project:
    """A copy of the finished project, to be changed."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return enter(monkeypatch, tmp_path)


@pytest.fixture
def runner():
    """A runner on an instance in memory."""
    import dagster as dg

    from compassign_assets.runner import Runner

    with dg.DagsterInstance.ephemeral() as instance, Runner(instance) as made:
        yield made
