"""What happens to bad input: every kind of fault, in one table.

The tests spoil an export by each kind and hold the preparation to what stands here; the page
`docs/data-contracts.md` prints it. The texts that a user is told are parts of the real message; an
ellipsis stands for what differs from case to case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compassign_core.simulate import dirt
from compassign_core.simulate import dirt_lists as lists
from compassign_core.simulate import dirt_shards as shards
from compassign_core.simulate.dirt import Fault

Outcome = Literal["stops", "refuses", "warns", "works"]
ELLIPSIS = "…"


@dataclass(frozen=True)
class Kind:
    """One kind of bad input.

    Attributes
    ----------
    what : what is wrong, in words.
    spoil : makes an export so; its name is the kind's name.
    outcome : *stops* before the table is published; *refuses* single rows; *warns* and goes on;
        *works* as if nothing were wrong.
    table : table whose making finds it.
    told : what the user reads; for rows refused, where.
    check : check that fails, when one does.
    reasons : reasons under which rows land in the table's rejects.
    stays : what is left as it is.
    """

    what: str
    spoil: Callable[[Path, int], Fault]
    outcome: Outcome
    table: str
    told: str
    check: str = ""
    reasons: tuple[str, ...] = ()
    stays: str = ""

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.spoil.__name__

    @property
    def untouched(self) -> str:
        """What is left as it is."""
        return self.stays or _STAYS[self.outcome]


_STAYS: dict[Outcome, str] = {
    "stops": "the last good file of this table, the id registry, and all that follows",
    "refuses": "all other rows",
    "warns": "all rows go on",
    "works": "all rows go on as if written the usual way",
}


def _manifest(what: str, spoil: Callable[[Path, int], Fault], told: str, check: str = "") -> Kind:
    return Kind(what, spoil, "stops", "export_manifest", told, check)


def _peaks(what: str, spoil: Callable[[Path, int], Fault], *reasons: str) -> Kind:
    told = "rows were refused, by reason, in the UI and in step.json"
    return Kind(what, spoil, "refuses", "lib_training", told, reasons=reasons)


KINDS: tuple[Kind, ...] = (
    _manifest(
        "a shard is cut off",
        dirt.truncated_peak_shard,
        "is not a readable Parquet file … was probably cut off while it was copied",
    ),
    _manifest(
        "a shard has no byte",
        shards.zero_byte_shard,
        "is not a readable Parquet file … it is 0 bytes and therefore empty",
    ),
    _manifest(
        "a text file is named .parquet",
        shards.text_named_parquet,
        "is not a readable Parquet file … so it is another kind of file under this name",
    ),
    _manifest(
        "the folder may not be read",
        shards.folder_without_permission,
        "may not be read by the user that runs this (permission denied)",
    ),
    _manifest("there is no shard", dirt.empty_export, "no peaks shard in …"),
    _manifest("a column is missing", dirt.missing_peak_column, "lacks column apex_rt; it has …"),
    _manifest(
        "a column is called otherwise",
        shards.renamed_column,
        "lacks column apex_rt; it has … perhaps 'Apex RT' for apex_rt",
    ),
    _manifest(
        "a column is text in one shard, a number in others",
        dirt.column_text_in_one_shard,
        "column apex_rt of the peaks shards has several kinds: …",
    ),
    _manifest(
        "retention times are dates",
        shards.dates_for_times,
        "column apex_rt of … is timestamp[ms], neither a number nor text",
    ),
    _manifest(
        "a shard is there under two names",
        shards.shard_copied,
        "1 shards are there under two or more names",
        "no_shard_twice",
    ),
    Kind(
        "a shard has columns that nobody needs",
        shards.extra_columns,
        "works",
        "lib_training",
        "nothing",
    ),
    Kind("ids are text", shards.ids_as_text, "works", "lib_training", "nothing"),
    Kind("ids are floating numbers", shards.ids_as_floats, "works", "lib_training", "nothing"),
    Kind("ids are beyond 2³¹", shards.ids_past_31_bits, "works", "lib_training", "nothing"),
    Kind(
        "ids of entries are beyond 2³²",
        shards.entries_past_32_bits,
        "stops",
        "lib_training",
        "comp_id > 4294967295 in … rows",
        "values_keep_the_contract",
    ),
    _peaks("ids of entries have a fraction", dirt.fractional_comp_id, "comp_unreadable"),
    _peaks("keys are missing", dirt.null_keys, "key_unreadable", "comp_unreadable"),
    _peaks(
        "retention times are missing, NaN, infinite, zero or negative",
        dirt.nan_and_negative_rt,
        "rt_not_finite",
        "rt_not_positive",
    ),
    Kind(
        "a shard has no retention time at all",
        shards.times_all_missing,
        "stops",
        "lib_training",
        "rows were refused as faulty (rt_not_finite …); the limit is 10%",
        "rejects_within_limit",
        stays="the last good file of this table; the rows refused are kept as "
        "refused_attempt.parquet",
    ),
    Kind(
        "one shard is in seconds",
        shards.seconds_in_one_shard,
        "stops",
        "lib_training",
        "look like seconds, not minutes",
        "retention_times_in_minutes",
    ),
    Kind(
        "all peaks are in seconds, the standards are not",
        shards.seconds_in_all_peaks,
        "stops",
        "lib_training",
        "look like seconds, not minutes, while the latest standard is at …",
        "retention_times_in_minutes",
    ),
    Kind(
        "peaks and standards are in seconds",
        shards.seconds_everywhere,
        "stops",
        "run_covariates",
        "covariates lie outside 0.001 to 120 minutes",
        "covariates_in_minutes",
    ),
    _peaks("peaks are there twice", dirt.duplicate_peaks, "duplicate_row"),
    _peaks("peaks are there twice, with two times", dirt.conflicting_peaks, "conflicting_peaks"),
    _peaks("a run has no standards", dirt.missing_covariate_rows, "run_without_covariates"),
    Kind(
        "the standards of a run are there twice",
        dirt.duplicate_covariate_rows,
        "refuses",
        "run_covariates",
        "rows were refused, by reason, in the UI and in step.json",
        reasons=("duplicate_row",),
    ),
    Kind(
        "the standards of a run are there twice, and differ",
        dirt.conflicting_covariate_rows,
        "stops",
        "run_covariates",
        "injections have two or more different covariate rows",
        "one_covariate_row_per_run",
    ),
    Kind(
        "a standard is ten orders of magnitude off",
        shards.covariate_ten_orders_off,
        "stops",
        "run_covariates",
        "the medians of 1 of … covariates lie outside 0.001 to 120 minutes",
        "covariates_in_minutes",
    ),
    Kind(
        "a standard is the same in all runs",
        shards.covariate_constant,
        "warns",
        "run_covariates",
        "1 covariates are the same in all runs",
        "covariates_vary",
    ),
    Kind(
        "a standard not found is written as 0",
        shards.covariate_zero_for_missing,
        "warns",
        "run_covariates",
        "1 have values outside 0.001 to 120 minutes",
        "covariates_vary",
    ),
    Kind(
        "a standard is missing in all runs",
        shards.covariate_all_missing,
        "warns",
        "rt_table",
        "the worst is missing in 100.0% of the rows",
        "covariates_present",
    ),
    Kind(
        "labels hold slashes, quotes, SQL, signs of other scripts",
        shards.label_of_any_signs,
        "works",
        "lib_training",
        "nothing",
    ),
    Kind(
        "lists have Windows line ends and a byte-order mark",
        lists.windows_csv,
        "works",
        "species_mapping",
        "nothing",
    ),
    Kind(
        "a species lies in two groups",
        dirt.species_in_two_groups,
        "stops",
        "species_mapping",
        "species lie in two or more supercategories",
        "species_nested_in_supercategory",
    ),
    Kind(
        "a species is spelled in two ways",
        lists.species_spelled_two_ways,
        "stops",
        "species_mapping",
        "species or supercategories are spelled in several ways",
        "labels_spelled_one_way",
    ),
    Kind(
        "a sample set has no species",
        lists.species_empty,
        "warns",
        "species_mapping",
        "1 sample sets with peaks lack species or supercategory; their peaks are set aside",
        "sample_sets_of_the_data_have_a_group",
        ("species_missing",),
        "all other sample sets",
    ),
    Kind(
        "a sample set has no group",
        dirt.sample_set_without_group,
        "warns",
        "species_mapping",
        "1 sample sets with peaks lack species or supercategory; their peaks are set aside",
        "sample_sets_of_the_data_have_a_group",
        ("group_missing",),
        "all other sample sets",
    ),
    Kind(
        "a sample set has two species, or two lines",
        dirt.sample_set_listed_twice,
        "stops",
        "species_mapping",
        "1 sample sets are listed more than once",
        "sample_set_in_one_species",
    ),
    Kind(
        "a sample set is not listed",
        dirt.sample_set_missing_in_metadata,
        "stops",
        "species_mapping",
        "1 sample sets with peaks are not in the metadata",
        "sample_sets_of_the_data_are_listed",
    ),
    Kind(
        "an entry has no chemical",
        lists.entry_not_mapped,
        "works",
        "comp_chem_mapping",
        "nothing; its peaks have chemical −1, or are refused with missing_chemistry = drop",
    ),
    Kind(
        "an entry has two chemicals",
        dirt.comp_mapped_twice,
        "stops",
        "comp_chem_mapping",
        "1 comps have several chemicals",
        "comp_in_one_chemical",
    ),
    Kind(
        "an entry has chemical 0",
        lists.chemical_zero,
        "refuses",
        "comp_chem_mapping",
        "rows were refused, by reason, in the UI and in step.json",
        reasons=("chemical_is_zero",),
        stays="all other lines; peaks of the entry go on with chemical −1",
    ),
    Kind(
        "an embedding holds NaN",
        lists.descriptor_not_finite,
        "stops",
        "chem_descriptors",
        "column embedding20 has a component that is no finite number for 1 chemicals: …",
    ),
)
"""All kinds, in the order in which data flow through the preparation."""
