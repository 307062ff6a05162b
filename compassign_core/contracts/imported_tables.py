"""Contracts of the tables that an import makes; empty for libraries with an export."""

from __future__ import annotations

from compassign_core.contracts.tables import Column, TableContract

IMPORTED_NAMES = TableContract(
    "imported_names",
    "Names that imported results go by, with the ids that they keep.",
    ("lib_id",),
    (
        Column(
            "kind",
            "VARCHAR",
            "what the name is of",
            values=("sample_set", "worksheet", "run", "compound"),
        ),
        Column("name", "VARCHAR", "the name; of a run, with its sample set and worksheet"),
        Column("id", "BIGINT", "id in all other tables", minimum=0),
    ),
    key=("kind", "name"),
    order_by=("kind", "name"),
)

IMPORTED_PEAKS = TableContract(
    "imported_peaks",
    "Peaks of imported results, standards among them, with ids and in minutes.",
    ("lib_id",),
    (
        Column("sampleset_id", "BIGINT", "sample set: samples of one study", minimum=0),
        Column("worksheet_id", "BIGINT", "worksheet (batch) of the run", minimum=0),
        Column("task_id", "BIGINT", "task: one injection within a sample set", minimum=0),
        Column("species_matrix_type", "VARCHAR", "species label of the run"),
        Column("comp_id", "BIGINT", "library entry", nullable=True, minimum=0),
        Column("standard", "VARCHAR", "covariate that the peak gives", nullable=True),
        Column("apex_rt", "DOUBLE", "retention time of the apex as given", "min"),
        Column("area", "DOUBLE", "peak area", nullable=True),
        Column("cpd_status", "VARCHAR", "curation state", nullable=True),
        Column("has_status", "BOOLEAN", "whether the file has a column of curation states"),
        Column("sample_type", "VARCHAR", "sample or quality-control type", nullable=True),
        Column("run_order", "DOUBLE", "place of the run in its sequence", nullable=True),
        Column("cpd_group", "VARCHAR", "compound group", nullable=True),
        Column("run_name", "VARCHAR", "the run as named in the file"),
        Column("compound_name", "VARCHAR", "the compound as named in the file"),
        Column("source_file", "VARCHAR", "file, relative to the data folder"),
        Column("source_row", "BIGINT", "row or line of the file, the first being 1", minimum=1),
    ),
    key=("source_file", "source_row", "run_name", "compound_name"),
    order_by=(
        "sampleset_id",
        "worksheet_id",
        "task_id",
        "compound_name",
        "source_file",
        "source_row",
        "run_name",
    ),
)
