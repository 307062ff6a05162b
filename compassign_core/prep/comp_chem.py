"""Library entries: the chemical behind each, and its name and transition.

Rule: a comp belongs to one chemical; two different chemicals for one comp stop the step, because a
join on them would multiply peaks. Identical repeated lines count once.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.contracts.errors import CheckFailed
from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.contracts.rejects import StepResult
from compassign_core.prep.csv_input import csv_source, named_columns, rows_of_lib
from compassign_core.prep.importers.id_columns import id_column
from compassign_core.store.sql import count_rows, first_rows, whole_number


def build_comp_chem_mapping(
    connection: duckdb.DuckDBPyConnection, file: Path, lib: int, names: str | None = None
) -> StepResult:
    """Make `comp_chem_mapping` from a CSV with `comp_id`, `chemical_id` and optionally `lib_id`.

    With `names`, SQL text of `imported_names`, a column `compound` may stand for `comp_id`.

    Raises
    ------
    InputError
        when a column is missing.
    CheckFailed
        when a comp has two chemicals; names the offenders.
    """
    identifier, as_id = id_column(connection, file, "comp_id", "compound", names)
    wanted = {"comp": identifier, "chem": "chemical_id"}
    columns = named_columns(connection, file, wanted, optional=["lib_id"])
    comp, chem = quote_name(columns["comp"]), quote_name(columns["chem"])
    read = f"""
        SELECT *, row_number() OVER (
            PARTITION BY comp_id, chem_id ORDER BY comp_text, chem_text) AS place
        FROM (SELECT {comp} AS comp_text, {chem} AS chem_text,
                     {as_id(comp)} AS comp_id, {whole_number(chem)} AS chem_id
              FROM {csv_source(file)} WHERE {rows_of_lib(columns, "lib_id", lib)})"""
    # Databases that number chemicals from 1 write 0 for none: such entries are no one chemical.
    good = "comp_id IS NOT NULL AND chem_id > 0"
    offenders, total = first_rows(
        connection,
        f"""SELECT comp_id, string_agg(DISTINCT chem_id::VARCHAR, ' | ' ORDER BY chem_id::VARCHAR)
                   AS chemicals
            FROM ({read}) WHERE {good} GROUP BY 1 HAVING count(DISTINCT chem_id) > 1""",
        MAX_OFFENDERS,
    )
    outcome = CheckOutcome(
        "comp_in_one_chemical",
        total == 0,
        "every comp has one chemical." if not total else f"{total:,} comps have several chemicals.",
        f"keep one line per comp_id in {file.name}; repeated lines would multiply its peaks.",
        offenders,
        total,
    )
    if total:
        raise CheckFailed("comp_chem_mapping", [outcome])
    return StepResult(
        f"(SELECT comp_id, chem_id FROM ({read}) WHERE {good} AND place = 1)",
        rows_in=count_rows(connection, f"({read})"),
        rejects=f"""(
            SELECT CASE WHEN comp_id IS NULL THEN 'comp_unreadable'
                        WHEN chem_id IS NULL THEN 'chemical_missing'
                        WHEN chem_id = 0 THEN 'chemical_is_zero'
                        ELSE 'duplicate_row' END AS reason,
                   {quote_text(file.name)} AS source_file, NULL AS sampleset_id,
                   NULL AS worksheet_id, NULL AS task_id, comp_text AS comp_id,
                   concat('chemical_id=', chem_text) AS detail
            FROM ({read}) WHERE NOT coalesce({good}, false) OR place > 1)""",
        checks=(lambda _source: outcome,),
    )


def build_library_compounds(
    connection: duckdb.DuckDBPyConnection, file: Path | None, lib: int, names: str | None = None
) -> StepResult:
    """Make `library_compounds` from a CSV with `comp_id`, `feature_name` and m/z; or empty.

    With `names`, SQL text of `imported_names`, the name may stand for `comp_id`.

    Raises
    ------
    InputError
        when the file lacks `comp_id`.
    """
    if file is None:
        empty = """(SELECT 0::BIGINT AS comp_id, '' AS name, 0.0::DOUBLE AS precursor_mz,
                           0.0::DOUBLE AS product_mz WHERE false)"""
        return StepResult(empty, rows_in=0)
    others = ["lib_id", "feature_name", "precursor_mz", "product_mz"]
    identifier, as_id = id_column(connection, file, "comp_id", "compound", names)
    columns = named_columns(connection, file, {"comp": identifier}, optional=others)

    def optional(name: str) -> str:
        return quote_name(columns[name]) if name in columns else "NULL"

    read = f"""
        SELECT {quote_name(columns["comp"])} AS comp_text,
               {as_id(quote_name(columns["comp"]))} AS comp_id,
               {optional("feature_name")} AS name,
               TRY_CAST({optional("precursor_mz")} AS DOUBLE) AS precursor_mz,
               TRY_CAST({optional("product_mz")} AS DOUBLE) AS product_mz
        FROM {csv_source(file)} WHERE {rows_of_lib(columns, "lib_id", lib)}"""
    return StepResult(
        f"(SELECT comp_id, name, precursor_mz, product_mz FROM ({read}) WHERE comp_id IS NOT NULL)",
        rows_in=count_rows(connection, f"({read})"),
        rejects=f"""(
            SELECT 'comp_unreadable' AS reason, {quote_text(file.name)} AS source_file,
                   NULL AS sampleset_id, NULL AS worksheet_id, NULL AS task_id,
                   comp_text AS comp_id, name AS detail
            FROM ({read}) WHERE comp_id IS NULL)""",
    )
