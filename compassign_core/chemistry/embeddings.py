"""A user's own vectors of chemicals, read and validated in place of the descriptors made here."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from compassign_core.chemistry.vectors import VECTOR_COLUMN, stack_vectors, vector_table
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.rejects import StepResult


def read_embeddings(path: Path) -> StepResult:
    """Read a Parquet file with the columns chem_id and embedding20 (others are ignored).

    Returns
    -------
    StepResult
        an Arrow table with the columns of the contract `chem_descriptors`, by ascending
        chem_id; nothing is rejected, a fault stops the step.

    Raises
    ------
    InputError
        naming the file, the column, the first offending ids and their number.
    """
    try:
        # one file, not a dataset: folder names are no columns here
        file = pq.ParquetFile(path)
        wanted = [n for n in ("chem_id", VECTOR_COLUMN) if n in file.schema_arrow.names]
        table = file.read(columns=wanted)
    except FileNotFoundError:
        raise InputError(
            f"there is no file {path}.", "correct [chemistry] embeddings in libraries.toml."
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet: {error}.", "write the file again."
        ) from error
    ids, vectors = stack_vectors(table, str(path))
    return StepResult(
        table=vector_table(ids, vectors),
        rows_in=table.num_rows,
        notes={"source": path.name, "chemicals": int(ids.size)},
    )
