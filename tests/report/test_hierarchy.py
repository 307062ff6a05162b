"""Scales and pooling of a hierarchical model: from its arrays to the figures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy import stats

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.pooling import PoolingPriors
from compassign_core.report import theme
from compassign_core.report.figures.movement import species_movement
from compassign_core.report.figures.scales import (
    PRIOR_LOG_SD,
    interval_ends,
    log_density,
    scales_and_priors,
)
from compassign_core.report.figures.shrinkage import species_shrinkage
from compassign_core.report.gather import model_card
from compassign_core.report.hierarchy import scales_card, species_effects
from compassign_core.report.inputs import SPECIES_EFFECTS, ReportInputs, ScalesCard
from compassign_core.report.page import render
from compassign_core.report.sections.scales import prior_median, scale_labels
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from tests.rt.hierarchy import tables


@pytest.fixture(scope="module")
def drawn() -> tables.Drawn:
    return tables.draw(4, n_species=5, n_super=2, n_comps=12, n_runs=40, noise_sd=0.5, missing=0.1)


@pytest.fixture(scope="module")
def model(drawn: tables.Drawn) -> PoolingSummaries:
    return tables.train(drawn.table, drawn.embeddings)


def traces(fig: Any) -> list[dict[str, Any]]:
    """The traces of a figure as plain data."""
    data: list[dict[str, Any]] = fig.to_plotly_json()["data"]
    return data


def slow_effects(model: PoolingSummaries, frame: pd.DataFrame) -> pd.DataFrame:
    """Species effects row by row, from the definition."""
    post = model.posterior
    assert isinstance(post, HierarchyPosterior)
    n_species = post.species.size
    names, centre = list(model.covariates), dict(zip(model.covariates, model.centre, strict=False))
    compound = frame.groupby("comp_id")["rt"].mean()
    rows = []
    for _, r in frame.iterrows():
        g = int(np.flatnonzero(post.keys == ((int(r["species"]) << 32) + int(r["comp_id"])))[0])
        line = sum(
            (r[name] - centre[name]) * post.beta_mean[g, 1 + j]
            for j, name in enumerate(names)
            if not np.isnan(r[name])
        )
        rows.append(
            (
                r["species"],
                r["species_cluster"],
                r["rt"] - compound[r["comp_id"]],
                r["rt"] - line - post.alpha[post.comp_of[g]],
            )
        )
    made = pd.DataFrame(rows, columns=["species", "species_cluster", "raw", "adjusted"])
    parents = made.groupby("species_cluster")["raw"].mean()
    found = made.groupby("species").mean()
    found["n_train"] = made.groupby("species").size()
    found["raw"] -= parents[found["species_cluster"]].to_numpy()
    above = post.node_mean[n_species + post.supercat_of, 0]
    found["adjusted"] -= above
    found["posterior"] = post.node_mean[:n_species, 0] - above
    return found


def test_species_effects_are_those_of_the_slow_way(
    model: PoolingSummaries, drawn: tables.Drawn
) -> None:
    frame = pd.DataFrame(drawn.table)
    got = species_effects(model, "rt_rows", tables.connect(drawn.table)).to_pandas()
    expected = slow_effects(model, frame)
    assert got["species"].tolist() == expected.index.tolist()
    for name in ("n_train", "raw", "adjusted", "posterior"):
        np.testing.assert_allclose(got[name], expected[name], atol=1e-12, err_msg=name)
    groups = frame.groupby("species")["comp_id"].nunique()
    assert got["n_groups"].tolist() == groups.tolist()


def test_species_effects_do_not_depend_on_the_order_of_the_rows(
    model: PoolingSummaries, drawn: tables.Drawn
) -> None:
    order = np.random.default_rng(1).permutation(len(drawn.table["rt"]))
    mixed = {name: np.asarray(values)[order] for name, values in drawn.table.items()}
    one = species_effects(model, "rt_rows", tables.connect(drawn.table))
    assert species_effects(model, "rt_rows", tables.connect(mixed)).equals(one)


def test_a_species_alone_in_its_supercategory_has_no_raw_effect() -> None:
    drawn = tables.draw(5, n_species=3, n_super=2, n_comps=8, n_runs=24)
    model = tables.train(drawn.table, drawn.embeddings)
    got = species_effects(model, "rt_rows", tables.connect(drawn.table)).to_pydict()
    assert [value is None for value in got["raw"]] == [False, True, False]
    assert None not in got["adjusted"] and None not in got["posterior"]


def test_a_table_other_than_that_of_the_training_is_refused(
    model: PoolingSummaries, drawn: tables.Drawn
) -> None:
    kept = np.asarray(drawn.table["species"]) != 1
    part = {name: np.asarray(values)[kept] for name, values in drawn.table.items()}
    with pytest.raises(InputError, match="was trained on"):
        species_effects(model, "rt_rows", tables.connect(part))


def test_a_model_that_pools_no_intercepts_has_no_species_effects(drawn: tables.Drawn) -> None:
    flat = tables.train(drawn.table, None, intercept_prior="flat", chemistry=False)
    assert not species_effects(flat, "rt_rows", duckdb.connect()).num_rows
    assert "tau_b" not in scales_card(flat).names


def test_the_card_names_every_scale_with_its_own_prior(drawn: tables.Drawn) -> None:
    priors = PoolingPriors(tau_comp_prior=0.7, tau_w_prior=0.2, sigma_y_prior=0.03)
    made = tables.train(drawn.table, drawn.embeddings, noise="global", priors=priors)
    card = scales_card(made)
    prior = dict(zip(card.names, card.priors, strict=True))
    assert (prior["tau_comp"], prior["tau_w[1]"], prior["sigma_y"]) == (0.7, 0.2, 0.03)
    assert prior["tau_b"] == 0.5
    assert list(card.values) == made.scales.tolist()
    assert model_card(made, "what it is").scales == card


def test_the_hill_of_a_scale_is_log_normal_about_its_value(inputs: ReportInputs) -> None:
    card = inputs.models["partial_pooling"].scales
    assert card is not None
    spreads = {"m": {"slope": 0.1, "tau_b": 0.4}}
    fig = scales_and_priors(
        {"m": card}, spreads, theme.style_by_name(["m"]), scale_labels({"m": card}, {})
    )
    hills = {t["meta"]["panel"]: t for t in traces(fig) if "posterior" in t["meta"]["panel"]}
    assert set(hills) == {"posterior of slope", "posterior of tau_b"}
    for name, spread in spreads["m"].items():
        value = card.values[list(card.names).index(name)]
        trace = hills[f"posterior of {name}"]
        x, density = np.array(trace["x"]), np.array(trace["meta"]["y"])
        exact = stats.norm(np.log(value), spread).pdf(np.log(x))
        np.testing.assert_allclose(density, exact, rtol=0.05, atol=1e-4)
        assert x[density.argmax()] == pytest.approx(value, rel=1e-3)
        drawn_height = np.array(trace["y"]) - min(trace["y"])
        assert np.corrcoef(drawn_height, exact)[0, 1] > 0.999


def test_a_posterior_no_narrower_than_its_prior_is_not_drawn(inputs: ReportInputs) -> None:
    log_of_halfnormal = np.log(np.abs(np.random.default_rng(1).normal(size=400_000)))
    assert log_of_halfnormal.std() == pytest.approx(PRIOR_LOG_SD, rel=5e-3)
    html = render(inputs)
    found = re.search(r'id="fitted-scales-data">(.*?)</script>', html, re.S)
    assert found
    data = json.loads(found.group(1))["data"]
    hills = {t["meta"]["panel"] for t in data if t["meta"]["panel"].startswith("posterior")}
    assert hills == {f"posterior of {n}" for n in ("slope", "tau_b", "tau_comp", "tau_mu_super")}
    fitted = next(t for t in data if t["meta"]["panel"] == "fitted")
    opened = [symbol.endswith("-open") for symbol in fitted["marker"]["symbol"]]
    assert opened == [False] * 4 + [True] * 2  # of one nothing is known, of one no more than before
    assert "no narrower than the prior" in html


def test_the_interval_of_a_scale_is_symmetric_in_its_logarithm() -> None:
    low, high = interval_ends(0.2, 0.3)
    assert np.sqrt(low * high) == pytest.approx(0.2)
    assert np.log(high / low) == pytest.approx(2 * 1.959964 * 0.3, rel=1e-6)


def test_the_prior_is_a_density_of_the_logarithm_that_peaks_at_its_scale() -> None:
    grid = np.exp(np.linspace(-14, 4, 20_001))
    density = log_density(grid, 0.3)
    assert np.trapezoid(density, np.log(grid)) == pytest.approx(1.0, abs=1e-5)
    assert grid[density.argmax()] == pytest.approx(0.3, rel=2e-3)
    exact = grid * stats.halfnorm(scale=0.3).pdf(grid)
    np.testing.assert_allclose(density, exact, rtol=1e-10, atol=1e-100)


def test_the_median_of_the_noise_prior_is_that_of_draws() -> None:
    drawn = 0.02 * np.sqrt(3.5 / np.random.default_rng(2).chisquare(3.5, 400_000))
    assert prior_median(0.02, 3.5) == pytest.approx(np.median(drawn), rel=5e-3)


def test_every_scale_is_drawn_once_on_its_prior(inputs: ReportInputs) -> None:
    card = inputs.models["partial_pooling"].scales
    assert card is not None
    labels = scale_labels({"m": card}, {"0": "plasma <i>"})
    assert labels["tau_mu[0]"] == "species in plasma <i>"
    assert labels["tau_mu[1]"] == "species in 1"
    fig = scales_and_priors({"m": card}, {}, theme.style_by_name(["m"]), labels)
    data = traces(fig)
    assert [t["x"] for t in data if t["name"] == "m"] == [list(card.values)]
    hills = {t["meta"]["panel"]: t for t in data if t["name"] != "m"}
    assert set(hills) == {f"prior of {name}" for name in card.names}
    for name, value in zip(card.names, card.values, strict=True):
        x = hills[f"prior of {name}"]["x"]
        assert x[0] < value < x[-1]
    assert "species in plasma &lt;i&gt;" in fig.layout.yaxis.ticktext


def test_points_of_the_pooling_figure_are_the_table(inputs: ReportInputs) -> None:
    effects = inputs.species_effects
    fig = species_shrinkage(effects, {"0": "<b>"}, {"0": "plasma", "1": "platelets"})
    points = [t for t in traces(fig) if t["mode"] == "markers"]
    assert [t["name"] for t in points] == ["plasma", "platelets"] * 2
    table = effects.to_pydict()
    for trace in points:
        before = table[trace["meta"]["panel"]]
        parents = [str(parent) for parent in table["species_cluster"]]
        own = [i for i, parent in enumerate(parents) if parent == trace["legendgroup"]]
        own = [i for i in own if before[i] is not None]
        np.testing.assert_allclose(trace["x"], [before[i] for i in own])
        np.testing.assert_allclose(trace["y"], [table["posterior"][i] for i in own], atol=1e-5)
        sizes = trace["marker"]["size"]
        rows = [table["n_train"][i] for i in own]
        assert np.argsort(sizes).tolist() == np.argsort(rows).tolist()
    assert points[0]["text"][0] == "&lt;b&gt;: 100 rows, 40 groups"


def test_the_movement_figure_leads_each_species_from_its_rows_to_its_place(
    inputs: ReportInputs,
) -> None:
    other = pc.replace_substring(inputs.species_effects["model"], "partial", "other")
    both = pa.concat_tables(
        [inputs.species_effects, inputs.species_effects.set_column(0, "model", other)]
    )
    data = traces(species_movement(both, {}, "partial_pooling"))
    table = inputs.species_effects.to_pydict()
    points = [t for t in data if t["mode"] == "markers"]
    assert [t["meta"]["panel"] for t in points] == ["partial_pooling"] * 2 + ["other_pooling"] * 2
    for trace, name in zip(points, ("adjusted", "posterior") * 2, strict=True):
        assert trace["x"] == table["n_train"]
        np.testing.assert_allclose(trace["y"], table[name], atol=1e-5)
    lines = [t for t in data if t["mode"] == "lines"]
    assert lines[0]["y"][:3] == [
        pytest.approx(table["adjusted"][0]),
        pytest.approx(table["posterior"][0]),
        None,
    ]


def test_a_page_whose_default_model_is_no_hierarchy_says_so(inputs: ReportInputs) -> None:
    cards = {name: replace(card, scales=None) for name, card in inputs.models.items()}
    given = replace(
        inputs, models=cards, species_effects=SPECIES_EFFECTS.empty_table(), default_model="lasso"
    )
    html = render(given)
    assert "No hierarchical model was trained: there are no scales to show." in html
    assert "The default model pools no species: nothing to show." in html


def test_noise_is_told_in_words(inputs: ReportInputs) -> None:
    html = render(inputs)
    assert "noise of a typical group: 0.0083 min" in html
    assert f"median {prior_median(0.0074, 1.25):.4f} min" in html
    card = inputs.models["partial_pooling"].scales
    assert card is not None
    even: ScalesCard = replace(card, noise="global", noise_scales=[0.01], noise_df=[5e4])
    models = {"partial_pooling": replace(inputs.models["partial_pooling"], scales=even)}
    assert "one noise for all groups" in render(replace(inputs, models=models))


def test_an_effects_table_without_a_column_is_refused(inputs: ReportInputs) -> None:
    broken: pa.Table = inputs.species_effects.drop_columns(["posterior"])
    with pytest.raises(InputError, match=r"species effects .* lacks the column\(s\) posterior"):
        render(replace(inputs, species_effects=broken))


def test_a_model_of_the_compound_tree_is_reported_like_any_other(drawn: tables.Drawn) -> None:
    made = tables.train(
        drawn.table, drawn.embeddings, slope_head_mode="compound_supercat", noise="global"
    )
    card = scales_card(made)
    labels = scale_labels({"m": card}, {})
    assert set(labels) == set(card.names)
    of_one = str(card.supercategories[1])
    assert labels["tau_w_pair[1]"] == f"slopes of compounds against elsewhere in {of_one}"
    effects = species_effects(made, "rt_rows", tables.connect(drawn.table))
    assert set(effects["model"].to_pylist()) == {made.model}
    frame = effects.to_pandas()
    # with many rows of each species, its effect is what is left beside the compounds' coefficients
    np.testing.assert_allclose(frame["posterior"], frame["adjusted"], atol=0.005)
    assert frame["posterior"].abs().max() > 0.02
