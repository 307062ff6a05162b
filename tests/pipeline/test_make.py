from __future__ import annotations

import pytest

from compassign_core.contracts.errors import CheckFailed, MissingArtifactError, SettingsError
from compassign_core.pipeline.artifacts import file_artifact, table_artifact, upstream_first
from compassign_core.pipeline.lineage import is_current
from compassign_core.pipeline.make import make
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.simulate import dirt
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project
from tests.support.installation import CAP, LIB, lake_bytes


def place(name: str) -> Partition:
    lib, cap = {0: (None, None), 1: (LIB, None), 2: (LIB, CAP)}[len(ARTIFACTS[name].dimensions)]
    return Partition(lib, cap)


def test_the_core_alone_makes_the_same_bytes_as_the_orchestrator(project, finished) -> None:
    # The warehouse shows what is in the lake, so it comes last, as it does in the demo.
    names = [name for name in upstream_first(ARTIFACTS) if name != "warehouse"]
    for name in [*names, "warehouse"]:
        made = make(project, name, place(name))
        assert made.path.is_file()
        assert all(outcome.passed for outcome in made.outcomes if outcome.blocking)
    assert lake_bytes(project) == lake_bytes(Project(finished, finished / "data"))


def test_what_is_missing_is_named(project) -> None:
    with pytest.raises(MissingArtifactError, match="export_manifest for lib 305 has not been made"):
        make(project, "run_covariates", Partition(LIB))


def test_a_failed_check_leaves_the_last_good_file(made) -> None:
    before = lake_bytes(made)
    dirt.species_in_two_groups(made.data, LIB)
    make(made, "export_manifest", Partition(LIB))
    with pytest.raises(CheckFailed, match="species_nested_in_supercategory"):
        make(made, "species_mapping", Partition(LIB))
    assert not is_current(made, "species_mapping", Partition(LIB))
    after = lake_bytes(made)
    assert {name for name in before if before[name] != after[name]} == {
        f"export_manifest/lib_id={LIB}/{file}" for file in ("data.parquet", "lineage.json")
    }


def test_a_library_without_an_entry_is_named(project) -> None:
    with pytest.raises(SettingsError, match="library 7 has no entry"):
        make(project, "export_manifest", Partition(7))


def test_declarations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="rt_table is declared twice"):

        @table_artifact(group="x", packages=())
        def rt_table(project, partition):
            """Never runs."""

    with pytest.raises(TypeError, match="must begin with"):

        @file_artifact(file="x", dimensions=(), group="x", packages=(), kinds=())
        def nothing(partition, project):
            """Never runs."""
