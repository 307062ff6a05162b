"""What a report page is made from: tables of models that were judged, and facts of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project

if TYPE_CHECKING:
    from compassign_core.report.inputs import ReportInputs
    from compassign_core.rt.model import Model


TOGETHER, APART = "supercategory_ridge", "species_ridge"
"""One group per supercategory, and one per species with nothing shared: with the model shown, the
three ways to group that the page holds against each other."""


def report_inputs(
    project: Project,
    partition: Partition,
    *,
    models: Mapping[str, Model],
    descriptions: Mapping[str, str],
    shown: str,
    baselines: Sequence[str],
    predictions: TableSource,
    evaluation: pa.Table,
    pit: pa.Table,
    comparison: pa.Table,
    diagnostics: pa.Table,
    windows: pa.Table,
    trained_on: Mapping[str, TableSource],
    lib_training: TableSource,
    run_covariates: TableSource,
    library_compounds: pa.Table,
) -> ReportInputs:
    """Everything on the page of a library and cap.

    Parameters
    ----------
    project, partition : of which lake, library and cap.
    models, descriptions : the models on the page by name, and a sentence on each.
    shown : the model whose windows, scales and residuals are shown.
    baselines : the models that the page compares with; the comparison may have more.
    predictions : SQL text of the predictions of these models; only sums of them are read.
    evaluation, pit, comparison, diagnostics, windows : tables of these models.
    trained_on : the rows that each model was trained on.
    lib_training, run_covariates, library_compounds : the tables of the lake.
    """
    from compassign_core.report.gather import model_card, runs, step_counts
    from compassign_core.report.held_out import sum_up
    from compassign_core.report.hierarchy import species_effects
    from compassign_core.report.inputs import Grouping, ReportInputs

    lake = project.lake
    return ReportInputs(
        lib=partition.lib or 0,
        cap=partition.cap or 0,
        title=project.library(partition.lib or 0).title,
        held_out=sum_up(lake.connection, predictions, shown),
        evaluation=evaluation,
        pit=pit,
        comparison=comparison,
        baselines=baselines,
        grouping=Grouping(TOGETHER, APART, shown),
        diagnostics=diagnostics,
        windows=windows,
        runs=runs(lake, lib_training, run_covariates),
        compounds=library_compounds.select(["comp_id", "name"]),
        steps=step_counts(lake, partition),
        models={name: model_card(model, descriptions[name]) for name, model in models.items()},
        species_effects=pa.concat_tables(
            [
                species_effects(model, trained_on[name], lake.connection)
                for name, model in models.items()
            ]
        ),
        default_model=shown,
        fingerprint=models[shown].fingerprint,
    )
