"""The section of windows: a table that the reader searches, sorts and saves."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import Markup, count, data_script, element, paragraph
from compassign_core.report.sections.embedding import (
    file_stem,
    number_column,
    save_button,
    text_column,
)
from compassign_core.report.sections.labels import NOVELTY_WORDS


def windows_section(inputs: ReportInputs) -> list[object]:
    """Show the default model's windows as a table to search, sort and save."""
    data = windows_data(inputs)
    n = len(data["columns"][0]["values"])
    if not n:
        return [
            paragraph(f"Model {inputs.default_model} has no windows.", class_="nothing"),
        ]
    species = data["columns"][2]["words"]
    options = [element("option", "all species", value="")]
    options += [element("option", label, value=str(i)) for i, label in enumerate(species)]
    search = element(
        "input",
        type="search",
        id="windows-search",
        placeholder="compound, comp_id or species",
        autocomplete="off",
    )
    # An input element has no end tag.
    search = Markup(search.removesuffix("</input>"))
    return [
        paragraph(
            f"Where to look for each compound, at the mean run of each species. Model "
            f"{inputs.default_model}; {count(n)} windows; a dash means that the model has none. "
            "Training rows say how much a window rests on."
        ),
        element(
            "div",
            element("label", "Search", search),
            element("label", "Species", element("select", *options, id="windows-species")),
            save_button("windows", "Matching rows (CSV)"),
            class_="controls",
        ),
        element("p", id="windows-count", class_="note", aria_live="polite"),
        element("div", element("table", id="windows-table"), class_="scroll", tabindex="0"),
        element("button", "Show more rows", type="button", id="windows-more", hidden="hidden"),
        element("noscript", paragraph("This table needs JavaScript, which is switched off.")),
        data_script("windows-data", data),
    ]


def windows_data(inputs: ReportInputs) -> dict[str, Any]:
    """Collect the default model's windows as columns, repeated text stored once.

    Each column is ``{name, label, kind, values[, words]}``; with ``words`` the values are places
    in that list. Minutes are rounded to 5 decimals.
    """
    rows = inputs.windows.filter(pc.field("model") == inputs.default_model)
    named = inputs.compounds.filter(pc.is_valid(inputs.compounds.column("name")))
    names = dict(
        zip(named.column("comp_id").to_pylist(), named.column("name").to_pylist(), strict=True)
    )
    comps = rows.column("comp_id").to_pylist()
    novelty = [NOVELTY_WORDS.get(str(v), v) for v in rows.column("novelty").to_pylist()]
    columns = [
        text_column("name", "Compound", [names.get(comp) for comp in comps]),
        number_column("comp_id", "comp_id", comps),
        text_column("species", "Species", rows.column("species_raw").to_pylist()),
        number_column("rt_predicted_min", "RT (min)", _rounded(rows, "rt_predicted"), "minutes"),
        number_column("rt_low_min", "From (min)", _rounded(rows, "rt_low"), "minutes"),
        number_column("rt_high_min", "To (min)", _rounded(rows, "rt_high"), "minutes"),
        number_column("width_min", "Width (min)", _rounded(rows, "width"), "minutes"),
        number_column("n_train", "Training rows", rows.column("n_train").to_pylist()),
        text_column("support_bin", "Support", rows.column("support_bin").to_pylist()),
        text_column("novelty", "Novelty", novelty),
        text_column("coverage", "Coverage", rows.column("coverage").to_pylist(), shown=False),
    ]
    return {"file": f"windows_{file_stem(inputs)}_{inputs.default_model}", "columns": columns}


def _rounded(rows: pa.Table, name: str) -> list[float | None]:
    return [None if value is None else round(value, 5) for value in rows.column(name).to_pylist()]
