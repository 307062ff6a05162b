"""A keyed, portable integer hash of a row's identity, for sampling and splitting.

Only 31-bit integer products, masks, shifts and exclusive-or are used, which every SQL engine and
NumPy compute alike, so the same rows are sampled on any engine, file order or thread count. Each
round multiplies by an odd constant and folds the high bits down, in the manner of the multiply and
xor-shift finalisers of MurmurHash (Appleby, public domain); on 31 bits each round is a bijection.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis

MASK = (1 << 31) - 1
_PRIME = MASK  # 2**31 - 1 is prime; reduces ids beyond 31 bits without losing their high part
_MULTIPLIER = 0x5BD1E995
_FINAL_MULTIPLIERS = (0x2C1B3C6D, 0x297A2D39)


def keyed_hash(
    table: ibis.Table, columns: Sequence[str], seed: int, name: str = "hash"
) -> ibis.Table:
    """Append a hash in [0, 2**31) of the integer `columns`, keyed by `seed`.

    Parameters
    ----------
    table : any Ibis table.
    columns : non-negative integer columns that identify a row.
    seed : key; another seed gives an unrelated order.
    name : name of the new column.
    """
    table = table.mutate(**{name: ibis.literal((seed * 2_654_435_761) & MASK, "int64")})
    for column in columns:
        table = _absorb(table, table[column].cast("int64") % _PRIME, name, _MULTIPLIER)
    for multiplier in _FINAL_MULTIPLIERS:
        table = _absorb(table, ibis.literal(0, "int64"), name, multiplier)
    return table


def _absorb(
    table: ibis.Table, value: ibis.expr.types.IntegerValue, name: str, multiplier: int
) -> ibis.Table:
    mixed = ((table[name] ^ value) * multiplier) & MASK
    table = table.mutate(**{name: mixed})
    return table.mutate(**{name: table[name] ^ (table[name] >> 15)})
