"""The report of one (library, cap) as one HTML file that opens offline.

Here the page is put together, top to bottom; what stands in it is in `sections`. The same inputs
give the same bytes: sections, ids and rows have a fixed order, and no date or random id is written.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from plotly.offline import get_plotlyjs

from compassign_core import __version__
from compassign_core.report.inputs import ReportInputs, in_order
from compassign_core.report.markup import Markup, element, joined, paragraph
from compassign_core.report.sections.calibration import calibration_section
from compassign_core.report.sections.cards import cards_section
from compassign_core.report.sections.comparison import comparison_section
from compassign_core.report.sections.diagnostics import diagnostics_section
from compassign_core.report.sections.evaluation import (
    models_section,
    numbers_section,
    slices_section,
    support_section,
)
from compassign_core.report.sections.glossary import glossary_section
from compassign_core.report.sections.grouping import grouping_section
from compassign_core.report.sections.runs import residuals_section, standards_section
from compassign_core.report.sections.scales import scales_section
from compassign_core.report.sections.shrinkage import shrinkage_section
from compassign_core.report.sections.steps import steps_section
from compassign_core.report.sections.summary import summary_section
from compassign_core.report.sections.tail import tail_section
from compassign_core.report.sections.windows import windows_section
from compassign_core.report.verdicts import verdicts
from compassign_core.store.atomic import written_aside

_SECTIONS = (
    ("summary", "Summary"),
    ("numbers", "Numbers"),
    ("data", "Data"),
    ("models", "Models"),
    ("comparison", "Models against baselines"),
    ("grouping", "Three ways to group"),
    ("calibration", "Calibration"),
    ("support", "Support"),
    ("tail", "Rare pairs"),
    ("residuals", "Residuals"),
    ("standards", "Standards"),
    ("slices", "Slices"),
    ("windows", "Windows"),
    ("diagnostics", "Diagnostics"),
    ("scales", "Scales"),
    ("shrinkage", "Shrinkage"),
    ("cards", "Model cards"),
    ("glossary", "Glossary"),
)

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""Content security policy: the browser itself refuses every request to anywhere."""


def write_report(inputs: ReportInputs, target: Path) -> None:
    """Write the page of `inputs` to `target`, replacing an older one only when complete.

    Raises
    ------
    InputError
        when a table lacks a column or the default model is unknown; `target` is left as it was.
    """
    html = render(inputs)
    with written_aside(target) as aside:
        aside.write_bytes(html.encode("utf-8"))


def render(inputs: ReportInputs) -> str:
    """Write the page as text."""
    inputs = in_order(inputs)
    sections = (
        summary_section(inputs, verdicts(inputs)),
        numbers_section(inputs),
        steps_section(inputs),
        models_section(inputs),
        comparison_section(inputs),
        grouping_section(inputs),
        calibration_section(inputs),
        support_section(inputs),
        tail_section(inputs),
        residuals_section(inputs),
        standards_section(inputs),
        slices_section(inputs),
        windows_section(inputs),
        diagnostics_section(inputs),
        scales_section(inputs),
        shrinkage_section(inputs),
        cards_section(inputs),
        glossary_section(),
    )
    body = [
        element("section", element("h2", heading), *content, id=identifier, class_=identifier)
        for (identifier, heading), content in zip(_SECTIONS, sections, strict=True)
    ]
    return _document(inputs, joined(body))


def _document(inputs: ReportInputs, body: Markup) -> str:
    links = [element("a", heading, href=f"#{key}") for key, heading in _SECTIONS]
    header = element(
        "header",
        element("h1", inputs.title),
        paragraph(
            f"Library {inputs.lib}, cap {inputs.cap}, model {inputs.default_model}. "
            "Retention times in minutes.",
            class_="note",
        ),
        element("nav", *links, aria_label="Sections"),
    )
    footer = element(
        "footer",
        paragraph("CompAssign ", __version__, ". Data and settings: ", inputs.fingerprint),
    )
    head = joined(
        [
            Markup('<meta charset="utf-8">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="referrer" content="no-referrer">'),
            element("title", inputs.title),
            Markup(f"<style>\n{_resource('page.css')}</style>"),
        ]
    )
    scripts = Markup(
        f"<script>{get_plotlyjs()}</script>\n<script>\n{_resource('page.js')}</script>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n'
        f"<head>\n{head}\n</head>\n"
        f"<body>\n{header}\n<main>\n{body}\n</main>\n{footer}\n{scripts}\n</body>\n</html>\n"
    )


def _resource(name: str) -> Markup:
    return Markup(files("compassign_core.report").joinpath(name).read_text(encoding="utf-8"))
