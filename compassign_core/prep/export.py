"""What an export consists of: finding its files, opening each, and listing them with checksums.

A shard that cannot be opened, lacks a column, or disagrees with the others about a column's kind
is found here, before any table is touched.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from compassign_core.contracts.catalogue import EXPORT_MANIFEST
from compassign_core.contracts.checks import MAX_OFFENDERS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.imports import ImportSettings
from compassign_core.contracts.settings.libraries import Libraries
from compassign_core.contracts.tables import is_covariate
from compassign_core.prep.column_names import nearest_names

PEAK_COLUMNS = ("sample_set_id", "task_id", "species_matrix_type", "apex_rt")
COVARIATE_COLUMNS = ("sample_set_id", "task_id")
MERGED_COLUMNS = ("lib_id", "sample_set_id", "task_id", "species_matrix_type", "apex_rt")
_COMP_NAMES = ("correct", "comp_id")
_WORKSHEET_NAMES = ("worksheet_id", "batch")
_IDS = ("sample_set_id", "task_id", *_WORKSHEET_NAMES, *_COMP_NAMES)
_MAGIC = b"PAR1"
_ALL_OR_NONE = ("cpd_status", "sample_type", *_COMP_NAMES, *_WORKSHEET_NAMES)
"""Columns that all peak shards have, or none: a null in their place would be a judgement."""


def export_files(libraries: Libraries, lib: int) -> list[tuple[str, Path]]:
    """All files a library's preparation reads, as (role, path), sorted.

    Raises
    ------
    InputError
        when the export, or a file that `libraries.toml` names, is absent or empty.
    """
    entry = libraries.get(lib)
    files: list[tuple[str, Path]] = []
    if entry.export is not None:
        root = libraries.path(entry.export)
        for role, folder, leaf in (
            ("peaks", "create_training_data", "group="),
            ("covariates", "combine_predictors", "species_matrix_type="),
        ):
            place = root / folder / f"lib_id={lib}"
            found = _shards(place, leaf, libraries.folder)
            if not found:
                raise InputError(
                    f"library {lib}: no {role} shard in {entry.export}/{folder}/lib_id={lib}/"
                    f"{leaf}*/.",
                    f"put the export of library {lib} there, or correct `export` of "
                    f"[library.{lib}] in libraries.toml.",
                )
            files += [(role, path) for path in found]
    elif entry.merged is not None:
        files.append(("merged", libraries.path(entry.merged)))
    elif entry.import_ is not None:
        files += _results(libraries, lib, entry.import_)
    for role, relative in (
        ("metadata", entry.metadata),
        ("comp_chem", entry.comp_chem),
        ("compounds", entry.compounds),
        ("split", entry.split),
    ):
        if relative is not None:
            files.append((role, libraries.path(relative)))
    absent = [str(path.relative_to(libraries.folder)) for _, path in files if not path.is_file()]
    if absent:
        raise InputError(
            f"library {lib}: {first(absent)} does not exist.",
            f"put the file there, or correct its path in [library.{lib}] of libraries.toml.",
        )
    return files


def _shards(place: Path, leaf: str, folder: Path) -> list[Path]:
    """Parquet files one folder below `place`; unlike a glob it says which folder it may not read.

    Raises
    ------
    InputError
        for a folder that this user may not read.
    """
    if not place.is_dir():
        return []
    below = [path for path in _entries(place, folder) if path.name.startswith(leaf)]
    files = [path for path in below if path.is_dir() for path in _entries(path, folder)]
    return sorted(path for path in files if path.suffix == ".parquet" and path.is_file())


def _entries(place: Path, folder: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except PermissionError as error:
        raise _forbidden(place.relative_to(folder).as_posix()) from error


def _forbidden(shown: str) -> InputError:
    return InputError(
        f"{shown} may not be read by the user that runs this (permission denied).",
        "have its owner give you the right to read it, for example with chmod -R u+rX, or copy "
        "the export to a place of your own.",
    )


def _results(libraries: Libraries, lib: int, settings: ImportSettings) -> list[tuple[str, Path]]:
    """Files of results to import, and the list of runs."""
    found: set[Path] = set()
    for pattern in settings.files:
        matching = {path for path in libraries.folder.glob(pattern) if path.is_file()}
        if not matching:
            raise InputError(
                f"library {lib}: no file matches {pattern!r} of [library.{lib}.import] files.",
                "put the results there, or correct the pattern in libraries.toml.",
            )
        found |= matching
    files = [("results", path) for path in sorted(found)]
    if settings.samples is not None:
        files.append(("samples", libraries.path(settings.samples)))
    return files


def scan_export(libraries: Libraries, lib: int) -> StepResult:
    """Open and list every file of an export (table `export_manifest`).

    Raises
    ------
    InputError
        for an absent or empty export, a shard that cannot be opened (truncated), a missing
        column, or a column that is text in one shard and a number in another; each names the
        file and the column.
    """
    files = export_files(libraries, lib)
    faults: list[InputError] = []
    rows: dict[str, list[object]] = {name: [] for name in EXPORT_MANIFEST.names()}
    schemas: dict[str, list[tuple[str, pa.Schema]]] = defaultdict(list)
    for role, path in files:
        shown = path.relative_to(libraries.folder).as_posix()
        n_rows, columns = None, None
        if path.suffix == ".parquet":
            try:
                n_rows, schema = _open(path, shown)
                _need_columns(role, shown, schema.names)
            except InputError as fault:
                faults.append(fault)
                continue
            if role != "results":  # results are read as text, whatever each file's types are
                schemas[role].append((shown, schema))
            columns = ",".join(schema.names)
        record = (role, shown, path.stat().st_size, _sha256(path), n_rows, columns)
        for name, value in zip(rows, record, strict=True):
            rows[name].append(value)
    if faults:
        raise _all_of(faults)
    for role, listed in schemas.items():
        _readable_kinds(role, listed)
        _same_kinds(role, listed)
        _same_optional(role, listed)
    if libraries.get(lib).import_ is None:
        _need_covariates(lib, schemas)
    table = pa.table(
        {
            "role": pa.array(rows["role"], pa.string()),
            "path": pa.array(rows["path"], pa.string()),
            "n_bytes": pa.array(rows["n_bytes"], pa.int64()),
            "sha256": pa.array(rows["sha256"], pa.string()),
            "n_rows": pa.array(rows["n_rows"], pa.int64()),
            "column_names": pa.array(rows["column_names"], pa.string()),
        }
    )
    return StepResult(table, rows_in=len(files))


def _open(path: Path, shown: str) -> tuple[int, pa.Schema]:
    """Rows and schema; every page is decoded, for a footer may be whole when a page is not."""
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches():
                pass
            return file.metadata.num_rows, file.schema_arrow
    except PermissionError as error:
        raise _forbidden(shown) from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{shown} is not a readable Parquet file ({str(error).splitlines()[0]}); it is "
            f"{path.stat().st_size:,} bytes and {_looks_like(path)}.",
            "copy this shard again from its source and repeat the run.",
        ) from error


def _looks_like(path: Path) -> str:
    """What an unreadable shard probably is, by its first bytes."""
    with path.open("rb") as file:
        beginning = file.read(40)
    if not beginning:
        return "therefore empty"
    if beginning.startswith(_MAGIC):
        return "was probably cut off while it was copied"
    return f"begins with {beginning!r}, so it is another kind of file under this name"


def _all_of(faults: Sequence[InputError]) -> InputError:
    """All faults in one error, so that a lab need not mend them one run at a time."""
    problems = [fault.problem for fault in faults]
    more = len(problems) - MAX_OFFENDERS
    return InputError(
        " ".join(problems[:MAX_OFFENDERS]) + (f" And {more} more such shards." if more > 0 else ""),
        " ".join(dict.fromkeys(fault.advice for fault in faults)),
    )


def _need_columns(role: str, shown: str, present: list[str]) -> None:
    needed = {"peaks": PEAK_COLUMNS, "covariates": COVARIATE_COLUMNS, "merged": MERGED_COLUMNS}
    missing = [name for name in needed.get(role, ()) if name not in present]
    if role in ("peaks", "merged"):
        if not any(name in present for name in _COMP_NAMES):
            missing.append(" or ".join(_COMP_NAMES))
        if not any(name in present for name in _WORKSHEET_NAMES):
            missing.append(" or ".join(_WORKSHEET_NAMES))
    if missing:
        raise InputError(
            f"{shown} ({role}) lacks column {', '.join(missing)}; it has {', '.join(present)}"
            f"{nearest_names(missing, present)}.",
            "export the shard again with this column.",
        )


def _need_covariates(lib: int, schemas: dict[str, list[tuple[str, pa.Schema]]]) -> None:
    listed = schemas.get("covariates") or schemas.get("merged") or []
    if not any(is_covariate(name) for _, schema in listed for name in schema.names):
        raise InputError(
            f"library {lib}: no covariate column (name beginning with IS, RS or ES_) in "
            f"{first([shown for shown, _ in listed])}.",
            "export the run covariates with the retention times of the standards.",
        )


def _kind(dtype: pa.DataType) -> str:
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    if pa.types.is_null(dtype):
        return "null"
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    return "text" if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) else str(dtype)


def _readable_kinds(role: str, listed: Iterable[tuple[str, pa.Schema]]) -> None:
    """Refuse ids and times that are neither numbers nor text, such as dates."""
    for shown, schema in listed:
        for name in (*_IDS, "lib_id", "apex_rt", "run_order"):
            if name not in schema.names:
                continue
            kind = _kind(schema.field(name).type)
            if kind not in ("number", "text", "null"):
                raise InputError(
                    f"column {name} of {shown} ({role}) is {kind}, neither a number nor text.",
                    "export this shard again with the column as a number.",
                )


def _same_kinds(role: str, listed: Iterable[tuple[str, pa.Schema]]) -> None:
    """Refuse columns of two kinds; ids may be text or number, since both are read as numbers."""
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    for shown, schema in listed:
        for field in schema:
            kind = _kind(field.type)
            if kind != "null":
                kinds[field.name].setdefault(kind, shown)
    for name, where in kinds.items():
        if is_covariate(name) and set(where) - {"number"}:
            kind = next(iter(set(where) - {"number"}))
            raise InputError(
                f"covariate {name} of {where[kind]} ({role}) is {kind}, not a number.",
                "export this shard again with the column as a number.",
            )
        if len(where) > 1 and name not in _IDS:
            pairs = ", ".join(f"{kind} in {shown}" for kind, shown in where.items())
            raise InputError(
                f"column {name} of the {role} shards has several kinds: {pairs}.",
                "export these shards again with one type for the column.",
            )


def _same_optional(role: str, listed: Sequence[tuple[str, pa.Schema]]) -> None:
    if role != "peaks":
        return
    for name in _ALL_OR_NONE:
        having = [shown for shown, schema in listed if name in schema.names]
        lacking = [shown for shown, schema in listed if name not in schema.names]
        if having and lacking:
            raise InputError(
                f"column {name} is in {len(having)} peak shards (such as {having[0]}) and missing "
                f"from {len(lacking)}: {first(lacking)}.",
                "export these shards again with the same columns.",
            )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError as error:
        raise _forbidden(path.name) from error
