"""Gathering what a report needs from the lake: runs, names, step counts and model cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from compassign_core.contracts.tables import is_covariate
from compassign_core.report.hierarchy import scales_card
from compassign_core.report.inputs import ModelCard, StepCount
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.model import Model
from compassign_core.store.lake import Lake, Partition
from compassign_core.store.sql import columns_of, names
from compassign_core.store.steps import STEP_FILE, read_step

STEPS = (
    "run_covariates",
    "lib_training",
    "species_mapping",
    "fold_assignment",
    "ranked_training",
    "capped_training",
    "chemclass_training",
    "rt_table",
    "realtest_table",
)
"""Preparation steps shown in a report, in the order of the data."""


def step_counts(lake: Lake, partition: Partition) -> list[StepCount]:
    """Rows in, out and refused of every preparation step behind a library and cap."""
    counts = []
    for name in STEPS:
        for place in (partition, Partition(partition.lib)):
            path = lake.file(name, place, STEP_FILE)
            if path.is_file():
                facts = read_step(path)
                counts.append(
                    StepCount(
                        name,
                        facts["rows_in"],
                        facts["rows_out"],
                        facts["rejects"],
                        facts["set_aside"],
                    )
                )
                break
    return counts


def model_card(model: Model, description: str) -> ModelCard:
    """What a reader should know about a trained model, with a sentence on what it is."""
    facts = model_facts(model)
    return ModelCard(
        description=description,
        lambda_slopes=facts.get("slope penalty (min²)"),
        noise_df0=facts.get("noise prior, degrees of freedom"),
        noise_scale0=facts.get("noise prior, scale (min)"),
        n_groups=model.n_groups,
        n_rows=int(model.n_train.sum()),
        features=[str(name) for name in model.feature_names],
        imputed={
            str(name): int(count)
            for name, count in zip(model.covariates, model.imputed, strict=True)
            if count
        },
        calibrated=model.calibration == "calibrated",
        scales=scales_card(model) if isinstance(model, PoolingSummaries) else None,
    )


def model_facts(model: Model) -> dict[str, float]:
    """Numbers of a trained model worth showing; those that it does not have are left out."""
    facts = {"groups": float(model.n_groups), "training rows": float(model.n_train.sum())}
    if isinstance(model, PoolingSummaries):
        facts |= {
            "noise prior, scale (min)": float(np.sqrt(model.noise_scale2[0])),
            "noise prior, degrees of freedom": float(model.noise_df[0]),
            "log marginal likelihood": model.log_marginal,
            "evaluations of the marginal": float(model.evaluations),
            **{
                f"scale {name}": float(value)
                for name, value in zip(model.scale_names, model.scales, strict=True)
            },
        }
    else:
        facts |= {
            "slope penalty (min²)": float(model.lambda_slopes),
            "noise prior, scale (min)": float(model.noise_scale0),
            "noise prior, degrees of freedom": float(model.noise_df0),
            "log marginal likelihood": float(model.log_evidence),
        }
    return {name: value for name, value in facts.items() if np.isfinite(value)}


def runs(lake: Lake, lib_training: str, run_covariates: str) -> pa.Table:
    """One row per run that has a curated peak, with its place in the sequence and standards."""
    covariates = sorted(filter(is_covariate, columns_of(lake.connection, run_covariates)))
    columns = ["sampleset_id", "worksheet_id", "task_id", "run_order", "species_matrix_type"]
    return lake.connection.sql(
        f"""SELECT {names([*columns, *covariates])}
            FROM (SELECT DISTINCT {names(columns)} FROM {lib_training})
            JOIN {run_covariates} AS runs USING (sampleset_id, task_id, species_matrix_type)
            ORDER BY ALL"""
    ).to_arrow_table()


def headline(evaluation: pa.Table) -> Sequence[Mapping[str, object]]:
    """The overall row of each model, as mappings."""
    return [row for row in evaluation.to_pylist() if row["slice"] == "overall"]
