"""The artifact: round trip, determinism to the byte, and refusals."""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compassign_core.contracts.errors import InputError, MissingArtifactError, SettingsError
from compassign_core.contracts.settings.rt import MODEL_KINDS, RidgeSettings, WindowSettings
from compassign_core.rt.archive import write_arrays
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.table import read_training
from compassign_core.rt.train import fit_rows, train_ridge
from tests.rt import rt_tables


def trained(table: dict[str, Any], kind: str = "supercategory_ridge") -> CoefficientSummaries:
    return train_ridge(
        "rt_rows",
        MODEL_KINDS[kind],
        WindowSettings(min_rows_per_bin=50),
        rt_tables.register(table),
        model=kind,
        fingerprint="abc",
    )


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return rt_tables.simulate(keep=0.7, missing=0.1)


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_a_saved_model_comes_back_as_it_was(
    tmp_path: Path, table: dict[str, Any], kind: str
) -> None:
    summaries = trained(table, kind)
    summaries.save(tmp_path / "model.npz")
    back = CoefficientSummaries.load(tmp_path / "model.npz")
    for field in fields(summaries):
        made, read = getattr(summaries, field.name), getattr(back, field.name)
        assert type(made) is type(read), field.name
        np.testing.assert_array_equal(made, read, err_msg=field.name)
        if isinstance(made, np.ndarray):
            assert made.dtype == read.dtype, field.name


def test_training_again_on_shuffled_rows_gives_the_same_bytes(
    tmp_path: Path, table: dict[str, Any]
) -> None:
    trained(table).save(tmp_path / "a.npz")
    for seed in (1, 2):
        trained(rt_tables.shuffled(table, seed)).save(tmp_path / "b.npz")
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_size_of_blocks_changes_no_byte(tmp_path: Path, table: dict[str, Any]) -> None:
    settings, windows = RidgeSettings(), WindowSettings(min_rows_per_bin=50)
    rows, design = read_training("rt_rows", settings, rt_tables.register(table))
    for name, values in (("a.npz", 1 << 22), ("b.npz", 1)):
        fit_rows(
            rows, design, settings, windows, model="m", fingerprint="f", block_values=values
        ).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_file_carries_no_date_and_numpy_reads_it_without_pickle(
    tmp_path: Path, table: dict[str, Any]
) -> None:
    summaries = trained(table)
    summaries.save(tmp_path / "model.npz")
    with zipfile.ZipFile(tmp_path / "model.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        assert (np.diff(arrays["keys"]) > 0).all()
        np.testing.assert_array_equal(arrays["beta_mean"], summaries.beta_mean)
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


def test_the_hierarchy_of_the_training_table_is_kept(table: dict[str, Any]) -> None:
    summaries = trained(table)
    assert summaries.species.tolist() == [0, 1, 2, 3]
    assert summaries.species_cluster.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(summaries.compound, summaries.comps - 7 + 500)
    np.testing.assert_array_equal(summaries.compound_class, (summaries.comps - 7) % 3)
    assert summaries.n_train.sum() == table["rt"].size
    pairs = set(zip(table["species"].tolist(), table["comp_id"].tolist(), strict=True))
    assert summaries.pairs.tolist() == sorted((s << 32) + k for s, k in pairs)


def damaged(path: Path, **changes: Any) -> None:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    write_arrays(path, arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": np.array(99)}, "version 99"),
        ({"format": np.array("other")}, "'other'"),
        ({"format": None}, "no 'format'"),
        ({"beta_mean": None, "kappa": None}, "lacks 2 array.*beta_mean, kappa"),
        ({"scale2": np.zeros(3)}, "scale2"),
    ],
)
def test_a_file_that_is_not_quite_a_model_is_refused_by_name(
    tmp_path: Path, table: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "model.npz"
    trained(table).save(path)
    damaged(path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        CoefficientSummaries.load(path)
    assert str(path) in caught.value.problem


def test_other_files_are_refused(tmp_path: Path, table: dict[str, Any]) -> None:
    (tmp_path / "text.npz").write_text("no model")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "single.npy", np.zeros(3))
    np.savez(tmp_path / "pickled.npz", format=np.array([{"a": 1}], dtype=object))
    trained(table).save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.npz", "empty.npz", "single.npy", "pickled.npz", "cut.npz"):
        with pytest.raises(InputError, match=name):
            CoefficientSummaries.load(tmp_path / name)
    with pytest.raises(MissingArtifactError, match="nowhere"):
        CoefficientSummaries.load(tmp_path / "nowhere.npz")


def test_a_failed_save_leaves_the_last_good_model(
    tmp_path: Path, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.npz"
    trained(table).save(path)
    good = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("numpy.lib.format.write_array", fail)
    with pytest.raises(OSError, match="disk full"):
        trained(table).save(path)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


def test_a_level_beyond_the_stored_ones_is_refused(table: dict[str, Any]) -> None:
    model = trained(table)
    model.require_level(0.5)
    model.require_level(0.9731)
    with pytest.raises(SettingsError, match=r"level=0\.42.* from 0\.5 to 0\.999"):
        model.require_level(0.42)


def test_a_file_holds_nothing_that_follows_from_degrees_of_freedom(
    tmp_path: Path, table: dict[str, Any]
) -> None:
    model = trained(table)
    model.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
    assert (model.levels.size, model.n_groups) not in shapes.values()
