"""Staging a step: its table and its rejects written aside, every check run, then published whole.

This is the gate through which all tables enter the lake, from the orchestrator and from the shell
alike: a blocking check that fails leaves the last good file in place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from compassign_core.contracts.catalogue import contract as find_contract
from compassign_core.contracts.catalogue import rejects_contract
from compassign_core.contracts.checks import CheckOutcome
from compassign_core.contracts.errors import CheckFailed, DamagedFileError
from compassign_core.contracts.rejects import BY_RULE, StepResult
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.store.atomic import publish as rename_onto
from compassign_core.store.atomic import write_text
from compassign_core.store.lake import TABLE_FILE, Lake, Partition, StagedTable

STEP_FILE = "step.json"
REFUSED_FILE = "refused_attempt.parquet"
"""Rejects of the last attempt that was not published, beside the rejects of the last good one."""
STEP_CHECKS = ("rows_are_accounted_for", "rejects_within_limit", "row_count_is_steady")


@dataclass(frozen=True)
class StepReport:
    """What a step read, made and refused."""

    step: str
    rows_in: int
    rows_out: int
    rejects: Mapping[str, int]
    set_aside: Mapping[str, int]
    notes: Mapping[str, Any]
    seconds: float = 0.0

    @property
    def n_rejected(self) -> int:
        """Rows refused, over all reasons."""
        return sum(self.rejects.values())

    def to_json(self) -> str:
        """The facts that do not change from run to run, as JSON."""
        facts = {
            "step": self.step,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rejects": dict(self.rejects),
            "set_aside": dict(self.set_aside),
            "notes": dict(self.notes),
        }
        return json.dumps(facts, indent=1, sort_keys=True, default=str) + "\n"


@dataclass(frozen=True)
class StagedStep:
    """A step's files written aside, and the outcomes of its checks."""

    lake: Lake
    partition: Partition
    table: StagedTable
    rejects: StagedTable | None
    report: StepReport
    outcomes: tuple[CheckOutcome, ...] = field(default=())

    @property
    def failed(self) -> list[CheckOutcome]:
        """Blocking outcomes that did not pass."""
        return [o for o in self.outcomes if o.blocking and not o.passed]

    def publish(self) -> Path:
        """Rename all files onto the last good ones, the table last, and return its path.

        Raises
        ------
        CheckFailed
            when a blocking check failed; nothing is replaced.
        """
        if self.failed:
            self.refuse()
            raise CheckFailed(self.table.contract.name, self.failed)
        try:
            if self.rejects is not None:
                rename_onto(self.rejects.aside, self.rejects.target)
                self.rejects.target.with_name(REFUSED_FILE).unlink(missing_ok=True)
            rename_onto(self.table.aside, self.table.target)
        except BaseException:
            # a full disk, for example, where what was written aside must give its room back
            self.table.discard()
            if self.rejects is not None:
                self.rejects.discard()
            raise
        write_text(self.table.target.with_name(STEP_FILE), self.report.to_json())
        if self.rejects is None:
            # A step that refuses nothing any more must not leave what it refused before.
            name = rejects_contract(self.table.contract.name).name
            for file in (TABLE_FILE, REFUSED_FILE):
                self.lake.file(name, self.partition, file).unlink(missing_ok=True)
        return self.table.target

    def refuse(self) -> None:
        """Remove the table written aside, and keep its rejects for whoever mends the source."""
        self.table.discard()
        if self.rejects is not None:
            rename_onto(self.rejects.aside, self.rejects.target.with_name(REFUSED_FILE))


def stage_step(
    lake: Lake,
    name: str,
    partition: Partition,
    result: StepResult,
    settings: PrepSettings | None = None,
) -> StagedStep:
    """Write a step's result aside and run all its checks on the written file.

    Parameters
    ----------
    lake : where it will be published.
    name : table, by its contract's name.
    partition : library and cap.
    result : what the step made.
    settings : limits of the generic checks; defaults when None.
    """
    limits = settings or PrepSettings()
    table = lake.stage(result.table, find_contract(name), partition)
    rejects = None
    try:
        counts: dict[str, int] = {}
        if result.rejects is not None:
            rejects = lake.stage(result.rejects, rejects_contract(name), partition)
            rows = lake.connection.execute(
                f"SELECT reason, count(*) FROM {rejects.source} GROUP BY 1 ORDER BY 1"
            ).fetchall()
            counts = {reason: int(count) for reason, count in rows}
        report = StepReport(
            name,
            result.rows_in,
            table.n_rows,
            counts,
            result.set_aside,
            result.notes,
            table.seconds,
        )
        outcomes = [
            *lake.check_contract(table),
            rows_are_accounted_for(report, result.expands),
            rejects_within_limit(report, limits.max_reject_share),
            row_count_is_steady(report, table.target, limits.row_change_warning),
            *(check(table.source) for check in result.checks),
        ]
    except BaseException:
        table.discard()
        if rejects is not None:
            rejects.discard()
        raise
    return StagedStep(lake, partition, table, rejects, report, tuple(outcomes))


def read_step(path: Path) -> dict[str, Any]:
    """The facts in a `step.json`, see `StepReport.to_json`.

    Raises
    ------
    DamagedFileError
        when the file holds no such facts.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise DamagedFileError(
            f"{path} is damaged: {error}.",
            "run `make demo`, which makes this table again, or materialise it.",
        ) from error
    return facts


def rows_are_accounted_for(report: StepReport, expands: bool) -> CheckOutcome:
    """Rows in = rows out + refused + set aside; a join that multiplies rows breaks it."""
    if expands:
        return CheckOutcome(
            "rows_are_accounted_for", True, "this step summarises; its rows are not those it read."
        )
    set_aside = sum(report.set_aside.values())
    left_over = report.rows_in - report.rows_out - report.n_rejected - set_aside
    words = (
        f"{report.rows_in:,} read = {report.rows_out:,} kept + {report.n_rejected:,} refused + "
        f"{set_aside:,} set aside"
    )
    return CheckOutcome(
        "rows_are_accounted_for",
        left_over == 0,
        words + ("." if left_over == 0 else f" leaves {left_over:,} over."),
        "a join lost rows (more left over) or multiplied them (fewer): look for repeated keys in "
        "the tables this step joins.",
        metrics={"rows_in": report.rows_in, "rows_out": report.rows_out},
    )


def rejects_within_limit(report: StepReport, max_share: float) -> CheckOutcome:
    """The share of faulty rows stays within the limit; curation rules do not count as faults."""
    faulty = {reason: n for reason, n in report.rejects.items() if reason not in BY_RULE}
    judged = report.rows_in - (report.n_rejected - sum(faulty.values()))
    share = sum(faulty.values()) / judged if judged else 0.0
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in faulty.items()) or "none"
    return CheckOutcome(
        "rejects_within_limit",
        share <= max_share,
        f"{share:.2%} of {judged:,} rows were refused as faulty ({reasons}); the limit is "
        f"{max_share:.0%}.",
        f"look at {REFUSED_FILE} in the folder of {report.step}_rejects, mend the source files it "
        "names, or raise max_reject_share of the library in libraries.toml.",
        metrics={"reject_share": share},
    )


def row_count_is_steady(report: StepReport, last_good: Path, share: float) -> CheckOutcome:
    """Warn when the number of rows moves by more than `share` against the last good file."""
    try:
        before = pq.ParquetFile(last_good).metadata.num_rows if last_good.is_file() else None
    except pa.ArrowInvalid:
        before = -1
    if before is None:
        text, steady = "first time this table is made.", True
    elif before < 0:
        text, steady = "the last file of this table could not be read; it is replaced.", False
    else:
        moved = abs(report.rows_out - before) / max(before, 1)
        steady = moved <= share
        text = f"{before:,} rows before, {report.rows_out:,} now ({moved:.1%} moved)."
    return CheckOutcome(
        "row_count_is_steady",
        steady,
        text,
        "make sure that the export is complete; row_change_warning in libraries.toml sets the "
        "limit.",
    )
