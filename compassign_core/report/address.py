"""Where a report can be opened while the reports are served on loopback."""

from __future__ import annotations

import os

from compassign_core.store.lake import Partition

HOST = "127.0.0.1"
REPORT_FILE = "report.html"


def report_port() -> int:
    """Port of the report server, COMPASSIGN_REPORT_PORT or 3001."""
    return int(os.environ.get("COMPASSIGN_REPORT_PORT", "3001"))


def report_url(partition: Partition) -> str:
    """Address of a partition's report."""
    return f"http://{HOST}:{report_port()}/{partition.folder().as_posix()}/{REPORT_FILE}"
