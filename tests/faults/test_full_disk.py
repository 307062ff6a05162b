"""A lake on a small disk of its own that really fills up, under the engine's own writes."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.support.killing import WORK, environment, finish, install, reseed, results

pytestmark = pytest.mark.faults

_SMALL = "unshare -rm sh -c 'mount -t tmpfs -o size=1m tmpfs /mnt'"
_WORK = """
set -e
mount -t tmpfs -o size="$SIZE" tmpfs "$ROOT/lake"
cp -a "$OLDER/lake/." "$ROOT/lake/"
if "$@" > "$ROOT/full.log" 2>&1; then echo "the disk was not full" >&2; exit 7; fi
mkdir "$ROOT/kept" && cp -a "$ROOT/lake/." "$ROOT/kept/"
mount -o remount,size=400m "$ROOT/lake"
"$@" > "$ROOT/again.log" 2>&1
mkdir "$ROOT/whole" && cp -a "$ROOT/lake/." "$ROOT/whole/"
"""


def _may_mount() -> bool:
    return shutil.which("unshare") is not None and (
        subprocess.run(_SMALL, shell=True, capture_output=True).returncode == 0
    )


def _size(folder) -> int:
    """Bytes that a folder takes on a disk of pages."""
    pages = sum(-(-path.stat().st_size // 4096) for path in folder.rglob("*") if path.is_file())
    return pages * 4096


@pytest.mark.skipif(not _may_mount(), reason="mounting a small disk is not permitted here")
@pytest.mark.parametrize("room", [8_000, 40_000, 120_000])
def test_a_disk_that_is_full_is_told_keeps_what_was_good_and_the_work_goes_on_with_more_room(
    tmp_path, room
) -> None:
    fresh = install(tmp_path / "fresh")
    reseed(fresh, 0)
    shutil.copytree(fresh, tmp_path / "undisturbed")
    finish(tmp_path / "undisturbed", "cli", 600)
    older, root = tmp_path / "older", tmp_path / "full"
    shutil.copytree(fresh, older)
    reseed(older, 7)
    finish(older, "cli", 600)
    shutil.copytree(fresh, root)
    (root / "lake").mkdir()
    shutil.copytree(older / "data" / "registry", root / "data" / "registry", dirs_exist_ok=True)
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", _WORK, "sh", sys.executable, *WORK["cli"]],
        env=environment(root, ROOT=str(root), OLDER=str(older), SIZE=str(_size(older) + room)),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr + (root / "full.log").read_text()[-2000:]
    told = (root / "full.log").read_text()
    assert "the disk is full" in told and "free some space" in told
    assert "Traceback" not in told
    assert not [path for path in (root / "kept").rglob("*.aside*")]
    good = [
        {name.removeprefix("lake/"): content for name, content in results(place).items()}
        for place in (older, tmp_path / "undisturbed")
    ]
    for path in (root / "kept").rglob("data.parquet"):
        name = path.relative_to(root / "kept").as_posix()
        assert path.read_bytes() in [one.get(name) for one in good], name
    wanted = good[1]
    for path in (root / "whole").rglob("*"):
        name = path.relative_to(root / "whole").as_posix()
        if name in wanted:
            assert path.read_bytes() == wanted[name], name
