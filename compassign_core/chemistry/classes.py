"""Chemistry classes: k-means on the descriptors, with labels that do not depend on row order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from compassign_core.chemistry.vectors import stack_vectors
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.chemistry import ChemistrySettings


def classify(descriptors: pa.Table, settings: ChemistrySettings) -> StepResult:
    """Divide the chemicals into at most `settings.n_classes` classes.

    Class 0 is the largest; classes of one size are in the order of their smallest chem_id.

    Parameters
    ----------
    descriptors : columns chem_id, embedding20, as in the contract `chem_descriptors`.

    Returns
    -------
    StepResult
        an Arrow table as in the contract `chem_classes`, by ascending chem_id.

    Raises
    ------
    InputError
        when an id or a vector is unusable, as `vectors.stack_vectors` says.
    """
    ids, vectors = stack_vectors(descriptors, "chem_descriptors")
    n_distinct = len(np.unique(vectors, axis=0)) if ids.size else 0
    n_classes = min(settings.n_classes, n_distinct)
    labels, inertia = np.zeros(0, dtype=np.int64), 0.0
    if n_classes:
        # k-means adds up in parallel; one thread keeps the last bits
        with threadpool_limits(limits=1):
            model = KMeans(n_classes, n_init=settings.n_init, random_state=settings.seed)
            labels = canonical_labels(model.fit_predict(vectors))
        inertia = float(model.inertia_)
    sizes = np.bincount(labels)
    return StepResult(
        table=pa.table(
            {
                "chem_id": pa.array(ids, pa.int64()),
                "compound_class": pa.array(labels, pa.int64()),
            }
        ),
        rows_in=descriptors.num_rows,
        notes={
            "classes_asked": settings.n_classes,
            "classes": int(sizes.size),
            "distinct_vectors": n_distinct,
            "largest_class": int(sizes.max(initial=0)),
            "smallest_class": int(sizes.min()) if sizes.size else 0,
            "inertia": round(inertia, 6),
        },
    )


def canonical_labels(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Renumber classes by descending size, then by first appearance, from 0 without gaps.

    Parameters
    ----------
    labels : class of each chemical in ascending order of chem_id, shape ``(n,)``; the first
        appearance of a class is then its smallest chem_id.
    """
    _, first_seen, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first_seen, -sizes))
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    return rank[inverse]
