"""What trained models of every family store alike: groups, corrections of windows, plain fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.identifiers import split_group_keys
from compassign_core.rt.archive import read_arrays, write_arrays
from compassign_core.rt.levels import factors_at, has_level, level_above
from compassign_core.rt.support import support_bin_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRODUCTION_RULE = "production rule"
"""Value of ``calibration`` in a model whose windows were made by that rule: neither calibrated nor
waiting to be."""


class StoredGroups:
    """Groups of a trained model and the correction of their windows; a family supplies the fields.

    `levels` are the L nominal coverages with a factor, ascending; `kappa` ``(L, B)`` are these
    factors by support bin and `kappa_basis` what they rest on, see `conformal.Calibration`.
    """

    model: str
    keys: Ints
    n_train: Ints
    levels: Floats
    kappa: Floats
    kappa_basis: npt.NDArray[np.int8]
    calibration: str

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], path: Path) -> Self:
        """The model from the arrays read from `path`; a family supplies it."""
        raise TypeError(f"{cls.__name__} is no family of models")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a trained model, without ever unpickling.

        Raises
        ------
        MissingArtifactError
            when there is no such file.
        InputError
            when the file is no `.npz`, has another format or version, lacks a key, or its arrays
            do not fit together.
        """
        return cls.from_arrays(read_arrays(Path(path)), Path(path))

    @property
    def n_groups(self) -> int:
        """How many groups have coefficients, G."""
        return int(self.keys.size)

    @property
    def group_id(self) -> Ints:
        """Group id of each group, ``(G,)``."""
        return split_group_keys(self.keys)[0]

    @property
    def comp_id(self) -> Ints:
        """Comp id of each group, ``(G,)``."""
        return split_group_keys(self.keys)[1]

    def require_level(self, level: float) -> None:
        """Raise `SettingsError` unless the model has windows of this nominal coverage."""
        if not has_level(self.levels, level):
            low, high = self.levels[[0, -1]].tolist()
            has = f"from {low:g} to {high:g}" if low < high else f"of {low:g} only"
            raise SettingsError(
                f"level={level:g}, but model {self.model} has windows {has}.",
                "choose another level"
                + (
                    ", or a model whose windows state their coverage."
                    if self.calibration == PRODUCTION_RULE
                    else "."
                ),
            )

    def kappa_at(self, levels: Floats) -> Floats:
        """Factors by support bin at K levels, ``(K, B)``; NaN where the model has no window."""
        return factors_at(self.levels, self.kappa, levels)

    def measured_at(self, level: float) -> npt.NDArray[np.bool_]:
        """Whether left-out rows suffice for the factor of each support bin, ``(B,)``."""
        at = level_above(self.levels, np.array([level]))
        return np.asarray(self.kappa_basis[at[0]] > 0)

    @property
    def measured_to(self) -> float:
        """The highest level at which every trained group's factor was measured; 0 if none is."""
        used = np.unique(support_bin_index(self.n_train))
        measured = np.flatnonzero((self.kappa_basis[:, used] > 0).all(axis=1))
        return float(self.levels[measured[-1]]) if measured.size else 0.0


def text_array(names: tuple[str, ...]) -> npt.NDArray[np.str_]:
    """Names as fixed-width unicode, also when there are none."""
    return np.array(names, dtype=np.str_) if names else np.zeros(0, dtype="<U1")


def write_model(
    path: str | Path, name: str, version: int, arrays: dict[str, npt.NDArray[Any]]
) -> None:
    """Write a model's arrays behind its format and version, atomically and deterministically."""
    head = {"format": np.array(name), "format_version": np.array(version, dtype=np.int64)}
    write_arrays(Path(path), {**head, **arrays})


def check_format(arrays: dict[str, npt.NDArray[Any]], path: Path, name: str, version: int) -> None:
    """Refuse a file that is not of the named format and version.

    Raises
    ------
    InputError
        naming the file and what it is.
    """
    for key in ("format", "format_version"):
        if key not in arrays:
            raise InputError(
                f"{path} is no file of coefficient summaries: it has no {key!r}.",
                "give the file that training wrote.",
            )
    found, found_version = str(arrays["format"]), str(arrays["format_version"])
    if found != name or found_version != str(version):
        raise InputError(
            f"{path} has format {found!r} version {found_version}; this program reads {name!r} "
            f"version {version}.",
            "train the model again with this version of the program.",
        )


def plain_field(array: npt.NDArray[Any], type_name: str) -> Any:
    """A scalar field as str, float, int or bool, everything else as the array it is."""
    scalar = {"str": str, "float": float, "int": int, "bool": bool}.get(type_name)
    return array if scalar is None else scalar(array)
