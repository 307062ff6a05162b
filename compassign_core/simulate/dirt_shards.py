"""More faults in shards: files that are none, columns and ids in other forms, other units.

As in `dirt`, each works on a written export and returns what must be reported of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.simulate import layout
from compassign_core.simulate.dirt import Fault

Change = Callable[[pa.Table], pa.Table]
_IDS = ("sample_set_id", "task_id", "worksheet_id")
_LARGE = 2**31

ODD_LABEL = "Blut/Plasma – 'Ü' \"x\"; DROP TABLE peaks; -- 50%, 肝"
"""A label with all that has a meaning to a path, to SQL, or to a CSV file."""


def zero_byte_shard(folder: Path, lib: int) -> Fault:
    """Leave nothing of the first peak file."""
    path = layout.peak_shards(folder, lib)[0]
    path.write_bytes(b"")
    return _stops("zero_byte_shard", "export_manifest", path.relative_to(folder).as_posix())


def text_named_parquet(folder: Path, lib: int) -> Fault:
    """Put a CSV text in place of the first covariate file."""
    path = layout.covariate_shards(folder, lib)[0]
    path.write_text("sample_set_id,task_id,IS_00\n1,2,3.5\n", encoding="utf-8")
    return _stops("text_named_parquet", "export_manifest", path.relative_to(folder).as_posix())


def folder_without_permission(folder: Path, lib: int) -> Fault:
    """Take every right to the folder of peaks away."""
    place = layout.peak_folder(folder, lib)
    place.chmod(0)
    return _stops(
        "folder_without_permission", "export_manifest", place.relative_to(folder).as_posix()
    )


def renamed_column(folder: Path, lib: int) -> Fault:
    """Call ``apex_rt`` of the first peak file otherwise."""
    path = layout.peak_shards(folder, lib)[0]
    table = layout.read_shard(path)
    names = ["Apex RT" if name == "apex_rt" else name for name in table.column_names]
    layout.write_shard(path, table.rename_columns(names))
    return _stops("renamed_column", "export_manifest", path.relative_to(folder).as_posix())


def dates_for_times(folder: Path, lib: int) -> Fault:
    """Write the retention times of all peak files as time stamps."""
    _peaks(folder, lib, lambda t: _set(t, "apex_rt", t["task_id"].cast(pa.timestamp("ms"))))
    return _stops("dates_for_times", "export_manifest", "apex_rt")


def extra_columns(folder: Path, lib: int) -> Fault:
    """Add a column that nobody needs to one peak file."""
    path = layout.peak_shards(folder, lib)[0]
    table = layout.read_shard(path)
    layout.write_shard(path, table.append_column("remark", pa.nulls(table.num_rows, pa.string())))
    return Fault("extra_columns", "lib_training")


def times_all_missing(folder: Path, lib: int) -> Fault:
    """Empty ``apex_rt`` of the first peak file."""
    path = layout.peak_shards(folder, lib)[0]
    table = layout.read_shard(path)
    layout.write_shard(path, _set(table, "apex_rt", pa.nulls(table.num_rows, pa.float64())))
    return _stops("times_all_missing", "lib_training", "rt_not_finite")


def ids_as_text(folder: Path, lib: int) -> Fault:
    """Write every id of the peaks as text."""
    _peaks(folder, lib, lambda t: _cast(t, (*_IDS, "correct"), pa.string()))
    return Fault("ids_as_text", "lib_training")


def ids_as_floats(folder: Path, lib: int) -> Fault:
    """Write every id of the peaks as a floating number."""
    _peaks(folder, lib, lambda t: _cast(t, (*_IDS, "correct"), pa.float64()))
    return Fault("ids_as_floats", "lib_training")


def ids_past_31_bits(folder: Path, lib: int) -> Fault:
    """Raise all ids of runs beyond 2³¹, and those of entries, which stay below 2³²."""

    def raised(table: pa.Table) -> pa.Table:
        for name in (*_IDS, "correct"):
            if name in table.column_names:
                number = table[name].cast(pa.int64())
                table = _set(table, name, pc.add(number, _LARGE))
        return table

    _peaks(folder, lib, raised)
    _covariates(folder, lib, raised)
    _list(layout.metadata_file(folder, lib), raised)
    mapping = layout.comp_chem_file(folder, lib)
    entries = layout.read_csv(mapping)
    raised_entries = pc.add(entries["comp_id"].cast(pa.int64()), _LARGE)
    layout.write_csv(mapping, _set(entries, "comp_id", raised_entries))
    return Fault("ids_past_31_bits", "lib_training")


def entries_past_32_bits(folder: Path, lib: int) -> Fault:
    """Raise all ids of entries beyond 2³², where a group key has no room for them."""
    _peaks(folder, lib, lambda t: _set(t, "correct", pc.add(t["correct"].cast("int64"), 2**33)))
    return _stops("entries_past_32_bits", "lib_training", "comp_id")


def shard_copied(folder: Path, lib: int) -> Fault:
    """Copy the first peak file under another name."""
    path = layout.peak_shards(folder, lib)[0]
    copy = path.with_name(f"{path.stem} (1).parquet")
    shutil.copyfile(path, copy)
    shown = (path.relative_to(folder).as_posix(), copy.relative_to(folder).as_posix())
    return _stops("shard_copied", "export_manifest", *shown)


def seconds_in_one_shard(folder: Path, lib: int) -> Fault:
    """Give the retention times of one peak file in seconds."""
    path = layout.peak_shards(folder, lib)[-1]
    layout.write_shard(path, _times(60.0)(layout.read_shard(path)))
    return _stops("seconds_in_one_shard", "lib_training", path.relative_to(folder).as_posix())


def seconds_in_all_peaks(folder: Path, lib: int) -> Fault:
    """Give all retention times of peaks in seconds, and the standards in minutes."""
    _peaks(folder, lib, _times(60.0))
    shown = [p.relative_to(folder).as_posix() for p in layout.peak_shards(folder, lib)]
    return _stops("seconds_in_all_peaks", "lib_training", *shown)


def seconds_everywhere(folder: Path, lib: int) -> Fault:
    """Give the retention times of peaks and standards in seconds."""
    _peaks(folder, lib, _times(60.0))
    _covariates(folder, lib, _scaled("IS_01", 60.0))
    for name in ("IS_00", "RS_00"):
        _covariates(folder, lib, _scaled(name, 60.0))
    return _stops("seconds_everywhere", "run_covariates", "median")


def covariate_ten_orders_off(folder: Path, lib: int) -> Fault:
    """Multiply one standard by 10¹⁰ in all runs."""
    _covariates(folder, lib, _scaled("IS_00", 1e10))
    return _stops("covariate_ten_orders_off", "run_covariates", "IS_00")


def covariate_constant(folder: Path, lib: int) -> Fault:
    """Give one standard the same value in all runs."""
    _covariates(folder, lib, lambda t: _set(t, "IS_00", pa.array([3.5] * t.num_rows)))
    return Fault("covariate_constant", "run_covariates", offenders=("IS_00",))


def covariate_zero_for_missing(folder: Path, lib: int) -> Fault:
    """Write 0 for the first run's standard."""
    path = layout.covariate_shards(folder, lib)[0]
    table = layout.read_shard(path)
    layout.write_shard(path, _set(table, "IS_00", pa.array([0.0, *table["IS_00"].to_pylist()[1:]])))
    return Fault("covariate_zero_for_missing", "run_covariates", offenders=("IS_00",))


def covariate_all_missing(folder: Path, lib: int) -> Fault:
    """Empty one standard in all runs."""
    _covariates(folder, lib, lambda t: _set(t, "IS_00", pa.nulls(t.num_rows, pa.float64())))
    return Fault("covariate_all_missing", "rt_table", offenders=("IS_00",))


def label_of_any_signs(folder: Path, lib: int) -> Fault:
    """Give a species a label that means something to paths, SQL and CSV; the folder is encoded."""
    old = layout.covariate_shards(folder, lib)[0].parent
    label = old.name.partition("=")[2]
    old.rename(old.with_name(f"species_matrix_type={quote(ODD_LABEL, safe='')}"))
    _peaks(folder, lib, lambda t: _replaced(t, "species_matrix_type", label))
    _list(layout.metadata_file(folder, lib), lambda t: _replaced(t, "species_matrix_type", label))
    return Fault("label_of_any_signs", "lib_training")


SHARD_FAULTS = (
    zero_byte_shard,
    text_named_parquet,
    folder_without_permission,
    renamed_column,
    dates_for_times,
    extra_columns,
    times_all_missing,
    ids_as_text,
    ids_as_floats,
    ids_past_31_bits,
    entries_past_32_bits,
    shard_copied,
    seconds_in_one_shard,
    seconds_in_all_peaks,
    seconds_everywhere,
    covariate_ten_orders_off,
    covariate_constant,
    covariate_zero_for_missing,
    covariate_all_missing,
    label_of_any_signs,
)


def _stops(name: str, table: str, *offenders: str) -> Fault:
    return Fault(name, table, stops=True, offenders=offenders)


def _peaks(folder: Path, lib: int, change: Change) -> None:
    for path in layout.peak_shards(folder, lib):
        layout.write_shard(path, change(layout.read_shard(path)))


def _covariates(folder: Path, lib: int, change: Change) -> None:
    for path in layout.covariate_shards(folder, lib):
        layout.write_shard(path, change(layout.read_shard(path)))


def _list(path: Path, change: Change) -> None:
    layout.write_csv(path, change(layout.read_csv(path)))


def _set(table: pa.Table, column: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


def _cast(table: pa.Table, columns: tuple[str, ...], dtype: pa.DataType) -> pa.Table:
    for name in columns:
        table = _set(table, name, table[name].cast(pa.int64()).cast(dtype))
    return table


def _times(factor: float) -> Change:
    return _scaled("apex_rt", factor)


def _scaled(column: str, factor: float) -> Change:
    return lambda table: _set(table, column, pc.multiply(table[column], factor))


def _replaced(table: pa.Table, column: str, label: str) -> pa.Table:
    values = table[column]
    return _set(table, column, pc.if_else(pc.equal(values, label), ODD_LABEL, values))
