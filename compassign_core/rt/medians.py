"""Exact medians of widths by slice without holding the widths: the engine sorts, ranks are picked.

The engine's sort spills to disk; what is held here is one count for each level of each slice.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import stdtrit

from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.rt import SCALE_LEVEL
from compassign_core.rt.arrow import float_column
from compassign_core.rt.cells import Slice
from compassign_core.rt.readback import Predictions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_USABLE = (
    "p.scored AND isfinite(p.rt - p.rt_predicted) AND p.scale > 0 AND NOT isnan(p.scale) "
    "AND NOT isnan(p.df)"
)


class Ranks:
    """Picks, out of values that come in ascending order, those of the middle ranks of levels."""

    def __init__(self, code: Ints, n: Ints) -> None:
        self.code = code
        self.wanted = np.stack([(n - 1) // 2, n // 2])  # (2, L); -1 where a level is empty
        self.seen = np.zeros(n.size, dtype=np.int64)
        self.found = np.full(self.wanted.shape, np.nan)

    def add(self, cell: Ints, values: Floats) -> None:
        """Take the next values ``(n,)``, of the cells ``(n,)``."""
        level = self.code[cell]
        count = np.bincount(level, minlength=self.seen.size)
        place = self.wanted - self.seen
        hit = (place >= 0) & (place < count)
        self.seen += count
        if not hit.any():
            return
        order = np.argsort(level, kind="stable")
        begin = np.concatenate([[0], np.cumsum(count)[:-1]])
        at = np.where(hit, begin + place, 0)
        self.found = np.where(hit, values[order[at]], self.found)

    def medians(self) -> Floats:
        """Median of each level, NaN where it has no value, ``(L,)``."""
        return np.asarray(0.5 * (self.found[0] + self.found[1]))


def median_widths(
    table: Predictions, model: str, slices: Sequence[Slice], used: Sequence[Ints], batch_rows: int
) -> list[Floats]:
    """Median full width of one model's 95 % windows by level of each slice, min.

    `used` are the usable rows of each level, one array ``(L,)`` for each slice.
    """
    ranks = [Ranks(one.code, n) for one, n in zip(slices, used, strict=True)]
    connection = table.source.connection
    own = f"{table.source.sql} AS p WHERE p.model = {quote_text(model)} AND {_USABLE}"
    degrees = connection.sql(f"SELECT DISTINCT p.df FROM {own}").to_arrow_table()
    quantile = stdtrit(float_column(degrees, "df"), 0.5 + 0.5 * SCALE_LEVEL)
    name = f"quantiles_{uuid.uuid4().hex}"
    connection.register(name, degrees.append_column("quantile", pa.array(quantile)))
    begin = table.first_cell(model)
    try:
        batches = table.batches(
            ["2.0 * (p.scale * q.quantile) AS width"],
            batch_rows,
            model=model,
            joined=f"JOIN {name} AS q ON q.df = p.df",
            where=_USABLE,
            order_by=["width"],
        )
        for batch in batches:
            cell = np.asarray(batch["cell"].to_numpy(), dtype=np.int64) - begin
            width = float_column(batch, "width")
            for one in ranks:
                one.add(cell, width)
    finally:
        connection.unregister(name)
    return [one.medians() for one in ranks]
