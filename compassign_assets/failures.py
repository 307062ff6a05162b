"""Errors that a user can act on, as the orchestrator's own."""

import dagster as dg

from compassign_core.contracts.errors import CompassignError


def failure(error: CompassignError) -> dg.Failure:
    """The failure that shows the problem and what to do; trying again would not help."""
    return dg.Failure(
        description=error.problem,
        metadata={"what to do": error.advice or "see the message"},
        allow_retries=False,
    )
