"""A library export with known truth: peaks, covariates, metadata, mapping, structures.

The model of the retention times stands in `truth.Coefficients`; faults are added by `dirt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.simulate import layout
from compassign_core.simulate.chemicals import CHEMICALS, carbon_counts
from compassign_core.simulate.truth import Coefficients, ExportTruth, Floats, Ints, LibraryTruth

STATUSES = ("Complete", "Complete - NFS", "Not curated")
SAMPLE_TYPES = ("SPL", "BQC", "TQC", "PRCS")
STATUS_REASON = "status_not_kept"
SAMPLE_TYPE_REASON = "sample_type_excluded"

RARE_EVERY = 5
"""Every fifth comp is rare, so that pairs fall on both sides of the caps."""

RARE_SHARE = 0.25

_BLOCK_ROWS = 2**14

ABSENT_SHARE = 0.05
"""Share of (species, comp) pairs that never occur."""


def simulate_export(folder: Path, settings: SimulationSettings) -> ExportTruth:
    """Write an export with one or several libraries below `folder`, and `libraries.toml`.

    Equal settings give equal files. Files of an earlier export in `folder` are not removed.
    """
    libraries = {lib: _simulate_library(folder, lib, settings) for lib in settings.libs}
    without = settings.n_without_smiles
    layout.write_shard(
        layout.structures_file(folder),
        pa.table(
            {
                "chem_id": pa.array(range(1, len(CHEMICALS) + 1), pa.int64()),
                "chem_name": [name for name, _ in CHEMICALS],
                "smiles": pa.array(
                    [None] * without + [smiles for _, smiles in CHEMICALS[without:]], pa.string()
                ),
            }
        ),
    )
    libraries_file = folder / "libraries.toml"
    libraries_file.write_text(_libraries_toml(settings.libs), encoding="utf-8")
    return ExportTruth(
        folder, libraries_file, settings, libraries, len(CHEMICALS), len(CHEMICALS) - without
    )


@dataclass(frozen=True)
class _Runs:
    """The runs of a library; R runs, P covariates.

    Attributes
    ----------
    sample_set : index of the sample set, shape ``(R,)``.
    species : index of the species, shape ``(R,)``.
    worksheet, task : ids, shape ``(R,)``.
    order : place in the worksheet, from 1, shape ``(R,)``.
    sample_type : index into `SAMPLE_TYPES`, shape ``(R,)``.
    deviation : standards minus their means, shape ``(R, P)``.
    missing : whether a standard was not found, shape ``(R, P)``.
    """

    sample_set: Ints
    species: Ints
    worksheet: Ints
    task: Ints
    order: Ints
    sample_type: Ints
    deviation: Floats
    missing: npt.NDArray[np.bool_]


@dataclass
class _Tally:
    """Counts that grow shard by shard."""

    set_pair_rows: Ints  # (sample sets, C)
    run_has_rows: npt.NDArray[np.bool_]  # (R,)
    rows_raw: int = 0
    not_curated: int = 0
    excluded_type: int = 0


@dataclass(frozen=True)
class _Names:
    """Ids and labels by index; S species, C comps.

    Attributes
    ----------
    sample_set, sample_set_species : id and species index of each sample set.
    comp, chemical : id and chemical (-1 for none) of each entry, shape ``(C,)``.
    species, supercategory : labels.
    """

    sample_set: Ints
    sample_set_species: Ints
    comp: Ints
    chemical: Ints
    species: tuple[str, ...]
    supercategory: tuple[str, ...]


def _simulate_library(folder: Path, lib: int, settings: SimulationSettings) -> LibraryTruth:
    names = _name_all(lib, settings)
    truth = _draw_coefficients(np.random.default_rng([settings.seed, lib, 0]), settings)
    runs = _draw_runs(np.random.default_rng([settings.seed, lib, 1]), lib, settings)
    rates = _detection_rates(np.random.default_rng([settings.seed, lib, 2]), settings)
    tally = _Tally(
        np.zeros((names.sample_set.size, settings.n_comps), dtype=np.int64),
        np.zeros(runs.task.size, dtype=bool),
    )
    groups = np.array_split(np.arange(settings.n_comps), settings.n_comp_groups)
    for group, comps in enumerate(groups):
        rng = np.random.default_rng([settings.seed, lib, 3, group])
        peaks = _draw_peaks(rng, settings, truth, runs, comps, rates[:, comps], tally)
        table = _peak_table(peaks, runs, names)
        edges = np.linspace(0, table.num_rows, settings.n_parts + 1).astype(int).tolist()
        for part, (start, stop) in enumerate(pairwise(edges)):
            path = layout.peak_folder(folder, lib) / f"group=G{group:02d}/part-{part}.parquet"
            layout.write_shard(path, table.slice(start, stop - start))
    _write_covariates(folder, lib, truth, runs, names)
    _write_lists(folder, lib, settings, truth, names)

    pair_rows = np.zeros((settings.n_species, settings.n_comps), dtype=np.int64)
    np.add.at(pair_rows, names.sample_set_species, tally.set_pair_rows)
    return LibraryTruth(
        lib=lib,
        rows_raw=tally.rows_raw,
        rows_complete=int(pair_rows.sum()),
        filtered={STATUS_REASON: tally.not_curated, SAMPLE_TYPE_REASON: tally.excluded_type},
        pair_rows=pair_rows,
        set_pair_rows=tally.set_pair_rows,
        set_species=names.sample_set_species,
        runs=int(tally.run_has_rows.sum()),
        nulls=dict(zip(truth.covariates, runs.missing.sum(axis=0).tolist(), strict=True)),
        species_labels=names.species,
        supercategory_labels=names.supercategory,
        sample_set_ids=tuple(names.sample_set.tolist()),
        comp_ids=names.comp,
        comp_chem=names.chemical,
        has_smiles=names.chemical > settings.n_without_smiles,
        coefficients=truth,
    )


def _name_all(lib: int, settings: SimulationSettings) -> _Names:
    n_sets = settings.n_species * settings.n_sample_sets
    chemical = 1 + np.arange(settings.n_comps) % len(CHEMICALS)
    chemical[settings.n_comps - settings.n_unmapped_comps :] = -1
    return _Names(
        sample_set=lib * 100_000 + np.arange(n_sets),
        sample_set_species=np.arange(n_sets) // settings.n_sample_sets,
        # ids of entries must fit in 32 bits, see contracts.identifiers.group_keys
        comp=(lib % 4000) * 1_000_000 + np.arange(settings.n_comps),
        chemical=chemical,
        species=tuple(f"simulated matrix {s:02d}" for s in range(settings.n_species)),
        supercategory=tuple(f"{k + 1} simulated group" for k in range(settings.n_supercategories)),
    )


def _draw_coefficients(rng: np.random.Generator, settings: SimulationSettings) -> Coefficients:
    n_groups, n_species, n_comps = (
        settings.n_supercategories,
        settings.n_species,
        settings.n_comps,
    )
    names = (
        *(f"IS_{p:02d}" for p in range(settings.n_internal_standards)),
        *(f"RS_{p:02d}" for p in range(settings.n_retention_standards)),
    )
    # longer chemicals elute later, so chemistry tells something of the time
    carbons = np.array(carbon_counts())[np.arange(n_comps) % len(CHEMICALS)]
    base = np.maximum(1.0 + 0.45 * carbons + rng.normal(0, 0.4, n_comps), 1.0)
    # the slopes of a comp add up to about one: it drifts as the standards do on average
    slopes = 1 / len(names) + settings.slope_sd * rng.normal(size=(1, n_comps, len(names)))
    slopes = slopes + settings.slope_sd / 4 * rng.normal(size=(n_groups, n_comps, len(names)))
    return Coefficients(
        base=base,
        supercategory=rng.normal(0, settings.supercategory_sd, n_groups),
        species=rng.normal(0, settings.species_sd, n_species),
        pair=rng.normal(0, settings.pair_sd, (n_species, n_comps)),
        slopes=slopes,
        standard_mean=np.sort(rng.uniform(1.0, 10.0, len(names))),
        noise_sd=settings.noise_sd,
        supercategory_of=np.arange(n_species) % n_groups,
        covariates=names,
    )


def _draw_runs(rng: np.random.Generator, lib: int, settings: SimulationSettings) -> _Runs:
    n_sets = settings.n_species * settings.n_sample_sets
    n_runs = n_sets * settings.n_runs
    n_covariates = settings.n_internal_standards + settings.n_retention_standards
    sample_set = np.repeat(np.arange(n_sets), settings.n_runs)
    # the i-th sample sets of all species share a worksheet
    sheet = sample_set % settings.n_sample_sets
    place = (sample_set // settings.n_sample_sets) * settings.n_runs
    # drift: one factor of the worksheet, one of the run, and each standard for itself
    factor = rng.normal(size=settings.n_sample_sets)[sheet] + rng.normal(size=n_runs)
    loading = rng.uniform(0.5, 1.0, n_covariates)
    own = rng.normal(size=(n_runs, n_covariates))
    deviation = settings.drift_sd / np.sqrt(3) * (factor[:, None] * loading + own)
    missing = rng.random((n_runs, n_covariates)) < settings.null_covariate_rate
    sample_type = rng.choice(3, size=n_runs, p=(0.7, 0.15, 0.15))
    excluded = rng.random(n_runs) < settings.prcs_rate
    return _Runs(
        sample_set=sample_set,
        species=sample_set // settings.n_sample_sets,
        worksheet=lib * 100_000 + sheet,
        task=lib * 10_000_000 + np.arange(n_runs),
        order=1 + place + np.arange(n_runs) % settings.n_runs,
        sample_type=np.where(excluded, SAMPLE_TYPES.index("PRCS"), sample_type),
        deviation=deviation,
        missing=missing,
    )


def _detection_rates(rng: np.random.Generator, settings: SimulationSettings) -> Floats:
    """Chance of a peak of each (species, comp), shape ``(S, C)``."""
    rare = np.arange(settings.n_comps) % RARE_EVERY == RARE_EVERY - 1
    present = rng.random((settings.n_species, settings.n_comps)) >= ABSENT_SHARE
    return settings.detection_rate * np.where(rare, RARE_SHARE, 1.0) * present


@dataclass(frozen=True)
class _Peaks:
    """Peaks of one compound group; all arrays of shape ``(n,)``."""

    run: Ints
    comp: Ints
    rt: Floats
    status: Ints
    area: Floats
    height: Floats
    fwhm: Floats
    signal_to_noise: Floats


def _draw_peaks(
    rng: np.random.Generator,
    settings: SimulationSettings,
    truth: Coefficients,
    runs: _Runs,
    comps: Ints,
    rates: Floats,
    tally: _Tally,
) -> _Peaks:
    """Draw the peaks of the entries `comps`, run by run, and count them in `tally`."""
    found = rng.random((runs.task.size, comps.size)) < rates[runs.species]
    run, column = np.nonzero(found)
    comp = comps[column]
    n = run.size
    rt = _expected_rt(truth, runs, run, comp) + settings.noise_sd * rng.normal(size=n)
    curated = rng.random(n) >= settings.not_curated_rate
    status = np.where(curated, (rng.random(n) < settings.nfs_rate).astype(np.int64), 2)
    fwhm = rng.uniform(0.05, 0.1, n)
    height = np.exp(rng.normal(9, 1.5, n))

    excluded = runs.sample_type[run] == SAMPLE_TYPES.index("PRCS")
    kept = curated & ~excluded
    np.add.at(tally.set_pair_rows, (runs.sample_set[run[kept]], comp[kept]), 1)
    tally.run_has_rows[run[kept]] = True
    tally.rows_raw += n
    tally.not_curated += int(np.sum(~curated))
    tally.excluded_type += int(np.sum(curated & excluded))
    return _Peaks(run, comp, rt, status, 1.06 * height * fwhm, height, fwhm, height / 50)


def _expected_rt(truth: Coefficients, runs: _Runs, run: Ints, comp: Ints) -> Floats:
    """Noise-free times, in blocks: a block holds two numbers a covariate for each of its peaks."""
    expected = np.empty(run.size)
    for start in range(0, run.size, _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        expected[block] = truth.expected_rt(
            runs.species[run[block]], comp[block], runs.deviation[run[block]]
        )
    return expected


def _peak_table(peaks: _Peaks, runs: _Runs, names: _Names) -> pa.Table:
    run = peaks.run
    return pa.table(
        {
            "sample_set_id": _text(names.sample_set).take(runs.sample_set[run]),
            "task_id": runs.task[run],
            "worksheet_id": runs.worksheet[run],
            "species_matrix_type": pa.array(names.species).take(runs.species[run]),
            "sample_type": pa.array(SAMPLE_TYPES).take(runs.sample_type[run]),
            "cpd_status": pa.array(STATUSES).take(peaks.status),
            "correct": names.comp[peaks.comp],
            "apex_rt": peaks.rt,
            "peak_area": peaks.area,
            "peak_height": peaks.height,
            "fwhm": peaks.fwhm,
            "signal_to_noise": peaks.signal_to_noise,
            "run_order": runs.order[run].astype(np.float64),
        }
    )


def _write_covariates(
    folder: Path, lib: int, truth: Coefficients, runs: _Runs, names: _Names
) -> None:
    observed = truth.standard_mean + runs.deviation
    for index, label in enumerate(names.species):
        rows = np.flatnonzero(runs.species == index)
        table = pa.table(
            {
                "sample_set_id": _text(names.sample_set).take(runs.sample_set[rows]),
                "task_id": runs.task[rows],
                **{
                    name: pa.array(observed[rows, p], mask=runs.missing[rows, p])
                    for p, name in enumerate(truth.covariates)
                },
            }
        )
        place = layout.covariate_folder(folder, lib) / f"species_matrix_type={label}"
        layout.write_shard(place / "part-0.parquet", table)


def _write_lists(
    folder: Path, lib: int, settings: SimulationSettings, truth: Coefficients, names: _Names
) -> None:
    """Write the metadata of the sample sets and the mapping of entries to chemicals."""
    supercategory = truth.supercategory_of[names.sample_set_species]
    worksheet = lib * 100_000 + np.arange(names.sample_set.size) % settings.n_sample_sets
    layout.write_csv(
        layout.metadata_file(folder, lib),
        pa.table(
            {
                "sample_set_id": names.sample_set,
                "species_matrix_type": pa.array(names.species).take(names.sample_set_species),
                "group": pa.array(names.supercategory).take(supercategory),
                "worksheet_id": worksheet,
            }
        ),
    )
    mapped = names.chemical >= 0
    layout.write_csv(
        layout.comp_chem_file(folder, lib),
        pa.table(
            {
                "lib_id": np.full(int(mapped.sum()), lib),
                "comp_id": names.comp[mapped],
                "chemical_id": names.chemical[mapped],
            }
        ),
    )


def _text(ids: Ints) -> pa.Array:
    return pa.array(ids).cast(pa.string())


def _libraries_toml(libs: tuple[int, ...]) -> str:
    here = Path()
    lines = ["[chemistry]", f'structures = "{layout.structures_file(here).as_posix()}"']
    for lib in libs:
        lines += [
            "",
            f"[library.{lib}]",
            'title = "simulated"',
            'export = "."',
            f'metadata = "{layout.metadata_file(here, lib).as_posix()}"',
            f'comp_chem = "{layout.comp_chem_file(here, lib).as_posix()}"',
            'species_raw = "species_matrix_type"',
            'group = "group"',
            "",
            f"[library.{lib}.prep]",
            'missing_chemistry = "fill"',
        ]
    return "\n".join(lines) + "\n"
