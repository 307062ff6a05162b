"""`compassign sql "select …"`: questions to the warehouse, read-only."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from compassign_core.cli.output import show
from compassign_core.store.project import current_project
from compassign_core.store.warehouse import build_warehouse, query


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def sql(
    text: Annotated[str, typer.Argument(help="A DuckDB query; 'SHOW TABLES' lists the views.")],
    output: Annotated[Format, typer.Option("--format", help="table, csv or json")] = Format.table,
    limit: Annotated[int, typer.Option(min=1, help="Most rows printed as a table.")] = 100,
) -> None:
    """Run a query on the views over the lake (columns lib_id and row_cap say the partition)."""
    project = current_project()
    # Views are rebuilt each time (milliseconds), so that tables made since are there.
    build_warehouse(project.root / "lake", project.warehouse)
    as_table = output is Format.table
    result = query(project.warehouse, text, limit + 1 if as_table else None)
    if as_table:
        show(result.columns, result.rows[:limit])
        if len(result.rows) > limit:
            typer.echo(f"only the first {limit:,} rows; use --limit or --format csv.", err=True)
    elif output is Format.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    else:
        records = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        typer.echo(json.dumps(records, default=str, indent=1))
