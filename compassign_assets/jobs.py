"""Jobs: one per stage, and one per partitioning for a whole library."""

import dagster as dg

chemistry_job = dg.define_asset_job(
    "chemistry",
    selection=dg.AssetSelection.groups("chemistry"),
    description="Descriptors and classes of all chemicals.",
)
prepare_library_job = dg.define_asset_job(
    "prepare_library",
    selection=dg.AssetSelection.assets(
        "export_manifest",
        "imported_names",
        "imported_peaks",
        "run_covariates",
        "lib_training",
        "species_mapping",
        "comp_chem_mapping",
        "library_compounds",
        "fold_assignment",
        "species_compound_support",
        "ranked_training",
        "realtest_table",
    ),
    description="From the files of one export to the library's tables and its held-out peaks.",
)
training_tables_job = dg.define_asset_job(
    "training_tables",
    selection=dg.AssetSelection.assets(
        "capped_training", "chemclass_training", "rt_table", "rt_table_csv"
    ),
    description="From the ranking to the RT table of one library and cap.",
)
train_models_job = dg.define_asset_job(
    "train_models",
    selection=dg.AssetSelection.groups("models"),
    description="All models of one library and cap.",
)
evaluate_models_job = dg.define_asset_job(
    "evaluate_models",
    selection=dg.AssetSelection.groups("evaluation"),
    description="Predictions on held-out peaks, metrics, windows and the report.",
)
train_and_evaluate_job = dg.define_asset_job(
    "train_and_evaluate",
    selection=(
        dg.AssetSelection.assets("capped_training", "chemclass_training", "rt_table")
        | dg.AssetSelection.assets("rt_table_csv")
        | dg.AssetSelection.groups("models", "evaluation")
    ),
    description="Everything of one library and cap, from the ranking to the report.",
)
warehouse_job = dg.define_asset_job(
    "refresh_warehouse",
    selection=dg.AssetSelection.assets("warehouse"),
    description="The database of views over the lake.",
)

JOBS = [
    chemistry_job,
    prepare_library_job,
    training_tables_job,
    train_models_job,
    evaluate_models_job,
    train_and_evaluate_job,
    warehouse_job,
]
