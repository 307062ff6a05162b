"""New rows into a trained model: exactly the posterior of all rows, or of a group's own rows."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compassign_core.contracts.errors import InputError, MissingArtifactError
from compassign_core.contracts.identifiers import group_keys
from compassign_core.contracts.settings.rt import RidgeSettings, WindowSettings
from compassign_core.rt.design_arrays import design_of
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior
from compassign_core.rt.hierarchy.conjugate import conjugate
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.held import held_of, load_for_update, settings_of
from compassign_core.rt.hierarchy.new_rows import read_new_rows
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.update_file import add_rows, update_model
from compassign_core.rt.model import load_model, score
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.summaries import unpack
from compassign_core.rt.table import read_training
from compassign_core.rt.train import train_ridge
from tests.rt import rt_tables
from tests.rt.hierarchy import tables
from tests.rt.hierarchy.dense import Dense

SETTINGS: list[dict[str, Any]] = [
    {"noise": "global"},
    {"noise": "per_compound"},
    {"noise": "per_compound_and_group"},
    {"slope_head_mode": "none"},
    {"slope_head_mode": "compound_supercat"},
    {"slope_head_mode": "compound_supercat", "noise": "global", "chemistry": False},
]
SMALL = {"n_species": 4, "n_super": 2, "n_comps": 6, "n_runs": 40, "features": 2}
EXACT = {"rtol": 1e-9, "atol": 1e-11}

Mask = np.ndarray


def later_runs(table: dict[str, Any]) -> Mask:
    return np.asarray(table["task_id"] % 5 == 0)


def trained(drawn: tables.Drawn, rows: Mask, **settings: Any) -> PoolingSummaries:
    return tables.train(tables.subset(drawn.table, rows), drawn.embeddings, **settings)


def new_rows(model: PoolingSummaries, table: dict[str, Any], rows: Mask) -> TrainingRows:
    _, known = held_of(model, "model")
    connection = tables.connect(tables.subset(table, rows), "more")
    return read_new_rows("more", model, known, connection)


def group_of(table: dict[str, Any]) -> np.ndarray:
    return group_keys(table["species"], table["comp_id"])


def refitted(model: PoolingSummaries, table: dict[str, Any]) -> AnyPosterior:
    """The posterior of all rows of `table` at once, scales and noise as in `model`."""
    held, _ = held_of(model, "model")
    rows, _ = read_training(
        "rt_rows", settings_of(model).design(), tables.connect(table), design=design_of(model)
    )
    tree = held.problem.tree
    np.testing.assert_array_equal(rows.keys, tree.keys)
    fresh = replace(held, problem=Problem(decompose(rows, tree.offset[tree.comp_of]), tree))
    return export_posterior(fresh.problem, fresh.fitted())


def assert_same(found: AnyPosterior, expected: AnyPosterior) -> None:
    inner = {"gain", "eb"}  # factors, whose products are among the others
    for field in fields(expected):
        name = field.name
        one, other = np.asarray(getattr(found, name)), np.asarray(getattr(expected, name))
        if other.dtype != np.float64 or name in inner:
            continue
        size = np.abs(other).max(initial=1e-12)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * size, err_msg=name)


@pytest.mark.parametrize("settings", SETTINGS)
def test_with_hierarchy_the_posterior_is_that_of_all_rows_at_once(settings: Any) -> None:
    drawn = tables.draw(1, **SMALL, missing=0.1)
    late = later_runs(drawn.table)
    model = trained(drawn, ~late, **settings)
    updated = add_rows(model, new_rows(model, drawn.table, late), hierarchy=True)
    assert_same(updated.posterior, refitted(updated, drawn.table))
    assert updated.n_train.sum() == drawn.table["rt"].size


def test_what_is_known_of_the_scales_still_widens_what_was_never_seen() -> None:
    drawn = tables.draw(17, **SMALL)
    late = later_runs(drawn.table)
    model = trained(drawn, ~late, method="laplace")
    updated = add_rows(model, new_rows(model, drawn.table, late), hierarchy=True)
    np.testing.assert_array_equal(updated.scale_log_cov, model.scale_log_cov)
    plain = refitted(updated, drawn.table)
    trained_nodes = plain.species.size
    np.testing.assert_allclose(
        updated.posterior.node_cov[:trained_nodes], plain.node_cov[:trained_nodes], rtol=1e-6
    )
    ratio = updated.posterior.node_cov[trained_nodes:, 0, 0] / plain.node_cov[trained_nodes:, 0, 0]
    assert (ratio > 1.02).all()
    assert json.loads(updated.diagnostics)["scale_draws"] == 50


@pytest.mark.parametrize("settings", [{}, {"method": "laplace"},
                                      {"slope_head_mode": "compound_supercat"}])  # fmt: skip
def test_new_species_supercategories_and_compounds_are_taken_in(settings: Any) -> None:
    drawn = tables.draw(2, **{**SMALL, "n_species": 6, "n_super": 3})
    table = drawn.table
    late = later_runs(table) | (table["comp_id"] == 7) | (table["species_cluster"] == 5)
    late |= table["species"] == table["species"].max()
    model = trained(drawn, ~late, **settings)
    updated = add_rows(model, new_rows(model, table, late), hierarchy=True)
    if settings.get("method") == "laplace":
        assert updated.scale_log_cov.shape == (updated.scales.size,) * 2
        assert np.linalg.eigvalsh(updated.scale_log_cov).min() > 0
    else:
        assert_same(updated.posterior, refitted(updated, table))
    held, _ = held_of(updated, "model")
    assert list(held.scales.names) == updated.scale_names.tolist()
    np.testing.assert_allclose(updated.scales, np.exp(held.phi))
    known = {name: value for name, value in zip(model.scale_names, model.scales, strict=True)
             if "[" not in name}  # fmt: skip
    for name, value in zip(updated.scale_names, updated.scales, strict=True):
        assert value == pytest.approx(known.get(name, value), rel=1e-12)
    assert 5 in updated.species_cluster and 5 in updated.posterior.supercategories
    np.testing.assert_array_equal(updated.pairs, np.unique(group_of(table)))


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_group_alone_gets_what_the_whole_pass_gives_it(settings: Any) -> None:
    drawn = tables.draw(3, **SMALL, missing=0.1)
    table = drawn.table
    groups = np.unique(group_of(table))
    untrained = groups[2]
    late = later_runs(table) | (group_of(table) == untrained)
    model = trained(drawn, ~late, **settings)
    for key in (groups[0], untrained, groups[-1]):
        rows = new_rows(model, table, late & (group_of(table) == key))
        alone, whole = (add_rows(model, rows, hierarchy=h) for h in (False, True))
        at = np.flatnonzero(alone.keys == key)
        for name in ("beta_mean", "beta_cov_packed"):
            one, other = (getattr(m.posterior, name)[at] for m in (alone, whole))
            np.testing.assert_allclose(one, other, **EXACT)
        noises = [m.posterior.noise_variance for m in (alone, whole)]
        np.testing.assert_array_equal(*noises)
        # all others are as they were
        before = np.searchsorted(model.keys, alone.keys[alone.keys != key])
        np.testing.assert_array_equal(
            alone.posterior.beta_mean[alone.keys != key], model.posterior.beta_mean[before]
        )
        of_groups = {"keys", "beta_mean", "beta_cov_packed", "noise_variance", "noise_df",
                     "comp_of", "species_start", "eb"}  # fmt: skip
        for field in fields(model.posterior):
            if field.name not in of_groups:
                one, other = (getattr(m.posterior, field.name) for m in (alone, model))
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("hierarchy", [False, True])
def test_both_updates_equal_dense_algebra(hierarchy: bool) -> None:
    drawn = tables.draw(4, **SMALL)
    table = drawn.table
    key = np.unique(group_of(table))[1]
    late = (group_of(table) == key) & later_runs(table)
    early = ~later_runs(table)
    model = trained(drawn, early)
    updated = add_rows(model, new_rows(model, table, late), hierarchy=hierarchy)
    held, _ = held_of(updated, "model")
    rows, _ = read_training(
        "rt_rows", settings_of(model).design(), tables.connect(tables.subset(table, early | late)),
        design=design_of(model),
    )  # fmt: skip
    dense = Dense(rows, held.problem.tree, held.fitted().done.variances)
    at = int(np.flatnonzero(updated.keys == key)[0])
    mean, cov = dense.moments(dense.group(at))
    np.testing.assert_allclose(updated.posterior.beta_mean[at], mean, rtol=1e-9)
    found = unpack(updated.posterior.beta_cov_packed[at : at + 1])[0]
    np.testing.assert_allclose(found, cov, rtol=1e-7, atol=1e-9 * np.abs(cov).max())


def test_several_groups_in_one_call_each_learn_from_their_own_rows() -> None:
    drawn = tables.draw(5, **SMALL)
    table, late = drawn.table, later_runs(drawn.table)
    model = trained(drawn, ~late)
    together = add_rows(model, new_rows(model, table, late))
    for key in np.unique(group_of(table)[late])[::3]:
        alone = add_rows(model, new_rows(model, table, late & (group_of(table) == key)))
        places = [np.flatnonzero(m.keys == key) for m in (together, alone)]
        for name in ("beta_mean", "beta_cov_packed"):
            one, other = (
                getattr(m.posterior, name)[at]
                for m, at in zip((together, alone), places, strict=True)
            )
            np.testing.assert_allclose(one, other, **EXACT)


def test_a_group_learns_the_same_from_its_rows_in_parts() -> None:
    drawn = tables.draw(6, **SMALL)
    table = drawn.table
    late = later_runs(table)
    model = trained(drawn, ~late)
    half = table["task_id"] % 10 == 0
    once = add_rows(model, new_rows(model, table, late))
    first = add_rows(model, new_rows(model, table, late & half))
    twice = add_rows(first, new_rows(first, table, late & ~half))
    for name in ("beta_mean", "beta_cov_packed"):
        one, other = (getattr(m.posterior, name) for m in (once, twice))
        np.testing.assert_allclose(one, other, **EXACT)
    assert [entry["rows"] for entry in json.loads(twice.updates)] == [
        int((late & half).sum()), int((late & ~half).sum())
    ]  # fmt: skip


def test_what_waits_is_there_for_the_next_update_with_hierarchy() -> None:
    drawn = tables.draw(7, **SMALL)
    table = drawn.table
    part = table["task_id"] % 7
    model = trained(drawn, part > 2)
    for k in (0, 1):
        model = add_rows(model, new_rows(model, table, part == k))
    model = add_rows(model, new_rows(model, table, part == 2), hierarchy=True)
    assert_same(model.posterior, refitted(model, table))


def test_conjugation_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    b, m, q = 4, 7, 3
    root = rng.normal(size=(b, q, q))
    cov = root @ root.transpose(0, 2, 1)
    cov[3, :, 0] = cov[3, 0, :] = 0.0  # an intercept that is known
    mean, variance = rng.normal(size=(b, q)), rng.uniform(0.01, 0.1, size=b)
    x, y = rng.normal(size=(b, m, q - 1)), rng.normal(size=(b, m))
    present = rng.uniform(size=(b, m)) < 0.7
    found = conjugate(mean, cov, variance, x, y, present)
    for g in range(b):
        design = np.column_stack([np.ones(m), x[g]])[present[g]]
        gain = cov[g] @ design.T @ np.linalg.inv(
            design @ cov[g] @ design.T + variance[g] * np.eye(design.shape[0])
        )  # fmt: skip
        expected = mean[g] + gain @ (y[g][present[g]] - design @ mean[g])
        np.testing.assert_allclose(found[0][g], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            found[1][g], cov[g] - gain @ design @ cov[g], rtol=1e-8, atol=1e-12
        )


def saved(model: PoolingSummaries, folder: Path, name: str = "model.npz") -> Path:
    model.save(folder / name)
    return folder / name


def test_a_model_file_gives_all_that_an_update_needs_bit_for_bit(tmp_path: Path) -> None:
    drawn = tables.draw(8, **SMALL)
    model = trained(drawn, ~later_runs(drawn.table))
    back, held, known = load_for_update(saved(model, tmp_path))
    fitted = held.fitted()
    assert fitted.done.log_marginal == model.log_marginal
    np.testing.assert_array_equal(
        export_posterior(held.problem, fitted).beta_mean, model.posterior.beta_mean
    )
    assert known.size == model.n_train.sum() == np.unique(known).size
    assert (np.diff(known.astype(object)) > 0).all()
    assert back.fingerprint == model.fingerprint


def test_an_updated_file_is_the_same_bytes_in_any_order_of_rows(tmp_path: Path) -> None:
    drawn = tables.draw(9, **SMALL)
    late = later_runs(drawn.table)
    path = saved(trained(drawn, ~late), tmp_path)
    table = tables.subset(drawn.table, late)
    order = np.random.default_rng(0).permutation(int(late.sum()))
    for hierarchy in (False, True):
        files = []
        for name, rows in (("a", table), ("b", tables.subset(table, order))):
            out = tmp_path / f"{name}{hierarchy}.npz"
            done = update_model(
                path, "more", tables.connect(rows, "more"), out=out, hierarchy=hierarchy
            )
            assert (done.rows, done.added, done.hierarchy) == (late.sum(), late.sum(), hierarchy)
            files.append(out.read_bytes())
        assert files[0] == files[1]
    prints = {PoolingSummaries.load(p).fingerprint for p in tmp_path.glob("*.npz")}
    assert len(prints) == 3  # before, and after each kind of update


def test_an_updated_file_scores_and_moves_towards_its_new_rows(tmp_path: Path) -> None:
    drawn = tables.draw(10, **SMALL)
    table, late = drawn.table, later_runs(drawn.table)
    model = trained(drawn, ~late)
    shifted = {**table, "rt": np.where(late, table["rt"] + 0.2, table["rt"])}
    path, out = saved(model, tmp_path), tmp_path / "new.npz"
    update_model(path, "more", tables.connect(tables.subset(shifted, late), "more"), out=out)
    ids = {n: table[n][late] for n in ("species", "species_cluster", "comp_id", "compound")}
    raw = np.column_stack([table[f"IS_{j}"][late] for j in range(2)])
    before, after = (score(load_model(p), ids, raw) for p in (path, out))
    there = before.n_train > 0
    moved = (after.mean - before.mean)[there]
    assert 0.02 < np.median(moved) < 0.2
    assert (after.n_train[there] > before.n_train[there]).all()
    assert after.scored.all()


def test_scoring_leaves_the_statistics_where_they_are(tmp_path: Path) -> None:
    drawn = tables.draw(11, **SMALL)
    path = saved(trained(drawn, ~later_runs(drawn.table)), tmp_path)
    damaged = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("statistics.spectra.u.npy")
        damaged[entry.header_offset + 200] ^= 0xFF  # within its data
    path.write_bytes(bytes(damaged))
    assert load_model(path).statistics == {}  # type: ignore[union-attr]
    with pytest.raises(InputError, match="not a readable"):
        load_for_update(path)


def test_rows_that_are_there_already_are_refused_with_count_and_keys() -> None:
    drawn = tables.draw(12, **SMALL)
    table, late = drawn.table, later_runs(drawn.table)
    model = trained(drawn, ~late)
    both = late.copy()
    both[np.flatnonzero(~late)[:3]] = True
    row = int(np.flatnonzero(~late)[0])
    key = ", ".join(str(table[n][row]) for n in ("sampleset_id", "worksheet_id", "task_id"))
    with pytest.raises(InputError, match=r"3 peak\(s\) are behind the model already") as error:
        new_rows(model, table, both)
    assert f"({key}, {table['comp_id'][row]})" in str(error.value)
    once = add_rows(model, new_rows(model, table, late))
    with pytest.raises(InputError, match="behind the model already"):
        new_rows(once, table, late)
    with pytest.raises(InputError, match=r"1 peak\(s\) stand more than once"):
        new_rows(model, table, np.append(np.flatnonzero(late), np.flatnonzero(late)[0]))


def test_another_parent_than_the_model_knows_is_refused() -> None:
    drawn = tables.draw(13, **SMALL)
    table, late = drawn.table, later_runs(drawn.table)
    model = trained(drawn, ~late)
    for child, parent in (("species", "species_cluster"), ("comp_id", "compound")):
        moved = {**table, parent: table[parent] + (table[child] == table[child][late][0])}
        with pytest.raises(InputError, match=f"of {child} have another {parent}"):
            new_rows(model, moved, late)


def test_new_species_and_compounds_need_a_pass_over_the_hierarchy() -> None:
    drawn = tables.draw(14, **SMALL)
    table = drawn.table
    late = (table["comp_id"] == 8) | (table["species"] == 1)
    model = trained(drawn, ~late)
    with pytest.raises(InputError, match=r"1 new species \(1\) and 1 new comp_id \(8\)") as error:
        add_rows(model, new_rows(model, table, late))
    assert "--hierarchy" in str(error.value)


def test_a_model_with_flat_intercepts_updates_what_it_trained_only() -> None:
    drawn = tables.draw(15, **SMALL)
    table = drawn.table
    key = np.unique(group_of(table))[0]
    late = later_runs(table) | (group_of(table) == key)
    model = trained(drawn, ~late, intercept_prior="flat", chemistry=False)
    rows = new_rows(model, table, late & (group_of(table) != key))
    alone = add_rows(model, rows)
    assert (alone.n_train >= model.n_train).all()
    with pytest.raises(InputError, match=r"1 group\(s\) of the new rows were never trained"):
        add_rows(model, new_rows(model, table, late))
    assert key in add_rows(model, new_rows(model, table, late), hierarchy=True).keys


def test_files_that_cannot_be_updated_say_why(tmp_path: Path) -> None:
    drawn = tables.draw(16, **SMALL)
    model = trained(drawn, ~later_runs(drawn.table))
    path = saved(model, tmp_path)
    with pytest.raises(MissingArtifactError):
        load_for_update(tmp_path / "absent.npz")
    load_model(path).save(tmp_path / "scoring.npz")
    assert (tmp_path / "scoring.npz").stat().st_size < path.stat().st_size
    with pytest.raises(InputError, match="no training statistics"):
        load_for_update(tmp_path / "scoring.npz")
    torn = dict(model.statistics)
    torn["spectra.n"] = torn["spectra.n"][1:]
    with pytest.raises(InputError, match=r"spectra\.n"):
        load_for_update(saved(replace(model, statistics=torn), tmp_path, "torn.npz"))
    del torn["tree.keys"]
    with pytest.raises(InputError, match=r"lacks statistics\.tree\.keys"):
        load_for_update(saved(replace(model, statistics=torn), tmp_path, "lacking.npz"))
    train_ridge(
        "rt_rows", RidgeSettings(), WindowSettings(), rt_tables.register(rt_tables.simulate()),
        model="ridge", fingerprint="f",
    ).save(tmp_path / "ridge.npz")  # fmt: skip
    with pytest.raises(InputError, match="coefficient-summaries"):
        load_for_update(tmp_path / "ridge.npz")
    arrays = dict(np.load(path))
    np.savez(tmp_path / "old.npz", **{**arrays, "format_version": np.array(1)})
    with pytest.raises(InputError, match=r"version 1; this program reads .* version 3"):
        load_model(tmp_path / "old.npz")
