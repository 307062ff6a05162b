"""The last steps: attach chemistry, and build the RT table and the table of held-out peaks.

Rule: a peak whose comp has no chemical, or whose chemical has no class, gets -1 or is refused, by
setting; both are counted. The RT table holds ids, retention time and covariates, nothing else.
"""

from __future__ import annotations

from typing import Literal

import duckdb

from compassign_core.contracts.catalogue import RT_TABLE
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.tables import is_covariate
from compassign_core.store.sql import columns_of, count_rows, names


def attach_chemistry(
    connection: duckdb.DuckDBPyConnection,
    peaks: str,
    comp_chem_mapping: str,
    chem_classes: str,
    missing: Literal["fill", "drop"],
) -> StepResult:
    """Add `compound` (chemical id) and `compound_class` to peaks.

    Parameters
    ----------
    connection : the engine.
    peaks : SQL text of a table with `comp_id`, for example `capped_training`.
    comp_chem_mapping, chem_classes : SQL text of these tables.
    missing : ``fill`` gives -1 where chemistry is missing, ``drop`` refuses such peaks.
    """
    joined = f"""
        SELECT peaks.*, coalesce(mapping.chem_id, -1) AS compound,
               coalesce(classes.compound_class, -1) AS compound_class
        FROM {peaks} AS peaks
        LEFT JOIN {comp_chem_mapping} AS mapping USING (comp_id)
        LEFT JOIN {chem_classes} AS classes ON classes.chem_id = mapping.chem_id"""
    mapped, classed = connection.execute(
        f"""SELECT count(*) FILTER (compound >= 0), count(*) FILTER (compound_class >= 0)
            FROM ({joined})"""
    ).fetchall()[0]
    notes = {"rows_with_chemical": mapped, "rows_with_class": classed}
    if missing == "fill":
        return StepResult(f"({joined})", count_rows(connection, peaks), notes=notes)
    rejects = f"""(
        SELECT CASE WHEN compound < 0 THEN 'comp_without_chemical'
                    ELSE 'chemical_without_class' END AS reason,
               source_file, sampleset_id::VARCHAR AS sampleset_id,
               worksheet_id::VARCHAR AS worksheet_id, task_id::VARCHAR AS task_id,
               comp_id::VARCHAR AS comp_id, concat('chem_id=', compound) AS detail
        FROM ({joined}) WHERE compound_class < 0)"""
    return StepResult(
        f"(SELECT * FROM ({joined}) WHERE compound_class >= 0)",
        count_rows(connection, peaks),
        rejects,
        notes=notes,
    )


def build_rt_table(connection: duckdb.DuckDBPyConnection, chemclass_training: str) -> StepResult:
    """Make `rt_table`: the columns of its contract, and covariates in name order."""
    covariates = sorted(filter(is_covariate, columns_of(connection, chemclass_training)))
    columns = names([*RT_TABLE.names(), *covariates])
    nulls = {
        name: 0.0 if share is None else float(share)
        for name, share in zip(
            covariates,
            connection.execute(
                "SELECT "
                + ", ".join(f'avg(("{name}" IS NULL)::INT)' for name in covariates)
                + f" FROM {chemclass_training}"
            ).fetchall()[0],
            strict=True,
        )
    }
    return StepResult(
        f"(SELECT {columns} FROM {chemclass_training})",
        count_rows(connection, chemclass_training),
        notes={"covariate_null_share": nulls},
    )


def build_realtest_table(
    connection: duckdb.DuckDBPyConnection,
    lib_training: str,
    fold_assignment: str,
    comp_chem_mapping: str,
    chem_classes: str,
    missing: Literal["fill", "drop"],
) -> StepResult:
    """Make `realtest_table`: every peak of the held-out sample sets, in the RT table's columns."""
    held_out = f"""(
        SELECT peaks.*, folds.species, folds.species_cluster
        FROM {lib_training} AS peaks
        JOIN {fold_assignment} AS folds USING (sampleset_id)
        WHERE folds.fold = 'test')"""
    attached = attach_chemistry(connection, held_out, comp_chem_mapping, chem_classes, missing)
    rows_in = count_rows(connection, lib_training)
    return StepResult(
        attached.table,
        rows_in,
        attached.rejects,
        set_aside={"not_held_out": rows_in - attached.rows_in},
        notes=attached.notes,
    )
