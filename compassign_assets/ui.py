"""`python -m compassign_assets.ui`: the web UI with its daemon, and the reports, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType

from compassign_assets.environment import prepare_environment
from compassign_assets.report_server import HOST, report_port, serve_reports
from compassign_core.store.project import current_project


def main() -> int:
    """Run until interrupted; returns the exit code of the orchestrator."""
    prepare_environment()
    port = os.environ.get("COMPASSIGN_UI_PORT", "3000")
    serve_reports(current_project().root / "lake" / "rt_report")
    print(f"UI:      http://{HOST}:{port}\nReports: http://{HOST}:{report_port()}", flush=True)
    command = [sys.executable, "-m", "dagster", "dev", "--host", HOST, "--port", port]
    # A session of its own, so that stopping reaches the webserver, daemon and code server alike.
    process = subprocess.Popen(command, start_new_session=True)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        os.killpg(process.pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
