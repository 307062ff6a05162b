"""The compound tree from an RT table to a file, to predictions, and to more rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compassign_core.contracts.settings.models import MODELS
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.compound_tree.stored import CompoundPosterior
from compassign_core.rt.hierarchy.held import load_for_update
from compassign_core.rt.hierarchy.noise import fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.train import make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.hierarchy.update import update_rows
from compassign_core.rt.hierarchy.update_file import update_model
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.table import read_training
from tests.rt.hierarchy import tables
from tests.rt.hierarchy.compound_draws import draw_compounds

TREE = {"slope_head_mode": "compound_supercat"}


@pytest.fixture(scope="module")
def drawn() -> tables.Drawn:
    return draw_compounds(1, n_species=12, n_comps=50, n_runs=120)


@pytest.fixture(scope="module")
def made(drawn: tables.Drawn) -> PoolingSummaries:
    return tables.train(drawn.table, drawn.embeddings, noise="global", **TREE)


def test_scales_are_those_the_data_were_drawn_with(
    drawn: tables.Drawn, made: PoolingSummaries
) -> None:
    found = dict(zip(made.scale_names.tolist(), made.scales.tolist(), strict=True))
    assert set(found) >= {"tau_mu[1]", "tau_mu_super"}
    for name, tolerance in (
        ("sigma_y", 0.05),
        ("slope", 0.1),
        ("tau_b", 0.1),
        ("tau_comp", 0.35),
        ("tau_w_comp", 0.2),
        ("tau_mu_pair[0]", 0.4),
        ("tau_mu_pair[1]", 0.3),
        ("tau_mu_pair[2]", 0.3),
        ("tau_w_pair[0]", 0.3),
        ("tau_w_pair[1]", 0.2),
        ("tau_w_pair[2]", 0.2),
    ):
        assert found[name] == pytest.approx(drawn.truth[name], rel=tolerance), name


def test_data_of_each_tree_speak_for_their_own_tree(
    drawn: tables.Drawn, made: PoolingSummaries
) -> None:
    species = tables.train(drawn.table, drawn.embeddings, noise="global")
    assert made.log_marginal > species.log_marginal + 100
    other = tables.draw(3, n_species=12, n_comps=50, n_runs=120)
    by_tree = [
        tables.train(other.table, other.embeddings, noise="global", **tree).log_marginal
        for tree in (TREE, {})
    ]
    assert by_tree[0] + 20 < by_tree[1]


def test_a_model_survives_its_file_and_scores_everything(
    drawn: tables.Drawn, tmp_path: Path
) -> None:
    t = drawn.table
    new = (t["species"] == 3) | (t["comp_id"] % 9 == 0) | ((t["comp_id"] == 8) & (t["species"] > 9))
    late = t["task_id"] % 5 == 0
    tables.train(tables.subset(t, ~new & ~late), drawn.embeddings, **TREE).save(tmp_path / "a")
    back = PoolingSummaries.load(tmp_path / "a")
    assert isinstance(back.posterior, CompoundPosterior)
    back.save(tmp_path / "b")
    PoolingSummaries.load(tmp_path / "b").save(tmp_path / "c")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()
    found = predict_table("rt_rows", back, tables.connect(tables.subset(t, new | late)))
    assert all(found["scored"].to_pylist())
    novelty = np.array(found["novelty"].to_pylist())
    covered = np.array(found["covered"].to_pylist())
    width = found["rt_high"].to_numpy() - found["rt_low"].to_numpy()
    kinds = ("seen", "unseen_pair", "unseen_species", "unseen_compound")
    assert set(kinds) == set(novelty.tolist())
    for kind, low in (("seen", 0.92), ("unseen_species", 0.8), ("unseen_compound", 0.75)):
        assert low <= covered[novelty == kind].mean() <= 1.0, kind
    sizes = [np.median(width[novelty == k]) for k in ("seen", "unseen_species", "unseen_compound")]
    assert sizes == sorted(sizes)


def test_a_model_is_the_same_bytes_in_any_row_order(tmp_path: Path) -> None:
    drawn = draw_compounds(6)
    order = np.random.default_rng(0).permutation(drawn.table["rt"].size)
    for name, table in (("a", drawn.table), ("b", tables.subset(drawn.table, order))):
        tables.train(table, drawn.embeddings, **TREE).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"noise": "global", "lambda_slopes": 3e-4},
        {"noise": "per_compound", "chemistry": False},
        {"rho": 0.0, "rho_intercept": 0.0},
        {"method": "laplace", "chemistry": False},
    ],
)
def test_every_legal_setting_trains(settings: dict[str, object]) -> None:
    drawn = draw_compounds(7)
    made = tables.train(drawn.table, drawn.embeddings, **TREE, **settings)
    assert np.isfinite(made.posterior.beta_mean).all()
    assert (made.posterior.noise_variance > 0).all()
    assert made.calibration == "calibrated"


@pytest.mark.parametrize("noise", ["global", "per_compound_and_group"])
def test_an_update_equals_the_posterior_of_all_rows_with_scales_held(noise: str) -> None:
    drawn = draw_compounds(8, n_species=9)
    settings = PoolingSettings(noise=noise, **TREE)
    table = drawn.table
    # later runs bring a new compound, new species and, with them, a new supercategory
    late = (table["task_id"] % 4 == 0) | (table["comp_id"] == 7) | (table["species_cluster"] == 3)

    def read(rows: np.ndarray) -> object:
        part = tables.subset(table, rows)
        return read_training("rt_rows", settings.design(), tables.connect(part))[0]

    whole, early, later = (read(rows) for rows in (late | ~late, ~late, late))
    centres = [part_centre(table, rows) for rows in (late | ~late, ~late, late)]
    early = replace(early, x=early.x + centres[1] - centres[0])
    later = replace(later, x=later.x + centres[2] - centres[0])
    problem = make_problem(early, "species", Embeddings.of(drawn.embeddings))
    fitted = fit_model(problem, scale_set(problem, settings))
    larger, updated = update_rows(problem, fitted, later)
    assert larger.tree.sizes[2] == problem.tree.sizes[2] + 1
    offsets = larger.tree.offset[larger.tree.comp_of]
    fresh = replace(larger, spectra=decompose(whole, offsets))
    done, moments = fresh.evaluate(updated.scales, updated.mode.phi, updated.noise)
    assert updated.done.log_marginal == pytest.approx(done.log_marginal, rel=1e-9)
    again = replace(updated, done=done, moments=moments)
    posts = [export_posterior(p, f) for p, f in ((larger, updated), (fresh, again))]
    for name in ("beta_mean", "beta_cov_packed", "vector_mean", "vector_cov_packed", "cross"):
        found, expected = (getattr(p, name) for p in posts)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8, err_msg=name)


def part_centre(table: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    return np.array([np.mean(table[n][rows]) for n in table if n.startswith("IS_")])


def test_rows_of_one_group_change_it_alike_with_and_without_the_hierarchy(
    drawn: tables.Drawn, tmp_path: Path
) -> None:
    t = drawn.table
    held_out = (t["species"] == 5) & (t["comp_id"] == 20)
    assert held_out.sum() > 3
    tables.train(tables.subset(t, ~held_out), drawn.embeddings, **TREE).save(tmp_path / "model")
    posts = []
    for hierarchy in (False, True):
        update_model(
            tmp_path / "model", "rt_rows", tables.connect(tables.subset(t, held_out)),
            out=tmp_path / "updated", hierarchy=hierarchy,
        )  # fmt: skip
        posts.append(load_for_update(tmp_path / "updated")[0].posterior)
    g = int(np.searchsorted(posts[0].keys, (5 << 32) + 20))
    assert posts[0].keys[g] == (5 << 32) + 20
    for name in ("beta_mean", "beta_cov_packed"):
        alone, with_all = (getattr(post, name)[g] for post in posts)
        np.testing.assert_allclose(alone, with_all, rtol=1e-7, atol=1e-10, err_msg=name)


def test_the_model_kind_is_the_default_model_with_the_other_tree() -> None:
    assert MODELS["compound_pooling"].settings == PoolingSettings(**TREE)
