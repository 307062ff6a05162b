"""Coverage in a table: the share with its binomial interval beside it."""

from __future__ import annotations

from compassign_core.report.markup import MISSING, Markup, element, percent
from compassign_core.report.summaries import WINDOW_LEVELS, Row, Share, coverage

INTERVAL_NOTE = (
    "Under each coverage stands its 95 % binomial interval (Wilson), as if peaks were independent. "
    "Peaks of one run miss together, so the true uncertainty is larger. "
)

HEADER = tuple(f"Cov{level}" for level in WINDOW_LEVELS)


def coverage_cells(row: Row) -> list[Markup]:
    """Coverage at all levels, each with its interval."""
    return [share_cell(coverage(row, level)) for level in WINDOW_LEVELS]


def share_cell(share: Share) -> Markup:
    """Write a share in percent, and its interval below it."""
    middle = percent(share.value)
    if middle == MISSING or share.low != share.low:
        return Markup(middle)
    ends = f"{100 * share.low:.1f}–{100 * share.high:.1f}"
    return Markup(element("div", middle) + element("div", ends, class_="note"))
