"""A design in the arrays of a model file, the same in all families."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.rt.design import Design
from compassign_core.rt.stored import text_array


class StoredDesign(Protocol):
    """The fields of a model that hold its design; see `summaries.CoefficientSummaries`."""

    @property
    def covariates(self) -> npt.NDArray[np.str_]: ...  # noqa: D102
    @property
    def indicators(self) -> npt.NDArray[np.str_]: ...  # noqa: D102
    @property
    def dropped(self) -> npt.NDArray[np.str_]: ...  # noqa: D102
    @property
    def centre(self) -> npt.NDArray[np.float64]: ...  # noqa: D102
    @property
    def imputed(self) -> npt.NDArray[np.int64]: ...  # noqa: D102
    @property
    def expansion(self) -> str: ...  # noqa: D102
    @property
    def rotation(self) -> npt.NDArray[np.float64]: ...  # noqa: D102
    @property
    def feature_names(self) -> npt.NDArray[np.str_]: ...  # noqa: D102


def design_arrays(design: Design) -> dict[str, Any]:
    """The fields of `StoredDesign`."""
    return {
        "feature_names": text_array(design.names),
        "covariates": text_array(design.columns),
        "indicators": text_array(design.indicators),
        "dropped": text_array(design.dropped),
        "centre": design.centre,
        "imputed": design.imputed,
        "expansion": design.expansion,
        "rotation": design.rotation,
    }


def design_of(model: StoredDesign) -> Design:
    """How raw covariates become the model's features."""
    return Design(
        tuple(model.covariates.tolist()),
        tuple(model.indicators.tolist()),
        model.centre,
        model.imputed,
        tuple(model.dropped.tolist()),
        model.expansion,
        model.rotation,
    )


def check_design(model: StoredDesign, where: str) -> None:
    """Refuse a design whose arrays do not fit together.

    Raises
    ------
    InputError
        naming `where` the model came from.
    """
    design = design_of(model)
    expanded = len(design.expanded_names)
    fits = (
        model.centre.shape == (expanded,)
        and model.imputed.shape == model.covariates.shape
        and design.rotation.shape[0] in ((0,) if not design.rotation.size else (expanded,))
        and design.size == model.feature_names.size
    )
    if not fits:
        raise InputError(
            f"{where}: {model.feature_names.size} features do not follow from centre "
            f"{model.centre.shape}, imputed {model.imputed.shape}, expansion {model.expansion!r} "
            f"and rotation {model.rotation.shape}.",
            "the file is damaged; train the model again.",
        )
