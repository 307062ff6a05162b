"""Parts of a table for a quick look: whole groups and rows to train on, and rows to judge."""

from __future__ import annotations

from collections.abc import Sequence

from compassign_core.contracts.catalogue import RT_TABLE
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.rt.keyed_cut import KeyedCut
from compassign_core.rt.source import Source


def limited(table: Source, group_col: str, limits: TrainingLimits) -> tuple[Source, dict[str, int]]:
    """The part of `table` to train on, and how many groups and rows were left out by each limit."""
    left_out = {}
    group = (group_col, "comp_id")
    if limits.max_groups:
        before = _count(table, group)
        cut = KeyedCut.smallest(table, group, limits.max_groups, limits.seed, distinct=True)
        table = cut.part(table) if cut else table
        left_out["groups"] = before - _count(table, group)
    if limits.max_train_rows:
        before = _count(table)
        cut = KeyedCut.smallest(table, RT_TABLE.key, limits.max_train_rows, limits.seed)
        table = cut.part(table) if cut else table
        left_out["rows"] = before - _count(table)
    return table, left_out


def judged_part(table: Source, settings: EvaluationSettings, of: Source | None = None) -> Source:
    """The rows of `table` to judge.

    Parameters
    ----------
    table : held-out rows, or predictions of them by several models.
    settings : how many are judged.
    of : a table in which each of these rows stands once; `table` itself when not given.

    Raises
    ------
    InputError
        when a key column is missing or holds something that is no whole number.
    """
    if not settings.max_test_rows:
        return table
    once = of or table
    once.require(RT_TABLE.key, "a cut of the held-out rows")
    once.check_ids(RT_TABLE.key)
    cut = KeyedCut.smallest(once, RT_TABLE.key, settings.max_test_rows, settings.seed)
    return cut.part(table) if cut else table


def _count(table: Source, distinct: Sequence[str] = ()) -> int:
    """Rows of a table, or distinct values of some of its id columns."""
    what = table.sql
    if distinct:
        columns = ", ".join(table.whole(column) for column in distinct)
        what = f"(SELECT DISTINCT {columns} FROM {table.sql})"
    return int(table.connection.sql(f"SELECT count(*) FROM {what}").fetchall()[0][0])
