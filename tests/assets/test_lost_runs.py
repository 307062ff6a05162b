"""A run whose process was killed is failed and its slots are freed; a living one is let be."""

from __future__ import annotations

import os
import subprocess
import sys

import dagster as dg
import pytest

from compassign_assets.definitions import defs
from compassign_assets.lost_runs import held, release_lost_runs
from tests.support.killing import REPOSITORY

_HOLDS = (
    "import sys, time\nfrom compassign_assets.lost_runs import hold\n"
    "hold(sys.argv[1])\nprint('held', flush=True)\ntime.sleep(60)\n"
)


@pytest.fixture
def instance(tmp_path):
    # the one in memory knows no pools
    folder = tmp_path / "history"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as made:
        yield made


def _begun(instance: dg.DagsterInstance) -> str:
    """A run that has begun and holds a slot of a pool."""
    run = instance.create_run_for_job(defs.resolve_job_def("chemistry"))
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None,
            level="debug",
            user_message="",
            run_id=run.run_id,
            timestamp=1.0,
            job_name=run.job_name,
            dagster_event=dg.DagsterEvent("PIPELINE_START", run.job_name),
        )
    )
    storage = instance.event_log_storage
    storage.set_concurrency_slots("scan", 1)
    assert storage.claim_concurrency_slot("scan", run.run_id, "step").is_claimed
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED
    return run.run_id


def _slots(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_run_ids())


def test_a_run_without_a_process_is_failed_and_its_slots_are_freed(project, instance) -> None:
    lost = _begun(instance)
    assert release_lost_runs(instance) == [lost]
    assert instance.get_run_by_id(lost).status is dg.DagsterRunStatus.FAILURE
    assert _slots(instance) == set()
    assert release_lost_runs(instance) == []


def test_a_run_of_this_process_is_let_be_until_it_has_ended(project, instance) -> None:
    run_id = _begun(instance)
    with held(run_id):
        assert release_lost_runs(instance) == []
        assert _slots(instance) == {run_id}
    assert release_lost_runs(instance) == [run_id]


def test_a_run_of_another_process_is_let_be_until_that_is_killed(project, instance) -> None:
    run_id = _begun(instance)
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, run_id],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "held\n"
        assert release_lost_runs(instance) == []
    finally:
        other.kill()
        other.communicate()
    assert release_lost_runs(instance) == [run_id]
    assert not list((project.root / ".dagster" / "running").iterdir())
