"""What a report is made from, checked once at the door.

Here belong the input objects and their check; the numbers drawn from them are in `summaries`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from compassign_core.contracts.catalogue import (
    RT_COMPARISON,
    RT_DIAGNOSTICS,
    RT_EVALUATION,
    RT_PIT,
    RT_WINDOWS,
)
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import RUN_KEY
from compassign_core.contracts.rejects import BY_RULE
from compassign_core.contracts.tables import TableContract, is_covariate
from compassign_core.report.held_out import RUN_RESIDUALS, HeldOut

RUN_COLUMNS = ("sampleset_id", "worksheet_id", "task_id", "run_order", "species_matrix_type")
"""Columns of the runs table before its covariates."""

SPECIES_EFFECTS = pa.schema(
    [
        ("model", pa.string()),
        ("species", pa.int64()),
        ("species_cluster", pa.int64()),
        ("n_train", pa.int64()),
        ("n_groups", pa.int64()),
        ("raw", pa.float64()),
        ("adjusted", pa.float64()),
        ("posterior", pa.float64()),
    ]
)
"""Mean intercepts of species in minutes by hierarchical model, relative to the supercategory.

raw: mean of RT less the compound's mean, less the same of all rows of the supercategory; null when
the supercategory has no other species. adjusted: mean of RT less the model's compound effect and
covariates, less the supercategory's mean intercept. posterior: mean intercept of the model.
"""

_RUN_ORDER = ("worksheet_id", "run_order", "sampleset_id", "task_id", "species_matrix_type")
_COMPOUND_COLUMNS = ("comp_id", "name")


@dataclass(frozen=True)
class StepCount:
    """What one preparation step did.

    Attributes
    ----------
    step : name of the table that the step makes.
    rows_in, rows_out : rows read and rows that went on.
    rejects : rows refused, by reason.
    set_aside : rows that do not go on by design (held out, beyond the cap), by reason.
    """

    step: str
    rows_in: int
    rows_out: int
    rejects: Mapping[str, int] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_rejected(self) -> int:
        """Rows refused for any reason."""
        return sum(self.rejects.values())

    @property
    def faulty(self) -> dict[str, int]:
        """Rows refused for a fault, by reason; the lab's own curation rules are none."""
        return {reason: n for reason, n in self.rejects.items() if reason not in BY_RULE}


@dataclass(frozen=True)
class ScalesCard:
    """The fitted scales of a hierarchical model, and its noise.

    Attributes
    ----------
    names : of the ``V`` scales, as in the artifact; ``tau_mu[i]`` is of supercategory i.
    values, priors : fitted standard deviations and scales of their HalfNormal priors, ``V`` each.
    supercategories : ids that the i of a name counts.
    noise : ``global``, ``per_compound`` or ``per_compound_and_group``.
    noise_sd : median noise standard deviation of the groups, minutes.
    noise_scales : scale of each level of the noise prior as a standard deviation: that of compounds
        in minutes, that of groups relative to their compound.
    noise_df : degrees of freedom of these levels.
    """

    names: Sequence[str]
    values: Sequence[float]
    priors: Sequence[float]
    supercategories: Sequence[int]
    noise: str
    noise_sd: float
    noise_scales: Sequence[float]
    noise_df: Sequence[float]


@dataclass(frozen=True)
class ModelCard:
    """What a reader should know about one fitted model.

    Attributes
    ----------
    description : one sentence on what the model is.
    lambda_slopes : precision of the slopes relative to the noise, None when it has none.
    noise_df0 : degrees of freedom of the noise prior, None when it has none.
    noise_scale0 : scale of the noise prior, in minutes, None when it has none.
    n_groups, n_rows : groups with coefficients, and rows trained on.
    features : covariates used.
    imputed : number of values imputed, by covariate.
    calibrated : whether the windows were conformally corrected.
    scales : the fitted scales, None when the model is no hierarchy.
    """

    description: str
    lambda_slopes: float | None
    noise_df0: float | None
    noise_scale0: float | None
    n_groups: int
    n_rows: int
    features: Sequence[str] = ()
    imputed: Mapping[str, float] = field(default_factory=dict)
    calibrated: bool = False
    scales: ScalesCard | None = None


@dataclass(frozen=True)
class Grouping:
    """The models that group in three ways; what they differ in is who shares with whom.

    Attributes
    ----------
    together : one group per supercategory.
    apart : one group per species, nothing shared.
    pooled : one group per species, pooled.
    """

    together: str
    apart: str
    pooled: str


@dataclass(frozen=True)
class ReportInputs:
    """Everything on the page of one (library, cap); tables have the columns of their contracts.

    Attributes
    ----------
    lib, cap : the partition.
    title : heading of the page.
    held_out : what `held_out.sum_up` says of the predictions.
    evaluation : `RT_EVALUATION`.
    pit : `RT_PIT`.
    comparison : `RT_COMPARISON`; may have no rows.
    baselines : the models of its column `baseline` that all others are shown against, in order.
    grouping : the three ways to group, which the comparison holds against each other.
    diagnostics : `RT_DIAGNOSTICS`.
    windows : `RT_WINDOWS`; only those of `default_model` are embedded in the page.
    runs : one row per run: `RUN_COLUMNS`, then covariates in minutes, nullable.
    compounds : comp_id and name (nullable); may have no rows.
    steps : what the preparation did, in order.
    models : model card by model.
    species_effects : `SPECIES_EFFECTS` of all hierarchical models.
    default_model : the model whose windows and residuals are shown.
    fingerprint : identifies data and settings behind the report.
    """

    lib: int
    cap: int
    title: str
    held_out: HeldOut
    evaluation: pa.Table
    pit: pa.Table
    comparison: pa.Table
    baselines: Sequence[str]
    grouping: Grouping
    diagnostics: pa.Table
    windows: pa.Table
    runs: pa.Table
    compounds: pa.Table
    steps: Sequence[StepCount]
    models: Mapping[str, ModelCard]
    species_effects: pa.Table
    default_model: str
    fingerprint: str


def in_order(inputs: ReportInputs) -> ReportInputs:
    """Return the same inputs with every table checked and in its fixed row order.

    A page then does not depend on the row order of what it was made from.

    Raises
    ------
    InputError
        when a table lacks a column or the default model has neither card nor evaluation.
    """
    known = sorted({*inputs.models, *inputs.evaluation.column("model").to_pylist()})
    if inputs.default_model not in known:
        raise InputError(
            f"the report's default model {inputs.default_model!r} has no model card and no "
            f"evaluation.",
            f"choose one of {', '.join(known) or 'the models that were trained'}.",
        )
    return replace(
        inputs,
        held_out=replace(
            inputs.held_out,
            runs=_ordered(
                inputs.held_out.runs, "runs held out", RUN_RESIDUALS.names, ("model", *RUN_KEY)
            ),
        ),
        evaluation=_as_contract(inputs.evaluation, "evaluation", RT_EVALUATION),
        pit=_as_contract(inputs.pit, "probability transforms", RT_PIT),
        comparison=_as_contract(inputs.comparison, "comparison", RT_COMPARISON),
        diagnostics=_as_contract(inputs.diagnostics, "diagnostics", RT_DIAGNOSTICS),
        species_effects=_ordered(
            inputs.species_effects, "species effects", SPECIES_EFFECTS.names, ("model", "species")
        ),
        windows=_as_contract(inputs.windows, "windows", RT_WINDOWS),
        runs=ordered_runs(inputs.runs),
        compounds=_ordered(inputs.compounds, "compounds", _COMPOUND_COLUMNS, _COMPOUND_COLUMNS),
    )


def ordered_runs(runs: pa.Table) -> pa.Table:
    """Sort runs by worksheet, then by their place in the sequence (unknown places last)."""
    return _ordered(runs, "runs", RUN_COLUMNS, _RUN_ORDER)


def standards_of(runs: pa.Table) -> list[str]:
    """Names of the covariate columns, sorted."""
    return sorted(name for name in runs.column_names if is_covariate(name))


def _as_contract(table: pa.Table, what: str, contract: TableContract) -> pa.Table:
    return _ordered(table, what, contract.names(), contract.order_by)


def _ordered(table: pa.Table, what: str, columns: Sequence[str], order: Sequence[str]) -> pa.Table:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise InputError(
            f"the table of {what} for the report lacks the column(s) {', '.join(missing)}.",
            "give the table with all columns of its contract, see docs/data-contracts.md.",
        )
    return table.sort_by([(name, "ascending") for name in order])
