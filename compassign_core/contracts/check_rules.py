"""The rule behind every check, in a sentence for the UI and the docs, and which ones only warn.

A check that is not a warning stops its table from being published.
"""

from __future__ import annotations

WARNINGS = frozenset(
    {
        "row_count_is_steady",
        "covariates_present",
        "covariates_vary",
        "sample_sets_of_the_data_have_a_group",
        "coverage_is_as_stated",
        "fits_converged",
        "cells_cover",
    }
)
"""Checks that are shown when they fail, and let the data go on."""

RULES: dict[str, str] = {
    "values_keep_the_contract": (
        "Every value has its column's type and keeps its bounds: nothing required is missing, "
        "retention times are finite and positive, labels are known ones."
    ),
    "key_is_unique": "Every key of the table occurs once, so that no join can multiply rows.",
    "rows_are_accounted_for": "Rows read = rows kept + rows refused + rows set aside by design.",
    "rejects_within_limit": (
        "The share of rows refused as faulty stays below max_reject_share of the library."
    ),
    "row_count_is_steady": (
        "The number of rows moves by at most row_change_warning against the last good table."
    ),
    "one_covariate_row_per_run": "Each injection has one set of covariates, or identical copies.",
    "no_shard_twice": "No two shards of the export have the same content.",
    "covariates_in_minutes": (
        "The median of every covariate lies between 0.001 minutes and max_rt of the library."
    ),
    "covariates_vary": (
        "Every covariate differs between runs and has no value outside 0.001 minutes to max_rt."
    ),
    "retention_times_in_minutes": (
        "No shard has more than a quarter of its retention times beyond max_rt (where none is "
        "stated, 120 minutes or 20 times the latest standard), or 5 times off the typical time of "
        "their library entry."
    ),
    "labels_spelled_one_way": (
        "No two species, and no two supercategories, differ only in case, spaces, hyphens or "
        "underscores, or in how Unicode writes their letters."
    ),
    "counts_as_stated": "The counts equal those that libraries.toml states for this library.",
    "species_nested_in_supercategory": "Each species lies in exactly one supercategory.",
    "sample_set_in_one_species": "Each sample set is listed once in the metadata.",
    "sample_sets_of_the_data_are_listed": "Every sample set with peaks is in the metadata.",
    "sample_sets_of_the_data_have_a_group": (
        "Every sample set with peaks has a species and a supercategory; peaks of others are set "
        "aside."
    ),
    "comp_in_one_chemical": "Each library entry is one chemical.",
    "every_sample_set_has_one_fold": "Every sample set with peaks is in one fold, train or test.",
    "no_test_sample_set": "No held-out sample set is among the rows that models train on.",
    "pairs_match_support": (
        "Every (species, comp) pair with training rows has exactly min(rows, cap) of them, and "
        "the total is the support table's."
    ),
    "caps_nested": (
        "The rows are the first ones of the library's one ranking, so cap 5 is part of cap 10, "
        "and so on."
    ),
    "chemistry_counts_as_stated": (
        "Rows sampled, with a chemical and with a class, before any hold-out, equal those that "
        "libraries.toml states for this cap."
    ),
    "covariates_present": (
        "No covariate is missing in more than covariate_null_warning of the rows."
    ),
    "default_fit_converged": (
        "The fit of the default model ended where it should; otherwise its windows are not "
        "published."
    ),
    "fits_converged": (
        "No number on the fit of any model is doubtful: optima are reached, noise has settled, "
        "chains have mixed."
    ),
    "every_row_judged": "Every model has judged every held-out row once, scored or not.",
    "coverage_is_as_stated": (
        "In every supercategory the default model's windows cover their stated share of held-out "
        "peaks, within the 95 % interval by runs."
    ),
    "cells_cover": (
        "In at least 9 of 10 cells of supercategory × training rows of the pair, the stated "
        "coverage lies in the interval of the measured one."
    ),
    "default_model_does_not_lose": (
        "The default model is not clearly worse than any baseline on held-out peaks; otherwise "
        "its windows are not published."
    ),
}


def is_blocking(name: str) -> bool:
    """Whether a failure of this check stops the data."""
    return name not in WARNINGS
