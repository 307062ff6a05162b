"""Arrays in one `.npz` file that is the same byte for byte whenever the arrays are.

Belongs here: the file format alone. What the arrays mean stands in `summaries`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError, MissingArtifactError
from compassign_core.store.atomic import written_aside

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write `arrays` to `path` atomically, in the given order.

    Entries are stored uncompressed (coefficients do not compress, and bytes then depend on no
    compressor) with a fixed date, which `np.savez` does not promise.
    """
    with written_aside(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            entry.external_attr = 0o600 << 16
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(entry, buffer.getbuffer())


def read_arrays(path: Path, without: str | None = None) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of `path`; pickled objects are refused.

    Parameters
    ----------
    path : the file.
    without : arrays whose names begin so are left where they are; each array is a member of its
        own, so that they cost no reading.

    Raises
    ------
    MissingArtifactError
        when there is no such file.
    InputError
        when the file is not an `.npz` of plain arrays, or is damaged.
    """
    if not path.is_file():
        raise MissingArtifactError(
            f"there is no model file {path}.", "train the model first, or correct the path."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            return {
                name: archive[name]
                for name in archive.files
                if without is None or not name.startswith(without)
            }
    except (ValueError, OSError, EOFError, KeyError, AttributeError, TypeError) as error:
        raise _unreadable(path, error) from error
    except zipfile.BadZipFile as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is not a readable .npz file of plain arrays: {error}.",
        "give the coefficient summaries that training wrote; if this is that file, train again.",
    )
