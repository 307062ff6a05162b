"""Repeated peaks: found exactly, with bitmaps or without, and judged by what repeats."""

from __future__ import annotations

import numpy as np
import pytest

from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.prep import repeats
from compassign_core.store.engine import connect


@pytest.fixture(scope="module")
def connection():
    return connect(EngineSettings())


def _source(rows) -> str:
    values = ", ".join(str(tuple(int(x) for x in row)) for row in rows)
    names = "sampleset_id, worksheet_id, task_id, comp_id"
    return f"(SELECT *, 1.5 AS rt FROM (VALUES {values}) AS t({names}))"


@pytest.mark.parametrize("limit", [2**28, 0], ids=["bitmaps", "grouping"])
@pytest.mark.parametrize("seed", range(8))
def test_a_repeat_is_found_exactly_when_there_is_one(connection, monkeypatch, limit, seed):
    monkeypatch.setattr(repeats, "_MAX_BITMAP_BYTES", limit)
    rng = np.random.default_rng(seed)
    # ids far apart, of which entries of other rows are part too
    rows = np.column_stack([rng.integers(0, k, 300) * 10**9 for k in (4, 3, 5, 97)])
    distinct = np.unique(rows, axis=0)
    entries = _source([*rows, (0, 0, 0, 7)])
    assert len(distinct) < len(rows)
    assert repeats.any_repeated(connection, _source(rows), entries, 60)
    assert not repeats.any_repeated(connection, _source(distinct), entries, 60)
    once_more = [*distinct, distinct[seed * 11]]
    assert repeats.any_repeated(connection, _source(once_more), entries, 60)


def test_the_same_entry_in_other_runs_is_no_repeat(connection):
    rows = _source([(1, 1, 1, 5), (1, 1, 2, 5), (1, 2, 1, 5), (2, 1, 1, 5)])
    assert not repeats.any_repeated(connection, rows, rows, 4)


def test_no_peaks_repeat_nothing(connection):
    none = f"(SELECT * FROM {_source([(1, 1, 1, 1)])} WHERE false)"
    assert not repeats.any_repeated(connection, none, none, 0)
