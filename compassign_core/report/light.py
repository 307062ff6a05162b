"""A traffic light: what it says, and how a number becomes good, look or act."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from compassign_core.report.markup import percent

Status = Literal["good", "look", "act", "none"]


@dataclass(frozen=True)
class Verdict:
    """One light.

    Attributes
    ----------
    name : what is judged.
    status : good, look (at it), act, or none when there is nothing to judge.
    finding : the number, in words.
    rule : the bounds.
    advice : what to do, empty when good.
    """

    name: str
    status: Status
    finding: str
    rule: str
    advice: str = ""


def graded(value: float, bounds: tuple[float, float]) -> Status:
    """Grade a distance or share: good up to the first bound, look up to the second, else act.

    Rounded to nine decimals, so that 0.95 - 0.93 counts as 0.02.
    """
    if math.isnan(value):
        return "none"
    value = round(value, 9)
    return "good" if value <= bounds[0] else "look" if value <= bounds[1] else "act"


def nothing(name: str, rule: str, finding: str) -> Verdict:
    """Say that there is nothing to judge."""
    return Verdict(name, "none", finding, rule)


def distance_rule(bounds: tuple[float, float]) -> str:
    """Write the rule of a distance from 95 %."""
    return (
        f"Good: within {bounds[0] * 100:.0f} points of 95 %. "
        f"Look: within {bounds[1] * 100:.0f} points."
    )


def share_rule(bounds: tuple[float, float], what: str = "rows") -> str:
    """Write the rule of a share."""
    return f"Good: up to {percent(bounds[0], 0)} of {what}. Look: up to {percent(bounds[1], 0)}."
