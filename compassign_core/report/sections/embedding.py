"""Figures and columns as the page's script takes them: drawn, shown and saved in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa

from compassign_core.contracts.tables import TableContract
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import Markup, data_script, element


def figure_block(
    inputs: ReportInputs, identifier: str, title: str, fig: go.Figure, caption: object
) -> Markup:
    """Write a figure with heading, drawing area, caption and a button that saves its data."""
    written = fig.to_plotly_json()
    data = {
        "file": f"{identifier.replace('-', '_')}_{file_stem(inputs)}",
        "data": written["data"],
        "layout": written["layout"],
    }
    button = element("button", "Data (CSV)", type="button", class_="save", data_figure=identifier)
    return element(
        "figure",
        element("div", element("h3", title), button, class_="bar"),
        element(
            "div",
            id=identifier,
            class_="plot",
            role="img",
            aria_label=title,
            style=f"min-height:{fig.layout.height}px",
        ),
        element("figcaption", caption),
        data_script(f"{identifier}-data", data),
    )


def save_button(identifier: str, label: str) -> Markup:
    """Write a button that saves the table of this id as CSV."""
    return element("button", label, type="button", class_="save", data_table=identifier)


def text_column(name: str, label: str, values: Sequence[Any], shown: bool = True) -> dict[str, Any]:
    """Column of text for the page's script, repeated text stored once."""
    words = sorted({v for v in values if v is not None}, key=lambda v: (str(type(v)), v))
    place = {word: i for i, word in enumerate(words)}
    coded = [None if value is None else place[value] for value in values]
    return {
        "name": name,
        "label": label,
        "kind": "text",
        "shown": shown,
        "words": words,
        "values": coded,
    }


def number_column(
    name: str, label: str, values: Sequence[Any], kind: str = "number"
) -> dict[str, Any]:
    """Column of numbers for the page's script; of kind `minutes` it gets four decimals."""
    return {"name": name, "label": label, "kind": kind, "shown": True, "values": list(values)}


def contract_data(
    inputs: ReportInputs, name: str, given: pa.Table, contract: TableContract
) -> dict[str, Any]:
    """All columns of a table for the page's script; those in minutes end in ``_min``.

    Numbers are rounded to seven decimals.
    """
    columns = []
    for column in contract.columns:
        values = given.column(column.name).to_pylist()
        label = f"{column.name}_min" if column.unit == "min" else column.name
        if column.type == "VARCHAR":
            columns.append(text_column(label, label, values))
        else:
            columns.append(number_column(label, label, [_rounded(v) for v in values]))
    return {"file": f"{name}_{file_stem(inputs)}", "columns": columns}


def _rounded(value: float | None) -> float | None:
    """Seven decimals, far below a scan in minutes; nothing for what JSON cannot write."""
    return None if value is None or value - value != 0 else round(value, 7)


def file_stem(inputs: ReportInputs) -> str:
    """Part of a saved file's name that says which report it is from."""
    return f"lib{inputs.lib}_cap{inputs.cap}"
