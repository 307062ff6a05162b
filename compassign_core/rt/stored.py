"""What trained models of every family store alike: groups, levels, what was seen, plain fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.identifiers import group_keys, split_group_keys
from compassign_core.rt.archive import read_arrays, write_arrays
from compassign_core.rt.rows import TrainingRows

Ints = npt.NDArray[np.int64]


class StoredGroups:
    """Groups and levels of a trained model; a family supplies `keys` and `levels`."""

    keys: Ints
    levels: npt.NDArray[np.float64]

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

    def level_index(self, level: float) -> int:
        """Position of a nominal coverage among the stored ones.

        Raises
        ------
        SettingsError
            when the model stores no window of this level.
        """
        found = np.flatnonzero(np.isclose(self.levels, level, rtol=0, atol=1e-12))
        if not found.size:
            raise SettingsError(
                f"level={level} is not one of the coverages this model was calibrated at.",
                f"choose one of {', '.join(map(str, self.levels.tolist()))}.",
            )
        return int(found[0])


def seen_in_training(rows: TrainingRows) -> dict[str, Any]:
    """What was seen in training: pairs, species with supercategory, comps with chemistry."""
    ids = rows.ids
    species, species_at = np.unique(ids["species"], return_index=True)
    comps, comps_at = np.unique(ids["comp_id"], return_index=True)
    return {
        "pairs": np.unique(group_keys(ids["species"], ids["comp_id"])),
        "species": species,
        "species_cluster": ids["species_cluster"][species_at],
        "comps": comps,
        "compound": ids["compound"][comps_at],
        "compound_class": ids["compound_class"][comps_at],
    }


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
