"""The page: valid, self-contained, deterministic, inert, and true to the evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from compassign_core.contracts.errors import InputError
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import MISSING, data_script, element
from compassign_core.report.page import render, write_report
from compassign_core.report.sections.windows import windows_data

VOID = {"meta", "input", "br", "link", "img"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&<!--"
Shuffle = Callable[[ReportInputs], ReportInputs]


class Page(HTMLParser):
    """Collects tags, attributes, text and embedded data; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.data: dict[str, str] = {}
        self.text: list[str] = []
        self.ids: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        identifier = dict(attrs).get("id") or ""
        if identifier:
            self.ids.append(identifier)
        if tag not in VOID:
            self.open.append((tag, identifier))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, identifier = self.open[-1] if self.open else ("", "")
        if tag == "script" and identifier:
            self.data[identifier] = self.data.get(identifier, "") + data
        elif tag not in ("script", "style"):
            self.text.append(data)

    def words(self) -> str:
        """All visible text on one line."""
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def html(inputs: ReportInputs) -> str:
    return render(inputs)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def cells(html: str, section: str) -> list[list[str]]:
    """Rows of all tables in one section, as text."""
    part = html[html.index(f'<section id="{section}"') :]
    part = part[: part.index("</section>")]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", part, flags=re.S)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, flags=re.S) for row in rows]


def test_all_tags_are_closed_and_ids_are_unique(page: Page) -> None:
    assert page.tags.count("section") == 18
    assert len(page.ids) == len(set(page.ids))


def test_the_page_loads_nothing_from_anywhere(html: str, page: Page) -> None:
    loading = ("src", "href", "srcset", "action", "poster", "formaction")
    for _, name, value in page.attributes:
        assert name not in loading or value.startswith("#"), (name, value)
        assert "url(" not in value
    assert not {"link", "iframe", "object", "embed", "img", "base"} & set(page.tags)
    style = re.search(r"<style>(.*?)</style>", html, flags=re.S)
    assert style and "url(" not in style.group(1) and "@import" not in style.group(1)
    assert "default-src 'none'" in html
    assert html.count("* plotly.js v") == 1


def test_the_button_that_uploads_figures_is_not_offered(html: str) -> None:
    script = html[html.rindex("<script>") :]
    assert 'plotlyServerURL: ""' in script
    assert 'modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]' in script


def test_every_figure_has_data_and_a_button_that_saves_them(page: Page) -> None:
    plots = {v for t, n, v in page.attributes if n == "data-figure"}
    assert len(plots) == 15
    for plot in plots:
        data = json.loads(page.data[f"{plot}-data"])
        assert len(data["layout"]["meta"]["columns"]) == 2
        assert plot in page.ids


def test_same_inputs_in_any_row_order_give_the_same_bytes(
    inputs: ReportInputs, shuffled: Shuffle, tmp_path: Path
) -> None:
    write_report(inputs, tmp_path / "one.html")
    write_report(shuffled(inputs), tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.html", "two.html"]


def test_numbers_on_the_page_equal_the_evaluation(html: str, inputs: ReportInputs) -> None:
    rows = cells(html, "numbers")
    overall = inputs.evaluation.filter(pc.field("slice") == "overall").to_pylist()
    n = len(overall) + 1
    errors, windows = ({row[0]: row[1:] for row in part[1:]} for part in (rows[:n], rows[n:]))
    assert set(errors) == set(windows) == {row["model"] for row in overall}
    for row in overall:
        counts = [f"{row[name]:,}" for name in ("n_rows", "n_scored", "n_unscored")]
        assert errors[row["model"]][:3] == counts
        names = ("rmse", "mae", "crps", "interval_score95")
        for text, name in zip(errors[row["model"]][3:7], names, strict=True):
            assert float(text) == pytest.approx(row[name], abs=5.1e-5)
        assert float(errors[row["model"]][7]) == pytest.approx(row["log_score"], abs=5.1e-4)
        shown = windows[row["model"]]
        for text, level in zip(shown[:4], (50, 80, 95, 99), strict=True):
            assert shares(text) == pytest.approx(
                [100 * row[f"cov{level}{end}"] for end in ("", "_low", "_high")], abs=0.051
            )
        assert float(shown[5]) == pytest.approx(row["width95"], abs=5.1e-5)
        assert float(shown[6]) == pytest.approx(row["width95_median"], abs=5.1e-5)


def shares(cell: str) -> list[float]:
    """A coverage and the ends of its interval from a cell of a table, in percent."""
    return [float(text) for text in re.findall(r"\d+\.\d", cell)]


def test_every_coverage_has_its_interval_beside_it(html: str, inputs: ReportInputs) -> None:
    rows = {
        (r["model"], r["level"]): r
        for r in inputs.evaluation.to_pylist()
        if r["slice"] == "support_bin"
    }
    shown = [row for row in cells(html, "support") if len(row) == 11 and row[0] != "Support"]
    assert len(shown) == len(rows)
    for row in shown:
        given = rows[row[1], row[0].replace("&gt;", ">")]
        for text, level in zip(row[6:10], (50, 80, 95, 99), strict=True):
            if given["n_scored"]:
                expected = [100 * given[f"cov{level}{end}"] for end in ("", "_low", "_high")]
                assert shares(text) == pytest.approx(expected, abs=0.051)
            else:
                assert text == MISSING


def test_the_embedded_evaluation_equals_the_table(page: Page, inputs: ReportInputs) -> None:
    columns = {c["name"]: c for c in json.loads(page.data["evaluation-data"])["columns"]}
    levels = columns["level"]
    order = [("model", "ascending"), ("slice", "ascending"), ("level", "ascending")]
    ordered = inputs.evaluation.sort_by(order)
    assert [levels["words"][i] for i in levels["values"]] == ordered["level"].to_pylist()
    assert set(columns) >= {"cov50", "cov99_high", "log_score", "width95_median_min"}
    for shown, name in (("rmse_min", "rmse"), ("cov80_low", "cov80_low")):
        expected = [v if v is None else round(v, 7) for v in ordered[name].to_pylist()]
        assert columns[shown]["values"] == expected


def test_unscored_rows_are_shown_as_counted(html: str, predictions: pa.Table) -> None:
    lasso = next(row for row in cells(html, "numbers") if row and row[0] == "lasso")
    own = predictions.filter(pc.field("model") == "lasso")
    unscored = own.num_rows - sum(own["scored"].to_pylist())
    assert unscored > 0 and lasso[3] == f"{unscored:,}"
    novelty = [row for row in cells(html, "slices") if row[:2] == ["new compound", "lasso"]]
    assert novelty[0][3] == f"{unscored:,}" and novelty[0][4] == MISSING


def test_the_summary_says_what_was_measured(page: Page, inputs: ReportInputs) -> None:
    mask = (pc.field("slice") == "overall") & (pc.field("model") == "partial_pooling")
    row = inputs.evaluation.filter(mask).to_pylist()[0]
    assert f"On {row['n_scored']:,} peaks" in page.words()
    assert f"{row['mae']:.4f} min on average" in page.words()


def test_only_the_default_models_windows_are_embedded(page: Page, inputs: ReportInputs) -> None:
    embedded = json.loads(page.data["windows-data"])
    own = inputs.windows.filter(pc.field("model") == "partial_pooling")
    columns = {c["name"]: c for c in embedded["columns"]}
    assert all(len(c["values"]) == own.num_rows for c in embedded["columns"])
    order = [("species_cluster", "ascending"), ("species", "ascending"), ("comp_id", "ascending")]
    low = own.sort_by(order)["rt_low"].to_pylist()
    assert columns["rt_low_min"]["values"] == [v if v is None else round(v, 5) for v in low]
    assert None in low
    assert len(json.dumps(embedded)) < 100 * own.num_rows


@pytest.mark.parametrize("place", ["compound", "species", "model", "title", "standard", "reason"])
def test_hostile_text_is_inert_wherever_it_comes_in(inputs: ReportInputs, place: str) -> None:
    clean = Page(render(inputs))
    html = render(_with_hostile(inputs, place))
    page = Page(html)
    assert page.tags == clean.tags
    assert "<img" not in html[: html.index("plotly.js v")]
    for name, written in page.data.items():
        assert "<" not in written and json.loads(written), name
    decoded = page.words() + "".join(json.dumps(json.loads(d)) for d in page.data.values())
    assert "alert(2)" in decoded


def _with_hostile(inputs: ReportInputs, place: str) -> ReportInputs:
    if place == "compound":
        names = pa.table({"comp_id": pa.array([7001]), "name": pa.array([HOSTILE])})
        return replace(inputs, compounds=names)
    if place == "species":
        raw = pc.replace_substring(inputs.windows["species_raw"], "human plasma", HOSTILE)
        at = inputs.windows.column_names.index("species_raw")
        return replace(inputs, windows=inputs.windows.set_column(at, "species_raw", raw))
    if place == "model":
        tables = {
            name: _renamed(getattr(inputs, name))
            for name in ("evaluation", "pit", "comparison", "diagnostics", "windows")
        }
        cards = {HOSTILE if k == "lasso" else k: v for k, v in inputs.models.items()}
        baseline = tables["comparison"]["baseline"]
        at = tables["comparison"].column_names.index("baseline")
        tables["comparison"] = tables["comparison"].set_column(
            at, "baseline", pc.replace_substring(baseline, "lasso", HOSTILE)
        )
        return replace(
            inputs,
            models=cards,
            held_out=replace(inputs.held_out, runs=_renamed(inputs.held_out.runs)),
            baselines=("sklearn_ridge", HOSTILE),
            grouping=replace(inputs.grouping, apart=HOSTILE),
            **tables,
        )
    if place == "standard":
        names = [f"IS_{HOSTILE}" if n == "IS_B_1_d7" else n for n in inputs.runs.column_names]
        return replace(inputs, runs=inputs.runs.rename_columns(names))
    if place == "reason":
        return replace(
            inputs, steps=[replace(inputs.steps[0], rejects={HOSTILE: 3}), *inputs.steps[1:]]
        )
    return replace(inputs, title=HOSTILE)


def _renamed(table: pa.Table) -> pa.Table:
    models = pc.replace_substring(table["model"], "lasso", HOSTILE)
    return table.set_column(table.column_names.index("model"), "model", models)


def test_plotly_gets_user_text_that_it_cannot_read_as_markup(inputs: ReportInputs) -> None:
    page = Page(render(_with_hostile(inputs, "model")))
    names = {
        trace.get("name", "")
        for key, written in page.data.items()
        if key not in ("windows-data", "evaluation-data", "comparison-data")
        for trace in json.loads(written)["data"]
    }
    assert any("&lt;img" in name for name in names)
    assert not any("<img" in name for name in names)


def test_nothing_held_out_gives_a_page_that_says_so(without_held_out: ReportInputs) -> None:
    page = Page(render(without_held_out))
    assert "No held-out peaks: no sample set of this library was set aside" in page.words()
    assert "No held-out rows were evaluated." in page.words()
    statuses = [v for t, n, v in page.attributes if n == "data-status"]
    assert statuses[:4] == ["none"] * 4
    assert json.loads(page.data["windows-data"])["columns"][0]["values"]


def test_empty_tables_everywhere_still_give_a_page(without_held_out: ReportInputs) -> None:
    bare = replace(
        without_held_out,
        windows=without_held_out.windows.slice(0, 0),
        runs=without_held_out.runs.slice(0, 0),
        compounds=without_held_out.compounds.slice(0, 0),
        steps=[],
    )
    words = Page(render(bare)).words()
    assert "Model partial_pooling has no windows." in words
    assert "No steps were recorded." in words


def test_a_failing_report_leaves_the_last_good_page(inputs: ReportInputs, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("last good")
    broken = replace(inputs, windows=inputs.windows.drop_columns(["width"]))
    with pytest.raises(InputError, match=r"windows .* lacks the column\(s\) width"):
        write_report(broken, target)
    with pytest.raises(InputError, match="default model 'unheard'"):
        write_report(replace(inputs, default_model="unheard"), target)
    assert target.read_text() == "last good"
    assert list(tmp_path.iterdir()) == [target]


def test_unknown_compound_names_stay_empty(inputs: ReportInputs) -> None:
    data = windows_data(inputs)
    columns = {c["name"]: c for c in data["columns"]}
    named = dict(zip(columns["comp_id"]["values"], columns["name"]["values"], strict=True))
    assert named[7003] is None
    assert columns["name"]["words"][named[7004]] == "PC 34:4"


def test_embedded_data_survive_the_round_trip_and_hold_no_markup() -> None:
    given = {"a": [HOSTILE, "\u2028", None, 0.1], "b": "ö"}
    written = data_script("x", given)
    inner = written.removeprefix('<script type="application/json" id="x">')
    inner = inner.removesuffix("</script>")
    assert json.loads(inner) == given
    assert not set("<>&\u2028") & set(inner)
    with pytest.raises(ValueError, match="JSON"):
        data_script("x", [float("nan")])


def test_attributes_are_escaped() -> None:
    assert element("p", "<b>", class_='"x') == '<p class="&quot;x">&lt;b&gt;</p>'
