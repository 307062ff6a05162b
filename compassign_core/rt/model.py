"""A trained model of any family: read from its file, and asked for predictions of rows.

Families differ in what they know of a row (its group, or the whole hierarchy above it); from here
on they are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.settings.rt import SCALE_LEVEL
from compassign_core.rt.archive import read_arrays
from compassign_core.rt.hierarchy import artifact as pooling
from compassign_core.rt.hierarchy.predict import PoolingScorer
from compassign_core.rt.predict import GroupScorer, Scores
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.rt.support import novelty_index

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scorer = Callable[[Mapping[str, Ints], Floats], Scores]
"""Scores n rows by their ids and raw covariates ``(n, C)`` (NaN = missing).

The ids are species, species_cluster, comp_id and compound, ``(n,)`` each; -1 is unknown.
"""

Model = CoefficientSummaries | pooling.PoolingSummaries


def load_model(path: str | Path) -> Model:
    """Read what scoring needs of a model file of any family; raises what its `load` raises."""
    arrays = read_arrays(Path(path), without=pooling.STATISTICS)
    if str(arrays.get("format", "")) == pooling.FORMAT:
        return pooling.PoolingSummaries.from_arrays(arrays, Path(path))
    return CoefficientSummaries.from_arrays(arrays, Path(path))


def scorer(model: Model, levels: Iterable[float] = (SCALE_LEVEL,)) -> Scorer:
    """A function that scores rows, with windows of the nominal coverages `levels`."""
    wanted = np.array(list(levels), dtype=np.float64)
    if isinstance(model, pooling.PoolingSummaries):
        return PoolingScorer(model, wanted)
    return GroupScorer(model, wanted)


def score(model: Model, ids: Mapping[str, Ints], raw: Floats) -> Scores:
    """Score a few rows, with 95 % windows; for many, make one `scorer` and keep it."""
    return scorer(model)(ids, raw)


def novelty(model: Model, ids: Mapping[str, Ints]) -> Ints:
    """Index into `NOVELTY` of what the model has seen of each row, ``(n,)``."""
    return novelty_index(ids["species"], ids["comp_id"], model.pairs, model.species, model.comps)
