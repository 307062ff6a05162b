"""The file `libraries.toml`: one entry a library, so that a new library is no new code."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.identifiers import CAPS, parse_lib
from compassign_core.contracts.settings.base import Settings
from compassign_core.contracts.settings.chemistry import ChemistrySettings
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.contracts.settings.prep import PrepSettings

_SECTIONS = "use [chemistry], [prep] (defaults for all libraries) and [library.<id>]."


class CapCounts(Settings):
    """Rows a library must have at one cap, counted before any hold-out."""

    sampled: int = Field(ge=0, description="sum over pairs of min(rows, cap)")
    mapped: int | None = Field(None, ge=0, description="of these, with a chemical")
    classed: int | None = Field(None, ge=0, description="of these, with a chemistry class")


class ExpectedCounts(Settings):
    """Counts that a library states about itself; any other count stops its preparation."""

    rows_raw: int | None = Field(None, ge=0, description="peak rows of the export")
    rows_training: int | None = Field(None, ge=0, description="rows of lib_training")
    runs: int | None = Field(None, ge=0)
    sample_sets: int | None = Field(None, ge=0)
    species: int | None = Field(None, ge=0)
    comps: int | None = Field(None, ge=0)
    pairs: int | None = Field(None, ge=0, description="(species, comp) pairs")
    cap: dict[int, CapCounts] = Field(default_factory=dict)
    tolerance: float = Field(0.0, ge=0, lt=1, description="relative difference still accepted")

    @model_validator(mode="after")
    def _caps_exist(self) -> Self:
        unknown = sorted(set(self.cap) - set(CAPS))
        if unknown:
            raise ValueError(f"cap {unknown} is not one of {CAPS}")
        return self


class ScheduleSettings(Settings):
    """When a library is rebuilt (the schedule is off until somebody turns it on)."""

    cron: str = Field("0 2 * * *", pattern=r"^\S+( +\S+){4}$")
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("is no time zone of the IANA database, such as Europe/Berlin")
        return name


class LibrarySettings(Settings):
    """One library: where its data are and how they are to be read.

    Paths are relative to the folder of `libraries.toml`. Exactly one of `export` (a folder with
    `create_training_data` and `combine_predictors`), `merged` (one Parquet file holding peaks
    and covariates of one or several libraries) and `import` (result tables of another program) is
    given.
    """

    title: str
    export: str | None = None
    merged: str | None = None
    import_: ImportSettings | None = Field(None, alias="import")
    metadata: str
    comp_chem: str
    compounds: str | None = None
    split: str | None = None
    species_raw: str = "species_matrix_type"
    group: str = "group"
    prep: PrepSettings = PrepSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    expected: ExpectedCounts = ExpectedCounts()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(given is not None for given in (self.export, self.merged, self.import_)) != 1:
            raise ValueError(
                f"give exactly one of export and merged and import (export={self.export!r}, "
                f"merged={self.merged!r}, import={'given' if self.import_ else None})"
            )
        return self

    @model_validator(mode="after")
    def _relative_paths(self) -> Self:
        named = ("export", "merged", "metadata", "comp_chem", "compounds", "split")
        absolute = [name for name in named if Path(getattr(self, name) or "").is_absolute()]
        if absolute:
            raise ValueError(
                f"{', '.join(absolute)} must be relative to the folder of libraries.toml; "
                "link to a folder elsewhere, or begin with ../"
            )
        return self


class ChemistrySources(Settings):
    """Where structures, or the user's own embeddings, come from."""

    structures: str | None = None
    embeddings: str | None = None
    settings: ChemistrySettings = ChemistrySettings()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.structures is None and self.embeddings is None:
            raise ValueError("give structures (SMILES) or embeddings, or both")
        return self


class Libraries(Settings):
    """The whole file, with the folder its paths start from."""

    folder: Path
    chemistry: ChemistrySources
    library: dict[int, LibrarySettings]

    def get(self, lib: int) -> LibrarySettings:
        """The entry of a library.

        Raises
        ------
        SettingsError
            when there is none.
        """
        if lib not in self.library:
            raise SettingsError(
                f"library {lib} has no entry in {self.folder.name}/libraries.toml.",
                f"add a [library.{lib}] entry; known are {', '.join(map(str, self.library))}.",
            )
        return self.library[lib]

    def path(self, relative: str) -> Path:
        """A path of the file, made absolute."""
        return self.folder / relative


def load_libraries(file: Path) -> Libraries:
    """Read and validate `libraries.toml`.

    Raises
    ------
    InputError
        when the file is absent or no TOML.
    SettingsError
        when an entry is not legal; the message names the library and the fields.
    """
    try:
        stat = file.stat()
    except FileNotFoundError:
        raise InputError(
            f"there is no {file.name} in {file.parent}.",
            "run from the repository root, or point COMPASSIGN_DATA at the folder that holds it.",
        ) from None
    return _load(file, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _load(file: Path, _changed: int) -> Libraries:
    try:
        raw: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file.name} is not legal TOML: {error}.", "correct that line.") from None
    unknown = sorted(set(raw) - {"chemistry", "library", "prep"})
    if unknown:
        raise SettingsError(f"{file.name}: unknown section {unknown[0]!r}.", _SECTIONS)
    defaults = _section(raw, "prep", f"{file.name}, [prep]")
    libraries = _section(raw, "library", f"{file.name}, [library.<id>]")
    entries = {}
    for text in libraries:
        lib = parse_lib(text)
        where = f"{file.name}, [library.{lib}]"
        entry = _section(libraries, text, where)
        merged = {**entry, "prep": {**defaults, **_section(entry, "prep", f"{where} prep")}}
        entries[lib] = LibrarySettings.parse(merged, where)
    if not entries:
        raise SettingsError(f"{file.name} names no library.", "add a [library.<id>] entry.")
    chemistry = ChemistrySources.parse(
        _section(raw, "chemistry", f"{file.name}, [chemistry]"), f"{file.name}, [chemistry]"
    )
    return Libraries(
        folder=file.parent.resolve(), chemistry=chemistry, library=dict(sorted(entries.items()))
    )


def _section(within: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """A section of the file, empty when it is not there."""
    section = within.get(name, {})
    if not isinstance(section, dict):
        raise SettingsError(f"{where} is no section (given: {section!r}).", _SECTIONS)
    return section
