"""Flags for settings, made from the settings classes: one flag a field, under the field's name.

Types, choices, defaults and help come from the fields and their docstrings, so that a new setting
is a new flag. Values are handed on as they were written; the settings judge them, with their own
words, and not the parser.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.base import Settings
from compassign_core.contracts.settings.described import descriptions
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.models import FAMILIES
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings

_FAMILY_TITLES: Mapping[type[Settings], str] = {
    PoolingSettings: "hierarchical ridge",
    RidgeSettings: "ridge",
    LassoSettings: "lasso",
}
_UNSET = {"none", "null"}


class _Beside(Settings):
    """Settings that stand beside those of a model.

    Attributes
    ----------
    windows : how windows are corrected on left-out runs; the lasso has a rule of its own.
    """

    windows: WindowSettings = WindowSettings()


@dataclass(frozen=True)
class Flag:
    """A flag of the command line that sets one field, or the fields of nested settings.

    Attributes
    ----------
    part : which settings: ``settings`` of a model, ``windows``, ``limits`` or ``evaluation``.
    name : field.
    parameter : name of the function's parameter, and of the flag with hyphens for underscores.
    owners : the settings classes that have the field.
    panel : heading in the help.
    """

    part: str
    name: str
    parameter: str
    owners: tuple[type[Settings], ...]
    panel: str

    @property
    def annotation(self) -> Any:
        """Type of the field, over all owners."""
        kinds = [owner.model_fields[self.name].annotation for owner in self.owners]
        return typing.Union[tuple(kinds)]  # noqa: UP007 - a union of types known only now

    @property
    def nested(self) -> type[Settings] | None:
        """Settings class of a field that holds settings."""
        found = [kind for kind in _members(self.annotation) if _is_settings(kind)]
        return found[0] if found else None

    @property
    def flags(self) -> tuple[str, ...]:
        """The flag as it is written; nested settings also in the singular, one field a time."""
        flag = "--" + self.parameter.replace("_", "-")
        if _is_boolean(self.annotation):
            return (f"{flag}/--no-{flag[2:]}",)
        if self.nested and flag.endswith("s"):
            return (flag, flag[:-1])
        return (flag,)

    def option(self) -> inspect.Parameter:
        """The parameter that the parser reads."""
        kind: Any = str
        if self.nested is not None or self._holds_several():
            kind = list[str]
        elif _is_boolean(self.annotation):
            kind = bool
        option = typer.Option(
            *self.flags,
            help=self._help(),
            metavar=None if kind is bool else self._metavar(),
            rich_help_panel=self.panel,
            show_default=False,
        )
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[kind | None, option],
        )

    def value(self, given: Any) -> Any:
        """What was written, as the settings take it.

        Raises
        ------
        SettingsError
            when a nested field is not written as field=value, or there is no such field.
        """
        if self.nested is not None:
            return dict(_assignment(self.flags[-1], self.nested, text) for text in given)
        if self._holds_several():
            return list(given)
        if isinstance(given, str) and given.lower() in _UNSET and self._may_be_unset():
            return None
        return given

    def _holds_several(self) -> bool:
        return any(typing.get_origin(kind) in (tuple, list) for kind in _members(self.annotation))

    def _may_be_unset(self) -> bool:
        members = set(_members(self.annotation))
        return type(None) in members and not _UNSET & {str(choice) for choice in members}

    def _metavar(self) -> str:
        if self.nested is not None:
            return "field=value"
        words = {float: "number", int: "whole number", str: "text", type(None): "none"}
        return "|".join(dict.fromkeys(words.get(m, str(m)) for m in _members(self.annotation)))

    def _help(self) -> str:
        texts = [descriptions(owner).get(self.name, "") for owner in self.owners]
        # a family may refer to another one, which then says it in full
        whole = [text for text in texts if "Settings`" not in text] or texts
        text = _plain(max(whole, key=len))
        if self.nested is not None:
            fields = ", ".join(
                f"{name}={field.default}" for name, field in self.nested.model_fields.items()
            )
            return f"{text} Repeat for several: {fields}."
        return f"{text} Default: {self._default()}."

    def _default(self) -> str:
        by_value: dict[str, list[str]] = {}
        for owner in self.owners:
            default = owner.model_fields[self.name].default
            value = "none" if default is None else str(default)
            by_value.setdefault(value, []).append(_FAMILY_TITLES.get(owner, owner.__name__))
        if len(by_value) == 1:
            return next(iter(by_value))
        return ", ".join(f"{value} ({', '.join(of)})" for value, of in by_value.items())


def model_flags() -> list[Flag]:
    """Flags of all settings of all model families; one for fields that several have."""
    owners: dict[str, list[type[Settings]]] = {}
    for family in FAMILIES:
        for name in family.model_fields:
            owners.setdefault(name, []).append(family)
    made = []
    for name, of in owners.items():
        title = _FAMILY_TITLES.get(of[0], of[0].__name__)
        panel = "Settings of several models" if len(of) > 1 else f"Settings of the {title}"
        made.append(Flag("settings", name, name, tuple(of), panel))
    return sorted(made, key=lambda flag: len(flag.owners) == 1)


def window_flags() -> list[Flag]:
    """One flag for all settings of windows, which stand beside those of a model."""
    return [Flag("windows", "windows", "windows", (_Beside,), "Windows")]


def limit_flags() -> list[Flag]:
    """Flags of the limits of training."""
    return list(_plain_flags("limits", TrainingLimits, "limit", "Less data"))


def evaluation_flags() -> list[Flag]:
    """Flags of the settings of evaluation."""
    return list(_plain_flags("evaluation", EvaluationSettings, "test", "Less data"))


def with_flags(flags: Sequence[Flag]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command flags; it receives what was written as its parameter `given`, by part."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "given"]
        options = [flag.option() for flag in flags]
        clash = {p.name for p in own} & {p.name for p in options}
        if clash:
            raise TypeError(f"{command.__name__} has parameters of its own named {sorted(clash)}")

        @wraps(command)
        def run(**values: Any) -> None:
            given: dict[str, dict[str, Any]] = {flag.part: {} for flag in flags}
            for flag in flags:
                written = values.pop(flag.parameter)
                if written is None or written == []:
                    continue
                value = flag.value(written)
                if flag.part == flag.name:  # settings that stand beside those of a model
                    given[flag.part] |= value
                else:
                    given[flag.part][flag.name] = value
            command(**values, given=given)

        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        changed: Any = run
        changed.__signature__ = signature.replace(parameters=[*keyword, *options])
        changed.__annotations__ = {p.name: p.annotation for p in [*keyword, *options]}
        return run

    return decorate


def _plain_flags(part: str, settings: type[Settings], prefix: str, panel: str) -> Iterator[Flag]:
    """Flags of settings whose fields are named for themselves, but for a seed."""
    for name in settings.model_fields:
        parameter = f"{prefix}_{name}" if name == "seed" else name
        yield Flag(part, name, parameter, (settings,), panel)


def _members(annotation: Any) -> list[Any]:
    """Types and literal choices that an annotation allows, in order."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return list(typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        nested = (_members(arg) for arg in typing.get_args(annotation))
        return list(dict.fromkeys(member for members in nested for member in members))
    return [annotation]


def _is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Settings)


def _is_boolean(annotation: Any) -> bool:
    return set(_members(annotation)) <= {bool, type(None)}


def _assignment(flag: str, settings: type[Settings], text: str) -> tuple[str, str]:
    """Field and value of ``field=value``; the field may be cut short where that is clear."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(
            f"{flag} {text!r} is not written as field=value.",
            f"for example {flag} {_example(settings)}.",
        )
    name = name.strip().replace("-", "_")
    if name in settings.model_fields:
        return name, value.strip()
    found = [field for field in settings.model_fields if field.startswith(name)]
    if len(found) != 1:
        raise SettingsError(
            f"{flag} {text!r}: "
            + (f"{name!r} may be {', '.join(found)}." if found else f"there is no {name!r}."),
            f"choose one of {', '.join(settings.model_fields)}.",
        )
    return found[0], value.strip()


def _example(settings: type[Settings]) -> str:
    name, field = next(iter(settings.model_fields.items()))
    return f"{name}={field.default}"


def _plain(text: str) -> str:
    """Text of a docstring without its marks for code, as a sentence."""
    # a value to be written as it is keeps its small letter
    begins = text[:1] if text.startswith("`") else text[:1].upper()
    return re.sub(r"`+", "", begins + text[1:]).strip()


TRIAL_FLAGS = (*model_flags(), *window_flags(), *limit_flags())
"""Flags that make a trial."""

EVALUATION_FLAGS = tuple(evaluation_flags())
