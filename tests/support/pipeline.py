"""All preparation steps of one library, run in a lake of their own without the orchestrator.

The steps are wired as the assets wire them: the same functions, the same checks, and the same gate
(`stage_step`, then `publish`). A step that is refused raises and leaves the lake as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from compassign_core.chemistry.classes import classify
from compassign_core.chemistry.descriptors import describe_structures
from compassign_core.chemistry.structures import read_structures
from compassign_core.contracts.catalogue import contract
from compassign_core.contracts.checks import CheckOutcome
from compassign_core.contracts.identifiers import CAPS
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.libraries import Libraries, LibrarySettings, load_libraries
from compassign_core.prep import checks, plausibility
from compassign_core.prep.comp_chem import build_comp_chem_mapping, build_library_compounds
from compassign_core.prep.covariates import build_run_covariates
from compassign_core.prep.export import scan_export
from compassign_core.prep.folds import build_fold_assignment
from compassign_core.prep.manifest import csv_file, need_csv_file
from compassign_core.prep.merge import build_lib_training
from compassign_core.prep.ranking import build_capped_training, build_ranked_training
from compassign_core.prep.registry import registry_file
from compassign_core.prep.rt_tables import attach_chemistry, build_realtest_table, build_rt_table
from compassign_core.prep.species import build_species_mapping
from compassign_core.prep.support import build_support
from compassign_core.store.engine import connect
from compassign_core.store.lake import Lake, Partition
from compassign_core.store.steps import REFUSED_FILE, StagedStep, StepReport, stage_step


@dataclass
class Pipeline:
    """One library of an export, and the lake its tables go to.

    Attributes
    ----------
    libraries_file : the export's `libraries.toml`; read anew by every step.
    lib : library.
    root : folder of the lake.
    registry : folder of the id registries; beside the lake when None.
    threads : threads of the engine.
    reports, outcomes : of every step that was staged, by (table, cap).
    """

    libraries_file: Path
    lib: int
    root: Path
    registry: Path | None = None
    threads: int = 2
    reports: dict[tuple[str, int | None], StepReport] = field(default_factory=dict)
    outcomes: dict[tuple[str, int | None], tuple[CheckOutcome, ...]] = field(default_factory=dict)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        return connect(EngineSettings(threads=self.threads, memory_limit="2GB"))

    @property
    def lake(self) -> Lake:
        return Lake(self.root, self.connection)

    @property
    def libraries(self) -> Libraries:
        return load_libraries(self.libraries_file)

    @property
    def library(self) -> LibrarySettings:
        return self.libraries.get(self.lib)

    def partition(self, table: str, cap: int | None = None) -> Partition:
        dimensions = contract(table).partitions
        return Partition(
            self.lib if "lib_id" in dimensions else None, cap if "row_cap" in dimensions else None
        )

    def source(self, table: str, cap: int | None = None) -> str:
        """SQL text of a published table."""
        return self.lake.source(table, self.partition(table, cap))

    def file(self, table: str, cap: int | None = None) -> Path:
        """Where a table is published."""
        return self.lake.file(table, self.partition(table, cap))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(query).fetchall()

    def value(self, query: str) -> Any:
        """The one value of a query."""
        ((value,),) = self.rows(query)
        return value

    def count(self, table: str, cap: int | None = None) -> int:
        """Rows of a published table."""
        return int(self.value(f"SELECT count(*) FROM {self.source(table, cap)}"))

    def rejects(self, table: str, cap: int | None = None) -> list[tuple[Any, ...]]:
        """Rows of a table's published rejects, as (reason, source_file, ids…, detail)."""
        file = self.lake.file(f"{table}_rejects", self.partition(table, cap))
        return self.rows(f"SELECT * FROM read_parquet('{file}', hive_partitioning = false)")

    def outcome(self, table: str, check: str, cap: int | None = None) -> CheckOutcome:
        """The outcome of one check of a step."""
        (found,) = (o for o in self.outcomes[table, cap] if o.name == check)
        return found

    def folds(self) -> dict[int, str]:
        """Fold of every sample set."""
        return dict(self.rows(f"SELECT sampleset_id, fold FROM {self.source('fold_assignment')}"))

    def stage(self, table: str, cap: int | None = None) -> StagedStep:
        """Make a table and check it, without publishing it."""
        result = STEPS[table](self, cap)
        limits = self.library.prep if contract(table).partitions else None
        staged = stage_step(self.lake, table, self.partition(table, cap), result, limits)
        self.reports[table, cap] = staged.report
        self.outcomes[table, cap] = staged.outcomes
        return staged

    def run(self, table: str, cap: int | None = None) -> None:
        """Make, check and publish a table."""
        self.stage(table, cap).publish()

    def run_library(self) -> Pipeline:
        """Make every table of the library that has no cap and needs no chemistry."""
        for table in LIBRARY_STEPS:
            self.run(table)
        return self

    def run_chemistry(self) -> Pipeline:
        """Make the tables of the chemicals."""
        for table in CHEMISTRY_STEPS:
            self.run(table)
        return self

    def run_caps(self, caps: Sequence[int] = CAPS) -> Pipeline:
        """Make the tables of every cap."""
        for cap in caps:
            for table in CAP_STEPS:
                self.run(table, cap)
        return self

    def run_all(self, caps: Sequence[int] = CAPS) -> Pipeline:
        """Make everything."""
        self.run_library().run_chemistry().run("realtest_table")
        return self.run_caps(caps)


Step = Callable[[Pipeline, int | None], StepResult]


def _export_manifest(p: Pipeline, _cap: int | None) -> StepResult:
    return scan_export(p.libraries, p.lib).with_checks(plausibility.no_shard_twice(p.connection))


def _run_covariates(p: Pipeline, _cap: int | None) -> StepResult:
    return build_run_covariates(
        p.connection, p.source("export_manifest"), p.libraries.folder, p.lib
    ).with_checks(
        plausibility.covariates_in_minutes(p.connection, p.library.prep.max_rt),
        plausibility.covariates_vary(p.connection, p.library.prep.max_rt),
    )


def _lib_training(p: Pipeline, _cap: int | None) -> StepResult:
    result = build_lib_training(
        p.connection,
        p.source("export_manifest"),
        p.source("run_covariates"),
        p.libraries.folder,
        p.lib,
        p.library.prep,
    )
    return result.with_checks(
        checks.training_counts_as_stated(p.connection, result.rows_in, p.library.expected),
        plausibility.retention_times_in_minutes(
            p.connection, p.source("run_covariates"), p.library.prep.max_rt
        ),
    )


def _species_mapping(p: Pipeline, _cap: int | None) -> StepResult:
    manifest = p.source("export_manifest")
    return build_species_mapping(
        p.connection,
        need_csv_file(p.connection, manifest, "metadata", p.libraries.folder),
        p.source("lib_training"),
        registry_file(p.registry or p.root.parent / "registry", p.lib),
        species_column=p.library.species_raw,
        group_column=p.library.group,
    )


def _comp_chem_mapping(p: Pipeline, _cap: int | None) -> StepResult:
    manifest = p.source("export_manifest")
    file = need_csv_file(p.connection, manifest, "comp_chem", p.libraries.folder)
    return build_comp_chem_mapping(p.connection, file, p.lib)


def _library_compounds(p: Pipeline, _cap: int | None) -> StepResult:
    manifest = p.source("export_manifest")
    file = csv_file(p.connection, manifest, "compounds", p.libraries.folder)
    return build_library_compounds(p.connection, file, p.lib)


def _fold_assignment(p: Pipeline, _cap: int | None) -> StepResult:
    manifest = p.source("export_manifest")
    return build_fold_assignment(
        p.connection,
        p.source("lib_training"),
        p.source("species_mapping"),
        p.library.prep,
        lib=p.lib,
        split=csv_file(p.connection, manifest, "split", p.libraries.folder),
    )


def _species_compound_support(p: Pipeline, _cap: int | None) -> StepResult:
    return build_support(
        p.connection,
        p.source("lib_training"),
        p.source("species_mapping"),
        p.source("fold_assignment"),
    ).with_checks(checks.support_counts_as_stated(p.connection, p.library.expected))


def _ranked_training(p: Pipeline, _cap: int | None) -> StepResult:
    folds = p.source("fold_assignment")
    result = build_ranked_training(
        p.connection, p.source("lib_training"), p.source("species_mapping"), folds, p.library.prep
    )
    support = p.source("species_compound_support")
    return result.with_checks(
        checks.no_test_sample_set(p.connection, folds),
        checks.pairs_match_support(p.connection, support, max(CAPS)),
    )


def _structures(p: Pipeline, _cap: int | None) -> StepResult:
    named = p.libraries.chemistry.structures
    assert named is not None
    return read_structures(p.libraries.path(named), p.connection)


def _chem_descriptors(p: Pipeline, _cap: int | None) -> StepResult:
    table = p.lake.arrow("structures", Partition())
    return describe_structures(table, p.libraries.chemistry.settings)


def _chem_classes(p: Pipeline, _cap: int | None) -> StepResult:
    return classify(p.lake.arrow("chem_descriptors", Partition()), p.libraries.chemistry.settings)


def _realtest_table(p: Pipeline, _cap: int | None) -> StepResult:
    return build_realtest_table(
        p.connection,
        p.source("lib_training"),
        p.source("run_covariates"),
        p.source("fold_assignment"),
        p.source("comp_chem_mapping"),
        p.source("chem_classes"),
        p.library.prep.missing_chemistry,
    )


def _capped_training(p: Pipeline, cap: int | None) -> StepResult:
    assert cap is not None
    ranked = p.source("ranked_training")
    return build_capped_training(p.connection, ranked, cap).with_checks(
        checks.no_test_sample_set(p.connection, p.source("fold_assignment")),
        checks.pairs_match_support(p.connection, p.source("species_compound_support"), cap),
        checks.caps_nested(p.connection, cap, ranked),
    )


def _chemclass_training(p: Pipeline, cap: int | None) -> StepResult:
    assert cap is not None
    mapping, classes = p.source("comp_chem_mapping"), p.source("chem_classes")
    result = attach_chemistry(
        p.connection,
        p.source("capped_training", cap),
        mapping,
        classes,
        p.library.prep.missing_chemistry,
    )
    support = p.source("species_compound_support")
    return result.with_checks(
        checks.chemistry_counts_as_stated(
            p.connection, support, mapping, classes, cap, p.library.expected
        )
    )


def _rt_table(p: Pipeline, cap: int | None) -> StepResult:
    return build_rt_table(
        p.connection, p.source("chemclass_training", cap), p.source("run_covariates")
    ).with_checks(
        checks.covariates_present(p.connection, p.library.prep.covariate_null_warning),
        checks.no_test_sample_set(p.connection, p.source("fold_assignment")),
    )


STEPS: dict[str, Step] = {
    "export_manifest": _export_manifest,
    "run_covariates": _run_covariates,
    "lib_training": _lib_training,
    "species_mapping": _species_mapping,
    "comp_chem_mapping": _comp_chem_mapping,
    "library_compounds": _library_compounds,
    "fold_assignment": _fold_assignment,
    "species_compound_support": _species_compound_support,
    "ranked_training": _ranked_training,
    "structures": _structures,
    "chem_descriptors": _chem_descriptors,
    "chem_classes": _chem_classes,
    "realtest_table": _realtest_table,
    "capped_training": _capped_training,
    "chemclass_training": _chemclass_training,
    "rt_table": _rt_table,
}
"""How each table is made, upstream first."""

CHEMISTRY_STEPS = ("structures", "chem_descriptors", "chem_classes")
CAP_STEPS = ("capped_training", "chemclass_training", "rt_table")
LIBRARY_STEPS = tuple(
    name for name in STEPS if name not in (*CHEMISTRY_STEPS, *CAP_STEPS, "realtest_table")
)


def refused(root: Path) -> set[str]:
    """Rejects that refused attempts left below a lake for whoever mends the source."""
    return {path.relative_to(root).as_posix() for path in root.rglob(REFUSED_FILE)}


def published(root: Path) -> dict[str, bytes]:
    """Content of every file below a lake but those of `refused`, by its path in it."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != REFUSED_FILE
    }
