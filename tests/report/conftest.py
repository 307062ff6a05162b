"""Small, realistic inputs of a report: three models, four species, two supercategories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import t as student

from compassign_core.contracts.catalogue import (
    RT_COMPARISON,
    RT_DIAGNOSTICS,
    RT_EVALUATION,
    RT_PIT,
    RT_PREDICTIONS,
    RT_WINDOWS,
    SUPPORT_BIN_EDGES,
    SUPPORT_BINS,
)
from compassign_core.contracts.settings.rt import ComparisonSettings
from compassign_core.contracts.tables import TableContract
from compassign_core.report.held_out import HeldOut, sum_up
from compassign_core.report.inputs import (
    SPECIES_EFFECTS,
    Grouping,
    ModelCard,
    ReportInputs,
    ScalesCard,
    StepCount,
)
from compassign_core.rt.comparison import compare
from compassign_core.rt.evaluation import evaluate
from compassign_core.rt.pit import pit_histogram

MODELS = {"lasso": 1.3, "partial_pooling": 1.0, "sklearn_ridge": 1.15}
SPECIES = ("human plasma", "human plasma (ltr reference)", "nist <srm> & co", "human platelets")
CLUSTER = np.array([0, 0, 0, 1])
N_COMPS, N_RUNS, DF, SCALE = 40, 60, 8.0, 0.010
ARROW = {
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
}


def typed(contract: TableContract, columns: dict[str, Any]) -> pa.Table:
    """A table with the columns and types of a contract; a nullable one not given is all null."""
    n = len(next(iter(columns.values())))
    absent = {c.name: [None] * n for c in contract.columns if c.nullable}
    given = {**absent, **columns}
    return pa.table(
        {c.name: pa.array(given[c.name], ARROW[c.type], from_pandas=True) for c in contract.columns}
    )


def empty(contract: TableContract) -> pa.Table:
    """A table of a contract with no rows."""
    return typed(contract, {column.name: [] for column in contract.columns})


def support_bin(n_train: np.ndarray) -> np.ndarray:
    """The bin of each support."""
    return np.array(SUPPORT_BINS)[np.searchsorted(SUPPORT_BIN_EDGES, n_train)]


def make_runs(n_runs: int = N_RUNS, n_standards: int = 6, seed: int = 0) -> pa.Table:
    """Runs of three worksheets whose standards drift together; some are missing."""
    rng = np.random.default_rng(seed)
    i = np.arange(n_runs)
    worksheet = 10_000 + i * 3 // n_runs
    drift = 0.02 * np.sin(i / 9) + 0.03 * (worksheet - 10_001)
    columns: dict[str, Any] = {
        "sampleset_id": 100_000 + i // 6,
        "worksheet_id": worksheet,
        "task_id": 500 + i,
        "run_order": pa.array((i + 1).astype(float)),
        "species_matrix_type": [SPECIES[(k // 6) % 4] for k in i],
    }
    for s in range(n_standards):
        rt = 1.5 + 2 * s + drift * (0.5 + s / n_standards) + rng.normal(0, 0.004, n_runs)
        rt[rng.random(n_runs) < (0.15 if s == 1 else 0.0)] = np.nan
        prefix = "RS" if s == n_standards - 1 else "IS"
        columns[f"{prefix}_{chr(65 + s % 26)}_{s}_d7"] = pa.array(rt, from_pandas=True)
    return pa.table(columns)


def make_predictions(runs: pa.Table, seed: int = 1) -> pa.Table:
    """Every third sample set held out; Student-t residuals, one model exactly calibrated."""
    rng = np.random.default_rng(seed)
    held = np.flatnonzero(np.arange(runs.num_rows) // 6 % 3 == 1)
    run = np.repeat(held, N_COMPS)
    comp = np.tile(np.arange(N_COMPS), len(held))
    species = run // 6 % 4
    n_train = np.array([0, 1, 2, 4, 8, 15, 30, 80, 200, 5])[comp % 10]
    novelty = np.where(n_train > 0, "seen", np.where(comp < 20, "unseen_pair", "unseen_compound"))
    rt = 1.0 + 0.3 * comp + rng.normal(0, 0.01, len(comp))
    scale = SCALE * (1 + 2 / np.sqrt(1 + n_train))
    noise = rng.standard_t(DF, len(comp))
    parts = []
    for model, width in MODELS.items():
        scored = ~((novelty == "unseen_compound") & (model == "lasso"))
        half = 2.306 * scale
        predicted = rt - width * scale * noise
        columns = {
            "model": [model] * len(comp),
            "sampleset_id": np.asarray(runs["sampleset_id"])[run],
            "worksheet_id": np.asarray(runs["worksheet_id"])[run],
            "task_id": np.asarray(runs["task_id"])[run],
            "species": species,
            "species_cluster": CLUSTER[species],
            "comp_id": comp + 7000,
            "compound": comp,
            "compound_class": comp % 3,
            "n_train": n_train,
            "support_bin": support_bin(n_train),
            "pair_support": n_train,
            "pair_support_bin": support_bin(n_train),
            "novelty": novelty,
            "scored": scored,
            "rt": rt,
            "covered": pa.array(np.abs(rt - predicted) <= half, mask=~scored),
        }
        for name, values in (
            ("rt_predicted", predicted),
            ("scale", scale),
            ("df", np.full(len(comp), DF)),
            ("rt_low", predicted - half),
            ("rt_high", predicted + half),
            *((f"half_width_{p}", student.ppf(0.5 + p / 200, DF) * scale) for p in (50, 80, 99)),
        ):
            columns[name] = np.where(scored, values, np.nan)
        parts.append(typed(RT_PREDICTIONS, columns))
    return pa.concat_tables(parts)


def summed(predictions: pa.Table, model: str) -> HeldOut:
    """What a report reads of predictions."""
    connection = duckdb.connect()
    connection.register("judged", predictions)
    return sum_up(connection, "judged", model)


def make_diagnostics() -> pa.Table:
    """Numbers on two fits: all well with the default model's, one doubtful of the lasso."""
    rows: list[tuple[Any, ...]] = [
        ("partial_pooling", "map", "gradient_norm", "all", 0.01, "ok", "It stands at its mode."),
        ("partial_pooling", "map", "evaluations", "all", 30.0, "info", "Evaluations: 30."),
        ("lasso", "coordinate descent", "unconverged_share", "all", 0.4, "warn", "40% stopped."),
    ]
    for name, value, spread in zip(SCALES.names, SCALES.values, SPREADS, strict=True):
        rows.append(("partial_pooling", "map", "estimate", name, value, "info", f"{name}."))
        rows.append(("partial_pooling", "map", "log_sd", name, spread, "info", f"{name} known."))
    columns = zip(RT_DIAGNOSTICS.columns, zip(*rows, strict=True), strict=True)
    return typed(RT_DIAGNOSTICS, {column.name: values for column, values in columns})


def make_windows(n_comps: int = N_COMPS) -> pa.Table:
    """Windows of every species and compound; compounds divisible by ten have none."""
    parts = []
    comp = np.tile(np.arange(n_comps), 4)
    species = np.repeat(np.arange(4), n_comps)
    n_train = (comp * 7 + species) % 130
    scored = comp % 10 != 0
    centre, half = 1.0 + 0.3 * comp, 0.02 + 0.05 / np.sqrt(1 + n_train)
    for model in MODELS:
        columns = {
            "model": [model] * len(comp),
            "species": species,
            "species_cluster": CLUSTER[species],
            "species_raw": np.array(SPECIES)[species],
            "comp_id": comp + 7000,
            "compound": comp,
            "compound_class": comp % 3,
            "n_train": n_train,
            "support_bin": support_bin(n_train),
            "novelty": np.where(n_train > 0, "seen", "unseen_pair"),
            "scored": scored,
            "coverage": np.full(len(comp), 0.95),
        }
        for name, values in (
            ("rt_predicted", centre),
            ("rt_low", centre - half),
            ("rt_high", centre + half),
            ("width", 2 * half),
        ):
            columns[name] = np.where(scored, values, np.nan)
        parts.append(typed(RT_WINDOWS, columns))
    return pa.concat_tables(parts)


def make_effects() -> pa.Table:
    """Three species pooled to a third of their own deviation, and one that is alone."""
    own = np.array([0.03, -0.006, -0.012, 0.009])
    return pa.table(
        {
            "model": ["partial_pooling"] * 4,
            "species": pa.array(range(4), pa.int64()),
            "species_cluster": pa.array(CLUSTER, pa.int64()),
            "n_train": pa.array([100, 2000, 900, 400], pa.int64()),
            "n_groups": pa.array([40, 40, 39, 12], pa.int64()),
            "raw": [0.04, -0.01, -0.01, None],
            "adjusted": own,
            "posterior": own / 3,
        },
        schema=SPECIES_EFFECTS,
    )


SCALES = ScalesCard(
    names=["slope", "tau_b", "tau_comp", "tau_mu_super", "tau_mu[0]", "tau_mu[1]"],
    values=[0.1, 0.007, 0.6, 0.3, 0.001, 0.38],
    priors=[0.5] * 6,
    supercategories=[0, 1],
    noise="per_compound_and_group",
    noise_sd=0.0083,
    noise_scales=[0.0074, 0.49],
    noise_df=[1.25, 1.36],
)


SPREADS = (0.1, 0.05, 0.2, 0.9, None, 7.0)
"""How well the logarithms of these scales are known; of one nothing, of one less than before."""

GROUPING = Grouping("sklearn_ridge", "lasso", "partial_pooling")


@pytest.fixture(scope="session")
def predictions() -> pa.Table:
    """The predictions behind the report."""
    return make_predictions(make_runs())


@pytest.fixture(scope="session")
def inputs(predictions: pa.Table) -> ReportInputs:
    """The inputs of one ordinary report."""
    runs = make_runs()
    card = ModelCard("Slopes shared between groups.", 12.5, 4.0, 0.0098, 120, 4321, ["IS_A_0_d7"])
    return ReportInputs(
        lib=100,
        cap=5,
        title="Retention-time windows, library 100",
        held_out=summed(predictions, "partial_pooling"),
        evaluation=evaluate(predictions),
        pit=pit_histogram(predictions),
        comparison=compare(predictions, ComparisonSettings(baselines=("sklearn_ridge", "lasso"))),
        baselines=("sklearn_ridge", "lasso"),
        grouping=GROUPING,
        diagnostics=make_diagnostics(),
        windows=make_windows(),
        runs=runs,
        compounds=pa.table(
            {
                "comp_id": pa.array(range(7000, 7000 + N_COMPS), pa.int64()),
                "name": pa.array(
                    [None if i == 3 else f"PC {30 + i}:{i % 6}" for i in range(N_COMPS)]
                ),
            }
        ),
        steps=[
            StepCount("lib_training", 139_232, 101_387, {"status_not_kept": 3_000}),
            StepCount("capped_training", 101_387, 11_758, {}, {"beyond_cap_5": 89_629}),
        ],
        models={
            "partial_pooling": replace(
                card, calibrated=True, imputed={"IS_B_1_d7": 31}, scales=SCALES
            ),
            "lasso": replace(card, description="Sparse slopes.", lambda_slopes=None),
        },
        species_effects=make_effects(),
        default_model="partial_pooling",
        fingerprint="sha256:0123abcd",
    )


@pytest.fixture(scope="session")
def held_out_of() -> Callable[[pa.Table, str], HeldOut]:
    """A function that sums up predictions for a model to be shown."""
    return summed


@pytest.fixture
def without_held_out(inputs: ReportInputs) -> ReportInputs:
    """The same library with nothing held out."""
    return replace(
        inputs,
        held_out=summed(empty(RT_PREDICTIONS), "partial_pooling"),
        evaluation=empty(RT_EVALUATION),
        pit=empty(RT_PIT),
        comparison=empty(RT_COMPARISON),
    )


@pytest.fixture
def shuffled() -> Callable[[ReportInputs], ReportInputs]:
    """A function that brings all tables of a report into another row order."""

    def shuffle(given: ReportInputs) -> ReportInputs:
        rng = np.random.default_rng(5)
        names = ("evaluation", "pit", "comparison", "diagnostics", "windows", "runs", "compounds")
        every = (*names, "species_effects")
        tables = {name: getattr(given, name) for name in every}
        mixed = {n: t.take(rng.permutation(t.num_rows)) for n, t in tables.items()}
        held = given.held_out.runs
        runs = held.take(rng.permutation(held.num_rows))
        return replace(given, held_out=replace(given.held_out, runs=runs), **mixed)

    return shuffle
