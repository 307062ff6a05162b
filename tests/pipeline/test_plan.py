from __future__ import annotations

from compassign_core.pipeline.plan import Step, carry_out, steps_for
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.simulate import dirt
from compassign_core.store.lake import Partition
from tests.support.installation import CAP, LIB, lake_bytes


def test_steps_stand_after_all_they_read() -> None:
    steps = steps_for(["rt_report"], [100, 101], [5, 10])
    assert len(steps) == len(set(steps))
    place = {step: i for i, step in enumerate(steps)}
    for step, i in place.items():
        for parent in ARTIFACTS[step.name].upstream:
            lib, cap = step.partition.lib, step.partition.cap
            dimensions = len(ARTIFACTS[parent].dimensions)
            where = [Partition(), Partition(lib), Partition(lib, cap)][dimensions]
            assert place[Step(parent, where)] < i


def test_only_what_the_target_needs_is_planned() -> None:
    names = {step.name for step in steps_for(["species_mapping"], [100], [5])}
    assert names == {
        *("export_manifest", "imported_names", "imported_peaks"),
        *("run_covariates", "lib_training", "species_mapping"),
    }


def test_a_failed_step_stops_only_what_depends_on_it(made) -> None:
    before = lake_bytes(made)
    dirt.comp_mapped_twice(made.data, LIB)
    outcome = carry_out(made, steps_for(["rt_report"], [LIB], [CAP]))
    assert [step.name for step in outcome.failed] == ["comp_chem_mapping"]
    assert "comp_in_one_chemical" in next(iter(outcome.failed.values()))
    skipped = {step.name for step in outcome.skipped}
    assert {"chemclass_training", "rt_table", "rt_report"} <= skipped
    assert "capped_training" not in skipped
    after = lake_bytes(made)
    assert all(after[name] == before[name] for name in before if name.startswith("rt_report/"))


def test_what_is_forced_is_made_again_with_the_same_bytes(made) -> None:
    before = lake_bytes(made)
    steps = steps_for(["rt_evaluation"], [LIB], [CAP])
    seen: list[Step] = []
    outcome = carry_out(made, steps, force=["rt_evaluation"], before=seen.append)
    assert [step.name for step in outcome.made] == ["rt_evaluation"]
    assert seen == steps
    assert lake_bytes(made) == before
