"""The whole chain, models and windows included, byte for byte under all that must not matter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from compassign_core.store.project import Project
from tests.support.installation import CAP, LIB, lake_files
from tests.support.rewrite import reshard

REPOSITORY = Path(__file__).parents[2]
_CHAIN = """
import sys
from compassign_core.pipeline.artifacts import upstream_first
from compassign_core.pipeline.make import make
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

lib, caps = int(sys.argv[1]), [int(text) for text in sys.argv[2:]]
for dimensions in range(3):
    for cap in caps if dimensions == 2 else caps[:1]:
        place = (Partition(), Partition(lib), Partition(lib, cap))[dimensions]
        for name in upstream_first(ARTIFACTS):
            if name != "warehouse" and len(ARTIFACTS[name].dimensions) == dimensions:
                make(current_project(), name, place)
make(current_project(), "warehouse", Partition())
"""
OTHER_MACHINE = {
    "TZ": "Pacific/Chatham",
    "LC_ALL": "C",
    "LANG": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "4711",
    "COMPASSIGN_THREADS": "1",
    "COMPASSIGN_MEMORY_LIMIT": "1GB",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "40",
}
NAMES_FILES = "export_manifest"
"""The one table that is about the files of the export, not about what is in them."""
FILE_COLUMNS = ("source_file", "cpd_group")
"""Columns that say from which file, and from the folder of which group, a row came."""


def _chain(root: Path, caps: tuple[int, ...] = (CAP,), **more: str) -> Project:
    """Make everything in a process of its own, the caps in the order given."""
    own = {
        "COMPASSIGN_ROOT": str(root),
        "COMPASSIGN_DATA": str(root / "data"),
        "PYTHONPATH": str(REPOSITORY),
        "MPLCONFIGDIR": str(root / "matplotlib"),
    }
    made = subprocess.run(
        [sys.executable, "-c", _CHAIN, str(LIB), *map(str, caps)],
        cwd=root,
        env={**os.environ, **own, **more},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return Project(root, root / "data")


def _contents(project: Project, *, by_file: bool = True) -> dict[str, object]:
    """Files of the lake by place; when not `by_file`, less what says which file a row came from."""
    found: dict[str, object] = {}
    for path in lake_files(project):
        place = path.relative_to(project.root / "lake").as_posix()
        if by_file:
            found[place] = path.read_bytes()
        elif path.name != "lineage.json" and not place.startswith(NAMES_FILES):
            found[place] = _without_files(path, place)
    return found


def _without_files(path: Path, place: str) -> object:
    """Bytes, or the rows in their order where a table has columns that name files."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    table = pq.ParquetFile(path).read()
    if not set(FILE_COLUMNS).intersection(table.column_names):
        return path.read_bytes()
    rows = table.drop_columns([c for c in FILE_COLUMNS if c in table.column_names]).to_pylist()
    # rejects are in the order of their files
    return sorted(rows, key=repr) if place.split("/")[0].endswith("_rejects") else rows


def _differing(one: dict[str, object], other: dict[str, object]) -> list[str]:
    return sorted(name for name in one if one[name] != other[name])


def test_other_files_threads_locale_time_zone_and_hash_seed_give_the_same_bytes(
    finished, exported, tmp_path
) -> None:
    shutil.copytree(exported[0] / "data", tmp_path / "data")
    reshard(tmp_path / "data", LIB, seed=3)
    other = _contents(_chain(tmp_path, **OTHER_MACHINE), by_file=False)
    same = _contents(Project(finished, finished / "data"), by_file=False)
    assert other.keys() == same.keys()
    assert any(name.startswith("rt_windows/") for name in same)
    assert any(name.endswith(".npz") for name in same)
    assert _differing(same, other) == []


@pytest.mark.faults
def test_each_by_itself_and_the_order_of_caps_give_the_same_bytes(exported, tmp_path) -> None:
    def fresh(name: str) -> Path:
        shutil.copytree(exported[0] / "data", tmp_path / name / "data")
        return tmp_path / name

    base = _contents(_chain(fresh("base"), (5, 10), COMPASSIGN_THREADS="2"))
    found = {}
    for name, value in OTHER_MACHINE.items():
        other = _contents(_chain(fresh(name), (5, 10), **{"COMPASSIGN_THREADS": "2", name: value}))
        assert other.keys() == base.keys()
        found[name] = _differing(base, other)
    other = _contents(_chain(fresh("order"), (10, 5), COMPASSIGN_THREADS="2"))
    found["order of caps"] = _differing(base, other)
    assert found == {key: [] for key in found}
    for seed in (11, 12):
        root = fresh(f"shards {seed}")
        reshard(root / "data", LIB, seed=seed)
        other = _contents(_chain(root, (5, 10)), by_file=False)
        again = _contents(Project(tmp_path / "base", tmp_path / "base" / "data"), by_file=False)
        assert other.keys() == again.keys()
        assert _differing(again, other) == []
