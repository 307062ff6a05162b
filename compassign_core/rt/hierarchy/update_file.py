"""New labelled rows into a model file, and out comes another: what an update means to a user.

Scales, noise, conformal factors and the design stay those of training. What was added is written
down in the model, and its fingerprint says so.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.identifiers import group_keys
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior
from compassign_core.rt.hierarchy.conjugate import update_groups
from compassign_core.rt.hierarchy.convergence import diagnostics_of
from compassign_core.rt.hierarchy.held import (
    Held,
    held_of,
    load_for_update,
    row_keys,
    statistics_of,
)
from compassign_core.rt.hierarchy.new_rows import digest, read_new_rows
from compassign_core.rt.hierarchy.new_weights import NewWeights
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.scale_posterior import normal_posterior
from compassign_core.rt.hierarchy.scale_uncertainty import with_uncertain_scales
from compassign_core.rt.hierarchy.update import with_rows
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.stored import text_array
from compassign_core.rt.support import lookup

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Update:
    """What an update did.

    Attributes
    ----------
    rows : rows added.
    groups, new_groups : groups they are of, and how many of these were never trained.
    hierarchy : whether all levels were refreshed.
    added : rows added since training, this update included.
    """

    rows: int
    groups: int
    new_groups: int
    hierarchy: bool
    added: int


def update_model(
    path_in: str | Path,
    source: str,
    connection: duckdb.DuckDBPyConnection,
    *,
    out: str | Path,
    hierarchy: bool = False,
) -> Update:
    """Add labelled rows to the hierarchical model of a file, and write the result to another.

    Parameters
    ----------
    path_in, out : the model, and where the new one goes; written aside, then renamed.
    source : SQL text of a table with the columns of `RT_TABLE` and the model's covariates.
    connection : the engine.
    hierarchy : see `add_rows`.

    Raises
    ------
    MissingArtifactError
        when there is no model file.
    InputError
        when the model cannot be updated (`held.load_for_update`), or the rows cannot be added
        (`new_rows.read_new_rows`, `add_rows`).
    """
    summaries, _, known = load_for_update(path_in)
    rows = read_new_rows(source, summaries, known, connection)
    updated = add_rows(summaries, rows, hierarchy=hierarchy)
    updated.save(out)
    entries = json.loads(updated.updates)
    return Update(
        **{name: entries[-1][name] for name in ("rows", "groups", "new_groups", "hierarchy")},
        added=sum(entry["rows"] for entry in entries),
    )


def add_rows(
    summaries: PoolingSummaries, rows: TrainingRows, *, hierarchy: bool = False
) -> PoolingSummaries:
    """The model with `rows` added, its scales, noise and conformal factors held.

    Parameters
    ----------
    summaries : a model with its statistics.
    rows : from `new_rows.read_new_rows`, which refuses those the model has already.
    hierarchy : refresh all levels: exactly the posterior of all rows. Otherwise only the groups
        of `rows` change, each exactly as if only it had got rows; what they tell of species,
        compounds and other groups waits, as the statistics are added in any case, for the next
        update with `hierarchy`.

    Raises
    ------
    InputError
        when the model has no statistics, or `hierarchy` is needed (`conjugate.update_groups`).
    """
    held, known = held_of(summaries, summaries.model)
    # normal rows weigh 1
    weights = NewWeights(summaries.posterior, held) if np.isfinite(held.state.row_df) else None
    larger = with_rows(held, rows, weights)
    if hierarchy:
        changed = _refreshed(summaries, larger)
    else:
        given = None if weights is None else weights(rows)
        changed = {"posterior": update_groups(summaries.posterior, larger, rows, given)}
    posterior: AnyPosterior = changed["posterior"]
    entry = {
        "rows": int(rows.y.size),
        "groups": int(rows.keys.size),
        "new_groups": int(posterior.keys.size - summaries.n_groups),
        "hierarchy": hierarchy,
        "rows_sha256": digest(rows),
    }
    before = json.dumps([summaries.fingerprint, entry], sort_keys=True)
    added = np.sort(row_keys(rows))
    return replace(
        summaries,
        **changed,
        **_seen(summaries, rows),
        n_train=_counts(summaries, posterior, rows),
        fingerprint=hashlib.sha256(before.encode()).hexdigest(),
        updates=json.dumps([*json.loads(summaries.updates), entry], sort_keys=True),
        statistics=statistics_of(larger, np.insert(known, np.searchsorted(known, added), added)),
    )


def _refreshed(summaries: PoolingSummaries, held: Held) -> dict[str, Any]:
    """All that a pass over the whole hierarchy changes."""
    fitted = held.fitted(summaries.evaluations)
    cov = _scale_covariance(summaries, held)
    posterior, averaged = with_uncertain_scales(
        held.problem,
        fitted,
        export_posterior(held.problem, fitted),
        normal_posterior(held.phi, cov),
    )
    numbers = json.loads(summaries.diagnostics) | diagnostics_of(held.problem, fitted) | averaged
    return {
        "posterior": posterior,
        "log_marginal": fitted.done.log_marginal,
        "log_posterior": fitted.mode.log_posterior,
        "diagnostics": json.dumps(numbers, sort_keys=True),
        "scale_names": text_array(held.scales.names),
        "scales": np.exp(held.phi),
        "scale_log_cov": cov,
    }


def _scale_covariance(summaries: PoolingSummaries, held: Held) -> Floats:
    """That of training; a new supercategory's scales vary as its family does, by themselves."""
    old = summaries.scale_log_cov
    names, before = held.scales.names, summaries.scale_names.tolist()
    if not old.size or list(names) == before:
        return old
    by_id = dict(
        zip(summaries.posterior.supercategories.tolist(), range(len(before)), strict=False)
    )
    made = np.zeros((len(names), len(names)))
    place = []
    for name in names:
        family, _, index = name.partition("[")
        if not index:
            place.append(before.index(name))
            continue
        at = by_id.get(int(held.problem.tree.supercategories[int(index[:-1])]))
        place.append(-1 if at is None else before.index(f"{family}[{at}]"))
    known = np.array(place)
    kept = np.flatnonzero(known >= 0)
    made[np.ix_(kept, kept)] = old[np.ix_(known[kept], known[kept])]
    for i in np.flatnonzero(known < 0).tolist():
        family = names[i].partition("[")[0] + "["
        made[i, i] = np.mean(
            [old[j, j] for j, name in enumerate(before) if name.startswith(family)]
        )
    return made


def _counts(
    summaries: PoolingSummaries, posterior: AnyPosterior, rows: TrainingRows
) -> npt.NDArray[np.int64]:
    count = np.zeros(posterior.keys.size, dtype=np.int64)
    count[lookup(posterior.keys, summaries.keys)] = summaries.n_train
    count[lookup(posterior.keys, rows.keys)] += rows.count
    return count


def _seen(summaries: PoolingSummaries, rows: TrainingRows) -> dict[str, Any]:
    """Pairs, species and comps seen in training and since; a comp keeps its first class."""
    ids = rows.ids
    made: dict[str, Any] = {
        "pairs": np.union1d(summaries.pairs, group_keys(ids["species"], ids["comp_id"]))
    }
    for child, parents, column in (
        ("species", ("species_cluster",), "species"),
        ("comps", ("compound", "compound_class"), "comp_id"),
    ):
        both = np.concatenate([getattr(summaries, child), ids[column]])
        made[child], first = np.unique(both, return_index=True)
        made |= {
            parent: np.concatenate([getattr(summaries, parent), ids[parent]])[first]
            for parent in parents
        }
    return made
