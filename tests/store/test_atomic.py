"""Files are written aside and renamed; what fails leaves the old content."""

from __future__ import annotations

import pytest

from compassign_core.store.atomic import copy, write_text, written_aside


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


def test_a_copy_is_whole(tmp_path):
    (tmp_path / "from").write_bytes(bytes(range(256)))
    copy(tmp_path / "from", tmp_path / "deep" / "to")
    assert (tmp_path / "deep" / "to").read_bytes() == bytes(range(256))
