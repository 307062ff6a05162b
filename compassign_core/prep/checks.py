"""Checks that compare a staged table with its neighbours: folds, support, caps, stated counts.

Each returns a function of the staged table's SQL text, so that a step can hand it over with its
result and the gate runs it on the written file, before publication.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import duckdb

from compassign_core.contracts.catalogue import CAPPED_TRAINING
from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.contracts.identifiers import quote_name
from compassign_core.contracts.settings.libraries import ExpectedCounts
from compassign_core.contracts.tables import is_covariate
from compassign_core.store.ordering import is_ascending
from compassign_core.store.sql import columns_of, count_rows, first_rows

Check = Callable[[str], CheckOutcome]
_PAIR = "species_cluster, species, comp_id"
_ROW = "sampleset_id, worksheet_id, task_id, comp_id"
_NESTED = "caps_nested"


def _offending(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    query: str,
    good: str,
    bad: str,
    advice: str,
    metrics: Mapping[str, float] | None = None,
) -> CheckOutcome:
    """An outcome that fails when `query` has rows."""
    offenders, total = first_rows(connection, query, MAX_OFFENDERS)
    message = f"{total:,} {bad}" if total else good
    return CheckOutcome(name, total == 0, message, advice, offenders, total, metrics=metrics or {})


def no_test_sample_set(connection: duckdb.DuckDBPyConnection, fold_assignment: str) -> Check:
    """No row of a held-out sample set is trained on."""

    def check(source: str) -> CheckOutcome:
        return _offending(
            connection,
            "no_test_sample_set",
            f"""SELECT sampleset_id, count(*) AS n_rows FROM {source}
                SEMI JOIN (SELECT sampleset_id FROM {fold_assignment} WHERE fold = 'test')
                USING (sampleset_id) GROUP BY 1""",
            "no held-out sample set is among the training rows.",
            "held-out sample sets are among the training rows.",
            "materialise fold_assignment and then ranked_training again.",
        )

    return check


def pairs_match_support(connection: duckdb.DuckDBPyConnection, support: str, cap: int) -> Check:
    """Every pair with training rows is present with exactly min(rows, cap) of them."""

    def check(source: str) -> CheckOutcome:
        query = f"""
            SELECT {_PAIR}, coalesce(support.kept, 0) AS rows_expected,
                   coalesce(found.n, 0) AS rows_found
            FROM (SELECT {_PAIR}, least(n_train, {cap:d}) AS kept FROM {support}) AS support
            FULL JOIN (SELECT {_PAIR}, count(*) AS n FROM {source} GROUP BY ALL) AS found
                USING ({_PAIR})
            WHERE coalesce(support.kept, 0) <> coalesce(found.n, 0)"""
        total = connection.execute(
            f"SELECT coalesce(sum(least(n_train, {cap:d})), 0) FROM {support}"
        ).fetchall()[0][0]
        rows = count_rows(connection, source)
        return _offending(
            connection,
            "pairs_match_support",
            query,
            f"every pair has min(rows, {cap}) rows; {rows:,} in all, as the support table says.",
            f"pairs differ from min(rows, {cap}); {rows:,} rows in all, expected {int(total):,}.",
            "materialise species_compound_support and ranked_training again; if it stays, a join "
            "lost or multiplied rows.",
            {"rows_expected": float(total), "rows_found": float(rows)},
        )

    return check


def caps_nested(connection: duckdb.DuckDBPyConnection, cap: int, ranked_training: str) -> Check:
    """The rows are exactly the first `cap` of each pair in the library's one ranking.

    All caps are compared with the same ranking and not with each other: prefixes of one order are
    nested, and a cap that is rebuilt first after new data must not fail against an older cap.
    """
    nested = f"the first {cap} rows of every pair in the library's ranking, so caps are nested."

    def check(source: str) -> CheckOutcome:
        wanted = f"(SELECT {_ROW}, pair_rank FROM {ranked_training} WHERE pair_rank <= {cap:d})"
        found = f"(SELECT {_ROW}, pair_rank FROM {source})"
        gaps = f"""
            SELECT {_PAIR}, max(pair_rank) AS last_rank, count(*) AS n_rows FROM {source}
            GROUP BY ALL
            HAVING max(pair_rank) <> count(*) OR count(DISTINCT pair_rank) <> count(*)"""
        ascending = is_ascending(connection, source, CAPPED_TRAINING.order_by)
        if ascending and _same_in_order(connection, found, wanted):
            # Ascending ranks are distinct, so a gap shows in the last one.
            with_gaps = f"SELECT 1 FROM {source} GROUP BY {_PAIR} HAVING max(pair_rank) <> count(*)"
            if not count_rows(connection, f"({with_gaps})"):
                return CheckOutcome(_NESTED, True, nested)
        query = f"""
            SELECT 'not among the first {cap}' AS fault, {_ROW} FROM {found} ANTI JOIN {wanted}
                AS wanted USING ({_ROW}, pair_rank)
            UNION ALL
            SELECT 'missing from the first {cap}', {_ROW} FROM {wanted} ANTI JOIN {found}
                AS found USING ({_ROW}, pair_rank)
            UNION ALL
            SELECT 'ranks of the pair have gaps', NULL, NULL, NULL, comp_id FROM ({gaps})"""
        return _offending(
            connection,
            _NESTED,
            query,
            nested,
            "rows differ from the library's ranking, so caps would not be nested.",
            "materialise ranked_training, and then every cap of this library, again.",
        )

    return check


def _same_in_order(connection: duckdb.DuckDBPyConnection, found: str, wanted: str) -> bool:
    """Whether two tables are equal row by row, as they stand; much less work than as sets."""
    ((different,),) = connection.execute(
        f"""SELECT count(*) FILTER (found IS DISTINCT FROM wanted)
            FROM {found} AS found POSITIONAL JOIN {wanted} AS wanted"""
    ).fetchall()
    return int(different) == 0


def covariates_present(connection: duckdb.DuckDBPyConnection, limit: float) -> Check:
    """Warn when a covariate is missing in more than `limit` of the rows."""

    def check(source: str) -> CheckOutcome:
        covariates = [name for name in columns_of(connection, source) if is_covariate(name)]
        shares: dict[str, float] = {}
        if covariates:
            counts = ", ".join(f"count({quote_name(name)})" for name in covariates)
            n_rows, *found = connection.execute(
                f"SELECT count(*), {counts} FROM {source}"
            ).fetchall()[0]
            shares = {
                name: (n_rows - n) / n_rows if n_rows else 0.0
                for name, n in zip(covariates, found, strict=True)
            }
        high = {name: share for name, share in shares.items() if share > limit}
        worst = max(shares.values(), default=0.0)
        return CheckOutcome(
            "covariates_present",
            not high,
            f"{len(covariates)} covariates; the worst is missing in {worst:.1%} of the rows "
            f"(limit {limit:.0%}).",
            "check that the standard is really measured in this library; models impute its "
            "training mean. covariate_null_warning in libraries.toml sets the limit.",
            [{"covariate": name, "null_share": round(share, 4)} for name, share in high.items()][
                :MAX_OFFENDERS
            ],
            len(high),
            metrics={"worst_null_share": worst},
        )

    return check


def training_counts_as_stated(
    connection: duckdb.DuckDBPyConnection, rows_raw: int, expected: ExpectedCounts
) -> Check:
    """Counts of `lib_training` equal those stated in `libraries.toml`."""

    def check(source: str) -> CheckOutcome:
        rows, runs, sets = connection.execute(
            f"""SELECT coalesce(sum(n), 0)::BIGINT, count(*), count(DISTINCT sampleset_id)
                FROM (SELECT sampleset_id, worksheet_id, task_id, count(*) AS n FROM {source}
                      GROUP BY ALL)"""
        ).fetchall()[0]
        ((comps,),) = connection.execute(
            f"SELECT count(*) FROM (SELECT DISTINCT comp_id FROM {source})"
        ).fetchall()
        found = {
            "rows_raw": rows_raw,
            "rows_training": rows,
            "runs": runs,
            "sample_sets": sets,
            "comps": comps,
        }
        return _as_stated("counts_as_stated", found, expected.model_dump(), expected.tolerance)

    return check


def support_counts_as_stated(
    connection: duckdb.DuckDBPyConnection, expected: ExpectedCounts
) -> Check:
    """Pairs, species and rows at each stated cap, before any hold-out, are as stated."""

    def check(source: str) -> CheckOutcome:
        pairs, species = connection.execute(
            f"SELECT count(*), count(DISTINCT species) FROM {source}"
        ).fetchall()[0]
        found = {"pairs": pairs, "species": species}
        stated: dict[str, int | None] = {"pairs": expected.pairs, "species": expected.species}
        for cap, counts in expected.cap.items():
            found[f"cap_{cap}_sampled"] = _capped_rows(connection, source, cap)
            stated[f"cap_{cap}_sampled"] = counts.sampled
        return _as_stated("counts_as_stated", found, stated, expected.tolerance)

    return check


def chemistry_counts_as_stated(
    connection: duckdb.DuckDBPyConnection,
    support: str,
    comp_chem_mapping: str,
    chem_classes: str,
    cap: int,
    expected: ExpectedCounts,
) -> Check:
    """Rows sampled, with a chemical and with a class at this cap, before any hold-out."""

    def check(_source: str) -> CheckOutcome:
        stated = expected.cap.get(cap)
        mapped = f"(SELECT * FROM {support} SEMI JOIN {comp_chem_mapping} AS m USING (comp_id))"
        classed = f"""(SELECT * FROM {support} SEMI JOIN (
            SELECT comp_id FROM {comp_chem_mapping} AS m
            SEMI JOIN {chem_classes} AS c USING (chem_id)) USING (comp_id))"""
        found = {
            "sampled": _capped_rows(connection, support, cap),
            "mapped": _capped_rows(connection, mapped, cap),
            "classed": _capped_rows(connection, classed, cap),
        }
        return _as_stated(
            "chemistry_counts_as_stated",
            found,
            stated.model_dump() if stated else {},
            expected.tolerance,
        )

    return check


def _capped_rows(connection: duckdb.DuckDBPyConnection, support: str, cap: int) -> int:
    query = f"SELECT coalesce(sum(least(n_rows, {cap:d})), 0) FROM {support}"
    return int(connection.execute(query).fetchall()[0][0])


def _as_stated(
    name: str,
    found: Mapping[str, int],
    stated: Mapping[str, object],
    tolerance: float,
) -> CheckOutcome:
    compared = {key: value for key in found if isinstance(value := stated.get(key), int)}
    wrong = {
        key: value
        for key, value in compared.items()
        if abs(found[key] - value) > tolerance * max(value, 1)
    }
    if not compared:
        text = "libraries.toml states no count for this table."
    elif not wrong:
        text = f"as stated: {', '.join(f'{key} {found[key]:,}' for key in compared)}."
    else:
        differing = "; ".join(
            f"{key} is {found[key]:,}, stated {value:,}" for key, value in wrong.items()
        )
        text = f"{differing}."
    return CheckOutcome(
        name,
        not wrong,
        text,
        "check that the export is complete; when the data rightly changed, state the new counts "
        "under [library.<id>.expected] in libraries.toml.",
        [{"count": key, "found": found[key], "stated": stated[key]} for key in wrong],
        len(wrong),
        metrics={key: float(value) for key, value in found.items()},
    )
