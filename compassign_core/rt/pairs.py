"""Training rows of each (species, comp) pair: a support that is the same for all models."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import group_keys
from compassign_core.rt.source import Source
from compassign_core.rt.support import lookup, safe_keys

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairSupport:
    """Pairs that were trained, by ascending key ``(G,)``, and their training rows ``(G,)``."""

    keys: Ints
    rows: Ints

    def of(self, species: Ints, comp_id: Ints) -> Ints:
        """Training rows of each pair, 0 where it was never trained, ``(n,)``."""
        if not self.keys.size:
            return np.zeros(species.shape, dtype=np.int64)
        at = lookup(self.keys, safe_keys(species, comp_id))
        return np.where(at >= 0, self.rows[at], 0)


def count_pairs(source: str, connection: duckdb.DuckDBPyConnection) -> PairSupport:
    """Count the rows of each pair in the RT table that models were trained on.

    Raises
    ------
    InputError
        when the table lacks species or comp_id, or an id is no whole number from 0 on.
    """
    table = Source.open(connection, source)
    table.require(("species", "comp_id"), "counting the rows of pairs")
    table.check_ids(("species", "comp_id"))
    found = connection.sql(
        "SELECT CAST(species AS BIGINT) AS species, CAST(comp_id AS BIGINT) AS comp_id, "
        f"count(*) AS rows FROM {source} GROUP BY ALL"
    ).to_arrow_table()
    species, comp_id, rows = (np.asarray(column, dtype=np.int64) for column in found.columns)
    try:
        keys = group_keys(species, comp_id)
    except ValueError as error:
        raise InputError(
            f"{table.name} holds an id that has no group key: {error}.",
            "ids are counted from zero; take them from the species mapping of the library.",
        ) from error
    order = np.argsort(keys)
    return PairSupport(keys[order], rows[order])
