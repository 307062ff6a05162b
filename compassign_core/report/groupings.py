"""The experiment of three ways to group, in words: who is clearly better, and where.

Here belong readings of `RT_COMPARISON` for these three models; the verdicts are worked out from its
intervals, whatever they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.report.comparisons import (
    BETTER,
    TOO_FEW,
    UNCLEAR,
    WORSE,
    interval,
    judged,
    rows_of,
    signed,
)
from compassign_core.report.inputs import Grouping
from compassign_core.report.summaries import Row, number_of

SLICE = "pair_support"
"""Training rows of the (species, comp) pair: the same for all three ways."""


_WORDS = {
    BETTER: "it is clearly better",
    WORSE: "it is clearly worse",
    UNCLEAR: "the difference is not clear",
    TOO_FEW: "there are too few sample sets to tell",
}


@dataclass(frozen=True)
class Contest:
    """One way against another, on the peaks that both scored.

    Attributes
    ----------
    model, other : the models; differences are `model` less `other`.
    overall : row of `RT_COMPARISON` over all peaks, None when they share no peak.
    by_bin : rows by training rows of the pair, bins in order.
    """

    model: str
    other: str
    overall: Row | None
    by_bin: dict[str, Row]

    def bins(self, verdict: str) -> list[str]:
        """Bins in which the first model is judged so."""
        return [name for name, row in self.by_bin.items() if judged(row) == verdict]


def contest(comparison: pa.Table, model: str, other: str, metric: str = "rmse") -> Contest:
    """Rows of the comparison of two models; `other` has to be one of its baselines."""
    own = comparison.filter(pc.field("model") == model)
    overall = rows_of(own, other, "overall", metric)
    found = {str(row["level"]): row for row in rows_of(own, other, SLICE, metric)}
    by_bin: dict[str, Row] = {name: found[name] for name in SUPPORT_BINS if name in found}
    return Contest(model, other, overall[0] if overall else None, by_bin)


def contests(comparison: pa.Table, ways: Grouping) -> list[Contest]:
    """The three pairs of the experiment, the pooled way first."""
    return [
        contest(comparison, ways.pooled, ways.together),
        contest(comparison, ways.pooled, ways.apart),
        contest(comparison, ways.apart, ways.together),
    ]


def sentence(found: Contest) -> str:
    """Say who is clearly better, overall and in which bins, and where that is not clear."""
    name, other = found.model, found.other
    if found.overall is None:
        return f"{name} was not compared with {other} on any peak."
    said = f"Against {other}, {name} is {_overall(found.overall)}."
    bins = {verdict: found.bins(verdict) for verdict in _WORDS}
    clear = bins[BETTER] or bins[WORSE]
    parts = [] if clear else ["it is nowhere clearly better or worse"]
    for verdict, words in _WORDS.items():
        if bins[verdict]:
            parts.append(f"{words} at {listing(bins[verdict])}")
        elif clear and verdict in (BETTER, WORSE):
            parts.append(f"{words} nowhere")
    return f"{said} By training rows of the pair, {'; '.join(parts)}."


def listing(words: Sequence[str]) -> str:
    """Words with commas, and an "and" before the last one."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _overall(row: Row) -> str:
    size = f"RMSE {signed(number_of(row, 'difference'))} min, 95 % interval {interval(row)}"
    verdict = judged(row)
    if verdict in (BETTER, WORSE):
        return f"clearly {verdict} over all peaks ({size})"
    words = {UNCLEAR: "not clearly different", TOO_FEW: "not to be judged for too few sample sets"}
    return f"{words[verdict]} over all peaks ({size})"
