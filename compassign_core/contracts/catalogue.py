"""The contracts of every table in the lake, in the order in which data flow through them.

One schema per table stands here and nowhere else: from it come the gate in the lake, the check
and the column schema in the UI, and the page `docs/data-contracts.md`.
"""

from __future__ import annotations

from compassign_core.contracts.errors import MissingArtifactError
from compassign_core.contracts.identifiers import CAPS, MAX_COMP_ID
from compassign_core.contracts.imported_tables import IMPORTED_NAMES, IMPORTED_PEAKS
from compassign_core.contracts.rejects import REJECT_COLUMNS
from compassign_core.contracts.tables import Column, TableContract

NOVELTY = ("seen", "unseen_pair", "unseen_species", "unseen_compound")
SUPPORT_BINS = ("0", "1", "2", "3-5", "6-10", "11-20", "21-50", "51-100", ">100")
SUPPORT_BIN_EDGES = (0, 1, 2, 5, 10, 20, 50, 100)
"""Upper edges, inclusive, of all bins of `SUPPORT_BINS` but the last."""

_LIB = ("lib_id",)
_LIB_CAP = ("lib_id", "row_cap")

_SAMPLESET = Column("sampleset_id", "BIGINT", "sample set: samples of one study", minimum=0)
_WORKSHEET = Column("worksheet_id", "BIGINT", "worksheet (batch) of the run", minimum=0)
_TASK = Column("task_id", "BIGINT", "task: one injection within a sample set", minimum=0)
_RUN = (_SAMPLESET, _WORKSHEET, _TASK)
_SPECIES = Column("species", "BIGINT", "species id, kept for life", minimum=0)
_CLUSTER = Column("species_cluster", "BIGINT", "supercategory id, kept for life", minimum=0)
_COMP = Column("comp_id", "BIGINT", "library entry", minimum=0, maximum=MAX_COMP_ID)
_COMPOUND = Column("compound", "BIGINT", "chemical id, -1 when unknown", minimum=-1)
_CLASS = Column("compound_class", "BIGINT", "chemistry class, -1 when unknown", minimum=-1)
_RT = Column("rt", "DOUBLE", "retention time of the apex", "min", exclusive_minimum=0.0)
_MATRIX = Column("species_matrix_type", "VARCHAR", "matrix label as in the export")
_SOURCE = Column("source_file", "VARCHAR", "shard the row came from, relative to the data folder")
_GROUP = Column("cpd_group", "VARCHAR", "compound group folder of the export", nullable=True)
_RUN_ORDER = Column("run_order", "DOUBLE", "place of the run in its sequence", nullable=True)
_SAMPLE_TYPE = Column("sample_type", "VARCHAR", "sample or quality-control type", nullable=True)
_RANK = Column(
    "pair_rank", "BIGINT", "place of the row in its (species, comp) pair by keyed hash", minimum=1
)
_MODEL = Column("model", "VARCHAR", "model kind")
_N_TRAIN = Column("n_train", "BIGINT", "training rows of the group (support)", minimum=0)
_BIN = Column("support_bin", "VARCHAR", "bin of n_train", values=SUPPORT_BINS)
_NOVELTY = Column("novelty", "VARCHAR", "what the model has seen", values=NOVELTY)
_PAIR_SUPPORT = Column(
    "pair_support",
    "BIGINT",
    "training rows of the (species, comp) pair, the same for all models",
    minimum=0,
)
_PAIR_BIN = Column("pair_support_bin", "VARCHAR", "bin of pair_support", values=SUPPORT_BINS)

EXPORT_MANIFEST = TableContract(
    "export_manifest",
    "Every file of a library's export that the preparation reads, with its checksum.",
    _LIB,
    (
        Column(
            "role",
            "VARCHAR",
            "peaks, covariates, merged, results, samples, metadata, comp_chem, compounds or split",
        ),
        Column("path", "VARCHAR", "file, relative to the folder of libraries.toml"),
        Column("n_bytes", "BIGINT", "size", "bytes", minimum=0),
        Column("sha256", "VARCHAR", "checksum of the content"),
        Column("n_rows", "BIGINT", "rows, for Parquet files", nullable=True, minimum=0),
        Column("column_names", "VARCHAR", "physical columns, comma separated", nullable=True),
    ),
    key=("role", "path"),
    order_by=("role", "path"),
)

RUN_COVARIATES = TableContract(
    "run_covariates",
    "One row per injection: retention times of its standards, in minutes.",
    _LIB,
    (
        _SAMPLESET,
        _TASK,
        _MATRIX,
        _SOURCE,
    ),
    key=("sampleset_id", "task_id", "species_matrix_type"),
    order_by=("sampleset_id", "task_id", "species_matrix_type"),
    covariates=True,
)

LIB_TRAINING = TableContract(
    "lib_training",
    "Curated peaks of one library, each with the label that leads to the standards of its run.",
    _LIB,
    (
        *_RUN,
        _MATRIX,
        _COMP,
        _RT,
        _GROUP,
        _SAMPLE_TYPE,
        _RUN_ORDER,
        _SOURCE,
    ),
    key=(*[c.name for c in _RUN], "comp_id"),
    order_by=(*[c.name for c in _RUN], "comp_id"),
)

SPECIES_MAPPING = TableContract(
    "species_mapping",
    "Sample set to species to supercategory, with ids that never change.",
    _LIB,
    (
        _SAMPLESET,
        Column("species_raw", "VARCHAR", "species label of the metadata"),
        Column("species_group_raw", "VARCHAR", "supercategory label of the metadata"),
        _SPECIES,
        _CLUSTER,
    ),
    key=("sampleset_id",),
    order_by=("sampleset_id",),
)

FOLD_ASSIGNMENT = TableContract(
    "fold_assignment",
    "Which sample sets train and which are held out for testing.",
    _LIB,
    (
        _SAMPLESET,
        _SPECIES,
        _CLUSTER,
        Column("fold", "VARCHAR", "fold of the sample set", values=("train", "test")),
        Column("n_rows", "BIGINT", "peaks of the sample set", minimum=0),
    ),
    key=("sampleset_id",),
    order_by=("sampleset_id",),
)

SPECIES_COMPOUND_SUPPORT = TableContract(
    "species_compound_support",
    "How many peaks each (species, compound) pair has, and how many each cap keeps.",
    _LIB,
    (
        _CLUSTER,
        _SPECIES,
        _COMP,
        Column("n_rows", "BIGINT", "peaks of the pair", minimum=1),
        Column("n_train", "BIGINT", "of these in training sample sets", minimum=0),
        Column("n_test", "BIGINT", "of these in held-out sample sets", minimum=0),
        *(
            Column(f"kept_cap_{cap}", "BIGINT", f"training rows kept at cap {cap}", minimum=0)
            for cap in CAPS
        ),
    ),
    key=("species_cluster", "species", "comp_id"),
    order_by=("species_cluster", "species", "comp_id"),
)

_RANKED_COLUMNS = (*_RUN, _MATRIX, _SPECIES, _CLUSTER, _COMP, _RT, _RANK, _SOURCE)

RANKED_TRAINING = TableContract(
    "ranked_training",
    "Training peaks with their rank in the pair, up to the largest cap.",
    _LIB,
    _RANKED_COLUMNS,
    key=(*[c.name for c in _RUN], "comp_id"),
    order_by=("species_cluster", "species", "comp_id", "pair_rank"),
)

CAPPED_TRAINING = TableContract(
    "capped_training",
    "At most `row_cap` training peaks per (supercategory, species, comp) pair.",
    _LIB_CAP,
    _RANKED_COLUMNS,
    key=(*[c.name for c in _RUN], "comp_id"),
    order_by=("species_cluster", "species", "comp_id", "pair_rank"),
)

STRUCTURES = TableContract(
    "structures",
    "Chemicals with their structures, as brought.",
    (),
    (
        Column("chem_id", "BIGINT", "chemical id", minimum=0),
        Column("chem_name", "VARCHAR", "name of the chemical", nullable=True),
        Column("smiles", "VARCHAR", "structure as SMILES", nullable=True),
    ),
    key=("chem_id",),
    order_by=("chem_id",),
)

CHEM_DESCRIPTORS = TableContract(
    "chem_descriptors",
    "Twenty whitened components of fingerprint and physico-chemical descriptors.",
    (),
    (
        Column("chem_id", "BIGINT", "chemical id", minimum=0),
        Column("embedding20", "DOUBLE[]", "components, unit variance over the chemicals"),
    ),
    key=("chem_id",),
    order_by=("chem_id",),
)

CHEM_CLASSES = TableContract(
    "chem_classes",
    "Chemistry class of each chemical with a structure, by k-means on its descriptors.",
    (),
    (
        Column("chem_id", "BIGINT", "chemical id", minimum=0),
        Column("compound_class", "BIGINT", "class, by falling size", minimum=0),
    ),
    key=("chem_id",),
    order_by=("chem_id",),
)

COMP_CHEM_MAPPING = TableContract(
    "comp_chem_mapping",
    "The chemical behind each library entry.",
    _LIB,
    (
        _COMP,
        Column("chem_id", "BIGINT", "chemical id", minimum=0),
    ),
    key=("comp_id",),
    order_by=("comp_id",),
)

LIBRARY_COMPOUNDS = TableContract(
    "library_compounds",
    "Names and transitions of the library's entries, where a library brings them.",
    _LIB,
    (
        _COMP,
        Column("name", "VARCHAR", "name of the entry", nullable=True),
        Column("precursor_mz", "DOUBLE", "precursor", "Th", nullable=True),
        Column("product_mz", "DOUBLE", "product", "Th", nullable=True),
    ),
    key=("comp_id",),
    order_by=("comp_id",),
)

CHEMCLASS_TRAINING = TableContract(
    "chemclass_training",
    "Capped training peaks with chemical and chemistry class.",
    _LIB_CAP,
    (*_RANKED_COLUMNS, _COMPOUND, _CLASS),
    key=(*[c.name for c in _RUN], "comp_id"),
    order_by=("species_cluster", "species", "comp_id", "pair_rank"),
)

_RT_TABLE_COLUMNS = (*_RUN, _SPECIES, _CLUSTER, _COMP, _COMPOUND, _CLASS, _RT)

RT_TABLE = TableContract(
    "rt_table",
    "The typed table that RT models train on: ids, retention time, covariates, nothing else.",
    _LIB_CAP,
    _RT_TABLE_COLUMNS,
    key=(*[c.name for c in _RUN], "comp_id"),
    order_by=("species_cluster", "species", "comp_id", "sampleset_id", "worksheet_id", "task_id"),
    covariates=True,
)

REALTEST_TABLE = TableContract(
    "realtest_table",
    "All peaks of the held-out sample sets, in the columns of the RT table.",
    _LIB,
    _RT_TABLE_COLUMNS,
    key=RT_TABLE.key,
    order_by=RT_TABLE.order_by,
    covariates=True,
)

RT_DIAGNOSTICS = TableContract(
    "rt_diagnostics",
    "Whether the fit of every model ended where it should, number by number.",
    _LIB_CAP,
    (
        _MODEL,
        Column("method", "VARCHAR", "how its scales or scalars were found"),
        Column("quantity", "VARCHAR", "what is looked at"),
        Column("scale", "VARCHAR", "scale that it is about, 'all' for the whole model"),
        Column("value", "DOUBLE", "the number; none where it does not exist", nullable=True),
        Column(
            "judgement",
            "VARCHAR",
            "what it means for the model; info is judged by nobody",
            values=("ok", "warn", "fail", "info"),
        ),
        Column("sentence", "VARCHAR", "the same in words"),
    ),
    key=("model", "quantity", "scale"),
    order_by=("model", "quantity", "scale"),
)

RT_PREDICTIONS = TableContract(
    "rt_predictions",
    "Prediction and window of every held-out peak, by model; unscored rows are kept and marked.",
    _LIB_CAP,
    (
        _MODEL,
        *_RUN,
        _SPECIES,
        _CLUSTER,
        _COMP,
        _COMPOUND,
        _CLASS,
        _N_TRAIN,
        _BIN,
        _PAIR_SUPPORT,
        _PAIR_BIN,
        _NOVELTY,
        Column("scored", "BOOLEAN", "whether the model could predict this row"),
        _RT,
        Column("rt_predicted", "DOUBLE", "predicted retention time", "min", nullable=True),
        Column("scale", "DOUBLE", "scale of the predictive Student-t", "min", nullable=True),
        Column("df", "DOUBLE", "degrees of freedom of the predictive", nullable=True),
        *(
            Column(
                f"half_width_{percent}",
                "DOUBLE",
                f"half width of the {percent} % window",
                "min",
                nullable=True,
            )
            for percent in (50, 80, 99)
        ),
        Column("rt_low", "DOUBLE", "lower end of the window", "min", nullable=True),
        Column("rt_high", "DOUBLE", "upper end of the window", "min", nullable=True),
        Column("covered", "BOOLEAN", "whether rt lies in the window", nullable=True),
    ),
    key=("model", *RT_TABLE.key),
    order_by=("model", *RT_TABLE.order_by),
)

_METRICS = tuple(
    Column(name, "DOUBLE", description, unit, nullable=True)
    for name, description, unit in (
        ("rmse", "root mean squared error", "min"),
        ("mae", "mean absolute error", "min"),
        ("cov95", "share covered by the nominal 95 % window", ""),
        ("width95", "mean full width of the 95 % window", "min"),
        ("crps", "mean continuous ranked probability score", "min"),
        ("cov95_low", "lower end of the 95 % binomial (Wilson) interval of cov95", ""),
        ("cov95_high", "upper end of it; peaks of one run miss together, so it is optimistic", ""),
        *(
            column
            for percent in (50, 80, 99)
            for column in (
                (f"cov{percent}", f"share covered by the {percent} % window", ""),
                (f"cov{percent}_low", f"lower end of the interval of cov{percent}", ""),
                (f"cov{percent}_high", f"upper end of the interval of cov{percent}", ""),
            )
        ),
        ("width95_median", "median full width of the 95 % window", "min"),
        ("interval_score95", "mean width plus 40 × the miss, of the 95 % window", "min"),
        ("log_score", "mean log predictive density; higher is better", "nat"),
        (
            "pit_distance",
            "largest distance of the cumulated PIT values from uniform, at hundredths; 0 is ideal",
            "",
        ),
    )
)

EVALUATION_SLICES = (
    "overall",
    "support_bin",
    "supercategory",
    "species",
    "novelty",
    "pair_support",
    "tail",
    "supercategory_support",
)
"""What evaluation groups held-out rows by; the last three by training rows of the pair."""

COMPARISON_SLICES = ("overall", "support_bin", "supercategory", "novelty", "pair_support", "tail")
"""What the comparison of models groups held-out rows by."""

PIT_SLICES = ("overall", "support_bin", "novelty")
"""What probability transforms are counted by."""

PIT_BINS = 20

TAIL_LEVELS = ("0", "1-5", ">5")
"""Pairs that never trained together, rare pairs, and all others, by training rows of the pair."""

RT_EVALUATION = TableContract(
    "rt_evaluation",
    "Accuracy and calibration on held-out sample sets, overall and by slice.",
    _LIB_CAP,
    (
        _MODEL,
        Column("slice", "VARCHAR", "what the rows are grouped by", values=EVALUATION_SLICES),
        Column("level", "VARCHAR", "value of the slice"),
        Column("n_rows", "BIGINT", "held-out rows", minimum=0),
        Column("n_scored", "BIGINT", "rows the model could predict", minimum=0),
        Column("n_unscored", "BIGINT", "rows it could not", minimum=0),
        *_METRICS,
    ),
    key=("model", "slice", "level"),
    order_by=("model", "slice", "level"),
)

RT_PIT = TableContract(
    "rt_pit",
    "Where held-out retention times fall in their predictive distribution; 1/20 a bin is ideal.",
    _LIB_CAP,
    (
        _MODEL,
        Column("slice", "VARCHAR", "what the rows are grouped by", values=PIT_SLICES),
        Column("level", "VARCHAR", "value of the slice"),
        Column("bin", "BIGINT", "twentieth of the predictive distribution, 1 to 20", minimum=1),
        Column("n", "BIGINT", "rows in the bin", minimum=0),
        Column("share", "DOUBLE", "share of the slice's scored rows in the bin", minimum=0.0),
        Column("low", "DOUBLE", "lower end of its 95 % binomial (Wilson) interval"),
        Column("high", "DOUBLE", "upper end of it"),
    ),
    key=("model", "slice", "level", "bin"),
    order_by=("model", "slice", "level", "bin"),
)

RT_COMPARISON = TableContract(
    "rt_comparison",
    "Each model against the baselines on the same held-out peaks, resampled by sample set.",
    _LIB_CAP,
    (
        _MODEL,
        Column("baseline", "VARCHAR", "model it is compared with"),
        Column("slice", "VARCHAR", "what the rows are grouped by", values=COMPARISON_SLICES),
        Column("level", "VARCHAR", "value of the slice, as the baseline sees it"),
        Column(
            "metric",
            "VARCHAR",
            "what is compared; minutes, cov95 a share",
            values=("rmse", "mae", "crps", "width95", "cov95"),
        ),
        Column("n_rows", "BIGINT", "peaks that both models scored", minimum=1),
        Column("n_units", "BIGINT", "sample sets they come from", minimum=1),
        Column("baseline_value", "DOUBLE", "metric of the baseline"),
        Column("model_value", "DOUBLE", "metric of the model"),
        Column("difference", "DOUBLE", "model less baseline; below zero is better but for cov95"),
        Column("low", "DOUBLE", "lower end of its 95 % bootstrap interval"),
        Column("high", "DOUBLE", "upper end of its 95 % bootstrap interval"),
    ),
    key=("model", "baseline", "slice", "level", "metric"),
    order_by=("model", "baseline", "slice", "level", "metric"),
)

RT_WINDOWS = TableContract(
    "rt_windows",
    "Expected retention time and window of each (species, compound) at the species' mean run.",
    _LIB_CAP,
    (
        _MODEL,
        _SPECIES,
        _CLUSTER,
        Column("species_raw", "VARCHAR", "species label"),
        _COMP,
        _COMPOUND,
        _CLASS,
        _N_TRAIN,
        _BIN,
        _NOVELTY,
        Column("scored", "BOOLEAN", "whether the model has a window for the pair"),
        Column("rt_predicted", "DOUBLE", "expected retention time", "min", nullable=True),
        Column("rt_low", "DOUBLE", "lower end of the window", "min", nullable=True),
        Column("rt_high", "DOUBLE", "upper end of the window", "min", nullable=True),
        Column("width", "DOUBLE", "full width of the window", "min", nullable=True),
        Column("coverage", "DOUBLE", "nominal coverage of the window", minimum=0.0),
    ),
    key=("model", "species", "comp_id"),
    order_by=("model", "species_cluster", "species", "comp_id"),
)

CONTRACTS: dict[str, TableContract] = {
    contract.name: contract
    for contract in (
        EXPORT_MANIFEST,
        IMPORTED_NAMES,
        IMPORTED_PEAKS,
        RUN_COVARIATES,
        LIB_TRAINING,
        SPECIES_MAPPING,
        FOLD_ASSIGNMENT,
        SPECIES_COMPOUND_SUPPORT,
        STRUCTURES,
        CHEM_DESCRIPTORS,
        CHEM_CLASSES,
        COMP_CHEM_MAPPING,
        LIBRARY_COMPOUNDS,
        RANKED_TRAINING,
        CAPPED_TRAINING,
        CHEMCLASS_TRAINING,
        RT_TABLE,
        REALTEST_TABLE,
        RT_DIAGNOSTICS,
        RT_PREDICTIONS,
        RT_EVALUATION,
        RT_PIT,
        RT_COMPARISON,
        RT_WINDOWS,
    )
}
"""All table contracts by name, upstream first."""


def contract(name: str) -> TableContract:
    """The contract called `name`.

    Raises
    ------
    MissingArtifactError
        when no table has this name.
    """
    try:
        return CONTRACTS[name]
    except KeyError:
        raise MissingArtifactError(
            f"there is no table called {name!r}.", f"choose one of {', '.join(CONTRACTS)}."
        ) from None


def rejects_contract(step: str) -> TableContract:
    """The contract of the rejects of the step that makes the table `step`."""
    made = contract(step)
    return TableContract(
        f"{step}_rejects",
        f"Rows that the step making {step} refused, with the reason.",
        made.partitions,
        REJECT_COLUMNS,
        order_by=tuple(column.name for column in REJECT_COLUMNS),
    )
