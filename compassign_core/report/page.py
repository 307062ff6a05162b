"""The report of one (library, cap) as one HTML file that opens offline.

Here the page is put together, top to bottom; figures, tables, lights and escaping have their own
modules. The same inputs give the same bytes: sections, ids and rows have a fixed order, and no
date or random id is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from plotly.offline import get_plotlyjs

from compassign_core import __version__
from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BINS
from compassign_core.report import figures
from compassign_core.report.inputs import ModelCard, ReportInputs, in_order
from compassign_core.report.markup import (
    MISSING,
    Markup,
    count,
    data_script,
    element,
    joined,
    minutes,
    number,
    percent,
    table,
)
from compassign_core.report.summaries import (
    coverage_error_by_runs,
    evaluation_rows,
    held_out_rows,
    missing_standards,
    residuals_by_run,
)
from compassign_core.report.tables import reasons
from compassign_core.report.verdicts import Status, Verdict, verdicts
from compassign_core.store.atomic import written_aside

_LIGHTS: dict[Status, tuple[str, str]] = {
    "good": ("✓", "Good"),
    "look": ("!", "Look"),
    "act": ("✕", "Act"),
    "none": ("?", "No data"),
}
_NOVELTY_WORDS = {
    "seen": "seen",
    "unseen_pair": "new pair",
    "unseen_species": "new species",
    "unseen_compound": "new compound",
}
_SECTIONS = (
    ("summary", "Summary"),
    ("numbers", "Numbers"),
    ("data", "Data"),
    ("models", "Models"),
    ("calibration", "Calibration"),
    ("support", "Support"),
    ("residuals", "Residuals"),
    ("standards", "Standards"),
    ("slices", "Slices"),
    ("windows", "Windows"),
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
    lights = verdicts(inputs)
    labels = level_labels(inputs.windows)
    sections = (
        _summary(inputs, lights),
        _numbers(inputs),
        _data(inputs),
        _models(inputs),
        _calibration(inputs),
        _support(inputs),
        _residuals(inputs),
        _standards(inputs),
        _slices(inputs, labels),
        _windows(inputs),
        _cards(inputs),
        _glossary(),
    )
    body = [
        element("section", element("h2", heading), *content, id=identifier, class_=identifier)
        for (identifier, heading), content in zip(_SECTIONS, sections, strict=True)
    ]
    return _document(inputs, joined(body))


def level_labels(windows: pa.Table) -> dict[str, dict[str, str]]:
    """Readable labels of species and supercategory ids, by slice, from the windows table."""
    keys = ("species_cluster", "species", "species_raw")
    named = windows.select(list(keys)).group_by(list(keys)).aggregate([])
    rows = named.sort_by([(key, "ascending") for key in keys]).to_pylist()
    species = {str(row["species"]): str(row["species_raw"]) for row in rows}
    members: dict[str, list[str]] = {}
    for row in rows:
        members.setdefault(str(row["species_cluster"]), []).append(str(row["species_raw"]))
    clusters = {key: f"{key}: {', '.join(names)}" for key, names in members.items()}
    return {"species": species, "supercategory": clusters}


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
    novelty = [_NOVELTY_WORDS.get(str(v), v) for v in rows.column("novelty").to_pylist()]
    columns = [
        _words("name", "Compound", [names.get(comp) for comp in comps]),
        _plain("comp_id", "comp_id", comps),
        _words("species", "Species", rows.column("species_raw").to_pylist()),
        _plain("rt_predicted_min", "RT (min)", _rounded(rows, "rt_predicted"), "minutes"),
        _plain("rt_low_min", "From (min)", _rounded(rows, "rt_low"), "minutes"),
        _plain("rt_high_min", "To (min)", _rounded(rows, "rt_high"), "minutes"),
        _plain("width_min", "Width (min)", _rounded(rows, "width"), "minutes"),
        _plain("n_train", "Training rows", rows.column("n_train").to_pylist()),
        _words("support_bin", "Support", rows.column("support_bin").to_pylist()),
        _words("novelty", "Novelty", novelty),
        _words("coverage", "Coverage", rows.column("coverage").to_pylist(), shown=False),
    ]
    return {"file": f"windows_{_stem(inputs)}_{inputs.default_model}", "columns": columns}


def _words(name: str, label: str, values: Sequence[Any], shown: bool = True) -> dict[str, Any]:
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


def _plain(name: str, label: str, values: Sequence[Any], kind: str = "number") -> dict[str, Any]:
    return {"name": name, "label": label, "kind": kind, "shown": True, "values": list(values)}


def _rounded(rows: pa.Table, name: str) -> list[float | None]:
    return [None if value is None else round(value, 5) for value in rows.column(name).to_pylist()]


def _stem(inputs: ReportInputs) -> str:
    return f"lib{inputs.lib}_cap{inputs.cap}"


def _figure(
    inputs: ReportInputs, identifier: str, title: str, fig: go.Figure, caption: object
) -> Markup:
    """Write a figure with heading, drawing area, caption and a button that saves its data."""
    written = fig.to_plotly_json()
    data = {
        "file": f"{identifier.replace('-', '_')}_{_stem(inputs)}",
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


def _paragraph(*content: object, **attributes: str) -> Markup:
    return element("p", *content, **attributes)


def _overall(inputs: ReportInputs, model: str) -> dict[str, object] | None:
    rows = [r for r in evaluation_rows(inputs.evaluation, "overall") if r["model"] == model]
    return rows[0] if rows else None


def _summary(inputs: ReportInputs, lights: Sequence[Verdict]) -> list[object]:
    row = _overall(inputs, inputs.default_model)
    model = element("strong", inputs.default_model)
    if row is None or not row["n_scored"]:
        held_out = held_out_rows(inputs.evaluation, inputs.predictions)
        found = (
            "No held-out peaks: no sample set of this library was set aside for testing, so "
            "accuracy and coverage could not be measured. Windows below are those of the model."
            if not held_out
            else f"None of the {count(held_out)} held-out peaks could be scored, so accuracy and "
            "coverage could not be measured."
        )
        lead = _paragraph(found, " Shown: model ", model, ".", class_="lead")
    else:
        lead = _paragraph(
            f"On {count(row['n_scored'])} peaks of sample sets that took no part in training, "
            "model ",
            model,
            f" predicts retention times to {minutes(row['mae'])} min on average. "
            f"{percent(row['cov95'])} of the peaks lie inside their 95 % window, which is "
            f"{minutes(row['width95'])} min wide on average.",
            class_="lead",
        )
    return [_verdict_line(lights), lead, element("ul", *map(_light, lights), class_="lights")]


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
    return _paragraph(_badge(status), " ", words, class_=f"verdict {status}")


def _badge(status: Status) -> Markup:
    symbol, word = _LIGHTS[status]
    mark = element("span", symbol, class_="mark", aria_hidden="true")
    return element("span", mark, word, class_=f"badge {status}")


def _light(verdict: Verdict) -> Markup:
    return element(
        "li",
        element("div", element("strong", verdict.name), _badge(verdict.status), class_="bar"),
        _paragraph(verdict.finding),
        _paragraph(element("b", "What to do: "), verdict.advice) if verdict.advice else "",
        _paragraph(verdict.rule, class_="rule"),
        class_=f"light {verdict.status}",
        data_status=verdict.status,
    )


def _numbers(inputs: ReportInputs) -> list[object]:
    rows = evaluation_rows(inputs.evaluation, "overall")
    if not rows:
        return [_paragraph("No held-out rows were evaluated.", class_="nothing")]
    cells = [[row["model"], *_metrics(inputs, row)] for row in rows]
    names = [row["model"] for row in rows]
    marked = names.index(inputs.default_model) if inputs.default_model in names else None
    header = ["Model", "Held-out rows", "Scored", "Unscored", "RMSE (min)", "MAE (min)"]
    header += ["CRPS (min)", "Cov95", "± by runs", "Width95 (min)"]
    return [
        table(header, cells, caption="Held-out peaks, overall", marked=marked),
        _paragraph(
            "± by runs is a 95 % interval for the coverage that counts runs, not peaks, because "
            "peaks of one run miss together. Unscored rows are counted, never dropped. ",
            _save_table("evaluation", "All slices (CSV)"),
            class_="note",
        ),
        data_script("evaluation-data", _evaluation_data(inputs)),
    ]


def _metrics(inputs: ReportInputs, row: Mapping[str, object]) -> list[str]:
    error, n_runs = coverage_error_by_runs(inputs.predictions, str(row["model"]))
    spread = percent(1.96 * error) + f" ({n_runs} runs)" if n_runs > 1 else MISSING
    return [
        count(row["n_rows"]),
        count(row["n_scored"]),
        count(row["n_unscored"]),
        *(minutes(row[name]) for name in ("rmse", "mae", "crps")),
        percent(row["cov95"]),
        spread,
        minutes(row["width95"]),
    ]


def _save_table(identifier: str, label: str) -> Markup:
    return element("button", label, type="button", class_="save", data_table=identifier)


def _evaluation_data(inputs: ReportInputs) -> dict[str, Any]:
    values = inputs.evaluation
    columns = []
    for name in ("model", "slice", "level"):
        columns.append(_words(name, name, values.column(name).to_pylist()))
    for name in ("n_rows", "n_scored", "n_unscored"):
        columns.append(_plain(name, name, values.column(name).to_pylist()))
    for name in ("rmse", "mae", "cov95", "width95", "crps"):
        label = name if name == "cov95" else f"{name}_min"
        columns.append(_plain(label, label, _finite(values.column(name).to_pylist())))
    return {"file": f"evaluation_{_stem(inputs)}", "columns": columns}


def _finite(values: Sequence[float | None]) -> list[float | None]:
    return [v if v is not None and v - v == 0 else None for v in values]


def _data(inputs: ReportInputs) -> list[object]:
    if not inputs.steps:
        return [_paragraph("No steps were recorded.", class_="nothing")]
    rows = [
        [
            step.step,
            reasons(step.rejects) or MISSING,
            reasons(step.set_aside) or MISSING,
            count(step.rows_in),
            count(step.rows_out),
            count(step.n_rejected),
            count(sum(step.set_aside.values())),
        ]
        for step in inputs.steps
    ]
    header = ["Step", "Refused because", "Set aside because"]
    header += ["Rows in", "Rows out", "Refused", "Set aside"]
    return [
        table(header, rows, caption="What came in and what went on, step by step", n_text=3),
        _paragraph(
            "Rows in = rows out + refused + set aside. Caps and hold-outs set rows aside by "
            "design; refused rows are kept, each with its reason, in the rejects table of the "
            "step.",
            class_="note",
        ),
    ]


def _models(inputs: ReportInputs) -> list[object]:
    return [
        _figure(
            inputs,
            "model-comparison",
            "Errors, and what coverage costs",
            figures.model_comparison(inputs.evaluation),
            "Left: errors, lower is better. Right: the best model is nearest to the dashed line "
            "and furthest left. Bars on the points are sampling errors that take peaks as "
            "independent.",
        )
    ]


def _calibration(inputs: ReportInputs) -> list[object]:
    curve = _figure(
        inputs,
        "calibration-curve",
        "Promised and measured coverage",
        figures.calibration_curve(inputs.predictions),
        "Below the diagonal windows are too narrow, above it too wide. The curve judges the "
        "Student-t distribution of each peak at every level; the windows in the table are judged "
        "at 95 % only.",
    )
    pit = _figure(
        inputs,
        "pit-histogram",
        "Where peaks fall in their distribution",
        figures.pit_histogram(inputs.predictions),
        "A flat line is right. A hump in the middle: too wide; high ends: too narrow; "
        "a slope: biased.",
    )
    return [element("div", curve, pit, class_="pair")]


def _support(inputs: ReportInputs) -> list[object]:
    return [
        _figure(
            inputs,
            "coverage-and-width",
            "Coverage and width by number of training rows",
            figures.coverage_and_width_by_support(inputs.evaluation),
            "Coverage should stay at the dashed line in every bin, while windows may be wider "
            "where training rows are few.",
        ),
        _slice_table(inputs, "support_bin", "Support", {}, SUPPORT_BINS, None),
    ]


def _residuals(inputs: ReportInputs) -> list[object]:
    found = residuals_by_run(inputs.predictions, inputs.runs, inputs.default_model)
    figure = _figure(
        inputs,
        "residuals-by-run",
        f"Residuals of {inputs.default_model} over run order",
        figures.residuals_by_run_order(inputs.predictions, inputs.runs, inputs.default_model),
        "Each point is a held-out run: the median over its peaks; the band holds the middle 80 % "
        "of them. A step or slope that the standards below share is drift the model left over.",
    )
    histogram = _figure(
        inputs,
        "residual-histogram",
        f"Residuals of {inputs.default_model}",
        figures.residual_histogram(inputs.predictions, inputs.default_model),
        "Observed minus predicted retention time; the outermost 1 % is not drawn.",
    )
    out = found.stands_out
    if not out.any():
        return [figure, histogram]
    order = found.covered[out].argsort(kind="stable")
    labels = found.index.labels()
    rows = [
        [labels[p], count(int(n)), minutes(float(m)), percent(float(c))]
        for p, n, m, c in zip(
            found.place[out][order],
            found.n[out][order],
            found.median[out][order],
            found.covered[out][order],
            strict=True,
        )
    ]
    header = ["Run", "Peaks", "Median residual (min)", "Covered"]
    caption = "Runs that stand out, worst first (up to 50)"
    return [figure, table(header, rows[:50], caption=caption), histogram]


def _standards(inputs: ReportInputs) -> list[object]:
    figure = _figure(
        inputs,
        "standards-drift",
        "Drift of the standards",
        figures.standards_drift(inputs.runs),
        "Each line is one standard, as the distance from its own median over all runs; the thick "
        "line is their mean without the lowest and highest fifth. Click a "
        "name to hide it, double-click to see it alone. The axis shows the inner 99 %; "
        "double-click the figure to see everything.",
    )
    missing = missing_standards(inputs.runs)
    ranked = sorted(missing.items(), key=lambda item: (-item[1], item[0]))
    rows = [[name, percent(share)] for name, share in ranked if share > 0]
    if not rows:
        return [figure]
    header = ["Standard", "Runs without it"]
    return [figure, table(header, rows, caption="Standards that are missing in some runs")]


def _slices(inputs: ReportInputs, labels: Mapping[str, Mapping[str, str]]) -> list[object]:
    model = inputs.default_model
    return [
        _figure(
            inputs,
            "coverage-by-supercategory",
            "Coverage by supercategory",
            figures.coverage_by_supercategory(inputs.evaluation, labels["supercategory"]),
            "Bars are sampling errors that take peaks as independent; few peaks give long bars.",
        ),
        _slice_table(inputs, "supercategory", "Supercategory", labels["supercategory"], (), model),
        _slice_table(inputs, "species", "Species", labels["species"], (), model),
        _slice_table(inputs, "novelty", "Novelty", _NOVELTY_WORDS, NOVELTY, None),
    ]


def _slice_table(
    inputs: ReportInputs,
    slice_name: str,
    heading: str,
    labels: Mapping[str, str],
    order: Sequence[str],
    model: str | None,
) -> Markup:
    """Show the evaluation of one slice; of one model, or of all with a column that names them."""
    rows = [
        row
        for row in evaluation_rows(inputs.evaluation, slice_name)
        if model is None or row["model"] == model
    ]
    of = f", model {model}" if model else ""
    if not rows:
        return _paragraph(f"{heading}{of}: no held-out rows.", class_="nothing")
    place = {level: i for i, level in enumerate(order)}
    rows.sort(
        key=lambda row: (
            place.get(str(row["level"]), len(place)),
            int(str(row["level"])) if str(row["level"]).isdecimal() else 0,
            str(row["level"]),
            str(row["model"]),
        )
    )
    cells = [
        [
            labels.get(str(row["level"]), row["level"]),
            *([] if model else [row["model"]]),
            *(count(row[name]) for name in ("n_rows", "n_scored", "n_unscored")),
            *(minutes(row[name]) for name in ("rmse", "mae")),
            percent(row["cov95"]),
            minutes(row["width95"]),
        ]
        for row in rows
    ]
    header = [heading, *([] if model else ["Model"]), "Held-out rows", "Scored", "Unscored"]
    header += ["RMSE (min)", "MAE (min)", "Cov95", "Width95 (min)"]
    return table(header, cells, caption=f"{heading}{of}", n_text=1 if model else 2)


def _windows(inputs: ReportInputs) -> list[object]:
    data = windows_data(inputs)
    n = len(data["columns"][0]["values"])
    if not n:
        return [
            _paragraph(f"Model {inputs.default_model} has no windows.", class_="nothing"),
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
        _paragraph(
            f"Where to look for each compound, at the mean run of each species. Model "
            f"{inputs.default_model}; {count(n)} windows; a dash means that the model has none. "
            "Training rows say how much a window rests on."
        ),
        element(
            "div",
            element("label", "Search", search),
            element("label", "Species", element("select", *options, id="windows-species")),
            _save_table("windows", "Matching rows (CSV)"),
            class_="controls",
        ),
        element("p", id="windows-count", class_="note", aria_live="polite"),
        element("div", element("table", id="windows-table"), class_="scroll", tabindex="0"),
        element("button", "Show more rows", type="button", id="windows-more", hidden="hidden"),
        element("noscript", _paragraph("This table needs JavaScript, which is switched off.")),
        data_script("windows-data", data),
    ]


def _cards(inputs: ReportInputs) -> list[object]:
    if not inputs.models:
        return [_paragraph("No model cards were given.", class_="nothing")]
    default = inputs.default_model
    names = sorted(inputs.models, key=lambda name: (name != default, name))
    return [_card(name, inputs.models[name], name == default) for name in names]


def _card(name: str, card: ModelCard, is_default: bool) -> Markup:
    imputed = sorted(((k, v) for k, v in card.imputed.items() if v), key=lambda kv: (-kv[1], kv[0]))
    facts: list[tuple[str, object]] = [
        ("Trained on", f"{card.n_rows:,} rows, {card.n_groups:,} groups with coefficients"),
        ("Covariates", f"{len(card.features)}: {', '.join(card.features)}" if card.features else 0),
        (
            "Imputed with the training mean",
            "; ".join(f"{key}: {number(value)}" for key, value in imputed) or "nothing",
        ),
        ("Precision of the slopes", number(card.lambda_slopes)),
        (
            "Noise prior",
            f"scale {minutes(card.noise_scale0)} min, {number(card.noise_df0)} degrees of freedom",
        ),
        (
            "Windows",
            "corrected on runs left out of the fit" if card.calibrated else "from the model alone",
        ),
    ]
    terms = [piece for k, v in facts for piece in (element("dt", k), element("dd", v))]
    return element(
        "article",
        element("h3", name, element("span", " shown above", class_="note") if is_default else ""),
        _paragraph(card.description),
        element("dl", *terms),
        class_="card",
    )


_TERMS = (
    (
        "How to read this page",
        "Start with the lights. Each gives its rule; colours always come with a word. All numbers "
        "are measured on held-out sample sets, which no model has seen. Retention times, errors "
        "and widths are in minutes.",
    ),
    (
        "Window",
        "From-to interval in which the peak of a compound is expected; a 95 % window should hold "
        "95 of 100 such peaks. Width is the full width.",
    ),
    ("RMSE, MAE", "Root mean squared and mean absolute error of the predicted retention time."),
    (
        "CRPS",
        "Continuous ranked probability score: one number, in minutes, for the whole predictive "
        "distribution. It rewards narrow windows only while they are honest; lower is better.",
    ),
    (
        "Cov95, Width95",
        "Share of held-out peaks inside their nominal 95 % window, and the mean full width.",
    ),
    (
        "Support",
        "Training rows of the compound in its group (species or supercategory). Few rows: wider "
        "window.",
    ),
    ("Cap", "Most training rows kept per pair of species and compound."),
    (
        "Novelty",
        "Whether the model has seen the pair, only its compound, only its species, or neither.",
    ),
    (
        "Standard",
        "Compound of known identity found in every run (IS internal, RS retention, ES_ "
        "endogenous); its retention time tells the model how the run has drifted.",
    ),
    ("Residual", "Observed minus predicted retention time. Above zero: later than predicted."),
    ("Run, worksheet, sample set", "One injection; its batch; the samples of one study."),
    (
        "Unscored",
        "The model had no basis for a prediction. Such rows count as held-out but enter no error "
        "or coverage.",
    ),
)


def _glossary() -> list[object]:
    terms = [piece for k, v in _TERMS for piece in (element("dt", k), element("dd", v))]
    return [element("dl", *terms)]


def _resource(name: str) -> Markup:
    return Markup(files("compassign_core.report").joinpath(name).read_text(encoding="utf-8"))


def _document(inputs: ReportInputs, body: Markup) -> str:
    links = [element("a", heading, href=f"#{key}") for key, heading in _SECTIONS]
    header = element(
        "header",
        element("h1", inputs.title),
        _paragraph(
            f"Library {inputs.lib}, cap {inputs.cap}, model {inputs.default_model}. "
            "Retention times in minutes.",
            class_="note",
        ),
        element("nav", *links, aria_label="Sections"),
    )
    footer = element(
        "footer",
        _paragraph("CompAssign ", __version__, ". Data and settings: ", inputs.fingerprint),
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
