"""Faults to add to a written export, one function each, with what must be reported of them.

They apply to simulated exports and to copies of shipped ones. Each works on rows that a clean
export would keep, so that the counts follow from the fault alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.errors import SettingsError
from compassign_core.simulate import layout

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fault:
    """What a correct preparation reports of a faulty export.

    Attributes
    ----------
    name : name of the fault.
    table : table whose making finds it.
    stops : whether that table must not be published.
    offenders : texts that the message must name when it stops.
    rejects : rows that making `table` refuses because of the fault, by reason.
    raw_rows_change, training_rows_change : difference to the clean export in peak rows read, and
        in rows of `lib_training`, when it does not stop.
    """

    name: str
    table: str
    stops: bool = False
    offenders: tuple[str, ...] = ()
    rejects: Mapping[str, int] = field(default_factory=dict)
    raw_rows_change: int = 0
    training_rows_change: int = 0


def dirty(folder: Path, dirt: str, lib: int) -> Fault:
    """Add the fault called `dirt` (a key of `DIRT`) to library `lib` of the export in `folder`.

    Raises
    ------
    SettingsError
        when there is no such fault.
    """
    if dirt not in DIRT:
        raise SettingsError(
            f"there is no fault called {dirt!r}.", f"choose one of {', '.join(DIRT)}."
        )
    return DIRT[dirt](folder, lib)


def truncated_peak_shard(folder: Path, lib: int) -> Fault:
    """Cut the first peak file to half its length."""
    path = layout.peak_shards(folder, lib)[0]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return _stops("truncated_peak_shard", "export_manifest", _shown(path, folder))


def missing_peak_column(folder: Path, lib: int, column: str = "apex_rt") -> Fault:
    """Drop a column from the first peak file."""
    path = layout.peak_shards(folder, lib)[0]
    layout.write_shard(path, layout.read_shard(path).drop_columns([column]))
    return _stops("missing_peak_column", "export_manifest", _shown(path, folder), column)


def column_text_in_one_shard(folder: Path, lib: int, column: str = "apex_rt") -> Fault:
    """Turn a column of numbers into text in the last peak file."""
    path = layout.peak_shards(folder, lib)[-1]
    table = layout.read_shard(path)
    layout.write_shard(path, _with(table, column, table[column].cast(pa.string())))
    return _stops("column_text_in_one_shard", "export_manifest", _shown(path, folder), column)


def empty_export(folder: Path, lib: int) -> Fault:
    """Remove all peak files, leaving their folders."""
    for path in layout.peak_shards(folder, lib):
        path.unlink()
    return _stops("empty_export", "export_manifest", str(lib))


def species_in_two_groups(folder: Path, lib: int) -> Fault:
    """Give one sample set of a species with several another group than the rest."""
    metadata = layout.read_csv(layout.metadata_file(folder, lib))
    species = metadata["species_matrix_type"].to_pylist()
    row = next(n for n, label in enumerate(species) if species.count(label) > 1)
    groups = metadata["group"].to_pylist()
    groups[row] = next((g for g in groups if g != groups[row]), f"{groups[row]}, another")
    _write_metadata(folder, lib, _with(metadata, "group", pa.array(groups)))
    return _stops("species_in_two_groups", "species_mapping", species[row])


def sample_set_listed_twice(folder: Path, lib: int) -> Fault:
    """Repeat the first line of the metadata."""
    metadata = layout.read_csv(layout.metadata_file(folder, lib))
    _write_metadata(folder, lib, pa.concat_tables([metadata, metadata.slice(0, 1)]))
    return _stops(
        "sample_set_listed_twice", "species_mapping", metadata["sample_set_id"][0].as_py()
    )


def sample_set_missing_in_metadata(folder: Path, lib: int) -> Fault:
    """Remove the first line of the metadata."""
    metadata = layout.read_csv(layout.metadata_file(folder, lib))
    _write_metadata(folder, lib, metadata.slice(1))
    return _stops(
        "sample_set_missing_in_metadata", "species_mapping", metadata["sample_set_id"][0].as_py()
    )


def sample_set_without_group(folder: Path, lib: int) -> Fault:
    """Empty the group in the first line of the metadata."""
    metadata = layout.read_csv(layout.metadata_file(folder, lib))
    groups = [None, *metadata["group"].to_pylist()[1:]]
    _write_metadata(folder, lib, _with(metadata, "group", pa.array(groups, pa.string())))
    return Fault(
        "sample_set_without_group",
        "species_mapping",
        offenders=(metadata["sample_set_id"][0].as_py(),),
        rejects={"group_missing": 1},
    )


def comp_mapped_twice(folder: Path, lib: int) -> Fault:
    """Map the first entry of the mapping to the last one's chemical as well."""
    path = layout.comp_chem_file(folder, lib)
    mapping = layout.read_csv(path)
    other = mapping.filter(pc.not_equal(mapping["chemical_id"], mapping["chemical_id"][0]))
    extra = _with(mapping.slice(0, 1), "chemical_id", other["chemical_id"].slice(0, 1))
    layout.write_csv(path, pa.concat_tables([mapping, extra]))
    return _stops("comp_mapped_twice", "comp_chem_mapping", mapping["comp_id"][0].as_py())


def nan_and_negative_rt(folder: Path, lib: int, n: int = 3) -> Fault:
    """Set `n` peaks each to NaN, infinity, null, zero and a negative time."""
    path, table, rows = _good_rows(folder, lib, 5 * n)
    rt = np.array(table["apex_rt"].to_numpy(), dtype=np.float64)
    missing = np.zeros(rt.size, dtype=bool)
    rt[rows[:n]] = np.nan
    rt[rows[n : 2 * n]] = np.inf
    missing[rows[2 * n : 3 * n]] = True
    rt[rows[3 * n : 4 * n]] = 0.0
    rt[rows[4 * n :]] *= -1
    layout.write_shard(path, _with(table, "apex_rt", pa.array(rt, mask=missing)))
    rejects = {"rt_not_finite": 3 * n, "rt_not_positive": 2 * n}
    return Fault(
        "nan_and_negative_rt", "lib_training", rejects=rejects, training_rows_change=-5 * n
    )


def null_keys(folder: Path, lib: int, n: int = 3) -> Fault:
    """Set `n` each of sample_set_id, worksheet_id, task_id and correct to null."""
    path, table, rows = _good_rows(folder, lib, 4 * n)
    keys = ("sample_set_id", "worksheet_id", "task_id", "correct")
    for column, chosen in zip(keys, np.array_split(rows, len(keys)), strict=True):
        table = _with(table, column, pc.if_else(_mask(chosen, table), None, table[column]))
    layout.write_shard(path, table)
    rejects = {"key_unreadable": 3 * n, "comp_unreadable": n}
    return Fault("null_keys", "lib_training", rejects=rejects, training_rows_change=-4 * n)


def fractional_comp_id(folder: Path, lib: int, n: int = 3) -> Fault:
    """Write the entry's id of one file as a floating number, and add a half to `n` of them."""
    path, table, rows = _good_rows(folder, lib, n)
    comp = np.array(table["correct"].to_numpy(), dtype=np.float64)
    comp[rows] += 0.5
    layout.write_shard(path, _with(table, "correct", pa.array(comp)))
    return Fault(
        "fractional_comp_id",
        "lib_training",
        rejects={"comp_unreadable": n},
        training_rows_change=-n,
    )


def duplicate_peaks(folder: Path, lib: int, n: int = 3) -> Fault:
    """Repeat `n` peaks exactly; one of each must stay."""
    path, table, rows = _good_rows(folder, lib, n)
    layout.write_shard(path, pa.concat_tables([table, table.take(rows)]))
    return Fault("duplicate_peaks", "lib_training", rejects={"duplicate_row": n}, raw_rows_change=n)


def conflicting_peaks(folder: Path, lib: int, n: int = 3) -> Fault:
    """Repeat `n` peaks at another time; which is right is unknown, so both must go."""
    path, table, rows = _good_rows(folder, lib, n)
    later = table.take(rows)
    later = _with(later, "apex_rt", pc.add(later["apex_rt"], 0.5))
    layout.write_shard(path, pa.concat_tables([table, later]))
    return Fault(
        "conflicting_peaks",
        "lib_training",
        rejects={"conflicting_peaks": 2 * n},
        raw_rows_change=n,
        training_rows_change=-n,
    )


def duplicate_covariate_rows(folder: Path, lib: int, n: int = 3) -> Fault:
    """Repeat the first `n` rows of the first covariate file exactly."""
    path = layout.covariate_shards(folder, lib)[0]
    table = layout.read_shard(path)
    layout.write_shard(path, pa.concat_tables([table, table.slice(0, n)]))
    return Fault("duplicate_covariate_rows", "run_covariates", rejects={"duplicate_row": n})


def conflicting_covariate_rows(folder: Path, lib: int, n: int = 3) -> Fault:
    """Repeat the first `n` rows of the first covariate file with another value."""
    path = layout.covariate_shards(folder, lib)[0]
    table = layout.read_shard(path)
    name = next(name for name in table.column_names if name.startswith("IS"))
    other = table.slice(0, n)
    # a null would stay one, and a null beside a number is a conflict all the same
    changed = pc.add(pc.fill_null(other[name], 1.0), 0.5)
    layout.write_shard(path, pa.concat_tables([table, _with(other, name, changed)]))
    tasks = [str(task) for task in other["task_id"].to_pylist()]
    return _stops("conflicting_covariate_rows", "run_covariates", *tasks)


def missing_covariate_rows(folder: Path, lib: int, n: int = 1) -> Fault:
    """Remove the covariates of the first `n` runs that have peaks to lose."""
    path = layout.covariate_shards(folder, lib)[0]
    covariates = layout.read_shard(path)
    key = ["sample_set_id", "task_id"]
    peaks = pa.concat_tables(
        table.filter(pa.array(_complete(table))).select(key)
        for table in map(layout.read_shard, layout.peak_shards(folder, lib))
    )
    rows = covariates.select(key).append_column("row", pa.array(range(covariates.num_rows)))
    rows = rows.join(peaks, key, join_type="inner").group_by("row").aggregate([([], "count_all")])
    lost = rows.sort_by("row").slice(0, n)
    layout.write_shard(
        path, covariates.filter(pc.invert(_mask(lost["row"].to_numpy(), covariates)))
    )
    n_peaks = int(pc.sum(lost["count_all"]).as_py())
    return Fault(
        "missing_covariate_rows",
        "lib_training",
        rejects={"run_without_covariates": n_peaks},
        training_rows_change=-n_peaks,
    )


DIRT: dict[str, Callable[[Path, int], Fault]] = {
    fault.__name__: fault
    for fault in (
        truncated_peak_shard,
        missing_peak_column,
        column_text_in_one_shard,
        empty_export,
        species_in_two_groups,
        sample_set_listed_twice,
        sample_set_missing_in_metadata,
        sample_set_without_group,
        comp_mapped_twice,
        nan_and_negative_rt,
        null_keys,
        fractional_comp_id,
        duplicate_peaks,
        conflicting_peaks,
        duplicate_covariate_rows,
        conflicting_covariate_rows,
        missing_covariate_rows,
    )
}
"""All faults by name."""


def _stops(name: str, table: str, *offenders: str) -> Fault:
    return Fault(name, table, stops=True, offenders=offenders)


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _with(table: pa.Table, column: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Replace a column of the table."""
    return table.set_column(table.column_names.index(column), column, values)


def _mask(rows: npt.NDArray[np.integer], table: pa.Table) -> pa.Array:
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[rows] = True
    return pa.array(mask)


def _complete(table: pa.Table) -> Mask:
    """Which peaks have a status and sample type that are kept."""
    curated = pc.is_in(table["cpd_status"], pa.array(["Complete", "Complete - NFS"]))
    excluded = pc.fill_null(pc.equal(table["sample_type"], "PRCS"), False)
    complete: Mask = pc.and_not(curated, excluded).to_numpy()
    return complete


def _good_rows(folder: Path, lib: int, n: int) -> tuple[Path, pa.Table, npt.NDArray[np.integer]]:
    """Find the peak file with most complete rows, its table, and `n` such rows spread over it.

    Raises
    ------
    SettingsError
        when no file has so many.
    """
    shards = [(path, layout.read_shard(path)) for path in layout.peak_shards(folder, lib)]
    path, table = max(shards, key=lambda shard: int(_complete(shard[1]).sum()))
    complete = np.flatnonzero(_complete(table))
    if complete.size < n:
        raise SettingsError(
            f"no peak file of library {lib} has {n} complete rows.", "simulate a larger export."
        )
    return path, table, complete[np.linspace(0, complete.size - 1, n).astype(np.int64)]


def _write_metadata(folder: Path, lib: int, metadata: pa.Table) -> None:
    layout.write_csv(layout.metadata_file(folder, lib), metadata)
