"""The preset for a look in seconds: what it cuts, and saying so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.models import DEFAULT_MODEL, MODELS
from compassign_core.contracts.settings.sampling import AdviSettings, SamplerSettings
from compassign_core.pipeline.evaluation import COMPARISON
from compassign_core.pipeline.trials.definition import Changes

LIMITS = TrainingLimits(max_train_rows=8_000)
"""Whole groups are not left out: what was never trained could not be compared at all."""

EVALUATION = EvaluationSettings(max_test_rows=5_000)
RESAMPLES = 200
"""Of whole sample sets, when models are compared."""

_PRESETS: Mapping[str, tuple[str, Any]] = {
    "nuts": ("sampler", SamplerSettings.quick()),
    "advi": ("advi", AdviSettings.quick()),
}
"""Inference methods that take long: their field of settings, and what it is for a look."""


KINDS = tuple(dict.fromkeys((DEFAULT_MODEL, *COMPARISON.baselines)))
"""Kinds that are looked at unless others are named; the lasso, say, is slow to choose."""


def quick_changes(kind: str, changes: Changes) -> Changes:
    """The changes, with the preset wherever they leave something open."""
    settings = dict(changes.settings)
    if hasattr(MODELS[kind].settings, "method"):
        method = settings.setdefault("method", "map")
        if method in _PRESETS:
            name, preset = _PRESETS[method]
            settings[name] = {**preset.model_dump(), **settings.get(name, {})}
    chosen = {name: value for name, value in LIMITS.model_dump().items() if value}
    limits = chosen if not changes.limits else {**chosen, **changes.limits}
    return Changes(settings, changes.windows, limits)


def quick_evaluation(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of `EvaluationSettings`, those of the preset where none is given."""
    return {**EVALUATION.model_dump(), **given}


def what_was_cut(limits: TrainingLimits, evaluation: EvaluationSettings) -> str:
    """One line on what a quick look leaves out."""
    parts = [
        f"at most {limits.max_train_rows:,} training rows" if limits.max_train_rows else "",
        f"at most {limits.max_groups:,} groups" if limits.max_groups else "",
        f"at most {evaluation.max_test_rows:,} held-out rows" if evaluation.max_test_rows else "",
        f"no other kinds than {', '.join(KINDS)} unless named (so no lasso)",
        "scales at their mode, or few draws where a sampler was asked for",
        f"{RESAMPLES} resamples in comparisons",
    ]
    return f"Quick look: {'; '.join(part for part in parts if part)}. Figures are rough."
