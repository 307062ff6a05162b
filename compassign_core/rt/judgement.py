"""A number on a fit, judged: ok, warn or fail, with one sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compassign_core.contracts.settings.convergence import ConvergenceSettings


@dataclass(frozen=True)
class Judged:
    """A judgement (ok, warn, fail, or info, which nobody judges) and its sentence."""

    judgement: str
    sentence: str


def judge(
    quantity: str,
    value: float | None,
    settings: ConvergenceSettings,
    about: str = "",
    optimum: bool = True,
) -> Judged:
    """Judge a number by its name; one that is not known is told, not judged.

    Parameters
    ----------
    quantity, value : the number; None or not finite where it does not exist.
    settings : thresholds.
    about : what a gradient is that of, for the sentence.
    optimum : whether the method stops at a mode, where alone a gradient has to vanish.
    """
    if quantity == "gradient_norm" and not optimum:
        return Judged("info", f"{_upper(about)} stands {value:.2g} standard errors from its mode.")
    rule = _RULES.get(quantity)
    if rule is None:
        return Judged("info", f"{_upper(quantity.replace('_', ' '))}: {_number(value)}.")
    return rule(value, settings, about)


def _gradient(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    if value is None:
        return Judged("warn", "It is not known how far the scales stand from their mode.")
    said = f"{_upper(about)} stands {value:.2g} standard errors from its mode"
    return _above(value, s.gradient_warn, s.gradient_fail, said)


def _curved(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    if value is None:
        return Judged(
            "warn",
            "The log posterior of the scales does not fall off in every direction: its Hessian is "
            "not negative definite, so that their uncertainty is not known.",
        )
    said = f"The log posterior falls off in every direction; condition number {value:.2g}."
    return Judged("ok", said)


def _noise(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    said = f"One more round would change the log noise variances by {_number(value)} (rms)"
    return _above(value, s.noise_change_warn, float("inf"), said)


def _rhat(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    return _above(value, s.rhat_warn, s.rhat_fail, f"The largest R-hat is {_number(value)}")


def _ess(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    said = f"The smallest effective number of draws is {_number(value)}"
    if value is None or not value >= s.ess_fail:
        return Judged("fail", f"{said}, below {s.ess_fail:g}.")
    if value < s.ess_warn:
        return Judged("warn", f"{said}, below {s.ess_warn:g}.")
    return Judged("ok", f"{said}.")


def _divergences(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    said = f"Of the draws, {_share(value)} diverged"
    return _above(value, 0.0, s.divergence_fail, said, _share)


def _drift(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    said = f"The loss still moved by {_number(value)} of its noise over the last window"
    return _above(value, s.drift_warn, s.drift_fail, said)


def _unconverged(value: float | None, s: ConvergenceSettings, about: str) -> Judged:
    said = f"Of the groups, {_share(value)} stopped short of their tolerance"
    return _above(value, s.unconverged_warn, float("inf"), said, _share)


def _above(
    value: float | None,
    warn: float,
    fail: float,
    said: str,
    shown: Callable[[float], str] = "{:g}".format,
) -> Judged:
    """Higher is worse; a number that does not exist is as bad as any."""
    failing = fail < float("inf")
    if value is None or value != value or value > fail:
        limit = fail if failing else warn
        return Judged("fail" if failing else "warn", f"{said}, more than {shown(limit)}.")
    if value > warn:
        return Judged("warn", f"{said}, more than {shown(warn)}.")
    return Judged("ok", f"{said}.")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.2%}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


_RULES: dict[str, Callable[[float | None, ConvergenceSettings, str], Judged]] = {
    "gradient_norm": _gradient,
    "hessian_condition": _curved,
    "noise_change": _noise,
    "rhat_max": _rhat,
    "ess_bulk_min": _ess,
    "ess_tail_min": _ess,
    "divergence_share": _divergences,
    "elbo_drift": _drift,
    "unconverged_share": _unconverged,
}
