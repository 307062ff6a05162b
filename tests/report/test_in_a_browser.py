"""The script of the page in a real browser, where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from compassign_core.report.inputs import ReportInputs
from compassign_core.report.page import render

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = "</script><img src=x onerror=\"document.title='taken'\">"

# Runs after the page's own script: types a search, saves both tables, and writes down the result.
PROBE = """
<script>
const saved = [];
URL.createObjectURL = (blob) => { saved.push(blob); return "#"; };
const rows = () => [...document.querySelectorAll("#windows-table tbody tr")];
const first = rows().length;
const search = document.getElementById("windows-search");
search.value = "7001 plasma"; search.dispatchEvent(new Event("input"));
const found = rows().map((row) => row.children[0].textContent);
document.querySelector("button.save[data-table=windows]").click();
search.value = "7002 plasma"; search.dispatchEvent(new Event("input"));
document.querySelector("button.save[data-table=windows]").click();
search.value = ""; search.dispatchEvent(new Event("input"));
document.querySelectorAll("#windows-table th button")[3].click();
const sorted = rows().map((row) => row.children[3].textContent);
document.querySelector("button.save[data-figure=calibration-curve]").click();
document.querySelector("button.save[data-figure=standards-drift]").click();
Promise.all(saved.map((blob) => blob.text())).then((texts) => {
  const plots = document.querySelectorAll(".plot svg.main-svg").length;
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify({ first, found, sorted, texts, plots, title: document.title });
  document.body.appendChild(out);
});
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no browser on this machine")
def test_the_table_searches_sorts_and_saves_and_hostile_names_do_nothing(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    names = pa.table({"comp_id": pa.array([7001, 7002]), "name": [HOSTILE, "=1+1"]})
    html = render(replace(inputs, compounds=names)).replace("</body>", PROBE + "</body>")
    target = tmp_path / "report.html"
    target.write_text(html, encoding="utf-8")
    seen = _probe(target, tmp_path)
    assert seen["title"] == inputs.title
    assert seen["first"] == 100
    assert seen["found"] == [HOSTILE] * 2
    assert seen["plots"] >= 15
    values = [float(text) for text in seen["sorted"]]
    assert values == sorted(values)
    windows, formula, curve, drift = (text.lstrip("\ufeff").split("\r\n") for text in seen["texts"])
    assert windows[0].startswith("name,comp_id,species,rt_predicted_min")
    assert len(windows) == 1 + 2 + 1
    assert windows[1].startswith('"' + HOSTILE.replace('"', '""') + '",7001,human plasma,1.3,')
    assert formula[1].startswith("'=1+1,7002,human plasma,1.6,")
    assert curve[0] == "series,panel,nominal_coverage,observed_coverage,note"
    assert len(curve) == 1 + 3 * (9 + 4) + 1
    assert (
        drift[1].split(",", 4)[4] == '"worksheet 10000, sample set 100000, task 500, run order 1"'
    )


def _probe(target: Path, folder: Path) -> dict[str, Any]:
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--virtual-time-budget=8000", "--dump-dom"]
    command += [f"--user-data-dir={folder / 'profile'}", f"file://{target}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    written = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, flags=re.S)
    assert written, done.stderr[-2000:]
    text = written.group(1)
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, sign)
    seen: dict[str, Any] = json.loads(text)
    return seen
