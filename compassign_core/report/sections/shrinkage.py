"""The section on pooling: how far each species' mean intercept moved toward its supercategory."""

from __future__ import annotations

from compassign_core.report.comparisons import signed
from compassign_core.report.figures.shrinkage import NOTHING, species_shrinkage
from compassign_core.report.inputs import ReportInputs
from compassign_core.report.markup import MISSING, count, paragraph, table
from compassign_core.report.sections.embedding import figure_block
from compassign_core.report.sections.labels import level_labels


def shrinkage_section(inputs: ReportInputs) -> list[object]:
    """Show species means before and after pooling, as a figure and as a table."""
    if not inputs.species_effects.num_rows:
        return [paragraph(NOTHING, class_="nothing")]
    labels = level_labels(inputs.windows)
    figure = figure_block(
        inputs,
        "species-shrinkage",
        f"Species before and after pooling, model {inputs.default_model}",
        species_shrinkage(inputs.species_effects, labels["species"], labels["supercategory"]),
        "Each point is a species, larger with more training rows; all values are relative to its "
        "supercategory. On the dashed line a species keeps what its own rows say; on the "
        "horizontal zero it takes over its supercategory. Left, its rows as they are: drift of "
        "its runs is still in them, and a species alone in its supercategory has no place. Right, "
        "after the model's compounds and covariates: what is left is pooling. The model weighs "
        "quiet compounds more than this plain mean does, so points scatter about the line.",
    )
    rows = [
        [
            labels["species"].get(str(row["species"]), row["species"]),
            labels["supercategory"].get(str(row["species_cluster"]), row["species_cluster"]),
            count(row["n_train"]),
            count(row["n_groups"]),
            *(_signed(row[name]) for name in ("raw", "adjusted", "posterior")),
        ]
        for row in inputs.species_effects.sort_by(
            [("species_cluster", "ascending"), ("species", "ascending")]
        ).to_pylist()
    ]
    header = ["Species", "Supercategory", "Training rows", "Groups", "Own rows (min)"]
    header += ["After covariates (min)", "After pooling (min)"]
    return [figure, table(header, rows, caption="Species relative to supercategory", n_text=2)]


def _signed(value: float | None) -> str:
    return MISSING if value is None else signed(value)
