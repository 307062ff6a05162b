"""Taking part of a table by a keyed hash of ids: the same part on every machine and row order.

Training rows (`limits`) and held-out rows (`readback`, `predictions`) are cut alike: those with the
smallest hash are taken, so a smaller cut is a part of a larger one. The hash is that of
`compassign_core.prep.keyed_hash`, here as SQL text, so that scoring loads no query builder:
multiply by odd constants and fold high bits down, in the manner of the finalisers of MurmurHash
(Appleby, public domain), in 31-bit products, masks and shifts. The engine's own hash is no promise
between versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from compassign_core.rt.source import Source

SEED_SHIFT = 1_000_003
"""Added to every seed: which rows a cap holds is decided by the same hash of the same ids, and with
the same seed a cut would prefer the pairs that lost most rows to the cap."""

_HASH = "_cut_hash"
_MASK = (1 << 31) - 1  # also a prime, by which ids beyond 31 bits are reduced
_MULTIPLIER = 0x5BD1E995
_FINAL_MULTIPLIERS = (0x2C1B3C6D, 0x297A2D39)


@dataclass(frozen=True)
class KeyedCut:
    """A rule by which rows are taken.

    Attributes
    ----------
    columns : ids whose hash decides; rows of equal ids are taken together.
    seed : key of the hash.
    bound : rows with a smaller hash are taken.
    """

    columns: tuple[str, ...]
    seed: int
    bound: int

    @classmethod
    def smallest(
        cls, table: Source, columns: Sequence[str], most: int, seed: int, *, distinct: bool = False
    ) -> Self | None:
        """The rule that takes `most` rows of a table, or none when there are no more than that.

        Exactly that many are taken, and fewer only where hashes at the bound are equal. Memory is
        bounded by `most`.

        Parameters
        ----------
        table : whose columns hold whole numbers.
        columns, seed : see `KeyedCut`.
        most : rows taken.
        distinct : count rows of equal ids as one.
        """
        hashed = hashed_rows(table, columns, seed)
        if distinct:
            ids = ", ".join(f"{table.whole(name)} AS id{i}" for i, name in enumerate(columns))
            hashed = f"(SELECT DISTINCT {ids}, {_HASH} FROM {hashed})"
        found = table.connection.sql(
            f"SELECT {_HASH} FROM {hashed} ORDER BY {_HASH} LIMIT 1 OFFSET {int(most)}"
        ).fetchall()
        return cls(tuple(columns), seed, int(found[0][0])) if found else None

    def part(self, table: Source) -> Source:
        """The rows of a table that are taken; only those are read on."""
        hashed = hashed_rows(table, self.columns, self.seed)
        sql = f"(SELECT * EXCLUDE ({_HASH}) FROM {hashed} WHERE {_HASH} < {self.bound})"
        return replace(table, sql=sql)


def hashed_rows(table: Source, columns: Sequence[str], seed: int) -> str:
    """SQL of the table with the hash of `columns` in one more column.

    One level of query for each step, because the value of a step is used twice in the next.
    """
    start = ((seed + SEED_SHIFT) * 2_654_435_761) & _MASK
    sql = f"(SELECT *, CAST({start} AS BIGINT) AS {_HASH} FROM {table.sql})"
    steps = [(f"({table.whole(column)} % {_MASK})", _MULTIPLIER) for column in columns]
    for value, multiplier in (*steps, *(("0", m) for m in _FINAL_MULTIPLIERS)):
        mixed = f"((xor({_HASH}, {value}) * {multiplier}) & {_MASK})"
        sql = f"(SELECT * REPLACE ({mixed} AS {_HASH}) FROM {sql})"
        sql = f"(SELECT * REPLACE (xor({_HASH}, {_HASH} >> 15) AS {_HASH}) FROM {sql})"
    return sql
