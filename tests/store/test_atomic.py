"""Files are written aside and renamed; what fails leaves the old content."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compassign_core.store.atomic import stage_path, write_text, written_aside
from compassign_core.store.scratch import ABANDONED_S


def test_text_is_replaced_whole_and_folders_are_made(tmp_path):
    target = tmp_path / "a" / "b.txt"
    for text in ("first", "lé second\n"):
        write_text(target, text)
        assert target.read_text(encoding="utf-8") == text
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_keeps_the_old_content_and_leaves_nothing_aside(tmp_path):
    target = tmp_path / "b.txt"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), written_aside(target) as aside:
        aside.write_text("half")
        assert aside.parent == target.parent and aside.name.startswith(".")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_body_that_writes_nothing_is_an_error_and_keeps_the_old_content(tmp_path):
    target = tmp_path / "b.txt"
    write_text(target, "old")
    with pytest.raises(FileNotFoundError), written_aside(target):
        pass
    assert target.read_text() == "old"


def test_only_files_aside_of_killed_writers_are_swept(tmp_path):
    target = tmp_path / "b.txt"
    old, fresh = tmp_path / ".b.txt.1.aside", tmp_path / ".b.txt.2.aside"
    for path in (old, fresh):
        path.write_text("half")
    long_ago = time.time() - ABANDONED_S - 60
    os.utime(old, (long_ago, long_ago))
    write_text(target, "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, target.name]


def test_a_file_aside_of_a_killed_process_is_swept_at_once_and_that_of_a_living_one_is_kept(
    tmp_path,
):
    target = tmp_path / "b.db"
    stage = (
        "import sys, time\nfrom pathlib import Path\n"
        "from compassign_core.store.atomic import stage_path\n"
        "aside = stage_path(Path(sys.argv[1]))\n"
        "aside.write_text('half')\n"
        "aside.with_name(aside.name + '.wal').write_text('log')\n"
        "print(aside, flush=True)\ntime.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", stage, str(target)], stdout=subprocess.PIPE, text=True
    )
    try:
        aside = Path(other.stdout.readline().strip())
        log = aside.with_name(aside.name + ".wal")
        own = stage_path(target)
        own.write_text("half")
        stage_path(target)
        assert aside.exists() and log.exists() and own.exists()
    finally:
        other.kill()
    # not waited for yet: a process that is killed and still listed counts as gone
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    stage_path(target)
    assert list(tmp_path.iterdir()) == [own]
    other.communicate()
