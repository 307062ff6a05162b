"""Kill -9 at random moments: nothing half-written is ever seen, and the same work then succeeds.

`make test-faults N=50` runs it; COMPASSIGN_FAULTS is the number of kills.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.killing import (
    REPOSITORY,
    WORK,
    check_usable,
    finish,
    install,
    kill,
    leftovers,
    phase,
    reseed,
    results,
    start,
)

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("COMPASSIGN_FAULTS", "6"))
SIDE_BY_SIDE = 2


@dataclass(frozen=True)
class Undisturbed:
    """Work that nobody disturbed, by way in: what it gave, how long it took, and its beginnings.

    Attributes
    ----------
    fresh, older : installations with nothing made, and with everything made of another seed.
    """

    fresh: Path
    older: Path
    given: dict[str, dict[str, bytes]]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Round:
    """One kill and the work done again after it."""

    way: str
    began: str
    phase: str
    in_flight: int
    left: int
    again_seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    fresh = install(folder / "fresh")
    reseed(fresh, 0)
    given, seconds = {}, {}
    for way in WORK:
        shutil.copytree(fresh, folder / way)
        seconds[way] = finish(folder / way, way, 900)
        given[way] = results(folder / way)
    older = folder / "older"
    shutil.copytree(folder / "dagster", older)
    reseed(older, 7)
    finish(older, "dagster", 900)
    assert results(older).keys() == given["dagster"].keys()
    assert results(older) != given["dagster"]
    return Undisturbed(fresh, older, given, seconds)


@contextmanager
def watched(folder: Path) -> Iterator[dict[str, object]]:
    """A reader of all that is published below a folder; its findings are there at the end."""
    report: dict[str, object] = {}
    file = folder.with_name("watched.json")
    reader = subprocess.Popen(
        [sys.executable, "-m", "tests.support.watching", str(folder), str(file)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
    )
    try:
        yield report
    finally:
        assert reader.stdin is not None
        reader.stdin.close()
        assert reader.wait(timeout=120) == 0
        report |= json.loads(file.read_text())


def _round(number: int, folder: Path, undisturbed: Undisturbed) -> Round:
    chance = random.Random(number)
    way = "cli" if number % 2 else "dagster"  # half of the kills on each way in
    begin = "older" if number % 4 >= 2 else "fresh"
    root = folder / f"round_{number}"
    shutil.copytree(getattr(undisturbed, begin), root)
    reseed(root, 0)
    before = {path for path in root.rglob("*.aside*")}
    assert not before
    process = start(root, way)
    # the first seconds load libraries and write nothing; kills there tell little
    time.sleep(chance.uniform(0.1, 1.0) * undisturbed.seconds[way])
    kill(process)
    left = leftovers(root)
    happened = phase(root)
    check_usable(root)
    again = finish(root, way, 60 + 8 * undisturbed.seconds[way])
    after = results(root)
    wanted = undisturbed.given[way]
    # older results hold artifacts of the other way in, too, which this work does not make again
    assert wanted.keys() <= after.keys()
    differing = sorted(name for name in wanted if wanted[name] != after[name])
    assert not differing, f"round {number}, {way} from {begin}: {differing} differ"
    assert begin == "older" or wanted.keys() == after.keys()
    remaining = leftovers(root)
    assert not len(remaining), f"round {number}, {way} from {begin}: {remaining} remain"
    check_usable(root)
    shutil.rmtree(root)
    return Round(way, begin, happened, len(left.aside), len(left), again)


def test_killed_work_leaves_nothing_half_written_and_succeeds_when_it_is_started_again(
    undisturbed, tmp_path, capsys
) -> None:
    folder = tmp_path / "rounds"
    folder.mkdir()
    begun = time.monotonic()
    with watched(folder) as seen, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        waiting = [pool.submit(_round, n, folder, undisturbed) for n in range(KILLS)]
        rounds = [one.result() for one in waiting]
    with capsys.disabled():
        _tell(rounds, seen, undisturbed, time.monotonic() - begun)
    assert seen["broken"] == []
    assert int(str(seen["opened"])) > 0


def _tell(rounds: list[Round], seen: dict[str, object], undisturbed: Undisturbed, all_s: float):
    def counted(values: Iterator[str]) -> str:
        return ", ".join(f"{name} {n}" for name, n in sorted(Counter(values).items()))

    again = sorted(one.again_seconds for one in rounds)
    print(
        f"\n{len(rounds)} kills in {all_s:.0f} s"
        f"\n  by way in:      {counted(one.way for one in rounds)}"
        f"\n  from:           {counted(one.began for one in rounds)}"
        f"\n  by phase:       {counted(one.phase for one in rounds)}"
        f"\n  files in flight {sum(one.in_flight for one in rounds)} "
        f"(in {sum(one.in_flight > 0 for one in rounds)} kills)"
        f"\n  leftovers found {sum(one.left for one in rounds)}, all cleaned by the next start"
        f"\n  started again:  median {again[len(again) // 2]:.1f} s, at most {again[-1]:.1f} s "
        f"(undisturbed {', '.join(f'{w} {s:.1f} s' for w, s in undisturbed.seconds.items())})"
        f"\n  reader:         {seen['opened']} files opened whole, {len(list(seen['broken']))} not"
    )
