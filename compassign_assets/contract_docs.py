"""`python -m compassign_assets.contract_docs`: write docs/data-contracts.md from the code.

The page is made of the table contracts, the lineage records, and the checks with their rules, so
that it cannot say anything else than the code does; a test fails when the committed page is old.
It names no library and no path of a machine, so equal code gives equal text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import dagster as dg

from compassign_assets.definitions import defs
from compassign_core.contracts.catalogue import CONTRACTS
from compassign_core.contracts.check_rules import RULES
from compassign_core.contracts.identifiers import CAPS
from compassign_core.contracts.rejects import REJECT_COLUMNS
from compassign_core.contracts.tables import COVARIATE_PREFIXES, Column, TableContract
from compassign_core.pipeline.artifacts import ARTIFACTS, Artifact
from compassign_core.simulate.bad_input import KINDS
from compassign_core.store.atomic import write_text
from compassign_core.store.project import current_project

PAGE = "docs/data-contracts.md"

_DIMENSIONS = {(): "one file", ("lib_id",): "library", ("lib_id", "row_cap"): "library × cap"}

_OPENING = f"""# Data contracts

<!-- Written by `make docs` from the code. Do not edit by hand. -->

Every table of the lake has one contract, in `compassign_core/contracts/catalogue.py`. The contract
is checked on the written file before it replaces the last good one. How to read this page:

- **Partitions**: one file per library is `lake/<table>/lib_id=<lib>/data.parquet`; one file per
  library and cap is `lake/<table>/lib_id=<lib>/row_cap=<cap>/data.parquet`. Caps are
  {", ".join(map(str, CAPS))}. The two ids are in the path, not in the file; the views of the
  warehouse add them as columns.
- **Key**: columns that identify a row. **Order**: columns that the rows are sorted by.
- **Null**: whether a value may be missing. A number is always finite.
- **Covariates**: some tables have, after their fixed columns, one nullable DOUBLE column in minutes
  for each run covariate: every column whose name begins with
  {", ".join(f"`{prefix}`" for prefix in COVARIATE_PREFIXES)}, sorted by name.
- **Checks** stop the data when they fail, except those marked *(warns)*.
"""


def check_specs(name: str) -> Sequence[dg.AssetCheckSpec]:
    """The checks of an asset, the general ones first."""
    return [*defs.resolve_assets_def(name).check_specs]


def render() -> str:
    """The whole page as Markdown."""
    tables = [name for name in CONTRACTS if name in ARTIFACTS]
    files = [record for name, record in sorted(ARTIFACTS.items()) if name not in CONTRACTS]
    parts = [_OPENING, "## Overview\n", _overview(tables), "## Tables\n"]
    parts += [_table_section(CONTRACTS[name], ARTIFACTS[name]) for name in tables]
    parts += [_rejects_section(), _bad_input_section()]
    parts += [_files_section(files), _checks_section(tables)]
    return "\n".join(parts)


def _overview(names: Iterable[str]) -> str:
    rows = [
        (f"[{name}](#{name})", _DIMENSIONS[CONTRACTS[name].partitions], CONTRACTS[name].description)
        for name in names
    ]
    return _markdown_table(("Table", "Partitions", "What it is"), rows)


def _table_section(contract: TableContract, record: Artifact) -> str:
    facts = [
        f"- Partitions: {_DIMENSIONS[contract.partitions]}",
        f"- Key: {_names(contract.key) or 'none'}",
        f"- Order: {_names(contract.order_by) or 'none'}",
        f"- Made from: {_names(record.upstream) or 'files that a user brought'}",
        f"- Checks: {_checks_of(contract.name)}",
    ]
    if contract.covariates:
        facts.append("- Covariates: yes, after the columns below")
    columns = _markdown_table(
        ("Column", "Type", "Unit", "Null", "Bounds", "Meaning"),
        [_column_row(column) for column in contract.columns],
    )
    return (
        f"### {contract.name}\n\n{contract.description}\n\n" + "\n".join(facts) + f"\n\n{columns}"
    )


def _checks_of(name: str) -> str:
    return ", ".join(
        f"`{spec.name}`" + ("" if spec.blocking else " *(warns)*") for spec in check_specs(name)
    )


def _column_row(column: Column) -> tuple[str, ...]:
    return (
        f"`{column.name}`",
        column.type,
        column.unit,
        "yes" if column.nullable else "no",
        _bounds(column),
        column.description,
    )


def _bounds(column: Column) -> str:
    rules = []
    if column.minimum is not None:
        rules.append(f"≥ {column.minimum:g}")
    if column.exclusive_minimum is not None:
        rules.append(f"> {column.exclusive_minimum:g}")
    if column.maximum is not None:
        rules.append(f"≤ {column.maximum}")
    if column.values:
        rules.append("one of " + _names(column.values))
    return ", ".join(rules)


def _rejects_section() -> str:
    columns = _markdown_table(
        ("Column", "Type", "Null", "Meaning"),
        [
            (f"`{c.name}`", c.type, "yes" if c.nullable else "no", c.description)
            for c in REJECT_COLUMNS
        ],
    )
    return (
        "## Rejects\n\n"
        "A step that can refuse rows writes them beside its table, as `<table>_rejects`, with the "
        "same\npartitions. All rejects tables have the same columns. What each reason means, and "
        "what to do, stands\nin [libraries.md](libraries.md#reasons-why-rows-are-refused).\n\n"
        f"{columns}"
    )


def _bad_input_section() -> str:
    rows = [
        (
            kind.what,
            kind.outcome,
            f"`{kind.table}`" + (f", `{kind.check}`" if kind.check else ""),
            kind.told,
            _names(kind.reasons) or "nothing",
            kind.untouched,
        )
        for kind in KINDS
    ]
    header = ("What is wrong", "What happens", "Found by", "The user is told", "Rejects", "Stays")
    return (
        "## What happens to bad input\n\n"
        "Every line is a test. `compassign check` tells the same before anything is made. Messages "
        "name\nfiles, columns and rows in place of the … and say what to do.\n\n"
        f"{_markdown_table(header, rows)}"
    )


def _files_section(records: Iterable[Artifact]) -> str:
    rows = [
        (f"`{r.name}`", _DIMENSIONS[r.dimensions], f"`{r.file}`", _names(r.upstream) or "the lake")
        for r in records
    ]
    return (
        "## Artifacts that are no tables\n\n"
        f"{_markdown_table(('Artifact', 'Partitions', 'File', 'Made from'), rows)}"
    )


def _checks_section(tables: Iterable[str]) -> str:
    used: dict[str, tuple[bool, list[str]]] = {}
    for name in tables:
        for spec in check_specs(name):
            used.setdefault(spec.name, (spec.blocking, []))[1].append(name)
    n_tables = len([name for name in CONTRACTS if name in ARTIFACTS])
    rows = [
        (
            f"`{check}`",
            RULES[check],
            "stops" if blocking else "warns",
            "every table" if len(guarded) == n_tables else _names(guarded),
        )
        for check, (blocking, guarded) in used.items()
    ]
    return (
        f"## Checks\n\n{_markdown_table(('Check', 'What it says', 'On failure', 'Tables'), rows)}"
    )


def _names(items: Iterable[str]) -> str:
    return ", ".join(f"`{item}`" for item in items)


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def main() -> int:
    """Write the page into the project's folder."""
    write_text(current_project().root / PAGE, render())
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
