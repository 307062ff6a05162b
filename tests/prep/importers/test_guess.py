"""A file of results is told by its content, and what is proposed for it can be read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compassign_core.cli.main import app
from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.settings.libraries import load_libraries
from compassign_core.prep.importers.guess import guess_kind, look, proposal, try_to_look
from compassign_core.store.engine import connect
from tests.prep.importers import results
from tests.prep.importers.results import LIB, imported, project_with

PEAKS = results.peaks()
FOUND = sum(p.rt is not None for p in PEAKS)
JAPANESE = [
    ["繰り返し測定名", "分子名", "保持時間", "面積"],
    ["r", "x", 1.5, 2],
    ["r", "y", 2.5, 2],
]
CHINESE = [["重复测定名称", "分子名称", "保留时间", "面积"], ["r", "x", 1.5, 2], ["r", "y", 2.5, 2]]
INVARIANT = [["ReplicateName", "MoleculeName", "BestRetentionTime", "TotalArea"], ["r", "x", 1, 2]]

FILES = {
    "skyline.csv": ("skyline", results.csv_bytes(results.skyline_rows(PEAKS), delimiter=";")),
    "japanese.csv": ("skyline", results.csv_bytes(JAPANESE, encoding="utf-16")),
    "chinese.csv": ("skyline", results.csv_bytes(CHINESE, encoding="utf-8-sig")),
    "invariant.csv": ("skyline", results.csv_bytes(INVARIANT)),
    "batch.csv": ("masshunter", results.csv_bytes(results.masshunter_batch_rows(PEAKS))),
    "compounds.csv": ("masshunter", results.csv_bytes(results.masshunter_compound_rows(PEAKS))),
    "hunter.csv": ("masshunter", results.csv_bytes(results.masshunter_long_rows(PEAKS))),
    "lynx.txt": ("targetlynx", results.targetlynx_text(PEAKS).encode()),
    "study.mztab": ("mztab_m", results.mztab_text(PEAKS).encode()),
    "plain.tsv": ("long", results.csv_bytes(results.long_rows(PEAKS), delimiter="\t")),
}


@pytest.mark.parametrize("name", list(FILES))
def test_a_file_is_told_by_its_content(name, tmp_path):
    kind, content = FILES[name]
    (tmp_path / name).write_bytes(content)
    guess = guess_kind(tmp_path / name)
    assert guess.kind == kind and guess.readable
    contents = look(connect(), tmp_path / name, guess, tmp_path)
    assert contents.n_found > 0 and contents.rt is not None
    section = proposal(LIB, name, guess, contents)
    (entry,) = tomllib.loads(section)["library"].values()
    assert entry["import"]["kind"] == kind
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_runs_compounds_times_and_standards_are_counted(tmp_path):
    file = tmp_path / "plain.tsv"
    file.write_bytes(FILES["plain.tsv"][1])
    contents = look(connect(), file, guess_kind(file), tmp_path)
    assert (contents.n_rows, contents.n_found) == (len(PEAKS), FOUND)
    assert list(contents.runs) == [r.name for r in results.RUNS]
    assert list(contents.standards) == sorted(results.STANDARDS)
    times = [p.rt for p in PEAKS if p.rt is not None]
    assert contents.rt is not None and contents.rt[0::2] == (min(times), max(times))
    assert not contents.in_seconds


def test_what_is_proposed_can_be_brought_in(tmp_path):
    """The proposal, with its gaps filled, is a legal section that reads the file."""
    project = project_with(tmp_path, imported("long", '["x"]', "columns.run = 'a'\n"))
    file = project.data / "plain.tsv"
    file.write_bytes(FILES["plain.tsv"][1])
    guess = guess_kind(file)
    section = proposal(LIB, "plain.tsv", guess, look(connect(), file, guess, tmp_path))
    section = section.replace('title = "…"', 'title = "x"')
    section = section.replace('metadata = "…"', 'metadata = "sets.csv"')
    section = section.replace('comp_chem = "…"', 'comp_chem = "chemicals.csv"')
    line = f"run_pattern = '{results.PATTERN}'"
    section = re.sub("run_pattern = .*", lambda _: line, section)
    section = section.replace("[[library", f"{results.NUMBERED}\n[[library")
    (project.data / "libraries.toml").write_text(results.HEAD + section)
    results.run_steps(project)
    kept = [p for p in PEAKS if p.rt is not None and p.name not in results.STANDARDS]
    assert len(results.rows_of(project, "lib_training")) == len(kept)


def test_times_in_seconds_are_noticed(tmp_path):
    rows = [["sample", "compound", "rt"], ["a", "x", 512.5], ["a", "y", 700]]
    results.write_csv(tmp_path / "a.csv", rows)
    guess = guess_kind(tmp_path / "a.csv")
    contents = look(connect(), tmp_path / "a.csv", guess, tmp_path)
    assert contents.in_seconds and contents.pattern is None
    assert 'rt_unit = "s"' in proposal(7, "a.csv", guess, contents)


def test_columns_that_nothing_is_known_of_are_left_to_the_user(tmp_path):
    results.write_csv(tmp_path / "a.csv", [["x", "y", "z"], [1, 2, 3]])
    guess = guess_kind(tmp_path / "a.csv")
    contents, problem = try_to_look(connect(), tmp_path / "a.csv", guess, tmp_path)
    assert contents is None and "no column seems to hold run, compound, rt" in problem
    assert 'run = "…", compound = "…", rt = "…"' in proposal(7, "a.csv", guess, contents)


def test_the_command_says_what_is_in_a_file_and_brings_it_in(tmp_path, monkeypatch):
    project = project_with(tmp_path, imported("skyline", '["a.csv"]'))
    (project.data / "a.csv").write_bytes(FILES["skyline.csv"][1])
    monkeypatch.setenv("COMPASSIGN_ROOT", str(tmp_path))
    monkeypatch.setenv("COMPASSIGN_DATA", str(project.data))
    runner = CliRunner()
    shown = runner.invoke(app, ["import", "inspect", str(project.data / "a.csv")])
    assert shown.exit_code == 0, shown.output
    assert "looks like skyline" in shown.output and 'files = ["a.csv"]' in shown.output
    said = runner.invoke(app, ["import", "run", "--lib", str(LIB)])
    assert said.exit_code == 0, said.output
    assert f"{FOUND:,} set aside: smaller_peak" in said.output
    assert f"{len(PEAKS) - FOUND:,} set aside: not_found" in said.output


def test_the_commands_name_what_is_not_there(tmp_path, monkeypatch):
    project = project_with(tmp_path, imported("skyline", '["a.csv"]'))
    monkeypatch.setenv("COMPASSIGN_ROOT", str(tmp_path))
    monkeypatch.setenv("COMPASSIGN_DATA", str(project.data))
    with pytest.raises(InputError, match="there is no file"):
        CliRunner().invoke(app, ["import", "inspect", "nothing.csv"], catch_exceptions=False)
    with pytest.raises(SettingsError, match=r"no section \[library\.900\.import\]"):
        CliRunner().invoke(app, ["import", "run", "--lib", "900"], catch_exceptions=False)


def test_the_sections_of_the_tutorial_are_legal(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "tutorials" / "import.md"
    blocks = re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    (tmp_path / "libraries.toml").write_text(results.HEAD + "\n".join(blocks), encoding="utf-8")
    libraries = load_libraries(tmp_path / "libraries.toml")
    settings = [libraries.get(lib).import_ for lib in (600, 601)]
    assert [s.kind for s in settings if s] == ["skyline", "long"]
    pattern = settings[0].run_pattern if settings[0] else ""
    found = re.match(pattern or "", "StudyA_plate2_QC_017")
    assert found and found.groupdict() == {
        "sample_set": "StudyA",
        "worksheet": "plate2",
        "sample_type": "QC",
    }
