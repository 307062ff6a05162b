"""Tables of predictions: what was seen and what never was, their windows, their honesty."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import t as student

from compassign_core.contracts.catalogue import NOVELTY, RT_PREDICTIONS
from compassign_core.contracts.errors import InputError, SettingsError
from compassign_core.contracts.settings.rt import STORED_LEVELS, WindowRequest
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.calibrate import LeftOut, from_left_out
from compassign_core.rt.predictions import predict_table
from tests.rt.hierarchy import tables


def predict(table: dict[str, np.ndarray], made: PoolingSummaries, **options: object) -> pa.Table:
    return predict_table("rt_rows", made, tables.connect(table), **options)  # type: ignore[arg-type]


def split(drawn: tables.Drawn) -> tuple[np.ndarray, np.ndarray]:
    """Training rows and rows of which some pair, species, or compound never trained."""
    t = drawn.table
    new = (t["species"] == 3) | (t["comp_id"] % 9 == 0)
    new |= (t["comp_id"] % 7 == 0) & (t["species"] == 5)
    late = t["task_id"] % 5 == 0
    return ~new & ~late, new | late


@pytest.fixture(scope="module")
def scene() -> tuple[tables.Drawn, PoolingSummaries, pa.Table]:
    drawn = tables.draw(11, n_species=16, n_comps=60, n_runs=192, noise_sd=0.4)
    train, test = split(drawn)
    made = tables.train(tables.subset(drawn.table, train), drawn.embeddings)
    return drawn, made, predict(tables.subset(drawn.table, test), made)


def test_everything_is_scored_and_covers_what_it_states(scene) -> None:
    _, _, found = scene
    # without the training table nothing is known of pairs
    of_pairs = ("pair_support", "pair_support_bin")
    assert found.schema.names == [n for n in RT_PREDICTIONS.names() if n not in of_pairs]
    assert all(found["scored"].to_pylist())
    novelty = np.array(found["novelty"].to_pylist())
    covered = np.array(found["covered"].to_pylist())
    error = found["rt"].to_numpy() - found["rt_predicted"].to_numpy()
    width = found["rt_high"].to_numpy() - found["rt_low"].to_numpy()
    # rows of one untrained pair, species or compound miss together: their bounds are wide
    for kind, low, high, rows in (
        ("seen", 0.92, 0.98, 800),
        ("unseen_pair", 0.8, 1.0, 40),
        ("unseen_species", 0.8, 1.0, 300),
        ("unseen_compound", 0.8, 1.0, 500),
    ):
        assert (novelty == kind).sum() > rows, kind
        assert low <= covered[novelty == kind].mean() <= high, kind
    sizes = [np.median(width[novelty == k]) for k in ("seen", "unseen_pair", "unseen_compound")]
    assert sizes == sorted(sizes)
    rmse = {k: np.sqrt(np.mean(error[novelty == k] ** 2)) for k in np.unique(novelty)}
    assert rmse["seen"] < rmse["unseen_pair"]
    assert rmse["unseen_pair"] < 0.5 * rmse["unseen_compound"]


def test_descriptors_narrow_the_window_of_a_compound_never_seen(scene) -> None:
    drawn, made, _ = scene
    one = tables.subset(drawn.table, np.array([0]))
    known = one | {"comp_id": np.array([900]), "compound": np.array([563])}
    unknown = known | {"compound": np.array([-1])}
    a, b = (predict(t, made) for t in (known, unknown))
    assert a["scale"][0].as_py() < b["scale"][0].as_py()
    assert a["novelty"].to_pylist() == b["novelty"].to_pylist() == ["unseen_compound"]


def test_a_species_never_seen_is_told_by_its_supercategory_if_that_is_known(scene) -> None:
    drawn, made, _ = scene
    one = tables.subset(drawn.table, np.array([0])) | {"species": np.array([77])}
    other = one | {"species_cluster": np.array([99])}
    a, b = (predict(t, made) for t in (one, other))
    assert a["scale"][0].as_py() < b["scale"][0].as_py()
    without = {k: v for k, v in one.items() if k not in ("species_cluster", "rt")}
    c = predict(without, made)
    assert c["rt_predicted"].to_pylist() == b["rt_predicted"].to_pylist()
    assert "covered" not in c.column_names


def test_windows_are_quantiles_of_the_stated_student_t(scene) -> None:
    _, _, found = scene
    scale, df = found["scale"].to_numpy(), found["df"].to_numpy()
    half = 0.5 * (found["rt_high"].to_numpy() - found["rt_low"].to_numpy())
    np.testing.assert_allclose(half, scale * student.ppf(0.975, df), rtol=1e-7)
    assert (df > 0).all()


def test_predictions_do_not_depend_on_batches_and_survive_the_file(scene, tmp_path: Path) -> None:
    drawn, made, found = scene
    test = tables.subset(drawn.table, split(drawn)[1])
    made.save(tmp_path / "model.npz")
    back = PoolingSummaries.load(tmp_path / "model.npz")
    again = predict(test, back, batch_rows=512)
    for name in ("rt_predicted", "scale", "df", "rt_low"):
        np.testing.assert_allclose(
            again[name].to_numpy(), found[name].to_numpy(), rtol=1e-12, err_msg=name
        )
    assert again["novelty"].to_pylist() == found["novelty"].to_pylist()


def test_scoring_loads_no_scipy() -> None:
    code = (
        "import sys; sys.modules['scipy'] = None; import compassign_core.rt.asked; print('scored')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "scored", ran.stderr


def test_missing_covariates_are_scored_at_the_training_mean(scene) -> None:
    drawn, made, _ = scene
    one = tables.subset(drawn.table, np.array([0]))
    gap = one | {"IS_0": np.array([np.nan])}
    mean = one | {"IS_0": made.centre[:1]}
    assert predict(gap, made)["rt_predicted"] == predict(mean, made)["rt_predicted"]


def test_untrained_pairs_are_calibrated_on_groups_left_out_whole(scene) -> None:
    _, made, _ = scene
    pair = NOVELTY.index("unseen_pair")
    # a fifth of the groups, so about a fifth of the rows
    assert made.novelty_rows[pair] == pytest.approx(0.2 * made.n_train.sum(), rel=0.25)
    assert made.novelty_measured_at(0.95)[pair]
    assert 0.7 < made.novelty_kappa_at(np.array([0.95]))[0, pair] < 1.4
    assert made.novelty_rows[NOVELTY.index("seen")] == 0
    assert made.kappa_rows.sum() <= made.n_train.sum()


def test_flat_intercepts_leave_untrained_groups_unscored() -> None:
    drawn = tables.draw(12)
    train, test = split(drawn)
    made = tables.train(
        tables.subset(drawn.table, train), drawn.embeddings,
        intercept_prior="flat", chemistry=False,
    )  # fmt: skip
    found = predict(tables.subset(drawn.table, test), made)
    seen = np.array(found["novelty"].to_pylist()) == "seen"
    np.testing.assert_array_equal(np.array(found["scored"].to_pylist()), seen)
    assert found["rt_predicted"].null_count == found["covered"].null_count == (~seen).sum()


def test_a_missing_covariate_column_and_an_unknown_level_are_named(scene) -> None:
    drawn, made, _ = scene
    one = tables.subset(drawn.table, np.array([0]))
    with pytest.raises(InputError, match="IS_1"):
        predict({k: v for k, v in one.items() if k != "IS_1"}, made)
    with pytest.raises(SettingsError, match="level"):
        predict(one, made, window=WindowRequest.parse({"level": 0.42}, "test"))


def test_untrained_kinds_are_calibrated_apart_where_rows_suffice() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    novelty = np.repeat([0, 1], n)
    residual = rng.normal(size=2 * n) * np.repeat([1.0, 3.0], n)
    ones = np.ones(2 * n)
    support = np.repeat([8, 0], n)
    made = from_left_out(LeftOut(residual, ones, 1e6 * ones, support, novelty), 200)
    at_95 = STORED_LEVELS.index(0.95)
    assert made.untrained.kappa[at_95, 1] == pytest.approx(3.0, rel=0.06)
    assert made.trained.kappa[at_95, 4] == pytest.approx(1.0, rel=0.05)
    np.testing.assert_array_equal(made.untrained.kappa[:, 2:], 1.0)
    assert not made.untrained.basis[:, 2:].any()
    assert (made.trained.kappa[:, 0] == 1.0).all()
