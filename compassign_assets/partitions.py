"""Partitions: `lib` and `lib × row_cap`, and the one helper that reads their keys.

The cap's dimension is called `row_cap` so that `lib` sorts first: Dagster orders dimensions by
name, and keys then read ``100|5`` with the library as the primary axis.
"""

from __future__ import annotations

import dagster as dg

from compassign_core.contracts.identifiers import CAPS, parse_cap, parse_lib
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

lib_partitions = dg.StaticPartitionsDefinition(
    [str(lib) for lib in current_project().libraries.library]
)
cap_partitions = dg.StaticPartitionsDefinition([str(cap) for cap in CAPS])
lib_cap_partitions = dg.MultiPartitionsDefinition(
    {"lib": lib_partitions, "row_cap": cap_partitions}
)

DEFINITIONS: dict[tuple[str, ...], dg.PartitionsDefinition | None] = {
    (): None,
    ("lib_id",): lib_partitions,
    ("lib_id", "row_cap"): lib_cap_partitions,
}
"""Dagster's partitions for the partition dimensions of a table contract."""


def read_key(key: str | None) -> Partition:
    """Library and cap of a partition key: ``None``, ``"100"`` or ``"100|5"``.

    A run started by tag alone delivers the key as plain text, so it is always read from text.

    Raises
    ------
    SettingsError
        when the key names no library or cap.
    """
    if key is None:
        return Partition()
    lib, _, cap = str(key).partition("|")
    return Partition(parse_lib(lib), parse_cap(cap) if cap else None)


def write_key(partition: Partition) -> str | None:
    """The partition key of a library and cap, as Dagster writes it."""
    if partition.lib is None:
        return None
    if partition.cap is None:
        return str(partition.lib)
    return str(dg.MultiPartitionKey({"lib": str(partition.lib), "row_cap": str(partition.cap)}))
