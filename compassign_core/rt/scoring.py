"""Scoring a file that a user brings, with a model file that training wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_text
from compassign_core.contracts.settings.rt import WindowRequest
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.model import Model, load_model
from compassign_core.rt.predictions import predict_batches
from compassign_core.rt.stored import PRODUCTION_RULE

_READERS = {".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv"}


def score_file(
    model_path: str | Path,
    table_path: str | Path,
    connection: duckdb.DuckDBPyConnection,
    *,
    window: WindowRequest | None = None,
) -> Any:
    """Predict every row of a Parquet or CSV file, in its order; see `predictions.predict_batches`.

    `window` says which window, the 95 % window when None.

    Raises
    ------
    MissingArtifactError
        when there is no model file.
    InputError
        when the table is missing or of another kind, lacks a column the model needs, or holds an
        id or covariate that is no number.
    SettingsError
        when the model has no such window.
    """
    return score_batches(load_model(model_path), table_path, connection, window=window).read_all()


def score_batches(
    model: Model,
    table_path: str | Path,
    connection: duckdb.DuckDBPyConnection,
    *,
    window: WindowRequest | None = None,
) -> Any:
    """The same with a model in memory, batch by batch, as a `pyarrow.RecordBatchReader`."""
    source = table_source(table_path)
    return predict_batches(source, model, connection, window=window, name=str(table_path))


@dataclass
class Tally:
    """What was scored, counted as batches go by.

    Attributes
    ----------
    model, window : what scores, and the window that was asked for.
    rows, scored : rows, and those with a prediction.
    judged, covered : rows with a prediction and a retention time, and those whose window holds it.
    unmeasured : scored rows for whose window too few rows were left out in training, at its level.
    """

    model: Model
    window: WindowRequest
    rows: int = 0
    scored: int = 0
    judged: int = 0
    covered: int = 0
    unmeasured: int = 0

    def counted(self, reader: Any) -> Any:
        """A reader of the same batches, which are counted when they are read."""
        return pa.RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def _batches(self, reader: Any) -> Iterator[Any]:
        for batch in reader:
            scored = batch["scored"].to_numpy(zero_copy_only=False)
            self.rows += batch.num_rows
            self.scored += int(scored.sum())
            self.unmeasured += int((scored & ~measured_rows(self.model, batch, self.window)).sum())
            if "covered" in batch.schema.names:
                self.judged += len(batch["covered"]) - batch["covered"].null_count
                self.covered += batch["covered"].true_count
            yield batch


def measured_rows(model: Model, predictions: Any, window: WindowRequest) -> npt.NDArray[np.bool_]:
    """Whether left-out rows speak for the window of each of n rows at its level, ``(n,)``.

    Otherwise it has the factor of the highest level for which there were enough, or none. Nothing
    is measured for windows of the production rule; they count as measured.
    """
    if window.coverage is None or model.calibration == PRODUCTION_RULE:
        return np.ones(predictions.num_rows, dtype=np.bool_)
    support = _index(predictions["support_bin"], SUPPORT_BINS)
    measured = model.measured_at(window.coverage)[support]
    if isinstance(model, PoolingSummaries):
        novelty = _index(predictions["novelty"], NOVELTY)
        of_novelty = model.novelty_measured_at(window.coverage)[novelty]
        measured = np.where(support == SUPPORT_BINS.index("0"), of_novelty, measured)
    return measured


def _index(column: Any, words: tuple[str, ...]) -> npt.NDArray[np.int32]:
    return np.asarray(pc.index_in(column, pa.array(words)).to_numpy())


def table_source(table_path: str | Path) -> str:
    """SQL text of a user's Parquet or CSV file.

    Raises
    ------
    InputError
        when the file is missing or of another kind.
    """
    path = Path(table_path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path} is neither Parquet nor CSV by its name.",
            f"give a file ending in {', '.join(_READERS)}.",
        )
    if not path.is_file():
        raise InputError(f"there is no file {path}.", "correct the path of the table.")
    # the whole CSV is looked at for its types: a stray word further down is then reported by
    # column and count instead of ending the scan
    options = "" if reader == "read_parquet" else ", header = true, sample_size = -1"
    return f"{reader}({quote_text(str(path))}{options})"
