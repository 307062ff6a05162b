"""Models: one asset of coefficient summaries per model kind, all made by one factory.

Here belongs the fitting of models; what is said about them on held-out data stands in
`evaluation`. Model kinds are settings objects of the core, so that a new kind is a new entry.
"""

from collections.abc import Mapping

from compassign_core.contracts.settings.rt import (
    MODEL_DESCRIPTIONS,
    MODEL_KINDS,
    RidgeSettings,
    WindowSettings,
)
from compassign_core.pipeline.artifacts import FileResult, file_artifact
from compassign_core.pipeline.lineage import expected_lineage
from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project

COEFFICIENTS_FILE = "coefficients.npz"
WINDOWS = WindowSettings()


def coefficients_name(kind: str) -> str:
    """Artifact name of a model kind's coefficient summaries."""
    return f"{kind}_coefficients"


def _declare(kind: str, settings: RidgeSettings) -> None:
    """Declare the coefficient summaries of one model kind."""
    name = coefficients_name(kind)

    def inputs(_project: Project, _partition: Partition) -> Mapping[str, str]:
        return {"model": settings.fingerprint(), "windows": WINDOWS.fingerprint()}

    @file_artifact(
        name=name,
        file=COEFFICIENTS_FILE,
        dimensions=("lib_id", "row_cap"),
        group="models",
        packages=("rt",),
        kinds={"numpy", "scipy"},
        inputs=inputs,
        description=(
            f"{MODEL_DESCRIPTIONS[kind]} Coefficient summaries: posterior means and covariances "
            f"per ({settings.group_col}, comp), with the correction of the windows; they score in "
            "production without a sampler."
        ),
        pool="train",
    )
    def train(project: Project, partition: Partition, rt_table: TableSource) -> FileResult:
        from threadpoolctl import threadpool_limits

        from compassign_core.rt.train import train_ridge

        upstream = expected_lineage(project, name, partition)["upstream"]
        # One BLAS thread: small batched algebra is slower and not bit-stable on more.
        with threadpool_limits(1):
            model = train_ridge(
                rt_table,
                settings,
                WINDOWS,
                project.lake.connection,
                model=kind,
                fingerprint=str(upstream),
            )
        return FileResult(
            model.save,
            {
                "groups": model.n_groups,
                "training rows": int(model.n_train.sum()),
                "settings": settings.model_dump(mode="json"),
                "lambda_slopes (min²)": float(model.lambda_slopes),
                "noise_df0": float(model.noise_df0),
                "noise_scale0 (min)": float(model.noise_scale0),
            },
            f"{model.n_groups:,} groups",
        )


for _kind, _settings in MODEL_KINDS.items():
    _declare(_kind, _settings)
