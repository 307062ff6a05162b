"""Running jobs in this process, on the project's instance, for what is stale only."""

from __future__ import annotations

import logging
import uuid
from types import TracebackType
from typing import Self

import dagster as dg

from compassign_assets.definitions import defs
from compassign_assets.lost_runs import held, release_lost_runs
from compassign_assets.partitions import write_key
from compassign_core.contracts.errors import CompassignError
from compassign_core.pipeline.lineage import stale
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

progress = logging.getLogger("compassign.progress")
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Runner:
    """Runs jobs one after the other; a failure is noted and the next job still runs.

    Attributes
    ----------
    made, current : artifacts made, and artifacts skipped because nothing had changed.
    failures : messages by job and partition.
    """

    def __init__(self, instance: dg.DagsterInstance | None = None) -> None:
        self._given = instance
        self.made = 0
        self.current = 0
        self.failures: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        self.instance = self._given or dg.DagsterInstance.get()
        release_lost_runs(self.instance)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._given is None:
            self.instance.dispose()

    def run(self, job_name: str, partition: Partition) -> bool:
        """Materialise what is stale of a job's assets; returns whether all of it is good now."""
        place = f"{job_name}, {partition}"
        job = defs.resolve_job_def(job_name)
        names = [
            name for name in ARTIFACTS if dg.AssetKey(name) in job.asset_layer.selected_asset_keys
        ]
        try:
            todo = stale(current_project(), names, partition)
        except CompassignError as error:
            self.failures[place] = [str(error)]
            return False
        self.current += len(names) - len(todo)
        if not todo:
            return True
        run_id = str(uuid.uuid4())
        with held(run_id):
            result = job.execute_in_process(
                instance=self.instance,
                partition_key=write_key(partition),
                asset_selection=[dg.AssetKey(name) for name in todo],
                run_config=_QUIET,
                raise_on_error=False,
                run_id=run_id,
            )
        self.made += len(result.get_asset_materialization_events())
        if not result.success:
            self.failures[place] = _messages(result)
        return result.success


def _messages(result: dg.ExecuteInProcessResult) -> list[str]:
    """What failed, in the words of the step that refused to go on."""
    messages = []
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            if failure is None:
                error = event.step_failure_data.error
                messages.append(f"{event.step_key}: {error.message if error else 'unknown'}")
                continue
            advice = failure.metadata.get("what to do") if failure.metadata else None
            messages.append(failure.description or f"{event.step_key} failed")
            if advice is not None:
                messages.append(f"What to do: {advice.value}")
    return messages
