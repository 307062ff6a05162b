"""Coefficients that were fitted elsewhere: folders of CSV files to coefficient summaries.

A folder holds ``supercategory_<N>_<name>/regression_<lib>.csv`` for each supercategory that was
fitted, with the columns comp_id, b (minutes), window (the base window, minutes), and one column
for each covariate: its slope on the raw covariate. N is the number that the supercategory's label
begins with in the species mapping; every supercategory with that number takes the file.

Missing covariates. These lines were made on raw covariates, for which "absent" has no value: to
count it as 0 minutes moves the prediction by slope times the whole retention time of the
standard. They are therefore imported with a centre that the caller states (`covariate_centre`
takes it from an RT table), which changes no prediction of a complete row and makes a missing
covariate an average one. Without a centre the import is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import (
    first,
    group_keys,
    parse_lib,
    quote_text,
)
from compassign_core.contracts.settings.lasso import ProductionWindowSettings
from compassign_core.contracts.tables import is_covariate
from compassign_core.rt.design import Design, choose_columns
from compassign_core.rt.lasso.artifact import plain_summaries
from compassign_core.rt.production import half_widths
from compassign_core.rt.source import Source, column_array
from compassign_core.rt.summaries import CoefficientSummaries

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BOOKKEEPING = ("buffer_around_center", "cloud_center_range", "test_ws", "lib_id")
"""Columns of the files that are no coefficients and are not needed."""

_NEEDED = ("comp_id", "b", "window")
_FOLDER = re.compile(r"supercategory_([0-9]+)(_.*)?")
_NUMBER = r"^\s*([0-9]{1,9})([^0-9]|$)"


@dataclass(frozen=True)
class _Lines:
    """The K lines of one file: comp ids, intercepts, base windows, slopes by covariate."""

    comp_id: Ints
    intercept: Floats
    window: Floats
    slopes: dict[str, Floats]


@dataclass(frozen=True)
class _Mapping:
    """Species ``(S,)``, their supercategories ``(S,)``, and the supercategories of a number."""

    species: Ints
    species_cluster: Ints
    clusters: dict[int, list[int]]


def read_external(
    folder: str | Path,
    lib: int,
    species_mapping_source: str,
    connection: duckdb.DuckDBPyConnection,
    *,
    model: str,
    centre: Mapping[str, float] | None = None,
    rule: ProductionWindowSettings | None = None,
) -> CoefficientSummaries:
    """Read all coefficient files of library `lib` below `folder`.

    Parameters
    ----------
    species_mapping_source : SQL text of a table with species, species_cluster, species_group_raw.
    model : written into the summaries as the model kind.
    centre : value that a missing covariate takes, in minutes, by column name; needed for every
        covariate with a slope that is not zero.
    rule : window rule, 4 × max(window, 0.001 min) when not given.

    Returns
    -------
    CoefficientSummaries
        Groups are (species_cluster, comp_id). How many rows stand behind a line is not told, so
        `n_train` is 0; chemistry is -1 (unknown); every species of a supercategory counts as seen
        with every comp of its file. Covariates whose slopes are all zero are listed as dropped and
        not asked for. The settings name the files and the numbers without a supercategory in the
        mapping, which are left out; the fingerprint is of the files' content.

    Raises
    ------
    SettingsError
        when `lib` is no library id.
    InputError
        when the folder or its files are missing, a file lacks a column, holds a value that is not
        a number or a comp twice, no supercategory matches, or the centre lacks a covariate.
    """
    lib = parse_lib(str(lib))
    rule = rule or ProductionWindowSettings()
    files = _find_files(Path(folder), lib)
    lines = {number: _read_lines(path, lib, connection) for number, path in files.items()}
    mapping = _read_mapping(species_mapping_source, connection)
    used = [number for number in files if number in mapping.clusters]
    if not used:
        raise InputError(
            f"{folder}: none of the supercategory numbers {first(list(files))} begins a "
            f"species_group_raw of {species_mapping_source}, which has "
            f"{first(list(mapping.clusters)) or 'no number at all'}.",
            "give the species mapping of the same library; its labels begin with the number.",
        )
    placed = [(c, lines[number]) for number in used for c in mapping.clusters[number]]
    columns, unused = _covariates([lines[number] for number in used], str(folder))
    at = _centre(columns, centre, str(folder))
    comp_id = np.concatenate([part.comp_id for _, part in placed])
    cluster = np.concatenate([np.full(part.comp_id.size, c) for c, part in placed])
    slopes = np.concatenate([_matrix(part, columns) for _, part in placed])
    intercept = np.concatenate([part.intercept for _, part in placed]) + slopes @ at
    window = np.concatenate([part.window for _, part in placed])
    try:
        keys = group_keys(cluster, comp_id)
    except ValueError as error:
        raise InputError(
            f"{folder} or {species_mapping_source} holds an id that has no group key: {error}.",
            "ids are counted from zero; take them from the library and its species mapping.",
        ) from error
    order = np.argsort(keys)
    return plain_summaries(
        model=model,
        group_col="species_cluster",
        settings={
            "external": rule.model_dump(mode="json"),
            "files": [files[number].relative_to(folder).as_posix() for number in used],
            "unmatched_supercategories": [n for n in files if n not in mapping.clusters],
        },
        fingerprint=_fingerprint([files[number] for number in used]),
        keys=keys[order],
        n_train=np.zeros(keys.size, dtype=np.int64),
        beta_mean=np.column_stack([intercept, slopes])[order],
        half_width=half_widths(window[order], rule),
        design=Design(columns, (), at, np.zeros(len(columns), dtype=np.int64), unused),
        hierarchy=_hierarchy(mapping, cluster, comp_id),
        constant_groups=0,
    )


def covariate_centre(source: str, connection: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """Mean over rows of every covariate of an RT table (SQL text), missing values left out.

    Covariates without any value are left out. The sum is taken in the order of the values, so that
    the mean does not depend on the order of rows.
    """
    table = Source.open(connection, source)
    columns = [name for name in table.types if is_covariate(name)]
    table.check_reals(columns)
    means = {}
    for name in columns:
        values = np.concatenate([column_array(b, name) for b in table.batches((), (name,))])
        values = np.sort(values[~np.isnan(values)])
        if values.size:
            means[name] = float(values[0] + (values - values[0]).mean())
    return means


def _find_files(folder: Path, lib: int) -> dict[int, Path]:
    """File of each supercategory number, in the order of the numbers."""
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}.",
            "give the folder that holds supercategory_<N>_<name>/regression_<lib>.csv.",
        )
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        matched = _FOLDER.fullmatch(path.name)
        file = path / f"regression_{lib}.csv"
        if matched and file.is_file():
            found.setdefault(int(matched[1]), []).append(file)
    if not found:
        raise InputError(
            f"{folder} has no supercategory_<N>_<name>/regression_{lib}.csv.",
            f"correct the folder, or export the coefficients of library {lib} into it.",
        )
    double = {n: [p.parent.name for p in paths] for n, paths in found.items() if len(paths) > 1}
    if double:
        named = "; ".join(f"{n}: {', '.join(names)}" for n, names in double.items())
        raise InputError(
            f"{folder}: {len(double)} supercategory number(s) have several folders: {named}.",
            "keep one folder for each number.",
        )
    return {number: found[number][0] for number in sorted(found)}


def _read_lines(path: Path, lib: int, connection: duckdb.DuckDBPyConnection) -> _Lines:
    source = f"read_csv({quote_text(str(path))}, header = true, sample_size = -1)"
    table = Source.open(connection, source, str(path))
    table.require(_NEEDED, "an import of coefficients")
    slopes = [name for name in table.types if name not in (*_NEEDED, *BOOKKEEPING)]
    strangers = [name for name in slopes if not is_covariate(name)]
    if strangers:
        raise InputError(
            f"{path} has {len(strangers)} column(s) that are no covariate: {first(strangers)}.",
            "coefficient columns are named as the covariates (IS, RS, ES_); remove the others.",
        )
    table.check_ids(["comp_id"])
    table.check_reals(["b", "window", *slopes])
    batches = list(table.batches(("comp_id",), ("b", "window", *slopes), ("comp_id",)))
    if sum(batch.num_rows for batch in batches) == 0:
        raise InputError(f"{path} has no rows.", "export the coefficients again.")
    values = {
        name: np.concatenate([column_array(batch, name) for batch in batches])
        for name in ("comp_id", "b", "window", *slopes)
    }
    _check_lines(path, values)
    _check_library(table, path, lib)
    return _Lines(
        values["comp_id"], values["b"], values["window"], {name: values[name] for name in slopes}
    )


def _check_lines(path: Path, values: Mapping[str, npt.NDArray[np.float64 | np.int64]]) -> None:
    """Refuse gaps, comps that occur twice or are negative, and negative windows."""
    gaps = {name: int(np.isnan(column).sum()) for name, column in values.items()}
    gaps = {name: count for name, count in gaps.items() if count}
    if gaps:
        named = [f"{name} ({count} rows)" for name, count in gaps.items()]
        raise InputError(
            f"{path} has empty values in {len(gaps)} column(s): {first(named)}.",
            "write 0 for a covariate that a line does not use; b and window must be given.",
        )
    comps, counts = np.unique(values["comp_id"], return_counts=True)
    double = comps[counts > 1]
    if double.size:
        raise InputError(
            f"{path} has {double.size} value(s) of comp_id more than once: "
            f"{first(double.tolist())}.",
            "keep one line for each comp.",
        )
    for name in ("comp_id", "window"):
        below = int((values[name] < 0).sum())
        if below:
            raise InputError(
                f"{path} has {below} row(s) with {name} below zero.", "correct these rows."
            )


def _check_library(table: Source, path: Path, lib: int) -> None:
    """Refuse a file whose own lib_id says that it is of another library."""
    if "lib_id" not in table.types:
        return
    table.check_ids(["lib_id"])
    of_lib = np.concatenate(
        [column_array(batch, "lib_id") for batch in table.batches(["lib_id"], ())]
    )
    others = np.unique(of_lib[of_lib != lib])
    if others.size:
        raise InputError(
            f"{path} has {int((of_lib != lib).sum())} row(s) of another library in lib_id: "
            f"{first(others.tolist())} instead of {lib}.",
            "give the file of this library.",
        )


def _read_mapping(source: str, connection: duckdb.DuckDBPyConnection) -> _Mapping:
    table = Source.open(connection, source)
    table.require(("species", "species_cluster", "species_group_raw"), "an import of coefficients")
    table.check_ids(("species", "species_cluster"))
    label = "CAST(species_group_raw AS VARCHAR)"
    numbered = connection.sql(
        "SELECT DISTINCT CAST(species_cluster AS BIGINT), "
        f"CAST(regexp_extract({label}, '{_NUMBER}', 1) AS BIGINT) "
        f"FROM {source} WHERE regexp_matches({label}, '{_NUMBER}') ORDER BY ALL"
    ).fetchall()
    clusters: dict[int, list[int]] = {}
    for cluster, number in numbered:
        clusters.setdefault(number, []).append(cluster)
    torn = sorted({c for c, _ in numbered if sum(c == other for other, _ in numbered) > 1})
    if torn:
        raise InputError(
            f"{source}: {len(torn)} value(s) of species_cluster have labels with different "
            f"numbers: {first(torn)}.",
            "correct the mapping so that each supercategory has one label.",
        )
    pairs = connection.sql(
        "SELECT DISTINCT CAST(species AS BIGINT), CAST(species_cluster AS BIGINT) "
        f"FROM {source} ORDER BY ALL"
    ).fetchall()
    species, cluster_of = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    if np.unique(species).size < species.size:
        raise InputError(
            f"{source}: {species.size - np.unique(species).size} species have more than one "
            "species_cluster.",
            "correct the mapping so that each species has exactly one.",
        )
    return _Mapping(species, cluster_of, dict(sorted(clusters.items())))


def _covariates(parts: Sequence[_Lines], folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Covariates with a slope anywhere, in the order of a design, and those without."""
    names = sorted({name for part in parts for name in part.slopes})
    used = [n for n in names if any(n in p.slopes and p.slopes[n].any() for p in parts)]
    columns = choose_columns(used, "all" if used else "none", folder)
    return columns, tuple(name for name in names if name not in columns)


def _matrix(part: _Lines, columns: tuple[str, ...]) -> Floats:
    """Slopes ``(K, P)``; a covariate that the file does not have has slope 0."""
    zero = np.zeros(part.comp_id.size)
    slopes = [part.slopes.get(name, zero) for name in columns]
    return np.stack(slopes, axis=1) if slopes else np.zeros((zero.size, 0))


def _centre(columns: tuple[str, ...], centre: Mapping[str, float] | None, folder: str) -> Floats:
    given = {} if centre is None else centre
    missing = [name for name in columns if not np.isfinite(given.get(name, np.nan))]
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} covariate(s) have slopes but no centre: {first(missing)}.",
            "state the value in minutes that a missing covariate takes, for instance its mean in "
            "the RT table of the library (covariate_centre); 0 would be no average.",
        )
    return np.array([given[name] for name in columns], dtype=np.float64)


def _hierarchy(mapping: _Mapping, cluster: Ints, comp_id: Ints) -> dict[str, Ints]:
    """Every species of the mapping, with every comp of its supercategory; chemistry unknown."""
    at, of = np.nonzero(mapping.species_cluster[:, None] == cluster[None, :])
    comps = np.unique(comp_id)
    return {
        "pairs": np.unique(group_keys(mapping.species[at], comp_id[of])),
        "species": mapping.species,
        "species_cluster": mapping.species_cluster,
        "comps": comps,
        "compound": np.full(comps.size, -1),
        "compound_class": np.full(comps.size, -1),
    }


def _fingerprint(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
