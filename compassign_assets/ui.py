"""`python -m compassign_assets.ui`: the web UI with its daemon, and the reports, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType

import dagster as dg

from compassign_assets.environment import prepare_environment
from compassign_assets.lost_runs import release_lost_runs
from compassign_assets.report_server import serve_reports
from compassign_core.report.address import HOST, report_port
from compassign_core.store.project import current_project

PATIENCE_S = 10
"""Seconds that the orchestrator gets to end by itself."""


def main() -> int:
    """Run until interrupted; returns the exit code of the orchestrator."""
    prepare_environment()
    with dg.DagsterInstance.get() as instance:
        if lost := release_lost_runs(instance):
            print(f"{len(lost)} runs of processes that were killed were marked as failed.")
    port = os.environ.get("COMPASSIGN_UI_PORT", "3000")
    try:
        serve_reports(current_project().root / "lake" / "rt_report")
    except OSError as error:
        print(
            f"Port {report_port()} on {HOST} is taken ({error.strerror}). Is `make ui` running "
            "already? Otherwise set COMPASSIGN_REPORT_PORT to a free port.",
            file=sys.stderr,
        )
        return 1
    print(f"UI:      http://{HOST}:{port}\nReports: http://{HOST}:{report_port()}", flush=True)
    # `dagster dev` recommends its successor, which wants settings that shadow workspace.yaml.
    quiet = "ignore:Function `dev_command` is superseded"
    command = [sys.executable, "-W", quiet, "-m", "dagster", "dev", "--host", HOST, "--port", port]
    # A session of its own, so that stopping reaches the webserver, daemon and code server alike.
    process = subprocess.Popen(command, start_new_session=True)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(process)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the orchestrator's processes: asked first, then, since some linger, made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=PATIENCE_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    sys.exit(main())
