"""Ranking and capping: at most `cap` rows per (supercategory, species, comp), drawn uniformly.

A row's place in its pair is the order of a keyed hash of its identity, not of its position, so
that every cap is a filter on one ranking: nested, and independent of file order and threads. Both
steps are Ibis expressions, so that the engine can be exchanged. Ranking runs on the key columns
only; the whole rows are picked up by a join afterwards.

Only rows that can be among the first of their pair are sorted: of a pair with thousands of rows all
but the smallest hashes are left out first, by counts that make this exact.
"""

from __future__ import annotations

import duckdb
import ibis

from compassign_core.contracts.identifiers import MAX_CAP, RUN_KEY
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.prep.keyed_hash import keyed_hash
from compassign_core.store.lake import ibis_source
from compassign_core.store.sql import count_rows

PAIR = ("species_cluster", "species", "comp_id")
_IDENTITY = (*RUN_KEY, "comp_id")
_LEVELS = 12
"""Enough for pairs of 400,000 rows; in larger ones more rows than needed are sorted."""


def build_ranked_training(
    connection: duckdb.DuckDBPyConnection,
    lib_training: str,
    species_mapping: str,
    fold_assignment: str,
    settings: PrepSettings,
) -> StepResult:
    """Make `ranked_training`: training-fold rows with rank up to the largest cap.

    Parameters
    ----------
    connection : the engine.
    lib_training, species_mapping, fold_assignment : SQL text of these tables.
    settings : the seed of the hash.
    """
    peaks = ibis_source(connection, lib_training)
    sets = ibis_source(
        connection,
        f"""(SELECT sampleset_id, mapping.species, mapping.species_cluster
             FROM {fold_assignment} AS folds
             JOIN {species_mapping} AS mapping USING (sampleset_id)
             WHERE folds.fold = 'train')""",
    )
    narrow = peaks.select(*_IDENTITY).inner_join(sets, "sampleset_id")
    ranked = _candidates(keyed_hash(narrow, _IDENTITY, settings.seed), MAX_CAP)
    # Equal hashes are ordered by identity, so the order is total.
    order = ibis.window(group_by=list(PAIR), order_by=["hash", *_IDENTITY])
    ranked = ranked.mutate(pair_rank=ibis.row_number().over(order) + 1)
    ranked = ranked.filter(ranked.pair_rank <= MAX_CAP)
    ranked = ranked.select(*_IDENTITY, "species", "species_cluster", "pair_rank")
    table = peaks.inner_join(ranked, list(_IDENTITY))
    rows_in = count_rows(connection, lib_training)
    return StepResult(
        table,
        rows_in,
        set_aside=_set_aside(connection, lib_training, species_mapping, fold_assignment),
    )


def _candidates(hashed: ibis.Table, wanted: int) -> ibis.Table:
    """Rows whose hash may be among the `wanted` smallest of their pair.

    The level of a row is the number of leading zeros of its hash, up to `_LEVELS`: half the rows
    have level 0, a quarter level 1, and so on. The rows of each pair are counted by level; those
    of the highest levels that together hold `wanted` rows (or all rows) hold the smallest hashes.
    """
    thresholds = [2 ** (31 - k) for k in range(1, _LEVELS + 1)]
    level = sum(((hashed.hash < t).cast("int64") for t in thresholds), ibis.literal(0, "int64"))
    hashed = hashed.mutate(level=level)
    counts = hashed.group_by([*PAIR, "level"]).agg(n=hashed.count())
    pair = ibis.window(group_by=list(PAIR))
    from_top = ibis.window(
        group_by=list(PAIR), order_by=ibis.desc("level"), preceding=None, following=0
    )
    counts = counts.mutate(reached=counts.n.sum().over(from_top), rows=counts.n.sum().over(pair))
    enough = counts.filter(counts.reached >= ibis.least(counts.rows, wanted))
    lowest = enough.group_by(list(PAIR)).agg(lowest=enough.level.max())
    joined = hashed.inner_join(lowest, list(PAIR))
    return joined.filter(joined.level >= joined.lowest)


def _set_aside(
    connection: duckdb.DuckDBPyConnection,
    lib_training: str,
    species_mapping: str,
    fold_assignment: str,
) -> dict[str, int]:
    """Rows that are not ranked by design: held out, without species, beyond the largest cap."""
    unmapped, held_out, beyond = connection.execute(
        f"""
        WITH pairs AS (
            SELECT species_cluster, species, comp_id, fold, count(*) AS n
            FROM {lib_training} AS peaks
            LEFT JOIN {fold_assignment} AS folds USING (sampleset_id)
            GROUP BY ALL)
        SELECT coalesce(sum(n) FILTER (fold IS NULL), 0),
               coalesce(sum(n) FILTER (fold = 'test'), 0),
               coalesce(sum(greatest(n - {MAX_CAP}, 0)) FILTER (fold = 'train'), 0)
        FROM pairs"""
    ).fetchall()[0]
    return {
        "held_out": int(held_out),
        "sample_set_without_species": int(unmapped),
        f"beyond_rank_{MAX_CAP}": int(beyond),
    }


def build_capped_training(
    connection: duckdb.DuckDBPyConnection, ranked_training: str, cap: int
) -> StepResult:
    """Make `capped_training`: rows of rank up to `cap` (table as SQL text)."""
    ranked = ibis_source(connection, ranked_training)
    rows_in = count_rows(connection, ranked_training)
    kept = count_rows(connection, f"(SELECT 1 FROM {ranked_training} WHERE pair_rank <= {cap:d})")
    return StepResult(
        ranked.filter(ranked.pair_rank <= cap),
        rows_in,
        set_aside={f"beyond_cap_{cap}": rows_in - kept},
    )
