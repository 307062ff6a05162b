"""A simulated export: its files, its counts, and the recovery of its coefficients."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.libraries import load_libraries
from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.simulate import layout
from compassign_core.simulate.export import simulate_export
from tests.support import export_oracle as oracle


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    settings = SimulationSettings(libs=(900, 901), n_parts=2)
    return simulate_export(tmp_path_factory.mktemp("export"), settings)


def _checksums(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _plain(kind):
    return pa.string() if pa.types.is_large_string(kind) else kind


def _peaks(folder, lib):
    return pa.concat_tables(map(layout.read_shard, layout.peak_shards(folder, lib)))


@pytest.mark.parametrize("lib", [900, 901])
def test_counts_equal_sql_on_the_shards(truth, lib):
    library = truth.libraries[lib]
    export = oracle.export_in(truth.folder, lib)
    assert oracle.counts(export) == oracle.Counts(
        library.rows_raw,
        library.rows_complete,
        library.runs,
        library.sample_sets,
        library.species,
        2,
        library.comps,
        library.pairs,
    )
    fates = oracle.rows_by_fate(export)
    assert fates == {"kept": library.rows_complete, **library.filtered}
    assert min(fates.values()) > 0
    assert oracle.covariate_nulls(export) == library.nulls


@pytest.mark.parametrize("cap", [5, 10, 1000])
def test_chemistry_at_a_cap_equals_sql(truth, cap):
    library = truth.libraries[900]
    export = oracle.export_in(truth.folder, 900)
    with_smiles = oracle.chemicals_with_smiles(truth.folder / "structures.parquet")
    assert len(with_smiles) == truth.n_with_smiles
    expected = (library.rows_at_cap(cap), library.mapped_at_cap(cap), library.classed_at_cap(cap))
    assert oracle.chemistry_at_cap(export, cap, with_smiles) == expected
    # the case is no special one: some entries lack a chemical, some chemicals a structure
    assert expected[0] > expected[1] > expected[2] > 0


def test_rows_of_sample_sets_equal_sql(truth):
    library = truth.libraries[900]
    folds = {n: "test" if n % 3 == 0 else "train" for n in library.sample_set_ids}
    test = np.array([folds[n] == "test" for n in library.sample_set_ids])
    export = oracle.export_in(truth.folder, 900)
    assert oracle.rows_of_fold(export, folds) == library.set_pair_rows[test].sum() > 0
    train = np.zeros_like(library.pair_rows)
    np.add.at(train, library.set_species[~test], library.set_pair_rows[~test])
    assert oracle.rows_at_cap(export, 10, folds) == np.minimum(train, 10).sum()


def test_peak_columns_and_types_are_those_of_the_shipped_export(truth):
    ours = layout.peak_shards(truth.folder, 900)
    shipped = layout.read_shard(layout.peak_shards(oracle.SHIPPED, 101)[0])
    assert len(ours) == 6
    for path in ours:
        table = layout.read_shard(path)
        assert table.column_names == shipped.column_names
        # how wide the offsets of a text column are is up to whoever wrote the file
        kinds = [_plain(kind) for kind in shipped.schema.types]
        assert [_plain(kind) for kind in table.schema.types] == kinds


@pytest.mark.parametrize("kind", ["metadata_file", "comp_chem_file"])
def test_csv_columns_are_those_of_the_shipped_export(truth, kind):
    place = getattr(layout, kind)
    header = place(truth.folder, 900).read_text().splitlines()[0]
    assert header == place(oracle.SHIPPED, 101).read_text().splitlines()[0]


def test_libraries_file_is_legal_and_points_at_the_files(truth):
    libraries = load_libraries(truth.libraries_file)
    assert sorted(libraries.library) == [900, 901]
    entry = libraries.get(901)
    for relative in (entry.metadata, entry.comp_chem, libraries.chemistry.structures):
        assert libraries.path(relative).is_file()
    assert (libraries.path(entry.export) / "create_training_data" / "lib_id=901").is_dir()


def test_peaks_carry_curated_and_other_rows(truth):
    peaks = _peaks(truth.folder, 900)
    assert set(peaks["cpd_status"].to_pylist()) == {"Complete", "Complete - NFS", "Not curated"}
    assert set(peaks["sample_type"].to_pylist()) == {"SPL", "BQC", "TQC", "PRCS"}
    assert pc.min(peaks["apex_rt"]).as_py() > 0


def test_rt_minus_its_expectation_is_the_stated_noise(tmp_path):
    settings = SimulationSettings(null_covariate_rate=0.0, n_comps=60, noise_sd=0.01, seed=3)
    library = simulate_export(tmp_path, settings).libraries[900]
    coefficients = library.coefficients
    peaks = _peaks(tmp_path, 900)
    runs = pa.concat_tables(map(layout.read_shard, layout.covariate_shards(tmp_path, 900)))
    joined = peaks.join(runs.drop_columns("sample_set_id"), "task_id", join_type="inner")
    assert joined.num_rows == peaks.num_rows
    standards = np.column_stack([joined[name].to_numpy() for name in coefficients.covariates])
    labels = pa.array(library.species_labels)
    expected = coefficients.expected_rt(
        pc.index_in(joined["species_matrix_type"], labels).to_numpy(),
        joined["correct"].to_numpy() - library.comp_ids[0],
        standards - coefficients.standard_mean,
    )
    residual = joined["apex_rt"].to_numpy() - expected
    n = residual.size
    # five standard errors of a normal sample's mean and standard deviation
    assert abs(residual.mean()) < 5 * 0.01 / np.sqrt(n)
    assert abs(residual.std() - 0.01) < 5 * 0.01 / np.sqrt(2 * n)


def test_slopes_are_recovered_by_least_squares(tmp_path):
    settings = SimulationSettings(
        null_covariate_rate=0.0, n_species=1, n_supercategories=1, n_comps=5, n_unmapped_comps=0,
        n_runs=100, noise_sd=1e-6, detection_rate=1.0,
    )  # fmt: skip
    library = simulate_export(tmp_path, settings).libraries[900]
    comp = int(np.argmax(library.pair_rows[0]))
    peaks = _peaks(tmp_path, 900)
    peaks = peaks.filter(pc.equal(peaks["correct"], int(library.comp_ids[comp])))
    runs = layout.read_shard(layout.covariate_shards(tmp_path, 900)[0])
    joined = peaks.join(runs.drop_columns("sample_set_id"), "task_id", join_type="inner")
    names = library.coefficients.covariates
    design = np.column_stack([np.ones(joined.num_rows), *(joined[n].to_numpy() for n in names)])
    fitted = np.linalg.lstsq(design, joined["apex_rt"].to_numpy(), rcond=None)[0]
    np.testing.assert_allclose(fitted[1:], library.coefficients.slopes[0, comp], atol=1e-3)


def test_equal_settings_give_equal_files_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate_export(tmp_path / name, SimulationSettings(seed=seed))
    a, b, c = (_checksums(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    peaks = [name for name in a if "create_training_data" in name]
    assert peaks and all(a[name] != c[name] for name in peaks)


def test_libraries_do_not_depend_on_which_others_are_made(tmp_path):
    simulate_export(tmp_path / "both", SimulationSettings(libs=(900, 901)))
    simulate_export(tmp_path / "one", SimulationSettings(libs=(901,)))
    both, one = _checksums(tmp_path / "both"), _checksums(tmp_path / "one")
    of_901 = [name for name in one if "901" in name]
    assert len(of_901) >= 9
    assert {name: both[name] for name in of_901} == {name: one[name] for name in of_901}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"n_supercategories": 5, "n_species": 4}, ("n_supercategories=5", "n_species=4")),
        ({"n_comp_groups": 31}, ("n_comp_groups=31", "n_comps=30")),
        ({"libs": [900, 900]}, ("libs", "distinct")),
        ({"colour": 1}, ("colour",)),
    ],
)
def test_an_illegal_setting_names_its_fields(values, named):
    with pytest.raises(SettingsError) as error:
        SimulationSettings.parse(values, "test")
    assert all(text in str(error.value) for text in named)


def test_simulation_does_not_load_heavy_libraries():
    code = (
        "import sys, compassign_core.simulate.export, compassign_core.simulate.dirt;"
        "print([m for m in ('rdkit', 'sklearn', 'scipy', 'torch', 'dagster') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.strip() == "[]"
