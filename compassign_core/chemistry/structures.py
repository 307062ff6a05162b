"""Reading of the table of chemicals with their structures, from Parquet or CSV."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.chemistry.vectors import repeated
from compassign_core.contracts.catalogue import STRUCTURES
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.contracts.rejects import StepResult

_READERS = {
    # all text, so that an id such as 12.5 is seen as written and not rounded
    ".csv": "read_csv(?, all_varchar = true, header = true)",
    ".tsv": "read_csv(?, all_varchar = true, header = true, delim = '\t')",
    # folder names are no columns here
    ".parquet": "read_parquet(?, hive_partitioning = false)",
}


def read_structures(path: Path, connection: duckdb.DuckDBPyConnection) -> StepResult:
    """Read chem_id, chem_name and smiles; other columns are ignored, blank text becomes null.

    Returns
    -------
    StepResult
        an Arrow table with the columns of the contract `structures`, by ascending chem_id;
        nothing is rejected, a fault stops the step.

    Raises
    ------
    InputError
        naming the file and the column, when the file is absent, of another format or
        unreadable, a column is missing, or a chem_id is no whole number or stands in
        several rows (the first offenders and their number are named).
    """
    rows = _read_as_text(path, connection)
    ids = _whole_numbers(rows.column("chem_id"), path)
    repeats = repeated(ids)
    if repeats.size:
        raise InputError(
            f"{path}: column chem_id holds {repeats.size} ids more than once: "
            f"{first(repeats.tolist())}.",
            "keep one row for each chemical.",
        )
    rows = rows.set_column(0, "chem_id", pa.array(ids, pa.int64())).take(np.argsort(ids))
    without = rows.column("smiles").null_count
    return StepResult(
        table=rows,
        rows_in=rows.num_rows,
        notes={"source": path.name, "with_smiles": rows.num_rows - without},
    )


def _read_as_text(path: Path, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    names = STRUCTURES.names()
    if path.suffix.lower() not in _READERS:
        raise InputError(
            f"{path}: structures cannot be read from a {path.suffix or 'nameless'} file.",
            f"give one of {', '.join(_READERS)}.",
        )
    if not path.is_file():
        raise InputError(
            f"there is no file {path}.", "correct [chemistry] structures in libraries.toml."
        )
    try:
        rows = connection.sql(f"FROM {_READERS[path.suffix.lower()]}", params=[str(path)])
        missing = [name for name in names if name not in rows.columns]
        if missing:
            raise InputError(
                f"{path}: column {', '.join(missing)} is missing; the file has "
                f"{first(rows.columns)}.",
                f"write the columns {', '.join(names)}.",
            )
        text = ", ".join(f"nullif(trim(CAST({name} AS VARCHAR)), '') AS {name}" for name in names)
        return rows.project(text).to_arrow_table()
    except duckdb.Error as error:
        raise InputError(f"{path} cannot be read: {error}.", "write the file again.") from error


def _whole_numbers(text: pa.ChunkedArray, path: Path) -> npt.NDArray[np.int64]:
    """Read the ids as int64, shape ``(n,)``; ``12.0`` passes because spreadsheets write it."""
    text = pc.replace_substring_regex(text, r"\.0+$", "")
    legal = pc.fill_null(pc.match_substring_regex(text, "^[0-9]{1,18}$"), False)
    faulty = pc.fill_null(text.filter(pc.invert(legal)), "null").to_pylist()
    if faulty:
        raise InputError(
            f"{path}: column chem_id is no whole number in {len(faulty)} rows: "
            f"{first(sorted(faulty))}.",
            "give every chemical a non-negative whole number as its id.",
        )
    return np.asarray(text.cast(pa.int64()).to_numpy(), dtype=np.int64)


def no_structures() -> StepResult:
    """The table of an installation that brings embeddings instead of structures: no rows."""
    schema = pa.schema(
        [("chem_id", pa.int64()), ("chem_name", pa.string()), ("smiles", pa.string())]
    )
    return StepResult(schema.empty_table(), rows_in=0)
