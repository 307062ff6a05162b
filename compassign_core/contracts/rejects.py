"""Rows that a step refuses: their table, and what a step hands back beside its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compassign_core.contracts.checks import CheckOutcome
from compassign_core.contracts.tables import Column

REJECT_COLUMNS: tuple[Column, ...] = (
    Column("reason", "VARCHAR", "why the row was refused"),
    Column("source_file", "VARCHAR", "file the row came from", nullable=True),
    Column("sampleset_id", "VARCHAR", "sample set as written in the source", nullable=True),
    Column("worksheet_id", "VARCHAR", "worksheet as written in the source", nullable=True),
    Column("task_id", "VARCHAR", "task as written in the source", nullable=True),
    Column("comp_id", "VARCHAR", "library entry as written in the source", nullable=True),
    Column("detail", "VARCHAR", "the offending value or key", nullable=True),
)
"""Columns of every rejects table; ids are text because a rejected id may be unreadable."""


BY_RULE = (
    "status_not_kept",
    "sample_type_excluded",
    "comp_without_chemical",
    "chemical_without_class",
    "smiles_missing",
    "species_missing",
    "group_missing",
    "chemical_is_zero",
    "run_not_listed",
    "compound_not_listed",
)
"""Reasons that follow from the lab's own curation and settings, not from a fault in the data."""


@dataclass(frozen=True)
class StepResult:
    """What a preparation step hands back.

    Attributes
    ----------
    table : the rows that go on, as anything that the lake can stage: a DuckDB relation, Ibis table,
        Arrow table or record batch reader, data frame, or SQL text.
    rows_in : rows read.
    rejects : rows refused, with the columns of `REJECT_COLUMNS`, or None when the step
        cannot refuse any.
    set_aside : rows that do not go on by design (held out, beyond the cap), by reason.
    expands : whether the rows made are not those read (a summary, one row per pair), so that
        rows in and out cannot be compared.
    checks : functions that take the SQL source text of the *staged* table (for example
        ``read_parquet('…')``) and return a `CheckOutcome`; they run before publication.
    notes : further facts for the UI.
    """

    table: Any
    rows_in: int
    rejects: Any = None
    set_aside: Mapping[str, int] = field(default_factory=dict)
    expands: bool = False
    checks: Sequence[Callable[[str], CheckOutcome]] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    def with_checks(self, *checks: Callable[[str], CheckOutcome]) -> StepResult:
        """The same result with further checks for the gate."""
        return replace(self, checks=(*self.checks, *checks))
