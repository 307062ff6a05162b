"""From flags to trials: which kinds are changed how, and what a quick look adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.models import DEFAULT_MODEL, MODELS
from compassign_core.pipeline.trials.definition import Changes, Trial, define
from compassign_core.pipeline.trials.quick import KINDS, quick_changes, what_was_cut
from compassign_core.pipeline.trials.shelf import reads

Name = Annotated[
    str | None, typer.Option("--name", help="Name of the trial; made of its settings otherwise.")
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="A look in seconds, as trials: few rows, scales at their mode, no lasso."
    ),
]


@dataclass(frozen=True)
class TrialRequest:
    """Trials as they were asked for.

    Attributes
    ----------
    changes : fields and new values.
    kinds : model kinds that were named.
    name : of the trial, when one was given.
    quick : whether the preset fills in what is left open.
    evaluation : fields of `EvaluationSettings` that were given.
    """

    changes: Changes
    kinds: tuple[str, ...]
    name: str | None
    quick: bool
    evaluation: dict[str, Any]

    @classmethod
    def of(
        cls, given: dict[str, dict[str, Any]], kinds: Sequence[str], name: str | None, quick: bool
    ) -> TrialRequest:
        """From what `with_flags` hands over and the options beside it."""
        changes = Changes(given["settings"], given["windows"], given["limits"])
        request = cls(changes, tuple(kinds), name, quick, given.get("evaluation", {}))
        if name is not None and not request.wanted:
            raise SettingsError(
                f"--name {name} names a trial, but nothing was changed.",
                "change a setting, limit the rows, or leave --name out.",
            )
        return request

    @property
    def wanted(self) -> bool:
        """Whether there is any trial to train."""
        return bool(self.changes) or self.quick

    def trials(self, beside: Sequence[str] = ()) -> list[Trial]:
        """The trials; with a quick look, kinds in `beside` are tried as they are, for comparison.

        Raises
        ------
        SettingsError
            when a change is not legal, or one name is asked for several trials.
        """
        if not self.wanted:
            return []
        kinds = self.kinds or self._usual_kinds()
        if self.name is not None and len(kinds) > 1:
            raise SettingsError(
                f"--name {self.name} names one trial, but there are {len(kinds)}: "
                f"{', '.join(kinds)}.",
                "name one kind with --model, or leave --name out.",
            )
        made = [define(kind, self._of_kind(kind, self.changes), self.name) for kind in kinds]
        if self.quick:
            rows = Changes({}, {}, self.changes.limits)
            made += [define(kind, quick_changes(kind, rows)) for kind in beside]
        # by definition: a kind that is tried as it is anyway is not tried twice
        return list({str(trial.definition()): trial for trial in reversed(made)}.values())[::-1]

    def targets(self) -> list[str]:
        """Artifacts to train the trials on and judge them with."""
        return ["realtest_table", *dict.fromkeys(n for one in self.trials() for n in reads(one))]

    def say_what_was_cut(self, evaluation: EvaluationSettings) -> None:
        """One line on a quick look."""
        if self.quick:
            typer.echo(what_was_cut(self.trials()[0].limits, evaluation))

    def _usual_kinds(self) -> tuple[str, ...]:
        """Kinds that are tried when none is named."""
        if self.changes.settings:
            return (DEFAULT_MODEL,)
        if self.quick:
            return KINDS
        # the lasso has a window rule of its own
        return tuple(
            kind
            for kind, model in MODELS.items()
            if not (self.changes.windows and isinstance(model.settings, LassoSettings))
        )

    def _of_kind(self, kind: str, changes: Changes) -> Changes:
        return quick_changes(kind, changes) if self.quick else changes
