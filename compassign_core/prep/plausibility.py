"""Checks for what is well formed and yet cannot be: other units, copied shards, constant columns.

As in `checks`, each returns a function of the staged table's SQL text. They hold for any library,
so their limits are wide; `max_rt` of `libraries.toml` moves the only one that a method could need
to move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb

from compassign_core.contracts.checks import MAX_OFFENDERS, CheckOutcome
from compassign_core.contracts.identifiers import quote_name
from compassign_core.contracts.tables import is_covariate
from compassign_core.store.sql import columns_of, first_rows

Check = Callable[[str], CheckOutcome]

DEFAULT_MAX_RT = 120.0
"""Longest plausible retention time, minutes, of a library that states none."""

MIN_RT = 0.001
"""Shortest plausible retention time, minutes: 60 ms."""

OFF_STANDARDS = 20.0
OFF_TYPICAL = 5.0
"""Seconds read as minutes are 60 times too late. The first bound is wide, since a library may have
one early standard only; the second holds within one library entry, and lies below the root of 60,
so that it also finds an entry of which one half is in seconds."""

MAX_ODD_SHARE = 0.25


def no_shard_twice(connection: duckdb.DuckDBPyConnection) -> Check:
    """No shard of an `export_manifest` was copied under another name.

    Covariate shards are compared within their species, whose name is in the folder's name.
    """

    def check(source: str) -> CheckOutcome:
        offenders, total = first_rows(
            connection,
            f"""SELECT count(*) AS n_files,
                       string_agg(path, ', ' ORDER BY path)[1:400] AS same_content
                FROM {source} WHERE n_rows > 0 AND role IN ('peaks', 'covariates')
                GROUP BY role, sha256,
                         CASE role WHEN 'covariates' THEN regexp_replace(path, '[^/]*$', '') END
                HAVING count(*) > 1""",
            MAX_OFFENDERS,
        )
        return CheckOutcome(
            "no_shard_twice",
            total == 0,
            f"{total:,} shards are there under two or more names."
            if total
            else "no shard is there twice.",
            "remove the copies; their rows would all be refused as duplicates.",
            offenders,
            total,
        )

    return check


def covariates_in_minutes(connection: duckdb.DuckDBPyConnection, max_rt: float | None) -> Check:
    """The median of every covariate is a plausible retention time in minutes."""
    limit = max_rt or DEFAULT_MAX_RT

    def check(source: str) -> CheckOutcome:
        facts = _facts(connection, source, limit)
        wrong = [
            {"covariate": name, "median": float(f"{median:.4g}")}
            for name, (median, *_) in facts.items()
            if median is not None and not MIN_RT <= median <= limit
        ]
        return CheckOutcome(
            "covariates_in_minutes",
            not wrong,
            f"the medians of {len(wrong)} of {len(facts)} covariates lie outside {MIN_RT:g} to "
            f"{limit:g} minutes."
            if wrong
            else f"all {len(facts)} covariates look like minutes.",
            "export the retention times of the standards in minutes (seconds are 60 times as "
            "large); where a method really takes so long, state it as max_rt in libraries.toml.",
            wrong[:MAX_OFFENDERS],
            len(wrong),
        )

    return check


def covariates_vary(connection: duckdb.DuckDBPyConnection, max_rt: float | None) -> Check:
    """Warn of covariates that are the same in all runs, and of stray values in others."""
    limit = max_rt or DEFAULT_MAX_RT

    def check(source: str) -> CheckOutcome:
        facts = _facts(connection, source, limit)
        constant = [
            {"covariate": name, "always": low}
            for name, (_, low, high, n, _) in facts.items()
            if n > 1 and low == high
        ]
        stray = [
            {"covariate": name, "implausible_values": n_stray}
            for name, (median, _, _, _, n_stray) in facts.items()
            if n_stray and median is not None and MIN_RT <= median <= limit
        ]
        bad = [*constant, *stray]
        return CheckOutcome(
            "covariates_vary",
            not bad,
            f"{len(constant)} covariates are the same in all runs, {len(stray)} have values "
            f"outside {MIN_RT:g} to {limit:g} minutes."
            if bad
            else f"all {len(facts)} covariates vary between runs within plausible values.",
            "a standard that never moves says nothing of a run: look whether it was measured; "
            "leave a standard that was not found empty, not 0.",
            bad[:MAX_OFFENDERS],
            len(bad),
        )

    return check


def _facts(
    connection: duckdb.DuckDBPyConnection, source: str, limit: float
) -> dict[str, tuple[float | None, float, float, int, int]]:
    """Median, smallest, greatest, number of values, number of implausible ones, by covariate."""
    covariates = [name for name in columns_of(connection, source) if is_covariate(name)]
    if not covariates:
        return {}
    asked = ", ".join(
        f"median({c}), min({c}), max({c}), count({c}), "
        f"count(*) FILTER ({c} NOT BETWEEN {MIN_RT!r} AND {limit!r})"
        for c in map(quote_name, covariates)
    )
    row = connection.execute(f"SELECT {asked} FROM {source}").fetchall()[0]
    return {
        name: (row[n], row[n + 1], row[n + 2], row[n + 3], row[n + 4])
        for name, n in zip(covariates, range(0, len(row), 5), strict=True)
    }


def retention_times_in_minutes(
    connection: duckdb.DuckDBPyConnection, run_covariates: str, max_rt: float | None
) -> Check:
    """No shard of `lib_training` has retention times in seconds, or any other unit.

    `run_covariates` is the SQL text of that table, for the times of the standards. The typical time
    of an entry is its geometric mean over all shards. Everything is an average and not a median, so
    that tens of millions of rows stream.
    """

    def check(source: str) -> CheckOutcome:
        latest = _latest_standard(connection, run_covariates)
        # a lab that states the longest time knows it better than the standards do
        beyond = max_rt or min(DEFAULT_MAX_RT, OFF_STANDARDS * (latest or DEFAULT_MAX_RT))
        # rows that break the contract (no time, or zero) are the contract's own check's
        offenders, total = first_rows(
            connection,
            f"""
            WITH peaks AS (SELECT source_file, comp_id, rt FROM {source} WHERE rt > 0)
            SELECT source_file, count(*) FILTER (odd) AS n_odd, count(*) AS n_rows,
                   round(min(rt), 3) AS earliest, round(max(rt), 3) AS latest
            FROM (SELECT source_file, rt, rt > {beyond!r}
                         OR abs(ln(rt) - typical) > ln({OFF_TYPICAL!r}) AS odd
                  FROM peaks JOIN (SELECT comp_id, avg(ln(rt)) AS typical
                                   FROM peaks GROUP BY 1) USING (comp_id))
            GROUP BY 1 HAVING count(*) FILTER (odd) > {MAX_ODD_SHARE!r} * count(*)""",
            MAX_OFFENDERS,
        )
        standards = f", while the latest standard is at {latest:.3g}" if latest else ""
        return CheckOutcome(
            "retention_times_in_minutes",
            total == 0,
            f"retention times of {total:,} shards look like seconds, not minutes{standards}."
            if total
            else "retention times look like minutes.",
            "export these shards with apex_rt in minutes (divide seconds by 60); where a method "
            "really takes so long, state it as max_rt in libraries.toml.",
            offenders,
            total,
        )

    return check


def _latest_standard(connection: duckdb.DuckDBPyConnection, source: str) -> float | None:
    covariates = [name for name in columns_of(connection, source) if is_covariate(name)]
    if not covariates:
        return None
    means = ", ".join(f"avg({quote_name(name)})" for name in covariates)
    row = connection.execute(f"SELECT {means} FROM {source}").fetchall()[0]
    return max((float(mean) for mean in row if mean is not None), default=None)


def spelled_several_ways(mapping: str, columns: Sequence[str]) -> str:
    """SQL of labels that read the same and are not: case, spaces, hyphens, Unicode forms."""
    blanks = r"[\s_\-\x{00a0}]+"

    def one(column: str) -> str:
        name = quote_name(column)
        return f"""
            SELECT {name} AS label,
                   trim(regexp_replace(lower(nfc_normalize({name})), '{blanks}', ' ', 'g'))
                       AS plain
            FROM {mapping}"""

    return " UNION ALL ".join(
        f"""(SELECT string_agg(DISTINCT label, ' | ' ORDER BY label) AS spellings
             FROM ({one(column)}) GROUP BY plain HAVING count(DISTINCT label) > 1)"""
        for column in columns
    )
