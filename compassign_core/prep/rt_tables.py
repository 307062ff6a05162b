"""The last steps: attach chemistry, and build the RT table and the table of held-out peaks.

Rule: a peak whose comp has no chemical, or whose chemical has no class, gets -1 or is refused, by
setting; both are counted. The RT table holds ids, retention time and covariates, nothing else. The
covariates of a run are joined here, to rows that are already in order.
"""

from __future__ import annotations

from typing import Literal

import duckdb

from compassign_core.contracts.identifiers import quote_name
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.tables import is_covariate
from compassign_core.prep.covariates import RUN_JOIN_KEY
from compassign_core.store.ordering import Widened
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
    rows_in, mapped, classed = connection.execute(
        f"""SELECT count(*), count(*) FILTER (compound >= 0), count(*) FILTER (compound_class >= 0)
            FROM ({joined})"""
    ).fetchall()[0]
    notes = {"rows_with_chemical": mapped, "rows_with_class": classed}
    if missing == "fill":
        return StepResult(f"({joined})", rows_in, notes=notes)
    rejects = f"""(
        SELECT CASE WHEN compound < 0 THEN 'comp_without_chemical'
                    ELSE 'chemical_without_class' END AS reason,
               source_file, sampleset_id::VARCHAR AS sampleset_id,
               worksheet_id::VARCHAR AS worksheet_id, task_id::VARCHAR AS task_id,
               comp_id::VARCHAR AS comp_id, concat('chem_id=', compound) AS detail
        FROM ({joined}) WHERE compound_class < 0)"""
    return StepResult(
        f"(SELECT * FROM ({joined}) WHERE compound_class >= 0)",
        rows_in,
        rejects,
        notes=notes,
    )


def build_rt_table(
    connection: duckdb.DuckDBPyConnection, chemclass_training: str, run_covariates: str
) -> StepResult:
    """Make `rt_table`: the columns of its contract, and the covariates of each row's run.

    Parameters
    ----------
    connection : the engine.
    chemclass_training, run_covariates : SQL text of these tables.
    """
    covariates = sorted(filter(is_covariate, columns_of(connection, run_covariates)))
    # Nulls are counted run by run, weighted by the rows of each run.
    shares = ", ".join(
        f"sum(n_rows) FILTER ({quote_name(name)} IS NULL) / sum(n_rows)" for name in covariates
    )
    key = names(RUN_JOIN_KEY)
    (found,) = connection.execute(
        f"""SELECT {shares}
            FROM (SELECT {key}, count(*) AS n_rows FROM {chemclass_training} GROUP BY {key})
            JOIN {run_covariates} AS runs USING ({key})"""
    ).fetchall()
    nulls = {name: float(share or 0.0) for name, share in zip(covariates, found, strict=True)}
    return StepResult(
        Widened(chemclass_training, run_covariates, RUN_JOIN_KEY),
        count_rows(connection, chemclass_training),
        notes={"covariate_null_share": nulls},
    )


def build_realtest_table(
    connection: duckdb.DuckDBPyConnection,
    lib_training: str,
    run_covariates: str,
    fold_assignment: str,
    comp_chem_mapping: str,
    chem_classes: str,
    missing: Literal["fill", "drop"],
) -> StepResult:
    """Make `realtest_table`: every peak of the held-out sample sets, in the RT table's columns.

    Parameters
    ----------
    connection : the engine.
    lib_training, run_covariates, fold_assignment, comp_chem_mapping, chem_classes : SQL text of
        these tables.
    missing : what becomes of peaks without chemistry, see `attach_chemistry`.
    """
    held_out = f"""(
        SELECT peaks.*, folds.species, folds.species_cluster
        FROM {lib_training} AS peaks
        JOIN {fold_assignment} AS folds USING (sampleset_id)
        WHERE folds.fold = 'test')"""
    attached = attach_chemistry(connection, held_out, comp_chem_mapping, chem_classes, missing)
    rows_in = count_rows(connection, lib_training)
    return StepResult(
        Widened(attached.table, run_covariates, RUN_JOIN_KEY),
        rows_in,
        attached.rejects,
        set_aside={"not_held_out": rows_in - attached.rows_in},
        notes=attached.notes,
    )
