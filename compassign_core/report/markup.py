"""Pieces of HTML: escaped text, tables, embedded data, and how numbers are written.

Every piece of text passes `text`, every embedded table or figure passes `data_script`; nothing
else on the page writes what a user brought.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence

MISSING = "–"


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escape anything for HTML text or a quoted attribute; `Markup` passes as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=True))


def element(tag: str, *content: object, **attributes: str) -> Markup:
    """Write an element with escaped content; ``data_x=`` becomes the attribute ``data-x``."""
    written = "".join(
        f' {name.strip("_").replace("_", "-")}="{text(value)}"'
        for name, value in attributes.items()
    )
    return Markup(f"<{tag}{written}>{''.join(text(item) for item in content)}</{tag}>")


def paragraph(*content: object, **attributes: str) -> Markup:
    """Write a paragraph."""
    return element("p", *content, **attributes)


def joined(items: Sequence[object]) -> Markup:
    """Pieces one after the other, each on its own line."""
    return Markup("\n".join(text(item) for item in items))


def data_script(identifier: str, data: object) -> Markup:
    """Embed `data` as JSON that no browser can take for markup or script.

    Angle brackets, ampersands and the two Unicode line separators are written as escapes, so the
    text cannot contain ``</script>`` or ``<!--``.
    """
    written = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{text(identifier)}">{written}</script>')


def table(
    header: Sequence[object],
    rows: Sequence[Sequence[object]],
    *,
    caption: object = "",
    n_text: int = 1,
    marked: int | None = None,
) -> Markup:
    """Write a table in a frame that scrolls sideways on a narrow screen.

    Parameters
    ----------
    header, rows : cells.
    caption : shown above the table.
    n_text : columns on the left that hold text; all others are numbers, set to the right.
    marked : row to set off.
    """
    kinds = ["" if i < n_text else "number" for i in range(len(header))]
    head = element(
        "tr",
        *(
            element("th", cell, scope="col", class_=kind)
            for cell, kind in zip(header, kinds, strict=True)
        ),
    )
    body = [
        element(
            "tr",
            *(element("td", cell, class_=kind) for cell, kind in zip(cells, kinds, strict=True)),
            class_="marked" if i == marked else "",
        )
        for i, cells in enumerate(rows)
    ]
    title = element("caption", caption) if caption else ""
    inner = element("table", title, element("thead", head), element("tbody", joined(body)))
    return element("div", inner, class_="scroll", tabindex="0")


def minutes(value: object) -> str:
    """Write minutes with four decimals."""
    return f"{value:.4f}" if _is_number(value) else MISSING


def percent(value: object, digits: int = 1) -> str:
    """Write a share as percent."""
    return f"{value:.{digits}%}".replace("%", "\u00a0%") if _is_number(value) else MISSING


def count(value: object) -> str:
    """Write a whole number with thousands separated."""
    return f"{value:,}" if isinstance(value, int) else MISSING


def number(value: object) -> str:
    """Write a number of no known size, with four significant digits."""
    return f"{value:.4g}" if _is_number(value) else MISSING


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
