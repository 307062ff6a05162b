"""Looking at an export before anything is made of it: every step of the ingest, on a scratch lake.

The steps, their checks and the gate are those of the real run, so that a verdict cannot differ from
what the run would do. Nothing is written to the lake or the id registry: all of it goes to a
temporary folder that is removed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compassign_core.contracts.errors import (
    CheckFailed,
    CompassignError,
    MissingArtifactError,
)
from compassign_core.contracts.rejects import BY_RULE
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.libraries import Libraries
from compassign_core.contracts.tables import is_covariate
from compassign_core.pipeline.artifacts import Artifact
from compassign_core.pipeline.make import read, run
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.prep.checks import covariates_present
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project
from compassign_core.store.sql import columns_of
from compassign_core.store.steps import StagedStep, StepReport

Verdict = Literal["ok", "look", "stop"]
VERDICTS: tuple[Verdict, ...] = ("ok", "look", "stop")
"""From good to bad: *look* lets the data go on, *stop* does not."""

_REASONS = "docs/libraries.md says what each reason means and what to do."


@dataclass(frozen=True)
class Finding:
    """One line of a verdict.

    Attributes
    ----------
    verdict : one of `VERDICTS`.
    subject : table or aspect.
    sentence : what was found.
    advice : what to do, empty when there is nothing to do.
    """

    verdict: Verdict
    subject: str
    sentence: str
    advice: str = ""


def worst(findings: list[Finding]) -> Verdict:
    """The verdict over all findings."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index, default="ok")


def inspect_library(libraries: Libraries, lib: int, project: Project) -> list[Finding]:
    """Judge the export of one library.

    Parameters
    ----------
    libraries : the library's description, of the project or made for the occasion.
    lib : library.
    project : its engine is used, and its id registry is copied.

    Raises
    ------
    SettingsError
        when the library is not described.
    """
    libraries.get(lib)
    with tempfile.TemporaryDirectory(prefix="compassign-check-") as folder:
        scratch = _Scratch(Path(folder), project.data, libraries, project.engine)
        if project.registry.is_dir():
            shutil.copytree(project.registry, scratch.registry)
        findings: list[Finding] = []
        for artifact in _steps():
            findings += _try(scratch, artifact, Partition(lib))
        return [*findings, *_facts(scratch, Partition(lib))]


@dataclass(frozen=True)
class _Scratch(Project):
    """A project whose lake and registry are temporary."""

    given: Libraries
    real_engine: EngineSettings

    @property
    def libraries(self) -> Libraries:
        return self.given

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def engine(self) -> EngineSettings:
        return self.real_engine


def _steps() -> Iterator[Artifact]:
    """The ingest and what shows whether sample sets can be held out, upstream first."""
    yield from (one for one in ARTIFACTS.values() if one.group == "ingest")
    yield ARTIFACTS["fold_assignment"]


def _try(project: Project, artifact: Artifact, partition: Partition) -> list[Finding]:
    """Make a table in the scratch lake, and say what came of it."""
    try:
        staged = run(project, artifact, partition, read(project, artifact, partition))
    except MissingArtifactError as error:
        missing = f"not looked at: {error.problem.partition(' has')[0]} could not be made."
        return [Finding("look", artifact.name, missing, "mend what stops, and check again.")]
    except CheckFailed as error:
        return [
            Finding("stop" if one.blocking else "look", artifact.name, one.sentence(), one.advice)
            for one in error.outcomes
            if not one.passed
        ]
    except CompassignError as error:
        return [Finding("stop", artifact.name, error.problem, error.advice)]
    assert isinstance(staged, StagedStep)
    findings = [
        Finding("stop" if one.blocking else "look", artifact.name, one.sentence(), one.advice)
        for one in staged.outcomes
        if not one.passed
    ]
    if staged.report.rows_in or not artifact.name.startswith("imported_"):
        findings.insert(0, _counted(staged.report))
    if not staged.failed:
        staged.publish()
    return findings


def _counted(report: StepReport) -> Finding:
    refused = ", ".join(f"{reason} {n:,}" for reason, n in sorted(report.rejects.items()))
    faulty = any(reason not in BY_RULE for reason in report.rejects)
    empty = report.step == "lib_training" and not report.rows_out
    return Finding(
        "stop" if empty else "look" if faulty else "ok",
        report.step,
        f"{report.rows_in:,} rows read, {report.rows_out:,} kept"
        + (f"; refused: {refused}." if refused else "."),
        _REASONS if faulty or empty else "",
    )


def _facts(project: Project, partition: Partition) -> Iterator[Finding]:
    """What a person wants to see of an export that could be read."""
    lake = project.lake
    if not lake.file("lib_training", partition).is_file():
        return
    peaks = lake.source("lib_training", partition)
    (rows, runs, sets, comps, first, middle, last) = lake.connection.execute(
        f"""SELECT count(*), count(DISTINCT (sampleset_id, worksheet_id, task_id)),
                   count(DISTINCT sampleset_id), count(DISTINCT comp_id),
                   min(rt), median(rt), max(rt) FROM {peaks}"""
    ).fetchall()[0]
    if not rows:
        return
    yield Finding(
        "ok",
        "size",
        f"{rows:,} peaks of {comps:,} entries in {runs:,} runs of {sets:,} sample sets.",
    )
    yield Finding(
        "ok",
        "retention times",
        f"{first:.2f} to {last:.2f} minutes, half of them before {middle:.2f}.",
    )
    limit = project.library(partition.lib or 0).prep.covariate_null_warning
    of_runs = lake.source("run_covariates", partition)
    outcome = covariates_present(lake.connection, limit)(of_runs)
    names = ", ".join(filter(is_covariate, columns_of(lake.connection, of_runs)))
    yield Finding(
        "ok" if outcome.passed else "look",
        "covariates",
        outcome.sentence() if not outcome.passed else f"{outcome.message} Found: {names}.",
        "" if outcome.passed else outcome.advice,
    )
    yield from _coverage(project, partition, peaks)


def _coverage(project: Project, partition: Partition, peaks: str) -> Iterator[Finding]:
    lake = project.lake
    if not lake.file("comp_chem_mapping", partition).is_file():
        return
    mapping = lake.source("comp_chem_mapping", partition)
    n_rows, comps = lake.connection.execute(
        f"""SELECT coalesce(sum(n), 0)::BIGINT, list(comp_id ORDER BY comp_id)
            FROM (SELECT comp_id, count(*) AS n FROM {peaks} GROUP BY 1)
            ANTI JOIN {mapping} AS mapping USING (comp_id)"""
    ).fetchall()[0]
    unmapped = comps or []
    shown = ", ".join(map(str, unmapped[:10])) + (" …" if len(unmapped) > 10 else "")
    yield Finding(
        "look" if unmapped else "ok",
        "chemicals",
        f"{len(unmapped):,} entries with {n_rows:,} peaks have no chemical: {shown}."
        if unmapped
        else "every entry with peaks has a chemical.",
        "add them to the list of comp_chem; until then their chemical is −1." if unmapped else "",
    )
