"""Models: coefficient summaries, one artifact per model kind.

Here belongs the fitting of models; what is said about them on held-out data stands in
`evaluation`. Kinds are settings objects, so that a new kind of a known family is a new entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from compassign_core.contracts.settings.limits import TrainingLimits
from compassign_core.contracts.settings.models import MODELS, ModelKind, ModelSettings
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.pipeline.artifacts import ARTIFACTS, FileResult, file_artifact
from compassign_core.pipeline.lineage import checksums
from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project

if TYPE_CHECKING:
    from compassign_core.rt.model import Model

COEFFICIENTS_FILE = "coefficients.npz"
WINDOWS = WindowSettings()


def coefficients_name(kind: str) -> str:
    """Artifact name of a model kind's coefficient summaries."""
    return f"{kind}_coefficients"


def fit(
    project: Project,
    settings: ModelSettings,
    rt_table: str,
    embeddings: pa.Table | None,
    *,
    model: str,
    fingerprint: str,
    windows: WindowSettings = WINDOWS,
    limits: TrainingLimits | None = None,
) -> Model:
    """Train one model, as `rt.training.train_model`, on the engine of the project."""
    from threadpoolctl import threadpool_limits

    from compassign_core.rt.training import train_model

    # One BLAS thread: small batched algebra is slower and not bit-stable on more.
    with threadpool_limits(1):
        return train_model(
            settings,
            rt_table,
            windows,
            project.lake.connection,
            model=model,
            fingerprint=fingerprint,
            embeddings=embeddings,
            limits=limits,
        )


def _train(
    kind: str, project: Project, partition: Partition, rt_table: str, embeddings: pa.Table | None
) -> FileResult:
    from compassign_core.report.gather import model_facts

    settings = MODELS[kind].settings
    upstream = checksums(project, ARTIFACTS[coefficients_name(kind)].upstream, partition)
    model = fit(project, settings, rt_table, embeddings, model=kind, fingerprint=str(upstream))
    return FileResult(
        model.save,
        {**model_facts(model), "settings": settings.model_dump(mode="json")},
        f"{model.n_groups:,} groups",
    )


def _declare(kind: str, model: ModelKind) -> None:
    """Declare the coefficient summaries of one model kind."""
    settings = model.settings

    def inputs(_project: Project, _partition: Partition) -> Mapping[str, str]:
        return {"model": settings.fingerprint(), "windows": WINDOWS.fingerprint()}

    declared = file_artifact(
        name=coefficients_name(kind),
        file=COEFFICIENTS_FILE,
        dimensions=("lib_id", "row_cap"),
        group="models",
        packages=("rt",),
        kinds={"numpy", "scipy"},
        inputs=inputs,
        description=(
            f"{model.description} Coefficient summaries per ({settings.group_col}, comp) with the "
            "half widths of their windows; they score in production without a sampler."
        ),
        pool="train",
    )
    if isinstance(settings, PoolingSettings) and settings.chemistry:

        @declared
        def train_with_chemistry(
            project: Project,
            partition: Partition,
            rt_table: TableSource,
            chem_descriptors: pa.Table,
        ) -> FileResult:
            return _train(kind, project, partition, rt_table, chem_descriptors)

    else:

        @declared
        def train(project: Project, partition: Partition, rt_table: TableSource) -> FileResult:
            return _train(kind, project, partition, rt_table, None)


for _kind, _model in MODELS.items():
    _declare(_kind, _model)
