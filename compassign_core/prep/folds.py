"""Fold assignment: which sample sets are held out, so that no tested study is trained on.

Rule: of the sample sets of each species, `test_share` (rounded, at least one where a species has
two or more) go to test, chosen by keyed hash of the sample-set id; or a split file decides.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import ibis

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.contracts.errors import CheckFailed, InputError
from compassign_core.contracts.identifiers import first, quote_name
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.prep.csv_input import csv_source, named_columns, rows_of_lib
from compassign_core.prep.keyed_hash import keyed_hash
from compassign_core.store.lake import ibis_source
from compassign_core.store.sql import count_rows, first_rows, whole_number


def build_fold_assignment(
    connection: duckdb.DuckDBPyConnection,
    lib_training: str,
    species_mapping: str,
    settings: PrepSettings,
    *,
    lib: int,
    split: Path | None = None,
) -> StepResult:
    """Make `fold_assignment` for the sample sets that have peaks and a species.

    Parameters
    ----------
    connection : the engine.
    lib_training, species_mapping : SQL text of these tables.
    settings : share held out and seed.
    lib : library, to select from a split file that lists several.
    split : CSV with `sample_set_id` and `fold` (train or test), optionally `lib`.

    Raises
    ------
    InputError
        when the split file lacks a column or holds another fold.
    CheckFailed
        when the split file leaves a sample set without a fold, or gives it two.
    """
    sets = f"""(
        SELECT mapping.sampleset_id, mapping.species, mapping.species_cluster, peaks.n_rows
        FROM (SELECT sampleset_id, count(*) AS n_rows FROM {lib_training} GROUP BY 1) AS peaks
        JOIN {species_mapping} AS mapping USING (sampleset_id))"""
    rows_in = count_rows(connection, sets)
    if split is not None:
        given = _given(connection, sets, split, lib)
        return StepResult(given, rows_in).with_checks(
            lambda source: one_fold_each(connection, sets, source, split.name)
        )
    table = keyed_hash(ibis_source(connection, sets), ["sampleset_id"], settings.seed)
    by_species = ibis.window(group_by="species")
    table = table.mutate(
        place=ibis.row_number().over(
            ibis.window(group_by="species", order_by=["hash", "sampleset_id"])
        ),
        n_sets=table.count().over(by_species),
    )
    # Halves round up, so that two sample sets of one species give one to each fold.
    wanted = (table.n_sets * settings.test_share + 0.5).floor().cast("int64")
    n_test = ibis.ifelse(
        table.n_sets < 2, 0, ibis.greatest(1, ibis.least(wanted, table.n_sets - 1))
    )
    table = table.mutate(fold=ibis.ifelse(table.place < n_test, "test", "train"))
    return StepResult(table, rows_in).with_checks(
        lambda source: one_fold_each(connection, sets, source, "drawn by keyed hash")
    )


def _given(connection: duckdb.DuckDBPyConnection, sets: str, split: Path, lib: int) -> str:
    wanted = {"sampleset": "sample_set_id", "fold": "fold"}
    columns = named_columns(connection, split, wanted, optional=["lib"])
    folds = f"""
        SELECT DISTINCT {whole_number(quote_name(columns["sampleset"]))} AS sampleset_id,
               lower(trim({quote_name(columns["fold"])})) AS fold
        FROM {csv_source(split)} WHERE {rows_of_lib(columns, "lib", lib)}"""
    others = connection.execute(
        f"""SELECT DISTINCT coalesce(fold, '(empty)') FROM ({folds})
            WHERE fold IS NULL OR fold NOT IN ('train', 'test') ORDER BY 1"""
    ).fetchall()
    if others:
        raise InputError(
            f"{split.name}: fold {first([row[0] for row in others])} is neither train nor test.",
            "write train or test in the column fold.",
        )
    outcome = one_fold_each(connection, sets, f"({folds})", split.name)
    if not outcome.passed:
        raise CheckFailed("fold_assignment", [outcome])
    return f"(SELECT * FROM {sets} JOIN ({folds}) USING (sampleset_id))"


def one_fold_each(
    connection: duckdb.DuckDBPyConnection, sets: str, folds: str, where: str
) -> CheckOutcome:
    """Whether every sample set with peaks has exactly one fold.

    Parameters
    ----------
    connection : the engine.
    sets, folds : SQL text of tables with `sampleset_id`, the second with `fold`.
    where : where the folds come from, for the message.
    """
    query = f"""
        SELECT sampleset_id, count(fold) AS n_folds
        FROM (SELECT sampleset_id FROM {sets}) LEFT JOIN {folds} AS folds USING (sampleset_id)
        GROUP BY 1 HAVING count(fold) <> 1"""
    offenders, total = first_rows(connection, query, MAX_OFFENDERS)
    return CheckOutcome(
        "every_sample_set_has_one_fold",
        total == 0,
        f"{total:,} sample sets have no fold, or two, in {where}."
        if total
        else f"every sample set has one fold ({where}).",
        "list every sample set once, with train or test.",
        offenders,
        total,
    )
