"""Accuracy and coverage of the retention-time models on held-out peaks, side by side in one run.

Run ``python benchmarks/quality.py``; prints tables and writes JSON. Two designs: ``sample_sets``
holds out what the product holds out, once for every seed, and averages over seeds; ``worksheets``
leaves out every worksheet in turn and pools the held-out peaks, which is nearer to a new study,
since the shipped sample sets are blocks of runs that share a worksheet. Everything is made by the
product's own steps in a lake in a temporary folder.

Numbers of one model are over the peaks that it predicts; differences are over the peaks that both
models predict. Cov is the coverage of the window that scale and df state; Win50, Win80 and Win99
are of the product's windows, which are corrected at each level for itself. A cell is a
supercategory and a bin of support in the reference model's groups, the same for all models, and
is judged with peaks of three sample sets or more.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import CAPS, first
from compassign_core.contracts.settings.libraries import Libraries, load_libraries
from compassign_core.contracts.settings.models import DEFAULT_MODEL, MODELS
from compassign_core.contracts.settings.rt import ComparisonSettings, WindowSettings
from compassign_core.pipeline.lineage import is_current
from compassign_core.pipeline.make import make
from compassign_core.pipeline.plan import steps_for
from compassign_core.rt import metrics
from compassign_core.rt.arrow import float_column
from compassign_core.rt.comparison import compare
from compassign_core.rt.coverage import coverage_interval
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.predictions import predict_table
from compassign_core.rt.training import train_kind
from compassign_core.store.atomic import write_text
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REPOSITORY = Path(__file__).resolve().parents[1]
LIBS = (100, 101, 109)
SEEDS = (42, 43, 44, 45, 46)
QUICK_MODELS = tuple(kind for kind in MODELS if kind != "supercategory_lasso")
DESIGNS = ("sample_sets", "worksheets")
SHAPE_LEVELS = (0.5, 0.8, 0.99)
LEAST_SETS = 3
"""A cell with peaks of fewer sample sets has an interval too wide to say anything."""
COMPARED = ("rmse", "mae", "crps", "width95", "cov95")
EVALUATED = ("rmse", "mae", "cov95", "width95", "crps")
WINDOWS = ("cov50", "cov80", "cov99")
"""Coverages that `evaluate` gives, of the windows as the product makes them at each level."""


# -- where the folds are made ------------------------------------------------------------------


@dataclass(frozen=True)
class Workplace(Project):
    """A project with a lake and registries of its own, on the export of another.

    Attributes
    ----------
    described : libraries as they are read here, so that a fold can change an entry.
    """

    described: Libraries

    @property
    def libraries(self) -> Libraries:
        """The libraries, not read from a file of this project."""
        return self.described

    def changed(self, lib: int, **fields: object) -> Workplace:
        """The same place, with other values in a library's entry."""
        entry = self.described.get(lib).model_copy(update=fields)
        library = {**self.described.library, lib: entry}
        described = self.described.model_copy(update={"library": library})
        return Workplace(self.root, self.data, described)


@contextmanager
def workplace(data: Path) -> Iterator[Workplace]:
    """A workplace in a temporary folder; `data` is only read, its id registries are copied."""
    with tempfile.TemporaryDirectory(prefix="compassign_quality_") as name:
        root = Path(name).resolve()
        if (data / "registry").is_dir():
            shutil.copytree(data / "registry", root / "registry")
        yield Workplace(root, root, load_libraries(data.resolve() / "libraries.toml"))


def make_current(project: Project, targets: Sequence[str], lib: int, cap: int) -> None:
    """Make targets and what they need, as far as they are not current; a refusal raises."""
    for step in steps_for(targets, [lib], [cap]):
        if not is_current(project, step.name, step.partition):
            make(project, step.name, step.partition)


# -- the folds ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fold:
    """One way to hold peaks out: its name, and the project whose library entry says so."""

    name: str
    project: Workplace


def sample_set_folds(place: Workplace, lib: int, seeds: Sequence[int]) -> list[Fold]:
    """One fold a seed, held out by the product's own rule."""
    prep = place.library(lib).prep
    return [
        Fold(f"seed {seed}", place.changed(lib, prep=prep.model_copy(update={"seed": seed})))
        for seed in seeds
    ]


def worksheet_folds(place: Workplace, lib: int, cap: int) -> list[Fold]:
    """One fold a worksheet, by split files in the temporary folder.

    Raises
    ------
    InputError
        when a sample set has peaks in two worksheets, or there is only one worksheet.
    """
    make_current(place, ["lib_training"], lib, cap)
    listed = place.lake.connection.execute(
        "SELECT DISTINCT worksheet_id, sampleset_id FROM "
        f"{place.lake.source('lib_training', Partition(lib))} ORDER BY ALL"
    ).fetchall()
    sets = [row[1] for row in listed]
    shared = sorted({s for s in sets if sets.count(s) > 1})
    worksheets = sorted({row[0] for row in listed})
    if shared or len(worksheets) < 2:
        raise InputError(
            f"library {lib}: worksheets cannot be held out; it has {len(worksheets)}, and "
            f"{len(shared)} sample set(s) are in several"
            + (f", such as {first(shared)}." if shared else "."),
            "leave --designs worksheets out for this library.",
        )
    return [_worksheet_fold(place, lib, worksheet, listed) for worksheet in worksheets]


def _worksheet_fold(
    place: Workplace, lib: int, worksheet: int, listed: Sequence[tuple[int, int]]
) -> Fold:
    path = place.root / f"split_lib{lib}_{worksheet}.csv"
    folds = [f"{row[1]},{'test' if row[0] == worksheet else 'train'}" for row in listed]
    write_text(path, "\n".join(["sample_set_id,fold", *folds]) + "\n")
    split = Path(os.path.relpath(path, place.described.folder)).as_posix()
    return Fold(f"worksheet {worksheet}", place.changed(lib, split=split))


def predict_fold(
    fold: Fold, lib: int, cap: int, kinds: Sequence[str]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Train every kind on a fold and predict its held-out peaks.

    Returns
    -------
    tables, seconds : predictions by kind, all in one order of rows; CPU seconds of training.
    """
    project, partition = fold.project, Partition(lib, cap)
    make_current(project, ["rt_table", "realtest_table", "chem_descriptors"], lib, cap)
    lake = project.lake
    embeddings = lake.arrow("chem_descriptors", Partition())
    test = lake.source("realtest_table", Partition(lib))
    tables, seconds = {}, {}
    for kind in kinds:
        begin = time.process_time()
        model = train_kind(
            kind,
            lake.source("rt_table", partition),
            WindowSettings(),
            lake.connection,
            fingerprint=f"lib {lib}, cap {cap}, {fold.name}",
            embeddings=embeddings,
        )
        seconds[kind] = time.process_time() - begin
        tables[kind] = predict_table(test, model, lake.connection)
    return tables, seconds


# -- one model on all parts --------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """Held-out peaks of all parts, one after another; what does not depend on the model.

    A part is what one number is computed on before numbers are averaged: the peaks of one seed, or
    those of all worksheets.

    Attributes
    ----------
    part : position of the part, ``(n,)``.
    sampleset, run : codes of the units, ``(n,)``.
    cell : code of (supercategory, support bin), support counted by the reference model, ``(n,)``.
    """

    part: Ints
    sampleset: Ints
    run: Ints
    cell: Ints

    @classmethod
    def of(cls, parts: Sequence[Any]) -> Held:
        """From the reference model's predictions, by part."""
        table = pa.concat_tables(parts)
        bins = pc.index_in(table["support_bin"], value_set=pa.array(SUPPORT_BINS))
        return cls(
            np.repeat(np.arange(len(parts)), [part.num_rows for part in parts]),
            _codes(table["sampleset_id"]),
            _codes(table["sampleset_id"], table["worksheet_id"], table["task_id"]),
            _codes(table["species_cluster"], bins),
        )


def _codes(*columns: Any) -> Ints:
    values = np.column_stack([np.asarray(column.to_numpy(), dtype=np.int64) for column in columns])
    _, code = np.unique(values, axis=0, return_inverse=True)
    return np.asarray(code, dtype=np.int64).ravel()


def measure_model(parts: Sequence[Any], held: Held) -> dict[str, Any]:
    """Metrics of one model: those of `evaluate` averaged over parts, and coverage in detail."""
    overall = [row for part in parts for row in overall_rows(part)]
    found: dict[str, Any] = {
        "n_rows": sum(row["n_rows"] for row in overall),
        "n_unscored": sum(row["n_unscored"] for row in overall),
        **{name: _mean([row[name] for row in overall]) for name in EVALUATED},
        **{f"windows_{name}": _mean([row[name] for row in overall]) for name in WINDOWS},
    }
    table = pa.concat_tables(parts)
    error = np.abs(float_column(table, "rt") - float_column(table, "rt_predicted"))
    scale, df = float_column(table, "scale"), float_column(table, "df")
    scored = np.asarray(table["scored"].to_numpy()).astype(bool)
    use = scored & np.isfinite(error) & (scale > 0) & ~np.isnan(df)
    error, scale, df, part = error[use], scale[use], df[use], held.part[use]
    if not part.size:
        return found
    n_parts = np.unique(part).size
    # The weights give each part the same say, as averaging over parts does.
    weight = 1.0 / (n_parts * np.bincount(part)[part])
    for level in SHAPE_LEVELS:
        within = error <= metrics.half_width(scale, df, level)
        found[f"cov{100 * level:.0f}"] = float(weight @ within)
    half = metrics.half_width(scale, df, 0.95)
    found["width95_median"] = _mean(
        [float(np.median(2.0 * half[part == p])) for p in np.unique(part)]
    )
    inside = (error <= half).astype(np.float64)
    one = np.zeros_like(part)
    sets, cells = held.sampleset[use], held.cell[use]
    for name, unit in (("sampleset", sets), ("run", held.run[use])):
        whole = coverage_interval(inside, weight, one, unit, 1)
        found[f"cov95_by_{name}"] = {
            "low": float(whole.low[0]),
            "high": float(whole.high[0]),
            "n_units": int(whole.units[0]),
            "trials": float(whole.trials[0]),
            **_cells(inside, weight, cells, unit, sets, float(whole.trials[0]) / part.size),
        }
    return found


def _cells(
    inside: Floats, weight: Floats, cell: Ints, unit: Ints, sets: Ints, trials_a_peak: float
) -> dict[str, Any]:
    """Cells with enough sample sets, and the share whose coverage may well be .95."""
    n_cells = int(cell.max()) + 1
    found = coverage_interval(inside, weight, cell, unit, n_cells, trials_a_peak)
    pairs = np.unique(np.column_stack([cell, sets]), axis=0)
    judged = np.bincount(pairs[:, 0], minlength=n_cells) >= LEAST_SETS
    good = judged & (found.low <= 0.95) & (found.high >= 0.95)
    return {
        "cells": int(np.unique(cell).size),
        "cells_judged": int(judged.sum()),
        "cells_with_95": float(good.sum() / judged.sum()) if judged.any() else None,
    }


def overall_rows(predictions: Any) -> list[dict[str, Any]]:
    """What `evaluate` says of each model over all its rows."""
    rows: list[dict[str, Any]] = evaluate(predictions).to_pylist()
    return [row for row in rows if row["slice"] == "overall"]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# -- differences -------------------------------------------------------------------------------


def paired_differences(parts: Sequence[Any], reference: str) -> list[dict[str, Any]]:
    """The reference minus each other model over all parts, resampled by sample set.

    `compare` gives model minus baseline with the reference as baseline; signs are turned here. A
    sample set held out by several seeds is one unit, with all its peaks of every seed.
    """
    # A peak held out twice must not have one key, since models are paired by key.
    shifted = [
        part.set_column(
            part.column_names.index("task_id"),
            "task_id",
            pc.add(part["task_id"], pa.scalar(i << 40, pa.int64())),
        )
        for i, part in enumerate(parts)
    ]
    compared = compare(pa.concat_tables(shifted), ComparisonSettings(baselines=(reference,)))
    return [
        {
            "model": reference,
            "minus": row["model"],
            "slice": row["slice"],
            "level": row["level"],
            "metric": row["metric"],
            "n_rows": row["n_rows"],
            "n_sample_sets": row["n_units"],
            "model_value": row["baseline_value"],
            "other_value": row["model_value"],
            "difference": -row["difference"],
            "low": -row["high"],
            "high": -row["low"],
        }
        for row in compared.to_pylist()
        if row["metric"] in COMPARED
    ]


# -- one study ---------------------------------------------------------------------------------


def study(
    place: Workplace,
    design: str,
    lib: int,
    cap: int,
    kinds: Sequence[str],
    seeds: Sequence[int] = SEEDS,
) -> dict[str, Any]:
    """All kinds on one library and cap by one design; what the JSON file holds of it."""
    begin = time.perf_counter()
    by_seed = design == "sample_sets"
    folds = sample_set_folds(place, lib, seeds) if by_seed else worksheet_folds(place, lib, cap)
    tables, spent = [], []
    for fold in folds:
        table, seconds = predict_fold(fold, lib, cap, kinds)
        tables.append(table)
        spent.append(seconds)
    # Worksheets are pooled to one part; each seed is a part of its own.
    parts = tables if by_seed else [{k: pa.concat_tables([t[k] for t in tables]) for k in kinds}]
    reference = DEFAULT_MODEL if DEFAULT_MODEL in kinds else kinds[0]
    held = Held.of([part[reference] for part in parts])
    return {
        "design": design,
        "lib": lib,
        "cap": cap,
        "n_sample_sets": int(held.sampleset.max()) + 1,
        "n_runs": int(held.run.max()) + 1,
        "models": [
            {
                "model": kind,
                **measure_model([part[kind] for part in parts], held),
                "training_cpu_seconds": sum(s[kind] for s in spent) / len(spent),
            }
            for kind in kinds
        ],
        "differences": paired_differences(
            [pa.concat_tables(list(part.values())) for part in parts], reference
        ),
        "folds": [
            {"fold": fold.name, **{k: row[k] for k in ("model", "n_rows", *EVALUATED)}}
            for fold, table in zip(folds, tables, strict=True)
            for row in overall_rows(pa.concat_tables(list(table.values())))
        ],
        "seconds": time.perf_counter() - begin,
    }


# -- what people read --------------------------------------------------------------------------

_TITLES = {
    "sample_sets": "held-out sample sets, averaged over seeds",
    "worksheets": "every worksheet left out in turn, pooled",
}


def as_text(result: Mapping[str, Any]) -> str:
    """A study as tables; retention times in minutes."""
    names = list(dict.fromkeys(fold["fold"] for fold in result["folds"]))
    lines = [
        "",
        f"Library {result['lib']}, cap {result['cap']}: {_TITLES[result['design']]}. "
        f"{result['n_sample_sets']} sample sets, {result['n_runs']} runs; {', '.join(names)}.",
        f"{'model':29}{'rows':>7}{'no pred':>8}{'RMSE':>9}{'MAE':>9}{'Cov50':>7}{'Cov80':>7}"
        f"{'Cov95':>7} {'[by sample set]':15}{'Cov99':>7}{'Win50':>7}{'Win80':>7}{'Win99':>7}"
        f"{'Width95':>9}{'median':>8}"
        f"{'CRPS':>9}{'cells':>7}{'.95 in':>8}{'by run':>8}{'CPU s':>7}",
    ]
    lines += [_model_line(row) for row in result["models"]]
    lines += ["", f"{'difference [95 % by sample set]':29}"]
    lines += _difference_lines(result["differences"])
    lines += ["", f"{'fold':18}{'model':29}{'rows':>7}{'RMSE':>9}{'Cov95':>8}{'Width95':>9}"]
    lines += [
        f"{row['fold']:18}{row['model']:29}{row['n_rows']:7,}{_number(row['rmse'], 9, 5)}"
        f"{_number(row['cov95'], 8, 3)}{_number(row['width95'], 9, 4)}"
        for row in result["folds"]
    ]
    return "\n".join(lines)


def _model_line(row: Mapping[str, Any]) -> str:
    sets, runs = row.get("cov95_by_sampleset", {}), row.get("cov95_by_run", {})
    between = f"[{sets['low']:.3f}, {sets['high']:.3f}]" if sets else ""
    cells = f"{sets['cells_judged']}/{sets['cells']}" if sets else ""
    return (
        f"{row['model']:29}{row['n_rows']:7,}{row['n_unscored']:8,}"
        f"{_number(row['rmse'], 9, 5)}{_number(row['mae'], 9, 5)}"
        f"{_number(row.get('cov50'), 7, 3)}{_number(row.get('cov80'), 7, 3)}"
        f"{_number(row['cov95'], 7, 3)} {between:15}{_number(row.get('cov99'), 7, 3)}"
        f"{''.join(_number(row[f'windows_{name}'], 7, 3) for name in WINDOWS)}"
        f"{_number(row['width95'], 9, 4)}{_number(row.get('width95_median'), 8, 4)}"
        f"{_number(row['crps'], 9, 5)}{cells:>7}"
        f"{_number(sets.get('cells_with_95'), 8, 2)}{_number(runs.get('cells_with_95'), 8, 2)}"
        f"{row['training_cpu_seconds']:7.1f}"
    )


def _difference_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for other in dict.fromkeys(row["minus"] for row in rows):
        chosen = {
            row["metric"]: row
            for row in rows
            if row["minus"] == other and row["slice"] == "overall"
        }
        lines.append(f"{chosen['rmse']['model']} - {other}:")
        lines += [
            f"  {metric:9}{row['difference']:+.5f} [{row['low']:+.5f}, {row['high']:+.5f}]"
            for metric, row in ((m, chosen[m]) for m in COMPARED if m in chosen)
        ]
    return lines


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'–':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def _plain(value: Any) -> Any:
    """The same value for JSON, which has no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libs", type=int, nargs="+", default=list(LIBS))
    parser.add_argument("--cap", type=int, nargs="+", choices=CAPS, default=[100])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(QUICK_MODELS))
    parser.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    parser.add_argument("--data", type=Path, default=REPOSITORY / "data")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "benchmarks/results/quality.json")
    options = parser.parse_args(arguments)
    kinds = list(dict.fromkeys(options.models))
    results: list[dict[str, Any]] = []
    asked = {"seeds": options.seeds, "models": kinds}
    # One BLAS thread, as in training by the product: small batched algebra is slower on more.
    with workplace(options.data) as place, threadpool_limits(1):
        for lib in options.libs:
            for cap in options.cap:
                for design in options.designs:
                    results.append(study(place, design, lib, cap, kinds, options.seeds))
                    print(as_text(results[-1]), flush=True)
                    # Written after every study, so that a run cut short leaves what it found.
                    text = json.dumps(_plain({**asked, "results": results}), indent=2)
                    write_text(options.json, text + "\n")


if __name__ == "__main__":
    main()
