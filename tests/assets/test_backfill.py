"""The platform as a service: web server, daemon, run queue and one backfill over all caps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from compassign_core.contracts.identifiers import CAPS
from compassign_core.pipeline.stages import ARTIFACTS
from tests.support.installation import LIB

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
STATUS = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      runs(limit: 50) { status startTime endTime tags { key value } }
    }
  }
}"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """`python -m compassign_assets.ui` in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.port = _free_port()
        environment = {
            **os.environ,
            "COMPASSIGN_ROOT": str(root),
            "COMPASSIGN_DATA": str(root / "data"),
            "COMPASSIGN_UI_PORT": str(self.port),
            "COMPASSIGN_REPORT_PORT": str(_free_port()),
            "PYTHONPATH": str(REPOSITORY),
        }
        self.log = (root / "service.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "compassign_assets.ui"],
            cwd=root,
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)["data"]

    def wait_until_up(self, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if "version" in self.ask("{ version }"):
                    return
            except OSError:
                time.sleep(1)
        raise TimeoutError("the web server did not answer")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        self.log.close()


@pytest.fixture
def service(finished, tmp_path):
    """A service on a project whose chemistry is made and whose library is not."""
    shutil.copytree(finished / "data", tmp_path / "data")
    for name in ("structures", "chem_descriptors", "chem_classes"):
        shutil.copytree(finished / "lake" / name, tmp_path / "lake" / name)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    running = Service(tmp_path)
    try:
        running.wait_until_up()
        yield running, tmp_path
    finally:
        running.stop()


def _partition(run: dict[str, Any]) -> str:
    return next(tag["value"] for tag in run["tags"] if tag["key"] == "dagster/partition")


def test_one_backfill_makes_a_library_and_all_its_caps_in_parallel(service) -> None:
    running, root = service
    selection = [{"path": [name]} for name, record in ARTIFACTS.items() if record.dimensions]
    launched = running.ask(
        LAUNCH, params={"assetSelection": selection, "partitionNames": [str(LIB)]}
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    end = time.monotonic() + 420
    while True:
        state = running.ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]
        if state["status"].startswith("COMPLETED") or time.monotonic() > end:
            break
        time.sleep(3)
    assert state["status"] == "COMPLETED_SUCCESS", (root / "service.log").read_text()[-3000:]
    runs = {_partition(run): run for run in state["runs"]}
    assert set(runs) == {str(LIB), *(f"{LIB}|{cap}" for cap in CAPS)}
    assert {run["status"] for run in runs.values()} == {"SUCCESS"}
    caps = [run for place, run in runs.items() if "|" in place]
    together = max(
        sum(other["startTime"] < run["endTime"] and run["startTime"] < other["endTime"]
            for other in caps)
        for run in caps
    )  # fmt: skip
    assert together > 1, "the caps ran one after the other"
    for cap in CAPS:
        folder = root / "lake" / "rt_report" / f"lib_id={LIB}" / f"row_cap={cap}"
        assert (folder / "report.html").stat().st_size > 1_000_000
    assert not list((root / "lake").rglob("*.aside"))
