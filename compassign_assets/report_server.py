"""Serving the HTML reports on loopback beside the UI, since a web page may not link to a file."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from compassign_core.report.address import HOST, REPORT_FILE, report_port


class _Reports(SimpleHTTPRequestHandler):
    """Serves reports and the folders that lead to them; nothing else, and nothing is logged."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_dir() or path.name == REPORT_FILE:
            super().do_GET()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal for the orchestrator."""


def serve_reports(folder: Path) -> ThreadingHTTPServer:
    """Start serving in a background thread; raises OSError when the port is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = partial(_Reports, directory=str(folder))
    server = ThreadingHTTPServer((HOST, report_port()), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server
