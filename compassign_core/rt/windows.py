"""Windows of a library: where each compound is expected in each species, at its mean run."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.catalogue import NOVELTY, RT_WINDOWS, SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import RUN_KEY, first, quote_name
from compassign_core.contracts.settings.rt import WindowRequest
from compassign_core.rt.arrow import arrow_batch, arrow_schema, labels
from compassign_core.rt.asked import AskedWindow
from compassign_core.rt.model import Model, novelty
from compassign_core.rt.source import Source, column_array
from compassign_core.rt.support import lookup

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def library_windows(
    model: Model,
    training_source: str,
    mapping_source: str,
    connection: duckdb.DuckDBPyConnection,
    *,
    window: WindowRequest | None = None,
) -> Any:
    """A window for every species and comp of the training table, as a table of `RT_WINDOWS`.

    The window is predictive for one new run of the species whose covariates are the mean over the
    species' training runs (each run once, missing values left out; a covariate that no run of the
    species has is at the model's centre). Pairs whose group was never trained have
    ``scored = false``. Rows are ordered by supercategory, species and comp.

    Parameters
    ----------
    training_source : SQL text of the RT table the model was trained on.
    window : which window; the 95 % window when None. Of the production rule, `coverage` is null.
    mapping_source : SQL text of a table with the columns of `SPECIES_MAPPING`, for the labels.

    Raises
    ------
    InputError
        when a column is missing, a species has no label, or the tables are not those of the model.
    SettingsError
        when the model has no such window.
    """
    asked = AskedWindow.of(model, window or WindowRequest())
    species, raw = _mean_runs(model, training_source, connection)
    at = lookup(model.species, species)
    if (at < 0).any():
        raise InputError(
            f"{training_source} has {int((at < 0).sum())} species that model {model.model} was "
            f"not trained on: {first(species[at < 0].tolist())}.",
            "give the RT table that the model was trained on.",
        )
    cluster = model.species_cluster[at]
    names = _labels(species, mapping_source, connection)
    order = np.lexsort((species, cluster))
    schema = arrow_schema(RT_WINDOWS)
    batches = [
        arrow_batch(
            _species_windows(model, int(species[i]), int(cluster[i]), names[i], raw[i], asked),
            schema,
        )
        for i in order
    ]
    return pa.Table.from_batches(batches, schema=schema)


def _species_windows(
    model: Model,
    species: int,
    cluster: int,
    label: str,
    raw: Floats,
    asked: AskedWindow,
) -> dict[str, Any]:
    """Windows of all comps at one vector of raw covariates ``(C,)``."""
    comps = model.comps
    ids = {
        "species": np.full(comps.size, species),
        "species_cluster": np.full(comps.size, cluster),
        "comp_id": comps,
        "compound": model.compound,
    }
    scores = asked.score(ids, np.tile(raw, (comps.size, 1)))
    half_width = asked.half_width(scores)
    return {
        "model": pa.repeat(model.model, comps.size),
        **ids,
        "species_raw": pa.repeat(label, comps.size),
        "compound_class": model.compound_class,
        "n_train": scores.n_train,
        "support_bin": labels(SUPPORT_BINS, scores.bins),
        "novelty": labels(NOVELTY, novelty(model, ids)),
        "scored": scores.scored,
        "rt_predicted": scores.mean,
        "rt_low": scores.mean - half_width,
        "rt_high": scores.mean + half_width,
        "width": 2.0 * half_width,
        "coverage": np.full(comps.size, asked.coverage),
    }


def _mean_runs(
    model: Model, training_source: str, connection: duckdb.DuckDBPyConnection
) -> tuple[Ints, Floats]:
    """Species of the training table ``(S,)`` and their mean raw covariates ``(S, C)``."""
    covariates = model.covariates.tolist()
    table = Source.open(connection, training_source)
    table.require([*RUN_KEY, "species", *covariates], "library windows")
    runs = ", ".join(quote_name(c) for c in ("species", *RUN_KEY))
    values = "".join(f", min({quote_name(c)}) AS {quote_name(c)}" for c in covariates)
    one_each = f"(SELECT {runs}{values} FROM {training_source} GROUP BY {runs})"
    grouped = Source.open(connection, one_each, table.name)
    names = ("species", *RUN_KEY)
    batches = list(grouped.batches(names, covariates, names))
    species_of_run = np.concatenate([column_array(b, "species") for b in batches])
    species, code = np.unique(species_of_run, return_inverse=True)
    raw = np.empty((species.size, len(covariates)))
    for j, name in enumerate(covariates):
        column = np.concatenate([column_array(batch, name) for batch in batches])
        given = ~np.isnan(column)
        origin = model.centre[j]
        count = np.bincount(code[given], minlength=species.size)
        total = np.bincount(code[given], column[given] - origin, minlength=species.size)
        mean = np.divide(total, count, out=np.full(species.size, np.nan), where=count > 0)
        raw[:, j] = origin + mean
    return species, raw


def _labels(species: Ints, mapping_source: str, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Label of each species from the species mapping."""
    mapping = Source.open(connection, mapping_source)
    mapping.require(["species", "species_raw"], "library windows")
    found = dict(
        connection.sql(
            f"SELECT species, min(species_raw) FROM {mapping_source} GROUP BY species"
        ).fetchall()
    )
    unnamed = [value for value in species.tolist() if value not in found]
    if unnamed:
        raise InputError(
            f"{mapping_source} has no label for {len(unnamed)} species of the training table: "
            f"{first(unnamed)}.",
            "give the species mapping of the same library.",
        )
    return [found[value] for value in species.tolist()]
