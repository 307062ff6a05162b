from __future__ import annotations

import os
from datetime import UTC, datetime

import dagster as dg
import pytest

from compassign_assets.definitions import defs
from compassign_assets.schedules import SCHEDULES
from compassign_assets.sensors import ALL_CAPS_TAG, fan_out_caps, new_export_sensor
from compassign_core.contracts.identifiers import CAPS
from compassign_core.simulate import dirt
from tests.support.installation import LIB


def _look(cursor: str | None = None) -> dg.SensorResult:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, definitions=defs, sensor_name="new_export_sensor"
        )
        result = new_export_sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_new_export_is_asked_for_once(project) -> None:
    first = _look()
    asked = {(r.job_name, r.partition_key) for r in first.run_requests}
    assert asked == {("prepare_library", str(LIB)), ("chemistry", None)}
    again = _look(first.cursor)
    assert again.run_requests == []
    assert "no change" in str(again.skip_reason)


def test_a_changed_shard_is_asked_for_again(project) -> None:
    first = _look()
    dirt.duplicate_peaks(project.data, LIB)
    second = _look(first.cursor)
    assert [(r.job_name, r.partition_key) for r in second.run_requests] == [
        ("prepare_library", str(LIB))
    ]
    keys = [r.run_key for r in (*first.run_requests, *second.run_requests)]
    assert len(set(keys)) == len(keys)


def test_a_touched_structures_file_asks_for_chemistry_only(project) -> None:
    first = _look()
    file = project.data / "structures.parquet"
    later = file.stat().st_mtime + 10
    os.utime(file, (later, later))
    assert [r.job_name for r in _look(first.cursor).run_requests] == ["chemistry"]


def test_a_library_whose_export_is_gone_is_passed_over_and_named(project) -> None:
    first = _look()
    dirt.empty_export(project.data, LIB)
    second = _look(first.cursor)
    assert second.run_requests == []
    assert str(LIB) in str(second.skip_reason)


def _after(tags: dict[str, str]) -> list[object]:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(job_name="prepare_library", tags=tags)
        event = dg.DagsterEvent("PIPELINE_SUCCESS", "prepare_library")
        context = dg.build_run_status_sensor_context("fan_out_caps", event, instance, run)
        return list(fan_out_caps(context))


def test_a_scheduled_preparation_is_followed_by_every_cap() -> None:
    asked = _after({"dagster/partition": "101", ALL_CAPS_TAG: "all"})
    assert [r.partition_key for r in asked] == [f"101|{cap}" for cap in CAPS]
    assert len({r.run_key for r in asked}) == len(CAPS)


def test_a_preparation_by_hand_is_left_alone() -> None:
    (skipped,) = _after({"dagster/partition": "101"})
    assert isinstance(skipped, dg.SkipReason)


def test_there_is_one_schedule_a_library_and_all_are_off() -> None:
    assert {schedule.name for schedule in SCHEDULES} == {
        f"rebuild_lib_{lib}" for lib in (100, 101, 109, 208, 209, 305, 400, 402)
    }
    for schedule in SCHEDULES:
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_a_schedule_asks_for_its_library_and_all_its_caps(schedule) -> None:
    at = datetime(2026, 1, 2, 2, 0, tzinfo=UTC)
    context = dg.build_schedule_context(
        scheduled_execution_time=at, repository_def=defs.get_repository_def()
    )
    (asked,) = schedule.evaluate_tick(context).run_requests
    assert asked.partition_key == schedule.name.removeprefix("rebuild_lib_")
    assert asked.tags[ALL_CAPS_TAG] == "all"
