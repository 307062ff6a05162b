"""Files are written aside and renamed; what fails leaves the old content."""

from __future__ import annotations

import os
import time

import pytest

from compassign_core.store.atomic import ABANDONED_S, write_text, written_aside


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
