"""Errors that a user sees: each says what is wrong, where, how often, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from compassign_core.contracts.checks import CheckOutcome


class CompassignError(Exception):
    """Base of all errors that end a step with a message instead of a traceback.

    Parameters
    ----------
    problem : what is wrong, naming the file, column, key and count.
    advice : what the user should do about it.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem}\n  What to do: {self.advice}" if self.advice else self.problem


class SettingsError(CompassignError):
    """A setting, or a combination of settings, is not legal."""


class InputError(CompassignError):
    """Something a user brought (an export, a mapping, a table to score) cannot be used."""


class ContractError(CompassignError):
    """A table does not keep its contract; nothing was published."""


class MissingArtifactError(CompassignError):
    """A step needs a table or model that has not been made yet."""


class DamagedFileError(CompassignError):
    """A file that was published whole is not any more what was published."""


class DiskFullError(CompassignError):
    """There was no space to write; what was published before is untouched."""


class CheckFailed(ContractError):
    """Blocking checks failed before anything was written.

    Parameters
    ----------
    outcomes : all outcomes of the step's checks, passed ones included.
    """

    def __init__(self, table: str, outcomes: Sequence[CheckOutcome]) -> None:
        failed = [outcome for outcome in outcomes if not outcome.passed]
        super().__init__(
            f"{table}: " + " ".join(outcome.sentence() for outcome in failed),
            " ".join(outcome.advice for outcome in failed),
        )
        self.outcomes = tuple(outcomes)
