"""A trained model of any family: read from its file, and asked for predictions of rows.

Families differ in what they know of a row (its group, or the whole hierarchy above it); from here
on they are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compassign_core.rt.archive import read_arrays
from compassign_core.rt.hierarchy import artifact as pooling
from compassign_core.rt.hierarchy.predict import score_rows as score_pooling_rows
from compassign_core.rt.predict import Scores, score_rows
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.support import novelty_index

Ints = npt.NDArray[np.int64]
Model = CoefficientSummaries | pooling.PoolingSummaries


def load_model(path: str | Path) -> Model:
    """Read a model file of any family; raises what the family's own `load` raises."""
    arrays = read_arrays(Path(path))
    if str(arrays.get("format", "")) == pooling.FORMAT:
        return pooling.PoolingSummaries.from_arrays(arrays, Path(path))
    return CoefficientSummaries.from_arrays(arrays, Path(path))


def score(model: Model, ids: Mapping[str, Ints], raw: npt.NDArray[np.float64]) -> Scores:
    """Score n rows with raw covariates ``(n, C)`` (NaN = missing).

    `ids` holds species, species_cluster, comp_id and compound, ``(n,)`` each; -1 is unknown.
    """
    if isinstance(model, pooling.PoolingSummaries):
        return score_pooling_rows(model, ids, raw)
    return score_rows(model, ids[model.group_col], ids["comp_id"], raw)


def novelty(model: Model, ids: Mapping[str, Ints]) -> Ints:
    """Index into `NOVELTY` of what the model has seen of each row, ``(n,)``."""
    return novelty_index(ids["species"], ids["comp_id"], model.pairs, model.species, model.comps)
