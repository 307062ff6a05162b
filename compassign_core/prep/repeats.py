"""Peaks that occur more than once: whether there are any, and which of them go on.

Rule: of identical repeats (same run, entry and retention time) the first by its other columns goes
on; of contradicting ones none does.
"""

from __future__ import annotations

from typing import NamedTuple

import duckdb

from compassign_core.store.sql import count_rows, names

PEAK_KEY = ("sampleset_id", "worksheet_id", "task_id", "comp_id")
_RUN = PEAK_KEY[:3]
_MAX_BITMAP_BYTES = 2**28


def any_repeated(
    connection: duckdb.DuckDBPyConnection, peaks: str, entries: str, n_runs: int
) -> bool:
    """Whether a (run, comp) occurs twice.

    Exact: each run gets a bitmap with one bit an entry, and repeats leave fewer bits than rows.
    That keeps a few hundred bytes a run, where grouping by the key keeps tens of bytes a peak;
    exports of so many runs and entries that bitmaps would be large are grouped.

    Parameters
    ----------
    connection : the engine.
    peaks : SQL text of a table with `PEAK_KEY`.
    entries : SQL text of a table whose `comp_id` are all those of `peaks`, and maybe more; read
        for this column alone.
    n_runs : about how many runs there are.
    """
    listed = f"(SELECT DISTINCT comp_id FROM {entries} WHERE comp_id IS NOT NULL)"
    n_entries = count_rows(connection, listed)
    if not n_entries:
        return False
    if n_runs * n_entries > 8 * _MAX_BITMAP_BYTES:
        return bool(
            connection.execute(f"SELECT 1 FROM {repeated_peaks(peaks).keys} LIMIT 1").fetchall()
        )
    found = connection.execute(
        f"""
        WITH entries AS MATERIALIZED (
            SELECT comp_id, (row_number() OVER () - 1)::INTEGER AS place FROM {listed})
        SELECT 1 FROM {peaks} AS peaks JOIN entries USING (comp_id)
        GROUP BY {names(_RUN)}
        HAVING bit_count(bitstring_agg(place, 0, {n_entries - 1:d})) < count(*) LIMIT 1"""
    ).fetchall()
    return bool(found)


class Repeats(NamedTuple):
    """SQL texts: the repeated keys, and all their rows with a `verdict`, null for those kept."""

    keys: str
    rows: str


def repeated_peaks(peaks: str) -> Repeats:
    """Repeated keys and the verdict on their rows.

    Parameters
    ----------
    peaks : SQL text of judged peaks that are good each by itself.
    """
    keys = f"""(
        SELECT {names(PEAK_KEY)}, min(rt) = max(rt) AS identical
        FROM {peaks} GROUP BY {names(PEAK_KEY)} HAVING count(*) > 1)"""
    rows = f"""(
        SELECT * EXCLUDE (identical, place),
               CASE WHEN NOT identical THEN 'conflicting_peaks'
                    WHEN place > 1 THEN 'duplicate_row' END AS verdict
        FROM (SELECT peaks.*, keys.identical, row_number() OVER (
                  PARTITION BY {names(PEAK_KEY, "peaks")}
                  ORDER BY peaks.run_order, peaks.sample_type, peaks.cpd_group::VARCHAR,
                           peaks.species_matrix_type, peaks.source_file::VARCHAR) AS place
              FROM {peaks} AS peaks JOIN {keys} AS keys USING ({names(PEAK_KEY)})))"""
    return Repeats(keys, rows)
