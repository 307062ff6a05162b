"""`compassign check` prints a verdict that a lab can act on, and ends with 0 or 1."""

from __future__ import annotations

import json

from compassign_core.simulate import layout
from tests.support.installation import LIB


def test_a_described_library_can_be_used(project_run, project):
    code, out, _ = project_run("check", "--lib", str(LIB))
    assert code == 0
    assert f"library {LIB}: this export can be used" in out
    assert not (project.root / "lake").exists()


def test_a_folder_that_nobody_described_is_read_by_its_usual_places(project_run, project):
    (project.data / "libraries.toml").unlink()
    code, out, _ = project_run("check", str(project.data), "--json")
    assert code == 0
    verdict = json.loads(out)[str(LIB)]
    assert verdict["verdict"] in ("ok", "look")
    assert {"verdict", "subject", "sentence", "advice"} == set(verdict["findings"][0])


def test_a_faulty_export_ends_with_one_and_says_what_to_do(project_run, project):
    path = layout.peak_shards(project.data, LIB)[0]
    path.write_bytes(path.read_bytes()[:200])
    code, out, err = project_run("check", str(project.data))
    assert code == 1 and err == ""
    assert path.name in out and "copy this shard again" in out
    assert "cannot be used before the lines marked stop are mended" in out


def test_brackets_of_a_message_are_printed(project_run, project):
    layout.metadata_file(project.data, LIB).unlink()
    code, out, _ = project_run("check", str(project.data))
    assert code == 1 and f"[library.{LIB}]" in out


def test_lists_elsewhere_are_named_by_options(project_run, project):
    (project.data / "libraries.toml").unlink()
    path = layout.metadata_file(project.data, LIB)
    moved = path.rename(project.root / "sets.csv")
    code, _, err = project_run("check", str(project.data))
    assert code == 1 and "--metadata" in err
    code, _, _ = project_run("check", str(project.data), "--metadata", str(moved))
    assert code == 0


def test_what_is_no_export_is_said_to_be_none(project_run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = project_run("check", str(tmp_path / "empty"))
    assert code == 1 and "is no export" in err
    code, _, err = project_run("check", str(tmp_path / "nowhere"))
    assert code == 1 and "there is no folder" in err
    code, _, err = project_run("check")
    assert code == 1 and "give a folder, or --lib" in err
