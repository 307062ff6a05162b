"""Scoring a file that a user brings, with a model file that training wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.rt import SCALE_LEVEL
from compassign_core.rt.model import load_model
from compassign_core.rt.predictions import predict_table

_READERS = {".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv"}


def score_file(
    model_path: str | Path,
    table_path: str | Path,
    connection: duckdb.DuckDBPyConnection,
    *,
    level: float = SCALE_LEVEL,
) -> Any:
    """Predict every row of a Parquet or CSV file, in its order; see `predictions.predict_table`.

    Raises
    ------
    MissingArtifactError
        when there is no model file.
    InputError
        when the table is missing or of another kind, lacks a column the model needs, or holds an
        id or covariate that is no number.
    """
    model = load_model(model_path)
    path = Path(table_path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path} is neither Parquet nor CSV by its name.",
            f"give a file ending in {', '.join(_READERS)}.",
        )
    if not path.is_file():
        raise InputError(f"there is no file {path}.", "correct the path of the table to score.")
    # the whole CSV is looked at for its types: a stray word further down is then reported by
    # column and count instead of ending the scan
    options = "" if reader == "read_parquet" else ", header = true, sample_size = -1"
    source = f"{reader}({quote_text(str(path))}{options})"
    return predict_table(source, model, connection, level=level, name=str(path))
