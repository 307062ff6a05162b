"""The window that is asked of a trained model: whether it has it, and how wide it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.rt import WindowRequest
from compassign_core.rt.model import Model, Scorer, scorer
from compassign_core.rt.predict import Scores
from compassign_core.rt.production import half_widths_of
from compassign_core.rt.stored import PRODUCTION_RULE

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AskedWindow:
    """A scorer for the window asked for, and for those of some further levels.

    Attributes
    ----------
    request : what was asked for.
    score : scores rows; its first half widths are those of the further levels.
    """

    request: WindowRequest
    score: Scorer

    @classmethod
    def of(
        cls, model: Model, request: WindowRequest, further: tuple[float, ...] = ()
    ) -> AskedWindow:
        """Prepare a model for what is asked of it.

        Raises
        ------
        SettingsError
            when the model has no windows of the level, or carries windows of a production rule
            already.
        """
        coverage = request.coverage
        if coverage is not None:
            model.require_level(coverage)
            further = (*further, coverage)
        elif model.calibration == PRODUCTION_RULE:
            raise SettingsError(
                f"rule='production', but the windows of model {model.model} were made by such a "
                "rule in training, with their own multiplier and minimum.",
                "leave the rule out to get these windows.",
            )
        return cls(request, scorer(model, further))

    @property
    def coverage(self) -> float:
        """The coverage that the window states; NaN where it states none."""
        return float("nan") if self.request.coverage is None else self.request.coverage

    def half_width(self, scores: Scores) -> Floats:
        """Half width of the window, min, ``(n,)``."""
        if self.request.rule == "production":
            return half_widths_of(scores.raw_scale, scores.df, self.request)
        half_width: Floats = scores.half_widths[-1]
        return half_width
