"""Settings of an import: result tables of other programs, in place of an export.

One section `[library.<id>.import]` of `libraries.toml`. What the fields do stands in
`compassign_core.prep.importers`; what they mean for a user, in `docs/libraries.md`.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from compassign_core.contracts.settings.base import Settings

ImportKind = Literal["skyline", "masshunter", "targetlynx", "mztab_m", "long"]
RUN_FACTS = ("sample_set", "worksheet", "injection", "species", "sample_type", "run_order")
"""What is known of a run beside its name; a named group of a pattern gives one of these."""


class ImportColumns(Settings):
    """Columns of the result files by what they hold; None for those that the kind knows itself."""

    run: str | None = Field(None, description="name of the injection")
    compound: str | tuple[str, ...] | None = Field(
        None, description="name of the compound; several columns are joined by a space"
    )
    rt: str | None = Field(None, description="retention time at the apex, in `rt_unit`")
    area: str | None = Field(None, description="peak area, to choose among several peaks")
    status: str | None = Field(None, description="curation state, see `statuses` of prep")
    sample_type: str | None = Field(None, description="sample or quality-control type")
    run_order: str | None = Field(None, description="place of the run in its sequence")
    group: str | None = Field(None, description="compound group")
    standard: str | None = Field(None, description="what `values` of a standard are looked up in")
    sample_set: str | None = Field(None, description="sample set of the run")
    worksheet: str | None = Field(None, description="worksheet (batch) of the run")
    injection: str | None = Field(None, description="injection within the sample set")
    species: str | None = Field(None, description="species label of the run")


class StandardRule(Settings):
    """Which compounds are standards: their retention times become covariates of the run."""

    names: tuple[str, ...] = Field((), description="names of compounds, in full")
    pattern: str | None = Field(None, description="regular expression found in the name")
    values: tuple[str, ...] = Field((), description="values of the column `columns.standard`")
    prefix: str = Field(
        "IS_", pattern=r"^(IS|RS|ES_)", description="begins the covariate's name; IS, RS or ES_"
    )
    keep_as_peaks: bool = Field(
        False, description="whether the compound is also one of the library"
    )

    @field_validator("pattern")
    @classmethod
    def _legal_pattern(cls, text: str | None) -> str | None:
        return _compiled(text)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.names or self.pattern or self.values):
            raise ValueError("a standard needs names, pattern or values")
        return self


class RunConstants(Settings):
    """Facts that all runs of the library share."""

    sample_set: str | None = Field(None, min_length=1)
    worksheet: str | None = Field(None, min_length=1)
    species: str | None = Field(None, min_length=1)
    sample_type: str | None = Field(None, min_length=1)


class ImportSettings(Settings):
    """How result tables of another program are read as peaks and run covariates."""

    kind: ImportKind
    files: tuple[str, ...] = Field(min_length=1, description="paths or globs of the results")
    samples: str | None = Field(None, description="CSV with a column run and facts of each run")
    columns: ImportColumns = ImportColumns()
    standards: tuple[StandardRule, ...] = Field(min_length=1)
    run_pattern: str | None = Field(None, description="named groups give facts of the run")
    file_pattern: str | None = Field(None, description="the same, on the file's name")
    constants: RunConstants = RunConstants()
    numbered: tuple[Literal["sample_set", "worksheet", "injection", "compound"], ...] = Field(
        (), description="names that are ids already, whole numbers"
    )
    rt_unit: Literal["min", "s"] | None = Field(None, description="unit of retention times")
    peaks: Literal["all", "largest_area"] | None = Field(
        None, description="which of several peaks of a compound in one run and file goes on"
    )
    encoding: str = Field("auto", description="auto knows UTF-8 and UTF-16")
    delimiter: Literal["auto", ",", ";", "\t", "|"] = "auto"
    decimal: Literal["auto", ".", ","] = "auto"
    missing: tuple[str, ...] = Field(
        ("", "#N/A", "N/A", "NA", "NaN", "null", "-"),
        description="cells that mean that no peak was found",
    )

    @property
    def seconds(self) -> bool:
        """Whether retention times are in seconds."""
        return (self.rt_unit or ("s" if self.kind == "mztab_m" else "min")) == "s"

    @property
    def largest_area(self) -> bool:
        """Whether only the largest peak of a compound in one run and file goes on."""
        default = "largest_area" if self.kind in ("skyline", "mztab_m") else "all"
        return (self.peaks or default) == "largest_area"

    @field_validator("run_pattern", "file_pattern")
    @classmethod
    def _groups_are_facts(cls, text: str | None) -> str | None:
        if text is None:
            return None
        groups = re.compile(_compiled(text) or "").groupindex
        unknown = sorted(set(groups) - set(RUN_FACTS))
        if unknown or not groups:
            raise ValueError(
                f"needs named groups (?P<name>…) out of {', '.join(RUN_FACTS)}; it has "
                f"{', '.join(groups) or 'none'}"
            )
        return text

    @field_validator("files", "samples")
    @classmethod
    def _relative(cls, given: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        paths = (given,) if isinstance(given, str) else given or ()
        if any(Path(path).is_absolute() for path in paths):
            raise ValueError("must be relative to the folder of libraries.toml")
        return given

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, name: str) -> str:
        if name != "auto":
            try:
                codecs.lookup(name)
            except LookupError:
                raise ValueError("is no text encoding, such as utf-8, utf-16 or cp1252") from None
        return name

    @model_validator(mode="after")
    def _fits_the_kind(self) -> Self:
        if self.kind == "long":
            needed = ("run", "compound", "rt")
            absent = [f"columns.{name}" for name in needed if not getattr(self.columns, name)]
            if absent:
                raise ValueError(f'kind = "long" needs {", ".join(absent)}')
        if self.kind == "mztab_m":
            for field in ("rt_unit", "delimiter", "decimal"):
                if getattr(self, field) not in (None, "auto"):
                    raise ValueError(
                        f'{field} cannot be set with kind = "mztab_m": the format fixes it'
                    )
        return self

    @model_validator(mode="after")
    def _values_have_a_column(self) -> Self:
        by_value = any(rule.values for rule in self.standards)
        if by_value and self.columns.standard is None and self.kind != "skyline":
            raise ValueError("standards.values needs columns.standard")
        return self


def _compiled(text: str | None) -> str | None:
    """The pattern itself; an error when it is none, or one that the engine cannot run."""
    if text is not None:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if re.search(r"\(\?(=|!|<=|<!)|\\[1-9]|\(\?P=", text):
            raise ValueError("look-around and back-references are not supported")
    return text
