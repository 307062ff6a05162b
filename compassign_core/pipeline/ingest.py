"""Ingest: from the files of an export to one clean table per library.

Here belongs what reads files that a user brought. What is sampled or trained on is made in
`training`.
"""

from collections.abc import Mapping

from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.libraries import LibrarySettings
from compassign_core.pipeline.artifacts import table_artifact
from compassign_core.pipeline.lineage import file_hash
from compassign_core.prep.checks import training_counts_as_stated
from compassign_core.prep.comp_chem import build_comp_chem_mapping, build_library_compounds
from compassign_core.prep.covariates import build_run_covariates
from compassign_core.prep.export import export_files, scan_export
from compassign_core.prep.importers.gather import gather_rows
from compassign_core.prep.importers.names import NameSources, build_imported_names
from compassign_core.prep.importers.peaks import build_imported_peaks
from compassign_core.prep.importers.spool import spool_folder
from compassign_core.prep.manifest import csv_file, need_csv_file
from compassign_core.prep.merge import build_lib_training
from compassign_core.prep.plausibility import (
    covariates_in_minutes,
    covariates_vary,
    no_shard_twice,
    retention_times_in_minutes,
)
from compassign_core.prep.registry import names_file, registry_file
from compassign_core.prep.species import build_species_mapping
from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project


def _export(project: Project, partition: Partition) -> Mapping[str, str]:
    files = export_files(project.libraries, partition.lib or 0)
    folder = project.libraries.folder
    return {path.relative_to(folder).as_posix(): file_hash(path) for _, path in files}


def _prep(project: Project, partition: Partition) -> Mapping[str, str]:
    library = project.library(partition.lib or 0)
    return {"prep": library.prep.fingerprint(), "expected": library.expected.fingerprint()}


def _columns(project: Project, partition: Partition) -> Mapping[str, str]:
    library = project.library(partition.lib or 0)
    return {
        "species_raw": library.species_raw,
        "group": library.group,
        "registry": file_hash(registry_file(project.registry, partition.lib or 0)),
    }


def _import(project: Project, partition: Partition) -> Mapping[str, str]:
    settings = project.library(partition.lib or 0).import_
    return {
        "import": settings.fingerprint() if settings else "",
        "names": file_hash(names_file(project.registry, partition.lib or 0)),
    }


def _results(project: Project, partition: Partition, manifest: str) -> str | None:
    """SQL of all rows of a library's results; None when it has an export."""
    lib = partition.lib or 0
    return gather_rows(
        project.lake.connection,
        manifest,
        project.libraries.folder,
        spool_folder(project.lake.root, lib),
        project.library(lib).import_,
    )


@table_artifact(group="ingest", packages=("prep",), checks=("no_shard_twice",), inputs=_export)
def export_manifest(project: Project, partition: Partition) -> StepResult:
    return scan_export(project.libraries, partition.lib or 0).with_checks(
        no_shard_twice(project.lake.connection)
    )


@table_artifact(group="ingest", packages=("prep",), inputs=_import, pool="scan")
def imported_names(
    project: Project, partition: Partition, export_manifest: TableSource
) -> StepResult:
    lib = partition.lib or 0
    return build_imported_names(
        project.lake.connection,
        _results(project, partition, export_manifest),
        NameSources(
            export_manifest, project.libraries.folder, lib, names_file(project.registry, lib)
        ),
        project.library(lib).import_,
    )


@table_artifact(group="ingest", packages=("prep",), inputs=_import, pool="scan")
def imported_peaks(
    project: Project,
    partition: Partition,
    export_manifest: TableSource,
    imported_names: TableSource,
) -> StepResult:
    return build_imported_peaks(
        project.lake.connection,
        _results(project, partition, export_manifest),
        imported_names,
        project.library(partition.lib or 0).import_,
        spool_folder(project.lake.root, partition.lib or 0),
    )


@table_artifact(
    group="ingest",
    packages=("prep",),
    checks=("one_covariate_row_per_run", "covariates_in_minutes", "covariates_vary"),
    inputs=_prep,
    pool="scan",
)
def run_covariates(
    project: Project,
    partition: Partition,
    export_manifest: TableSource,
    imported_peaks: TableSource,
) -> StepResult:
    connection = project.lake.connection
    max_rt = project.library(partition.lib or 0).prep.max_rt
    return build_run_covariates(
        connection,
        export_manifest,
        project.libraries.folder,
        partition.lib or 0,
        imported_peaks,
    ).with_checks(covariates_in_minutes(connection, max_rt), covariates_vary(connection, max_rt))


@table_artifact(
    group="ingest",
    packages=("prep",),
    checks=("counts_as_stated", "retention_times_in_minutes"),
    inputs=_prep,
    pool="scan",
)
def lib_training(
    project: Project,
    partition: Partition,
    export_manifest: TableSource,
    run_covariates: TableSource,
    imported_peaks: TableSource,
) -> StepResult:
    library = project.library(partition.lib or 0)
    connection = project.lake.connection
    result = build_lib_training(
        connection,
        export_manifest,
        run_covariates,
        project.libraries.folder,
        partition.lib or 0,
        library.prep,
        imported_peaks,
    )
    return result.with_checks(
        training_counts_as_stated(connection, result.rows_in, library.expected),
        retention_times_in_minutes(connection, run_covariates, library.prep.max_rt),
    )


@table_artifact(
    group="ingest",
    packages=("prep",),
    checks=(
        "species_nested_in_supercategory",
        "sample_set_in_one_species",
        "labels_spelled_one_way",
        "sample_sets_of_the_data_are_listed",
        "sample_sets_of_the_data_have_a_group",
    ),
    inputs=_columns,
)
def species_mapping(
    project: Project,
    partition: Partition,
    export_manifest: TableSource,
    imported_names: TableSource,
    lib_training: TableSource,
) -> StepResult:
    library = project.library(partition.lib or 0)
    connection = project.lake.connection
    return build_species_mapping(
        connection,
        need_csv_file(connection, export_manifest, "metadata", project.libraries.folder),
        lib_training,
        registry_file(project.registry, partition.lib or 0),
        species_column=library.species_raw,
        group_column=library.group,
        names=_names(library, imported_names),
    )


@table_artifact(group="ingest", packages=("prep",), checks=("comp_in_one_chemical",))
def comp_chem_mapping(
    project: Project,
    partition: Partition,
    export_manifest: TableSource,
    imported_names: TableSource,
) -> StepResult:
    connection = project.lake.connection
    file = need_csv_file(connection, export_manifest, "comp_chem", project.libraries.folder)
    lib = partition.lib or 0
    names = _names(project.library(lib), imported_names)
    return build_comp_chem_mapping(connection, file, lib, names)


@table_artifact(group="ingest", packages=("prep",))
def library_compounds(
    project: Project,
    partition: Partition,
    export_manifest: TableSource,
    imported_names: TableSource,
) -> StepResult:
    connection = project.lake.connection
    file = csv_file(connection, export_manifest, "compounds", project.libraries.folder)
    lib = partition.lib or 0
    names = _names(project.library(lib), imported_names)
    return build_library_compounds(connection, file, lib, names)


def _names(library: LibrarySettings, imported_names: TableSource) -> str | None:
    """Ids of names, for lists that go by name; only an import gives names ids."""
    return imported_names if library.import_ else None
