"""The first section: the verdict in one line, what was measured, and the traffic lights."""

from __future__ import annotations

from collections.abc import Sequence

from compassign_core.report.inputs import ReportInputs
from compassign_core.report.light import Status, Verdict
from compassign_core.report.markup import Markup, count, element, minutes, paragraph, percent
from compassign_core.report.summaries import evaluation_rows, held_out_rows

_LIGHTS: dict[Status, tuple[str, str]] = {
    "good": ("✓", "Good"),
    "look": ("!", "Look"),
    "act": ("✕", "Act"),
    "none": ("?", "No data"),
}


def summary_section(inputs: ReportInputs, lights: Sequence[Verdict]) -> list[object]:
    """Give the verdict, what was measured, and the lights, most important first."""
    row = _overall(inputs, inputs.default_model)
    model = element("strong", inputs.default_model)
    if row is None or not row["n_scored"]:
        held_out = held_out_rows(inputs.evaluation)
        found = (
            "No held-out peaks: no sample set of this library was set aside for testing, so "
            "accuracy and coverage could not be measured. Windows below are those of the model."
            if not held_out
            else f"None of the {count(held_out)} held-out peaks could be scored, so accuracy and "
            "coverage could not be measured."
        )
        lead = paragraph(found, " Shown: model ", model, ".", class_="lead")
    else:
        lead = paragraph(
            f"On {count(row['n_scored'])} peaks of sample sets that took no part in training, "
            "model ",
            model,
            f" predicts retention times to {minutes(row['mae'])} min on average. "
            f"{percent(row['cov95'])} of the peaks lie inside their 95 % window, which is "
            f"{minutes(row['width95'])} min wide on average.",
            class_="lead",
        )
    return [_verdict_line(lights), lead, element("ul", *map(_light, lights), class_="lights")]


def _overall(inputs: ReportInputs, model: str) -> dict[str, object] | None:
    rows = [r for r in evaluation_rows(inputs.evaluation, "overall") if r["model"] == model]
    return rows[0] if rows else None


def _verdict_line(lights: Sequence[Verdict]) -> Markup:
    acts = [v.name for v in lights if v.status == "act"]
    looks = [v.name for v in lights if v.status == "look"]
    coverage = lights[0].status
    if acts:
        status: Status = "act"
        words = f"Act before using these windows: {'; '.join(acts).lower()}."
    elif coverage == "none":
        status, words = "none", "Windows were made, but nothing was measured on held-out peaks."
    elif looks:
        status, words = "look", f"Usable, with something to look at: {'; '.join(looks).lower()}."
    else:
        status, words = "good", "Good to use: every measured check is within its bounds."
    return paragraph(badge(status), " ", words, class_=f"verdict {status}")


def badge(status: Status) -> Markup:
    """Write a light: a sign and a word, in its colour."""
    symbol, word = _LIGHTS[status]
    mark = element("span", symbol, class_="mark", aria_hidden="true")
    return element("span", mark, word, class_=f"badge {status}")


def _light(verdict: Verdict) -> Markup:
    return element(
        "li",
        element("div", element("strong", verdict.name), badge(verdict.status), class_="bar"),
        paragraph(verdict.finding),
        paragraph(element("b", "What to do: "), verdict.advice) if verdict.advice else "",
        paragraph(verdict.rule, class_="rule"),
        class_=f"light {verdict.status}",
        data_status=verdict.status,
    )
