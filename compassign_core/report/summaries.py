"""The numbers behind figures and traffic lights, as small arrays.

Here belong readings of the evaluation and of probability transforms; what is about runs stands in
`run_summaries`, drawing in `figures` and `thumbnails`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.catalogue import PIT_BINS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Row = Mapping[str, object]

WINDOW_LEVELS = (50, 80, 95, 99)
"""Nominal coverages of the windows that the evaluation judges, in percent."""


def floats(table: pa.Table, name: str) -> Floats:
    """Read a column as float64, null becoming NaN; shape ``(n,)``."""
    cast = pc.cast(table.column(name), pa.float64())
    return np.asarray(pc.fill_null(cast, float("nan")), dtype=np.float64)


def of_model(table: pa.Table, model: str) -> pa.Table:
    """Keep the rows of one model."""
    return table.filter(pc.field("model") == model)


def model_names(table: pa.Table) -> list[str]:
    """Models of a table, sorted."""
    return sorted(set(table.column("model").to_pylist()))


def grouped_quantiles(
    values: Floats, groups: Ints, n_groups: int, probabilities: Sequence[float]
) -> tuple[Floats, Ints]:
    """Quantiles of finite values within groups, interpolated linearly as in `numpy.quantile`.

    Parameters
    ----------
    values, groups : shape ``(n,)``; groups are 0 to `n_groups` - 1.
    probabilities : length ``q``.

    Returns
    -------
    quantiles ``(n_groups, q)``, NaN where a group has no finite value; counts ``(n_groups,)``.
    """
    finite = np.isfinite(values)
    order = np.lexsort((values[finite], groups[finite]))
    ranked = values[finite][order]
    counts = np.bincount(groups[finite], minlength=n_groups).astype(np.int64)
    out = np.full((n_groups, len(probabilities)), np.nan)
    filled = counts > 0
    if not filled.any():
        return out, counts
    starts = (np.cumsum(counts) - counts)[filled, None]
    place = (counts[filled, None] - 1) * np.asarray(probabilities)[None, :]
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    below, above = ranked[starts + low], ranked[starts + high]
    out[filled] = below + (above - below) * (place - low)
    return out, counts


def pit_counts(pit: pa.Table, model: str) -> Ints:
    """Held-out peaks in each twentieth of their predictive distribution, overall.

    Parameters
    ----------
    pit : `RT_PIT`.
    model : the model; without a scored peak its counts are all zero.
    """
    own = pit.filter((pc.field("model") == model) & (pc.field("slice") == "overall"))
    counts = np.zeros(PIT_BINS, dtype=np.int64)
    counts[floats(own, "bin").astype(np.int64) - 1] = floats(own, "n").astype(np.int64)
    return counts


def central_coverage(counts: Ints) -> tuple[Floats, Floats]:
    """Nominal and observed coverage of the central intervals that `pit_counts` know.

    The interval of level ``p`` holds the peaks with ``|2 PIT - 1| <= p``: with 20 bins these are
    the levels 10 %, 20 %, … 90 %, shapes ``(9,)``. NaN without a peak.
    """
    half = counts.size // 2
    steps = np.arange(1, half)
    inside = np.array([counts[half - k : half + k].sum() for k in steps], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return steps / half, inside / np.float64(counts.sum())


class Share(NamedTuple):
    """A share with its 95 % binomial interval; NaN where there is none."""

    value: float
    low: float
    high: float


def coverage(row: Row, percent: int = 95) -> Share:
    """Read the coverage of a level, with its interval, from a row of the evaluation."""
    return Share(*(number_of(row, f"cov{percent}{end}") for end in ("", "_low", "_high")))


def number_of(row: Row, name: str) -> float:
    """Read a number of a row; null is NaN."""
    value = row[name]
    return float(value) if isinstance(value, int | float) else math.nan


def evaluation_rows(evaluation: pa.Table, slice_name: str) -> list[dict[str, object]]:
    """Rows of one slice of the evaluation, by model and level."""
    rows = evaluation.filter(pc.field("slice") == slice_name).to_pylist()
    return sorted(rows, key=lambda row: (str(row["model"]), str(row["level"])))


def held_out_rows(evaluation: pa.Table) -> int:
    """Held-out peaks."""
    overall = evaluation_rows(evaluation, "overall")
    return max((int(str(row["n_rows"])) for row in overall), default=0)
