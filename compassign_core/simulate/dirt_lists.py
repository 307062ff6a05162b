"""More faults in the lists that a lab keeps by hand: sample sets, mapping, embeddings."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from compassign_core.simulate import layout
from compassign_core.simulate.dirt import Fault

EMBEDDINGS = "embeddings.parquet"
"""Where `descriptor_not_finite` puts its file."""


def windows_csv(folder: Path, lib: int) -> Fault:
    """Save the lists as Windows does: a byte-order mark, and two signs at the end of a line."""
    for path in (layout.metadata_file(folder, lib), layout.comp_chem_file(folder, lib)):
        text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    return Fault("windows_csv", "species_mapping")


def species_spelled_two_ways(folder: Path, lib: int) -> Fault:
    """Write the species of one sample set in upper case, with another blank in it."""
    metadata = layout.read_csv(layout.metadata_file(folder, lib))
    labels = metadata["species_matrix_type"].to_pylist()
    other = labels[0].upper().replace(" ", "_")
    _set_column(folder, lib, metadata, "species_matrix_type", [other, *labels[1:]])
    return Fault(
        "species_spelled_two_ways", "species_mapping", stops=True, offenders=(other, labels[0])
    )


def species_empty(folder: Path, lib: int) -> Fault:
    """Empty the species in the first line of the metadata."""
    metadata = layout.read_csv(layout.metadata_file(folder, lib))
    labels = metadata["species_matrix_type"].to_pylist()
    _set_column(folder, lib, metadata, "species_matrix_type", ["  ", *labels[1:]])
    return Fault(
        "species_empty",
        "species_mapping",
        offenders=(metadata["sample_set_id"][0].as_py(),),
        rejects={"species_missing": 1},
    )


def entry_not_mapped(folder: Path, lib: int) -> Fault:
    """Remove the first entry of the mapping."""
    path = layout.comp_chem_file(folder, lib)
    layout.write_csv(path, layout.read_csv(path).slice(1))
    return Fault("entry_not_mapped", "comp_chem_mapping")


def chemical_zero(folder: Path, lib: int) -> Fault:
    """Map the first entry to chemical 0."""
    path = layout.comp_chem_file(folder, lib)
    mapping = layout.read_csv(path)
    chemicals = ["0", *mapping["chemical_id"].to_pylist()[1:]]
    index = mapping.column_names.index("chemical_id")
    layout.write_csv(path, mapping.set_column(index, "chemical_id", pa.array(chemicals)))
    return Fault("chemical_zero", "comp_chem_mapping", rejects={"chemical_is_zero": 1})


def descriptor_not_finite(folder: Path, lib: int) -> Fault:
    """Bring embeddings of which one holds NaN; they belong to all libraries."""
    vectors = [[float(n + place) for place in range(20)] for n in range(3)]
    vectors[1][7] = float("nan")
    table = pa.table({"chem_id": [1, 2, 3], "embedding20": vectors})
    layout.write_shard(folder / EMBEDDINGS, table)
    return Fault("descriptor_not_finite", "chem_descriptors", stops=True, offenders=("2",))


LIST_FAULTS = (
    windows_csv,
    species_spelled_two_ways,
    species_empty,
    entry_not_mapped,
    chemical_zero,
    descriptor_not_finite,
)


def _set_column(folder: Path, lib: int, table: pa.Table, name: str, values: list[str]) -> None:
    index = table.column_names.index(name)
    changed = table.set_column(index, name, pa.array(values))
    layout.write_csv(layout.metadata_file(folder, lib), changed)
