"""The outcome of one check on data: passed or not, who offends, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compassign_core.contracts.check_rules import is_blocking

MAX_OFFENDERS = 20


@dataclass(frozen=True)
class CheckOutcome:
    """Result of a check.

    Attributes
    ----------
    name : the check's name, a snake_case statement such as ``species_nested_in_supercategory``.
    passed : whether the data keep the rule.
    message : one sentence with the counts, readable by a newcomer.
    advice : what to do when it failed.
    offenders : the first `MAX_OFFENDERS` offending keys, one mapping a row.
    n_offenders : how many there are in all.
    metrics : numbers worth plotting over time.
    """

    name: str
    passed: bool
    message: str
    advice: str = ""
    offenders: Sequence[Mapping[str, Any]] = ()
    n_offenders: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def blocking(self) -> bool:
        """Whether a failure must stop the data from going on, see `check_rules`."""
        return is_blocking(self.name)

    def sentence(self) -> str:
        """The outcome as text, with the first offenders when there are any."""
        text = f"{self.name}: {self.message}"
        if not self.passed and self.offenders:
            shown = "; ".join(
                ", ".join(f"{key}={value}" for key, value in row.items()) for row in self.offenders
            )
            more = self.n_offenders - len(self.offenders)
            text += f" Offenders: {shown}" + (f"; and {more} more." if more > 0 else ".")
        return text
