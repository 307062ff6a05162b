"""Flags made from settings: every field one flag, nothing else, and values as the settings want."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
import typer

from compassign_core.cli import rt
from compassign_core.cli.setting_flags import (
    EVALUATION_FLAGS,
    TRIAL_FLAGS,
    Flag,
    with_flags,
)
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.base import Settings
from compassign_core.contracts.settings.described import descriptions
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.models import FAMILIES
from compassign_core.contracts.settings.rt import WindowSettings

COMMANDS = ("train", "evaluate", "compare", "plot")
OWN = {
    "train": {"libs", "cap", "model", "name", "quick", "force"},
    "evaluate": {"libs", "cap", "by", "model", "trial", "quick", "out", "force"},
    "compare": {"libs", "cap", "by", "metric", "model", "trial", "baseline", "quick", "out",
                "force"},
    "plot": {"libs", "cap", "model", "trial", "baseline", "quick", "out", "force"},
}  # fmt: skip


def command(name: str) -> Any:
    group: Any = typer.main.get_command(rt.app)
    return group.commands[name]


def flag(name: str) -> Flag:
    return next(f for f in (*TRIAL_FLAGS, *EVALUATION_FLAGS) if f.parameter == name)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_flags_of_a_command_are_the_fields_of_the_settings_and_its_own(name: str) -> None:
    wanted = {field for family in FAMILIES for field in family.model_fields} | {"windows"}
    for settings, prefix in ((TrainingLimits, "limit"), (EvaluationSettings, "test")):
        wanted |= {f"{prefix}_seed" if f == "seed" else f for f in settings.model_fields}
    assert {p.name for p in command(name).params} == wanted | OWN[name]
    options = [option for p in command(name).params for option in (*p.opts, *p.secondary_opts)]
    assert len(options) == len(set(options))
    for field in wanted:
        assert f"--{field.replace('_', '-')}" in options


def test_every_flag_tells_what_its_field_means_and_where_it_belongs() -> None:
    for one in (*TRIAL_FLAGS, *EVALUATION_FLAGS):
        for owner in one.owners:
            assert one.name in descriptions(owner), f"{owner.__name__}.{one.name}"
    parameters = {p.name: p for p in command("train").params}
    assert "Default: 0.5." in parameters["rho"].help
    assert "species (hierarchical ridge), species_cluster (ridge, lasso)" in (
        parameters["group_col"].help
    )
    assert parameters["method"].metavar == "map|laplace|nuts|advi"
    assert parameters["rotation_components"].metavar == "whole number|none"
    assert parameters["rho"].rich_help_panel == "Settings of the hierarchical ridge"
    assert parameters["covariates"].rich_help_panel == "Settings of several models"
    for field in ("chains=4", "draws=400"):
        assert field in parameters["sampler"].help


def test_the_help_of_every_command_is_printed(run) -> None:
    for name in COMMANDS:
        code, out, _ = run("rt", name, "--help")
        assert code == 0 and "--intercept-prior" in out and "--max-test-rows" in out


class Inner(Settings):
    """Inner settings.

    Attributes
    ----------
    tau_a, tau_b : two scales,
        in minutes.
    """

    tau_a: float = 1.0
    tau_b: float = 2.0


class Outer(Settings):
    """Settings of a family that there is not.

    Attributes
    ----------
    rows : ``normal`` or ``student_t``.
    on : switches it on.
    names : several names.
    most : how many, all when not given.
    inner : scales.
    """

    rows: Literal["normal", "student_t"] = "normal"
    on: bool = False
    names: tuple[str, ...] = ("a",)
    most: int | None = 3
    inner: Inner = Inner()


def test_a_settings_class_that_nobody_wrote_flags_for_gets_them() -> None:
    flags = [Flag("settings", name, name, (Outer,), "Panel") for name in Outer.model_fields]
    seen = []

    @with_flags(flags)
    def look(libs: str = "1", *, given: dict[str, dict[str, object]]) -> None:
        """A command."""
        seen.append((libs, Outer.model_validate(Outer().model_dump() | given["settings"])))

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(look)
    call = typer.main.get_command(app)
    call.main(["--libs", "7"], standalone_mode=False)
    call.main(
        ["--rows", "student_t", "--on", "--names", "x", "--names", "y", "--most", "none",
         "--inner", "tau-b=0.5", "--inner", "tau_a=3"],
        standalone_mode=False,
    )  # fmt: skip
    assert seen == [
        ("7", Outer()),
        (
            "1",
            Outer(
                rows="student_t", on=True, names=("x", "y"), most=None,
                inner=Inner(tau_a=3, tau_b=0.5),
            ),
        ),
    ]  # fmt: skip
    assert descriptions(Inner) == dict.fromkeys(("tau_a", "tau_b"), "two scales, in minutes.")


def test_a_field_of_nested_settings_may_be_cut_short_where_that_is_clear() -> None:
    assert flag("priors").value(["tau_b=0.3", "sigma=0.1"]) == {
        "tau_b_prior": "0.3", "sigma_y_prior": "0.1",
    }  # fmt: skip
    assert "--prior" in flag("priors").flags
    for text, said in (
        ("tau=1", "'tau' may be tau_mu_prior"),
        ("zeta=1", "there is no 'zeta'"),
        ("tau_b", "not written as field=value"),
    ):
        with pytest.raises(SettingsError, match=re.escape(said)):
            flag("priors").value([text])


def test_none_unsets_a_field_only_where_it_is_no_choice_of_its_own() -> None:
    assert flag("rotation_components").value("none") is None
    assert flag("noise_df0").value("None") is None
    assert flag("rotation").value("none") == "none"
    assert flag("slope_head_mode").value("none") == "none"


def test_a_command_whose_own_option_is_a_field_too_is_refused() -> None:
    with pytest.raises(TypeError, match="windows"):

        @with_flags([flag("windows")])
        def look(windows: str = "", *, given: dict[str, object]) -> None:
            """Never runs."""


def test_windows_are_settings_beside_those_of_the_model() -> None:
    assert flag("windows").nested is WindowSettings
    assert flag("windows").value(["folds=3"]) == {"folds": "3"}
