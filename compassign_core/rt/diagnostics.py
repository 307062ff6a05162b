"""What the fits of all models say of themselves, as one table with judgements in words.

Belongs here: which numbers there are of a model, and their judgement. How they are computed stands
in `convergence`, `hierarchy.convergence` and `sampling`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.catalogue import RT_DIAGNOSTICS
from compassign_core.contracts.settings.convergence import ConvergenceSettings
from compassign_core.rt.arrow import arrow_schema
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.convergence import Curvature, hessian, stored_gradient
from compassign_core.rt.hierarchy.held import Held, held_of, settings_of
from compassign_core.rt.judgement import Judged, judge
from compassign_core.rt.model import load_model
from compassign_core.rt.summaries import CoefficientSummaries

Floats = npt.NDArray[np.float64]

WHOLE = "all"
"""Value of the column `scale` where a number is about the whole model."""

_OPTIMA = ("map", "laplace")
"""Methods that stop at a mode, where a gradient has to vanish."""


@dataclass(frozen=True)
class Number:
    """One row of the table, less the model and method."""

    quantity: str
    scale: str
    value: float | None
    judged: Judged


def diagnostics_table(models: Mapping[str, Path], settings: ConvergenceSettings) -> pa.Table:
    """The rows of `RT_DIAGNOSTICS` of trained models, by the path of their files."""
    rows: list[dict[str, Any]] = []
    for path in models.values():
        model = load_model(path)
        if isinstance(model, PoolingSummaries):
            # only these have statistics to compute a curvature from
            model = PoolingSummaries.load(path)
            method: str = settings_of(model).method
            numbers = pooling_numbers(model, held_of(model, str(path))[0], settings)
        else:
            method, numbers = plain_numbers(model, settings)
        rows += [_row(model.model, method, number) for number in numbers]
    return pa.Table.from_pylist(rows, schema=arrow_schema(RT_DIAGNOSTICS))


def pooling_numbers(
    model: PoolingSummaries, held: Held, settings: ConvergenceSettings
) -> list[Number]:
    """Numbers on a hierarchical fit: those stored at training, the curvature, every scale."""
    stored: dict[str, float] = json.loads(model.diagnostics)
    found = hessian(held)
    method, names = settings_of(model).method, model.scale_names.tolist()
    if "divergences" in stored:
        stored["divergence_share"] = stored["divergences"] / max(stored.get("draws", 0.0), 1.0)
    distances = _distances(stored, held, found)
    if distances is not None and names:
        worst = int(np.argmax(distances))
        stored |= {"gradient_norm": float(distances[worst])}
        about = f"{names[worst]}, the furthest of {len(names)} scales,"
    else:
        about = "the furthest scale"
    numbers = [
        _whole(quantity, value, judge(quantity, value, settings, about, method in _OPTIMA))
        for quantity, value in sorted(stored.items())
        if ":" not in quantity and "[" not in quantity and quantity != "hessian_condition"
    ]
    condition = found.condition if found.positive_definite else None
    numbers.append(
        _whole("hessian_condition", condition, judge("hessian_condition", condition, settings))
    )
    return numbers + _scales(model, held, found, distances)


def plain_numbers(
    model: CoefficientSummaries, settings: ConvergenceSettings
) -> tuple[str, list[Number]]:
    """The method of a model of independent groups, and the numbers on it."""
    stored: dict[str, float] = json.loads(model.diagnostics)
    if "unconverged_groups" in stored:
        share = stored["unconverged_groups"] / max(model.n_groups, 1)
        judged = judge("unconverged_share", share, settings)
        return "coordinate descent", [_whole("unconverged_share", share, judged)]
    if not stored:
        judged = Judged("info", "Coefficients were imported; nothing was fitted here.")
        return "none", [_whole("imported", None, judged)]
    free = {name: value for name, value in stored.items() if name != "gradient_norm"}
    if not free:
        judged = Judged("info", "Every shared scalar was given; groups are solved in closed form.")
        return "closed form", [_whole("gradient_norm", 0.0, judged)]
    worst = max(sorted(free), key=lambda name: free[name]).partition(":")[2]
    about = f"{worst}, the furthest of {len(free)} shared scalars,"
    value = stored["gradient_norm"]
    return "maximum evidence", [
        _whole("gradient_norm", value, judge("gradient_norm", value, settings, about))
    ]


def _distances(stored: Mapping[str, float], held: Held, found: Curvature) -> Floats | None:
    """How far each scale stands from its mode, in its posterior standard deviations, ``(V,)``."""
    gradient = stored_gradient(stored, held.scales)
    if gradient is None or not found.positive_definite:
        return None
    return np.abs(gradient) * found.sd


def _scales(
    model: PoolingSummaries, held: Held, found: Curvature, distances: Floats | None
) -> list[Number]:
    """Prior, estimate and posterior spread of every scale, for the picture of them."""
    names, prior = model.scale_names.tolist(), held.scales.prior
    sampled = model.scale_log_cov.size > 0
    sd = np.sqrt(np.diag(model.scale_log_cov)) if sampled else found.sd
    unit = {name: "" if name.startswith(("slope", "tau_w")) else " min" for name in names}
    numbers = []
    for j, name in enumerate(names):
        value = float(model.scales[j])
        said = f"{name} is {value:.4g}{unit[name]}, prior HalfNormal({prior[j]:g}{unit[name]})"
        spread = float(sd[j]) if np.isfinite(sd[j]) else None
        known = "" if spread is None else f", known to a factor of {np.exp(min(spread, 50.0)):.3g}"
        numbers += [
            Number("prior_scale", name, float(prior[j]), Judged("info", f"{said}.")),
            Number("estimate", name, value, Judged("info", f"{said}.")),
            Number("log_sd", name, spread, Judged("info", f"{said}{known}.")),
        ]
        if distances is not None:
            away = f"{name} stands {distances[j]:.2g} standard errors from its mode."
            numbers.append(Number("distance", name, float(distances[j]), Judged("info", away)))
    return numbers


def _whole(quantity: str, value: float | None, judged: Judged) -> Number:
    return Number(quantity, WHOLE, value, judged)


def _row(model: str, method: str, number: Number) -> dict[str, Any]:
    value = number.value
    return {
        "model": model,
        "method": method,
        "quantity": number.quantity,
        "scale": number.scale,
        "value": None if value is None or not np.isfinite(value) else float(value),
        "judgement": number.judged.judgement,
        "sentence": number.judged.sentence,
    }
