"""Species mapping: sample set to species to supercategory, from the lab's metadata.

Rule: a sample set belongs to one species, a species to one supercategory, and every sample set of
the data is listed. Each is a check that blocks; ids come from the registry and never change.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.contracts.errors import CheckFailed
from compassign_core.contracts.identifiers import quote_name, quote_text
from compassign_core.contracts.rejects import StepResult
from compassign_core.prep.csv_input import csv_source, named_columns
from compassign_core.prep.importers.id_columns import id_column
from compassign_core.prep.plausibility import spelled_several_ways
from compassign_core.prep.registry import assign_ids
from compassign_core.store.sql import count_rows, first_rows


def build_species_mapping(
    connection: duckdb.DuckDBPyConnection,
    metadata: Path,
    lib_training: str,
    registry: Path,
    *,
    species_column: str,
    group_column: str,
    names: str | None = None,
) -> StepResult:
    """Make `species_mapping` from the sample-set metadata.

    Parameters
    ----------
    connection : the engine.
    metadata : CSV with `sample_set_id`, the species column and the group column.
    lib_training : SQL text of `lib_training`; its sample sets must all be listed.
    registry : the library's id registry.
    species_column, group_column : which columns of the CSV hold species and supercategory.
    names : SQL text of `imported_names`, where the CSV may list a `sample_set` by its name.

    Raises
    ------
    InputError
        when a column is missing.
    CheckFailed
        when a rule of this module is broken; names the offenders.
    """
    identifier, as_id = id_column(connection, metadata, "sample_set_id", "sample_set", names)
    columns = named_columns(
        connection,
        metadata,
        {"sampleset": identifier, "species": species_column, "group": group_column},
    )
    listed = f"""
        SELECT {quote_name(columns["sampleset"])} AS sampleset_text,
               {as_id(quote_name(columns["sampleset"]))} AS sampleset_id,
               nullif(trim({quote_name(columns["species"])}), '') AS species_raw,
               nullif(trim({quote_name(columns["group"])}), '') AS species_group_raw
        FROM {csv_source(metadata)}"""
    good = f"""
        SELECT sampleset_id, species_raw, species_group_raw FROM ({listed})
        WHERE sampleset_id IS NOT NULL AND species_raw IS NOT NULL
          AND species_group_raw IS NOT NULL"""
    checks = mapping_checks(connection, f"({good})", f"({listed})", lib_training, metadata.name)
    if not all(outcome.passed for outcome in checks if outcome.blocking):
        raise CheckFailed("species_mapping", checks)
    labels = connection.execute(
        f"SELECT DISTINCT species_raw, species_group_raw FROM ({good})"
    ).fetchall()
    ids = assign_ids(
        registry,
        {"species": [row[0] for row in labels], "supercategory": [row[1] for row in labels]},
    )
    table = f"""(
        SELECT good.*, species.id AS species, groups.id AS species_cluster
        FROM ({good}) AS good
        JOIN ({_id_table(ids["species"])}) AS species ON species.label = good.species_raw
        JOIN ({_id_table(ids["supercategory"])}) AS groups
            ON groups.label = good.species_group_raw)"""
    rejects = f"""(
        SELECT CASE WHEN sampleset_id IS NULL THEN 'sample_set_unreadable'
                    WHEN species_raw IS NULL THEN 'species_missing'
                    ELSE 'group_missing' END AS reason,
               {quote_text(metadata.name)} AS source_file, sampleset_text AS sampleset_id,
               NULL AS worksheet_id, NULL AS task_id, NULL AS comp_id,
               concat_ws(' / ', species_raw, species_group_raw) AS detail
        FROM ({listed})
        WHERE sampleset_id IS NULL OR species_raw IS NULL OR species_group_raw IS NULL)"""
    return StepResult(
        table,
        rows_in=count_rows(connection, f"({listed})"),
        rejects=rejects,
        checks=[partial(_outcome, outcome) for outcome in checks],
    )


def mapping_checks(
    connection: duckdb.DuckDBPyConnection,
    mapping: str,
    listed: str,
    lib_training: str,
    file: str,
) -> list[CheckOutcome]:
    """Nesting, uniqueness and completeness of a species mapping.

    Parameters
    ----------
    connection : the engine.
    mapping : SQL text of the usable metadata lines.
    listed : SQL text of all metadata lines.
    lib_training : SQL text of `lib_training`.
    file : name of the metadata file, for the messages.
    """
    rules = (
        (
            "species_nested_in_supercategory",
            "every species lies in one supercategory.",
            "species lie in two or more supercategories",
            f"""SELECT species_raw, string_agg(DISTINCT species_group_raw, ' | '
                       ORDER BY species_group_raw) AS supercategories
                FROM {mapping} GROUP BY 1 HAVING count(DISTINCT species_group_raw) > 1""",
            f"give each of these species one group in {file}.",
        ),
        (
            "sample_set_in_one_species",
            "every sample set is listed once.",
            "sample sets are listed more than once",
            f"""SELECT sampleset_id, count(*) AS n_rows, string_agg(DISTINCT species_raw, ' | '
                       ORDER BY species_raw) AS species
                FROM {mapping} GROUP BY 1 HAVING count(*) > 1""",
            f"keep one line per sample set in {file}; repeated lines would multiply its peaks.",
        ),
        (
            "labels_spelled_one_way",
            "every label is spelled one way.",
            "species or supercategories are spelled in several ways",
            spelled_several_ways(mapping, ("species_raw", "species_group_raw")),
            f"choose one spelling of each in {file}; each would get an id of its own for life.",
        ),
        (
            "sample_sets_of_the_data_are_listed",
            "every sample set with peaks is in the metadata.",
            "sample sets with peaks are not in the metadata",
            f"""SELECT sampleset_id, count(*) AS n_peaks FROM {lib_training} AS peaks
                ANTI JOIN {listed} AS listed USING (sampleset_id) GROUP BY 1""",
            f"add these sample sets, with species and group, to {file}.",
        ),
        (
            "sample_sets_of_the_data_have_a_group",
            "every sample set with peaks has a species and a supercategory.",
            "sample sets with peaks lack species or supercategory; their peaks are set aside",
            f"""SELECT sampleset_id, count(*) AS n_peaks FROM {lib_training} AS peaks
                SEMI JOIN {listed} AS listed USING (sampleset_id)
                ANTI JOIN {mapping} AS mapping USING (sampleset_id) GROUP BY 1""",
            f"fill in species and group of these sample sets in {file} to use their peaks.",
        ),
    )
    outcomes = []
    for name, good, bad, query, advice in rules:
        offenders, total = first_rows(connection, query, MAX_OFFENDERS)
        outcomes.append(
            CheckOutcome(
                name,
                total == 0,
                good if not total else f"{total:,} {bad}.",
                advice,
                offenders,
                total,
            )
        )
    return outcomes


def _outcome(outcome: CheckOutcome, _source: str) -> CheckOutcome:
    """A check that was made before the table was written, handed to the gate."""
    return outcome


def _id_table(ids: dict[str, int]) -> str:
    """Labels and ids as SQL."""
    rows = ", ".join(f"({quote_text(label)}, {number:d})" for label, number in ids.items())
    return f"SELECT * FROM (VALUES {rows or '(NULL, NULL)'}) AS ids(label, id)"
