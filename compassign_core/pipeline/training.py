"""Training data: folds, support, ranking, caps, chemistry, and the tables that models read.

Here belongs what decides which rows are trained on and which are held out.
"""

from collections.abc import Mapping

from compassign_core.contracts.identifiers import CAPS
from compassign_core.contracts.rejects import StepResult
from compassign_core.pipeline.artifacts import FileResult, file_artifact, table_artifact
from compassign_core.prep import checks as prep_checks
from compassign_core.prep.csv_export import write_csv
from compassign_core.prep.folds import build_fold_assignment
from compassign_core.prep.manifest import csv_file
from compassign_core.prep.ranking import build_capped_training, build_ranked_training
from compassign_core.prep.rt_tables import attach_chemistry, build_realtest_table, build_rt_table
from compassign_core.prep.support import build_support
from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project


def _prep(project: Project, partition: Partition) -> Mapping[str, str]:
    return {"prep": project.library(partition.lib or 0).prep.fingerprint()}


def _prep_and_expected(project: Project, partition: Partition) -> Mapping[str, str]:
    expected = project.library(partition.lib or 0).expected.fingerprint()
    return {**_prep(project, partition), "expected": expected}


@table_artifact(
    group="training", packages=("prep",), checks=("every_sample_set_has_one_fold",), inputs=_prep
)
def fold_assignment(
    project: Project,
    partition: Partition,
    export_manifest: TableSource,
    lib_training: TableSource,
    species_mapping: TableSource,
) -> StepResult:
    connection = project.lake.connection
    return build_fold_assignment(
        connection,
        lib_training,
        species_mapping,
        project.library(partition.lib or 0).prep,
        lib=partition.lib or 0,
        split=csv_file(connection, export_manifest, "split", project.libraries.folder),
    )


@table_artifact(
    group="training",
    packages=("prep",),
    checks=("counts_as_stated",),
    inputs=_prep_and_expected,
    pool="scan",
)
def species_compound_support(
    project: Project,
    partition: Partition,
    lib_training: TableSource,
    species_mapping: TableSource,
    fold_assignment: TableSource,
) -> StepResult:
    connection = project.lake.connection
    result = build_support(connection, lib_training, species_mapping, fold_assignment)
    expected = project.library(partition.lib or 0).expected
    return result.with_checks(prep_checks.support_counts_as_stated(connection, expected))


@table_artifact(
    group="training",
    packages=("prep",),
    checks=("no_test_sample_set", "pairs_match_support"),
    inputs=_prep,
    pool="scan",
)
def ranked_training(
    project: Project,
    partition: Partition,
    lib_training: TableSource,
    species_mapping: TableSource,
    fold_assignment: TableSource,
    species_compound_support: TableSource,
) -> StepResult:
    connection = project.lake.connection
    result = build_ranked_training(
        connection,
        lib_training,
        species_mapping,
        fold_assignment,
        project.library(partition.lib or 0).prep,
    )
    return result.with_checks(
        prep_checks.no_test_sample_set(connection, fold_assignment),
        prep_checks.pairs_match_support(connection, species_compound_support, max(CAPS)),
    )


@table_artifact(
    group="training",
    packages=("prep",),
    checks=("no_test_sample_set", "pairs_match_support", "caps_nested"),
    inputs=_prep,
)
def capped_training(
    project: Project,
    partition: Partition,
    ranked_training: TableSource,
    fold_assignment: TableSource,
    species_compound_support: TableSource,
) -> StepResult:
    connection, cap = project.lake.connection, partition.cap or 0
    result = build_capped_training(connection, ranked_training, cap)
    return result.with_checks(
        prep_checks.no_test_sample_set(connection, fold_assignment),
        prep_checks.pairs_match_support(connection, species_compound_support, cap),
        prep_checks.caps_nested(connection, cap, ranked_training),
    )


@table_artifact(
    group="training",
    packages=("prep",),
    checks=("chemistry_counts_as_stated",),
    inputs=_prep_and_expected,
)
def chemclass_training(
    project: Project,
    partition: Partition,
    capped_training: TableSource,
    comp_chem_mapping: TableSource,
    chem_classes: TableSource,
    species_compound_support: TableSource,
) -> StepResult:
    connection = project.lake.connection
    library = project.library(partition.lib or 0)
    result = attach_chemistry(
        connection,
        capped_training,
        comp_chem_mapping,
        chem_classes,
        library.prep.missing_chemistry,
    )
    return result.with_checks(
        prep_checks.chemistry_counts_as_stated(
            connection,
            species_compound_support,
            comp_chem_mapping,
            chem_classes,
            partition.cap or 0,
            library.expected,
        )
    )


@table_artifact(
    group="training",
    packages=("prep",),
    checks=("covariates_present", "no_test_sample_set"),
    inputs=_prep,
)
def rt_table(
    project: Project,
    partition: Partition,
    chemclass_training: TableSource,
    run_covariates: TableSource,
    fold_assignment: TableSource,
) -> StepResult:
    connection = project.lake.connection
    limit = project.library(partition.lib or 0).prep.covariate_null_warning
    return build_rt_table(connection, chemclass_training, run_covariates).with_checks(
        prep_checks.covariates_present(connection, limit),
        prep_checks.no_test_sample_set(connection, fold_assignment),
    )


@file_artifact(
    file="data.csv",
    dimensions=("lib_id", "row_cap"),
    group="training",
    packages=("prep",),
    kinds={"duckdb", "csv"},
)
def rt_table_csv(project: Project, partition: Partition, rt_table: TableSource) -> FileResult:
    """The RT table as a CSV file for people and other programs."""
    return FileResult(lambda path: write_csv(project.lake.connection, rt_table, path), {}, "CSV")


@table_artifact(group="training", packages=("prep",), inputs=_prep, pool="scan")
def realtest_table(
    project: Project,
    partition: Partition,
    lib_training: TableSource,
    run_covariates: TableSource,
    fold_assignment: TableSource,
    comp_chem_mapping: TableSource,
    chem_classes: TableSource,
) -> StepResult:
    return build_realtest_table(
        project.lake.connection,
        lib_training,
        run_covariates,
        fold_assignment,
        comp_chem_mapping,
        chem_classes,
        project.library(partition.lib or 0).prep.missing_chemistry,
    )
