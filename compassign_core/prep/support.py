"""Support: rows of each (supercategory, species, comp) pair, and rows kept at each cap."""

from __future__ import annotations

import duckdb

from compassign_core.contracts.identifiers import CAPS
from compassign_core.contracts.rejects import StepResult
from compassign_core.store.sql import count_rows


def build_support(
    connection: duckdb.DuckDBPyConnection,
    lib_training: str,
    species_mapping: str,
    fold_assignment: str,
) -> StepResult:
    """Make `species_compound_support` from peaks, species and folds (SQL text of the tables)."""
    kept = ", ".join(f"least(n_train, {cap}) AS kept_cap_{cap}" for cap in CAPS)
    table = f"""(
        SELECT *, {kept} FROM (
            SELECT mapping.species_cluster, mapping.species, peaks.comp_id,
                   count(*) AS n_rows,
                   count(*) FILTER (folds.fold = 'train') AS n_train,
                   count(*) FILTER (folds.fold = 'test') AS n_test
            FROM {lib_training} AS peaks
            JOIN {species_mapping} AS mapping USING (sampleset_id)
            JOIN {fold_assignment} AS folds USING (sampleset_id)
            GROUP BY ALL))"""
    rows_in = count_rows(connection, lib_training)
    # Folds hold the peaks of every sample set that has a species.
    counted = connection.execute(
        f"SELECT coalesce(sum(n_rows), 0) FROM {fold_assignment}"
    ).fetchall()[0][0]
    return StepResult(
        table,
        rows_in,
        expands=True,
        notes={"peaks_counted": int(counted), "peaks_without_species": rows_in - int(counted)},
    )
