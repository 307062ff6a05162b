"""Schedules: each library is rebuilt at night, all its caps, off until somebody turns it on."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from compassign_assets.jobs import prepare_library_job
from compassign_assets.sensors import lib_tags
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.libraries import LibrarySettings
from compassign_core.store.project import current_project


def _schedule(lib: int, library: LibrarySettings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"rebuild_lib_{lib}",
        job=prepare_library_job,
        cron_schedule=library.schedule.cron,
        execution_timezone=library.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=(
            f"Prepare library {lib} ({library.title}); the sensor fan_out_caps then rebuilds all "
            "its caps."
        ),
    )
    def rebuild(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        at = context.scheduled_execution_time.isoformat()
        yield dg.RunRequest(
            run_key=f"{lib}:{at}",
            partition_key=str(lib),
            tags=lib_tags(lib),
        )

    return rebuild


def _checked(lib: int, library: LibrarySettings) -> dg.ScheduleDefinition:
    try:
        return _schedule(lib, library)
    except dg.DagsterInvalidDefinitionError as error:
        raise SettingsError(
            f"libraries.toml, [library.{lib}]: schedule.cron {library.schedule.cron!r} is no cron "
            f"schedule ({error}).",
            'write five fields: minute, hour, day, month, weekday, for example "0 2 * * *".',
        ) from error


SCHEDULES = [_checked(lib, library) for lib, library in current_project().libraries.library.items()]
