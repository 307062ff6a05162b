"""The section on pooling: how far each species' mean intercept moved toward its supercategory."""

from __future__ import annotations

from compassign_core.report.comparisons import signed
from compassign_core.report.figures.movement import species_movement
from compassign_core.report.figures.shrinkage import NOTHING, species_shrinkage
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import MISSING, count, paragraph, table
from compassign_core.report.sections.embedding import figure_block
from compassign_core.report.sections.labels import level_labels
from compassign_core.report.summaries import of_model


def shrinkage_section(inputs: ReportInputs) -> list[object]:
    """Show species means before and after pooling, as figures and as a table."""
    effects = inputs.species_effects
    if not effects.num_rows:
        return [paragraph(NOTHING, class_="nothing")]
    labels = level_labels(inputs.windows)
    own = of_model(effects, inputs.default_model)
    scatter = figure_block(
        inputs,
        "species-shrinkage",
        f"Species before and after pooling, model {inputs.default_model}",
        species_shrinkage(own, labels["species"], labels["supercategory"]),
        "Each point is a species, larger with more training rows; all values are relative to its "
        "supercategory. On the dashed line a species keeps what its own rows say; on the "
        "horizontal zero it takes over its supercategory. Left, its rows as they are: drift of "
        "its runs is still in them, and a species alone in its supercategory has no place. Right, "
        "after the model's compounds and covariates: what is left is pooling. The model weighs "
        "quiet compounds more than this plain mean does, so points scatter about the line.",
    )
    movement = figure_block(
        inputs,
        "species-movement",
        "How far each species moved, by its training rows",
        species_movement(effects, labels["species"], inputs.default_model),
        "A line leads from what a species' own rows say, after compounds and covariates of the "
        "model, to its place after pooling; zero is its supercategory. Species with few rows "
        "should move most. In a model whose slopes are pooled by compound, compounds of a species "
        "shift on their own as well, which is not drawn.",
    )
    rows = [
        [
            row["model"],
            labels["species"].get(str(row["species"]), row["species"]),
            labels["supercategory"].get(str(row["species_cluster"]), row["species_cluster"]),
            count(row["n_train"]),
            count(row["n_groups"]),
            *(_signed(row[name]) for name in ("raw", "adjusted", "posterior")),
        ]
        for row in effects.sort_by(
            [(name, "ascending") for name in ("model", "species_cluster", "species")]
        ).to_pylist()
    ]
    rows.sort(key=lambda row: row[0] != inputs.default_model)
    header = ["Model", "Species", "Supercategory", "Training rows", "Groups", "Own rows (min)"]
    header += ["After covariates (min)", "After pooling (min)"]
    caption = "Species relative to supercategory"
    return [scatter, movement, table(header, rows, caption=caption, n_text=3)]


def _signed(value: float | None) -> str:
    return MISSING if value is None else signed(value)
