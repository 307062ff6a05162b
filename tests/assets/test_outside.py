"""What a user meets beside the assets: the summary, the report server, the demo's own words."""

from __future__ import annotations

import io
import urllib.error
import urllib.request

import pytest
from rich.console import Console

from compassign_assets import demo
from compassign_assets.report_server import serve_reports
from compassign_core.pipeline.summary import print_summary
from compassign_core.report.address import report_url
from compassign_core.store.lake import Partition
from tests.support.installation import CAP, LIB


def test_the_summary_shows_the_evaluation_as_stored(made) -> None:
    text = io.StringIO()
    print_summary([LIB], [CAP], Console(file=text, width=160))
    shown = text.getvalue()
    for row in made.lake.arrow("rt_evaluation", Partition(LIB, CAP)).to_pylist():
        if row["slice"] == "overall":
            (line,) = [li for li in shown.splitlines() if f"│ {row['model']} " in li]
            assert f"{row['rmse']:.4f}" in line
            assert f"{row['cov95']:.3f}" in line
            assert f"{row['n_rows']:,}" in line


@pytest.fixture
def server(made, monkeypatch):
    monkeypatch.setenv("COMPASSIGN_REPORT_PORT", "0")
    serving = serve_reports(made.root / "lake" / "rt_report")
    monkeypatch.setenv("COMPASSIGN_REPORT_PORT", str(serving.server_port))
    yield serving
    serving.shutdown()
    serving.server_close()


def test_the_report_opens_at_the_address_in_the_metadata(server, made) -> None:
    with urllib.request.urlopen(report_url(Partition(LIB, CAP)), timeout=10) as reply:
        served = reply.read()
    report = made.lake.need("rt_report", Partition(LIB, CAP), "report.html")
    assert served == report.read_bytes()


def test_the_report_server_is_on_loopback_and_serves_nothing_else(server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    base = report_url(Partition(LIB, CAP)).removesuffix("report.html")
    for other in ("lineage.json", "../../../rt_table/data.parquet", "%2e%2e/%2e%2e/x"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(base + other, timeout=10)
        assert caught.value.code == 404


def test_the_demo_names_its_choices(capsys) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--help"])
    assert "--lib" in capsys.readouterr().out
