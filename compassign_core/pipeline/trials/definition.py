"""What a trial is: a model kind with some settings changed, or on part of the rows, and a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.identifiers import check_trial_name
from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.models import FAMILIES, MODELS, ModelSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.pipeline.models import WINDOWS

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """What is asked for, as it was written: fields and their new values.

    Attributes
    ----------
    settings : fields of the model's settings; those of nested settings as a mapping.
    windows, limits : fields of `WindowSettings` and `TrainingLimits`.
    """

    settings: Values = field(default_factory=dict)
    windows: Values = field(default_factory=dict)
    limits: Values = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.settings or self.windows or self.limits)


@dataclass(frozen=True)
class Trial:
    """A model to try; `define` makes one.

    Attributes
    ----------
    name : in paths, and in the `model` column of tables made with it.
    kind : the model kind it was made from.
    settings, windows, limits : what is fitted, how windows are corrected, on which rows.
    """

    name: str
    kind: str
    settings: ModelSettings
    windows: WindowSettings
    limits: TrainingLimits

    def definition(self) -> dict[str, Any]:
        """Everything that decides what is trained, as plain values."""
        return {
            "kind": self.kind,
            "settings": self.settings.model_dump(mode="json"),
            "windows": self.windows.model_dump(mode="json"),
            "limits": self.limits.model_dump(mode="json"),
        }

    def changed(self) -> dict[str, Any]:
        """Fields that differ from those of the kind, nested ones with a dot, and their values."""
        return {
            **_differences(self.settings, MODELS[self.kind].settings),
            **{f"windows.{key}": v for key, v in _differences(self.windows, WINDOWS).items()},
            **_differences(self.limits, TrainingLimits()),
        }

    def describe(self) -> str:
        """The kind and what was changed, in a few words."""
        listed = ", ".join(f"{name}={value}" for name, value in self.changed().items())
        return f"{self.kind} with {listed}"


def define(kind: str, changes: Changes, name: str | None = None) -> Trial:
    """The trial of a kind with some fields changed.

    Parameters
    ----------
    kind : a key of `MODELS`.
    changes : new values, as text or typed.
    name : of the trial; made of the kind and a hash of its definition when not given.

    Raises
    ------
    SettingsError
        when a field is not one of the kind's, a value or a combination is not legal, nothing
        differs from the kind, or the name is not legal.
    """
    base = MODELS[kind].settings
    _check_fields(kind, base, changes)
    settings = _replaced(base, changes.settings, f"settings of {kind}")
    windows = _replaced(WINDOWS, changes.windows, "settings of windows")
    limits = _replaced(TrainingLimits(), changes.limits, "limits of training")
    trial = Trial("", kind, settings, windows, limits)
    if not (limits.max_groups or limits.max_train_rows):
        # then its seed decides nothing
        trial = Trial("", kind, settings, windows, TrainingLimits())
    if not trial.changed():
        raise SettingsError(
            f"nothing differs from {kind}: there is nothing to try.",
            f"change a setting or limit the rows, or train {kind} without these flags.",
        )
    if name in MODELS:
        raise SettingsError(f"trial name {name!r} is that of a model kind.", "choose another name.")
    made = name if name is not None else f"{kind}-{_digest(trial)}"
    return Trial(check_trial_name(made), kind, settings, windows, trial.limits)


def from_definition(name: str, values: Mapping[str, Any], where: str) -> Trial:
    """The trial with this name and `definition`; `where` it was read.

    Raises
    ------
    SettingsError
        when it is none of this version of the program.
    """
    kind = str(values.get("kind"))
    if kind not in MODELS:
        raise SettingsError(
            f"{where}: there is no model kind {kind!r}.", "remove the trial and train it again."
        )
    return Trial(
        name,
        kind,
        type(MODELS[kind].settings).parse(dict(values.get("settings", {})), where),
        WindowSettings.parse(dict(values.get("windows", {})), where),
        TrainingLimits.parse(dict(values.get("limits", {})), where),
    )


def _check_fields(kind: str, base: ModelSettings, changes: Changes) -> None:
    """Refuse fields that the kind's settings do not have, naming the kinds that have them."""
    for name in changes.settings:
        if name in type(base).model_fields:
            continue
        families = [family for family in FAMILIES if name in family.model_fields]
        kinds = [other for other, model in MODELS.items() if type(model.settings) in families]
        raise SettingsError(
            f"{name} is no setting of {kind}" + (f", but of {', '.join(kinds)}." if kinds else "."),
            f"leave it out, or name such a kind with --model {kinds[0]}."
            if kinds
            else f"{kind} has {', '.join(sorted(type(base).model_fields))}.",
        )
    if changes.windows and isinstance(base, LassoSettings):
        raise SettingsError(
            f"windows={dict(changes.windows)} corrects windows on left-out runs, but {kind} has a "
            "window rule of its own.",
            "leave windows out; its rule is set by window_multiplier and window_minimum.",
        )


def _replaced(base: Any, changes: Values, where: str) -> Any:
    """Settings with some fields changed, nested ones field by field."""
    values = base.model_dump()
    for name, value in changes.items():
        if isinstance(value, Mapping):
            values[name] = {**(values.get(name) or {}), **value}
        else:
            values[name] = value
    return type(base).parse(values, where)


def _differences(settings: Any, base: Any) -> dict[str, Any]:
    mine, theirs = _flat(settings.model_dump(mode="json")), _flat(base.model_dump(mode="json"))
    return {name: value for name, value in mine.items() if value != theirs.get(name)}


def _flat(values: Values, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _digest(trial: Trial) -> str:
    text = json.dumps(trial.definition(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
