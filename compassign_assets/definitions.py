"""The code location, as a table of contents: assets, jobs, schedules, sensors, resources."""

import dagster as dg

from compassign_assets.assets import ASSETS
from compassign_assets.io_manager import LakeIOManager
from compassign_assets.jobs import JOBS
from compassign_assets.schedules import SCHEDULES
from compassign_assets.sensors import SENSORS

defs = dg.Definitions(
    assets=ASSETS,
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=SENSORS,
    resources={"io_manager": LakeIOManager()},
    # One process a run: parallelism is over partitions, through the run queue and the pools.
    executor=dg.in_process_executor,
)
