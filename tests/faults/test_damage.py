"""Files that were damaged after they were published, locks left behind, and a disk that is full."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest
from filelock import FileLock

from compassign_core.contracts.errors import DamagedFileError, DiskFullError, InputError
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.pipeline.lineage import is_current
from compassign_core.pipeline.make import make
from compassign_core.pipeline.plan import carry_out, steps_for
from compassign_core.store import atomic
from compassign_core.store.engine import connect
from compassign_core.store.lake import Partition
from compassign_core.store.steps import STEP_FILE
from compassign_core.store.warehouse import query
from tests.support.installation import CAP, LIB, lake_bytes
from tests.support.killing import REPOSITORY

PLACE = Partition(LIB, CAP)


def _mend(project, *targets: str) -> set[str]:
    """Make what is stale of the targets and all they need; names of what was made."""
    outcome = carry_out(project, steps_for(targets, [LIB], [CAP]))
    assert outcome.failed == {}
    return {step.name for step in outcome.made}


@pytest.mark.parametrize("text", ["", '{"output": ', "[1]", "\x00" * 40])
@pytest.mark.parametrize("name", ["lineage.json", STEP_FILE])
def test_a_damaged_note_beside_a_table_makes_the_table_again_and_nothing_else(
    made, name, text
) -> None:
    before = lake_bytes(made)
    made.lake.file("rt_table", PLACE, name).write_text(text)
    assert not is_current(made, "rt_table", PLACE)
    assert _mend(made, "rt_table_csv") == {"rt_table"}
    assert lake_bytes(made) == before


def test_a_damaged_note_is_named_by_who_reads_it(made) -> None:
    file = made.lake.file("lib_training", Partition(LIB), STEP_FILE)
    file.write_text("{")
    with pytest.raises(DamagedFileError, match=r"lib_training.*step\.json is damaged") as raised:
        make(made, "rt_report", PLACE)
    assert "make demo" in raised.value.advice


@pytest.mark.parametrize("kept", [0, 3, 100, -9])
def test_a_table_cut_off_after_it_was_published_is_named_and_the_reader_s_last_good_file_stays(
    made, kept
) -> None:
    before = lake_bytes(made)
    file = made.lake.file("ranked_training", Partition(LIB))
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DamagedFileError) as raised:
        make(made, "capped_training", PLACE)
    assert str(file) in raised.value.problem
    assert "materialise ranked_training" in raised.value.advice
    after = lake_bytes(made)
    assert [name for name in before if before[name] != after[name]] == [
        f"ranked_training/lib_id={LIB}/data.parquet"
    ]
    assert "ranked_training" in _mend(made, "rt_report")
    assert lake_bytes(made) == before


def test_a_damaged_model_is_named(made) -> None:
    name = "partial_pooling_coefficients"
    file = made.lake.file(name, PLACE, "coefficients.npz")
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DamagedFileError, match=name):
        make(made, "rt_predictions", PLACE)


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_a_damaged_warehouse_is_named_and_made_again(made, content) -> None:
    good = made.warehouse.read_bytes()
    made.warehouse.write_bytes(good[:5000] if content is None else content)
    if content != b"":  # the engine takes an empty file for a new database
        with pytest.raises(InputError) as raised:
            query(made.warehouse, "SHOW TABLES")
        assert str(made.warehouse) in raised.value.problem and "delete it" in raised.value.advice
        assert not is_current(made, "warehouse", Partition())
        made.lake.file("warehouse", Partition(), "views.txt").stat()
        make(made, "warehouse", Partition())
    else:
        made.warehouse.unlink()
        assert not is_current(made, "warehouse", Partition())
        make(made, "warehouse", Partition())
    assert is_current(made, "warehouse", Partition())
    assert ("rt_windows",) in query(made.warehouse, "SHOW TABLES").rows


def test_a_lock_file_that_nobody_holds_blocks_nobody(made) -> None:
    lock = made.registry / f"lib{LIB}_ids.lock"
    held = (
        "import sys, time\nfrom filelock import FileLock\n"
        "FileLock(sys.argv[1]).acquire()\nprint('held', flush=True)\ntime.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", held, str(lock)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    lock.touch()
    before = lake_bytes(made)
    make(made, "species_mapping", Partition(LIB))
    assert lake_bytes(made) == before
    with FileLock(lock, timeout=1):
        pass


@pytest.mark.parametrize(
    ("name", "nth"),
    # rejects, table, step, lineage, time; and page, lineage, time
    [*(("lib_training", n) for n in range(1, 6)), ("rt_report", 1), ("rt_report", 3)],
)
def test_a_disk_that_fills_up_at_any_write_is_told_and_the_last_good_files_stay(
    made, monkeypatch, name, nth
) -> None:
    place = PLACE if name == "rt_report" else Partition(LIB)
    before = lake_bytes(made)
    count = 0
    sync = os.fsync

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(DiskFullError, match=f"{name} for lib {LIB}.*disk is full") as raised:
        make(made, name, place)
    assert "free some space" in raised.value.advice
    assert lake_bytes(made) == before
    assert not list((made.root / "lake").rglob("*.aside*"))
    monkeypatch.setattr(atomic.os, "fsync", sync)
    make(made, name, place)
    assert lake_bytes(made) == before


_SPILLS = """
import sys
from pathlib import Path
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.store.engine import connect
seed = int(sys.argv[2])
db = connect(EngineSettings(memory_limit="60MB", threads=1, temp_directory=sys.argv[1]))
rows = db.execute(f'''
    SELECT count(*), sum((w = v * 3 + {seed})::INT) FROM (
        SELECT v, w, repeat('x', 20) AS s FROM (
            SELECT (i * 7919 + {seed}) % 1000003 AS v, v * 3 + {seed} AS w
            FROM range(2500000) AS t(i)) ORDER BY v, s)''').fetchall()
print(rows, flush=True)
"""


def test_two_processes_that_spill_at_once_do_not_read_each_other_s_rows(tmp_path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _SPILLS, str(tmp_path / ".spill"), str(seed)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert out.strip() == "[(2500000, 2500000)]", err[-500:]
    assert not list(tmp_path.glob(".spill*"))


def test_what_a_killed_process_spilled_is_removed_by_the_next_one(tmp_path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "from compassign_core.store.scratch import mark; print(mark())"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    left = tmp_path / f".spill-{gone}"
    left.mkdir()
    (left / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"rows")
    settings = EngineSettings(threads=1, temp_directory=str(tmp_path / ".spill"))
    own = connect(settings).execute("SELECT current_setting('temp_directory')").fetchall()[0][0]
    assert own.startswith(str(tmp_path / ".spill-")) and own != str(left)
    assert not left.exists()


def test_a_note_of_lineage_with_a_wrong_checksum_is_no_proof(made) -> None:
    file = made.lake.file("rt_table", PLACE, "lineage.json")
    lineage = json.loads(file.read_text())
    file.write_text(json.dumps({**lineage, "output": "0" * 64}))
    assert not is_current(made, "rt_table", PLACE)
