"""What the UI shows of an artifact: rows, columns, their origin, rejects, size, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from compassign_core.contracts.catalogue import CONTRACTS
from compassign_core.contracts.checks import CheckOutcome
from compassign_core.contracts.tables import TableContract
from compassign_core.pipeline.artifacts import ARTIFACTS, Link, Markdown
from compassign_core.store.project import Project
from compassign_core.store.steps import StagedStep

_ORIGINS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("chemclass_training", "compound"): ("comp_chem_mapping", "chem_id"),
    ("chemclass_training", "compound_class"): ("chem_classes", "compound_class"),
    ("realtest_table", "compound"): ("comp_chem_mapping", "chem_id"),
    ("realtest_table", "compound_class"): ("chem_classes", "compound_class"),
    ("fold_assignment", "n_rows"): ("lib_training", "sampleset_id"),
    ("species_compound_support", "n_rows"): ("lib_training", "comp_id"),
    ("rt_predictions", "rt"): ("realtest_table", "rt"),
}
"""Columns whose name differs from that of the column they come from."""


def column_schema(contract: TableContract, path: Path | None = None) -> dg.TableSchema:
    """Columns of a table with types, units and meaning; covariates are read from the file."""
    columns = [
        dg.TableColumn(
            column.name,
            column.type + (f" ({column.unit})" if column.unit else ""),
            column.description,
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable, unique=contract.key == (column.name,)
            ),
        )
        for column in contract.columns
    ]
    if contract.covariates and path is not None:
        known = set(contract.names())
        columns += [
            dg.TableColumn(name, "DOUBLE (min)", "run covariate")
            for name in pq.read_schema(path).names
            if name not in known
        ]
    return dg.TableSchema(columns)


def column_lineage(contract: TableContract) -> dg.TableColumnLineage:
    """Where columns come from: the same name upstream, or a known other name."""
    upstream = [name for name in ARTIFACTS[contract.name].upstream if name in CONTRACTS]
    origins: dict[str, list[dg.TableColumnDep]] = {}
    for column in contract.names():
        given = _ORIGINS.get((contract.name, column))
        if given is not None:
            origins[column] = [dg.TableColumnDep(dg.AssetKey(given[0]), given[1])]
            continue
        found = [
            dg.TableColumnDep(dg.AssetKey(parent), column)
            for parent in upstream
            if column in CONTRACTS[parent].names()
        ]
        if found:
            origins[column] = found
    return dg.TableColumnLineage(origins)


def file_metadata(project: Project, path: Path) -> dict[str, Any]:
    """Place and size of a published file."""
    return {
        "dagster/uri": path.relative_to(project.root).as_posix(),
        "path": dg.MetadataValue.path(str(path)),
        "bytes": path.stat().st_size,
    }


def shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the core as the UI shows them."""
    return {name: _value(value) for name, value in metadata.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Markdown):
        return dg.MetadataValue.md(value.text)
    if isinstance(value, Link):
        return dg.MetadataValue.url(value.url)
    return dg.MetadataValue.json(dict(value)) if isinstance(value, Mapping) else value


def step_metadata(project: Project, step: StagedStep) -> dict[str, Any]:
    """Everything worth showing of a published preparation step."""
    report, contract = step.report, step.table.contract
    metadata: dict[str, Any] = {
        **file_metadata(project, step.table.target),
        "dagster/row_count": report.rows_out,
        "dagster/column_schema": column_schema(contract, step.table.target),
        "dagster/column_lineage": column_lineage(contract),
        "rows in": report.rows_in,
        "rows out": report.rows_out,
        "rows refused": report.n_rejected,
    }
    for title, counts in (("refused by reason", report.rejects), ("set aside", report.set_aside)):
        if counts:
            metadata[title] = dg.MetadataValue.md(
                "| reason | rows |\n|---|---:|\n"
                + "\n".join(f"| {reason} | {count:,} |" for reason, count in counts.items())
            )
    if step.rejects is not None:
        metadata["rejects table"] = dg.MetadataValue.path(str(step.rejects.target))
    # numbers stand for themselves, so that the UI plots them over materialisations
    plotted = {name: value for name, value in report.notes.items() if isinstance(value, float)}
    metadata |= plotted
    told = {name: value for name, value in report.notes.items() if name not in plotted}
    if told:
        metadata["notes"] = dg.MetadataValue.json(told)
    return metadata


def check_result(outcome: CheckOutcome) -> dg.AssetCheckResult:
    """A check's outcome as the UI shows it: a sentence, the offenders, what to do."""
    metadata: dict[str, Any] = {name: float(value) for name, value in outcome.metrics.items()}
    if not outcome.passed:
        metadata["what to do"] = outcome.advice
        metadata["offenders in all"] = outcome.n_offenders
        if outcome.offenders:
            metadata["offenders"] = dg.MetadataValue.table(
                records=[
                    dg.TableRecord({key: str(value) for key, value in row.items()})
                    for row in outcome.offenders
                ]
            )
    return dg.AssetCheckResult(
        passed=outcome.passed,
        check_name=outcome.name,
        severity=dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN,
        description=outcome.message,
        metadata=metadata,
    )


def not_reached(name: str) -> dg.AssetCheckResult:
    """A check that did not run, because another failed before there was a table to check.

    Without a result the UI would call it failed, which it is not; nor has it passed.
    """
    return dg.AssetCheckResult(
        passed=False,
        check_name=name,
        severity=dg.AssetCheckSeverity.WARN,
        description="not reached: another check failed before there was a table to check.",
    )
