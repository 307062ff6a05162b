"""Structures to descriptors: twenty whitened components of fingerprint and physical properties.

How one molecule becomes numbers stands in `molecules`; here they are standardised and reduced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from compassign_core.chemistry.molecules import (
    DESCRIPTORS,
    fingerprints,
    physico_chemical,
    read_molecules,
)
from compassign_core.chemistry.vectors import N_COMPONENTS, repeated, vector_table
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.contracts.rejects import REJECT_COLUMNS, StepResult
from compassign_core.contracts.settings.chemistry import ChemistrySettings

DECIMALS = 10
"""Decimals kept of a component: far above rounding noise, far below any meaning."""

_SAME = 1e-9
"""Relative difference below which two numbers differ by rounding only."""


def describe_structures(
    structures: pa.Table, settings: ChemistrySettings | None = None
) -> StepResult:
    """Describe every chemical that has a readable structure.

    The result does not depend on the order of the rows. The components describe the set they
    come from: a chemical added changes those of all.

    Parameters
    ----------
    structures : columns chem_id, chem_name, smiles, as in the contract `structures`.
    settings : fingerprint settings; the defaults when None.

    Returns
    -------
    StepResult
        an Arrow table as in the contract `chem_descriptors`, by ascending chem_id; rejects with
        the reason `smiles_missing` or `smiles_unreadable`.

    Raises
    ------
    InputError
        when a chem_id is null or stands in several rows.
    """
    settings = settings or ChemistrySettings()
    ids, smiles = _sorted_structures(structures)
    given = [n for n, text in enumerate(smiles) if text.strip()]
    molecules = {
        n: molecule
        for n, molecule in zip(given, read_molecules([smiles[n] for n in given]), strict=True)
        if molecule is not None
    }
    # more threads would add up in another order, and change last bits from machine to machine
    with threadpool_limits(limits=1):
        blocks = (
            _standardised(fingerprints([*molecules.values()], settings), scale_columns=False),
            _standardised(physico_chemical([*molecules.values()]), scale_columns=True),
        )
        components = whitened_components(np.hstack(blocks))

    missing = sorted(set(range(len(smiles))) - set(given))
    unreadable = sorted(set(given) - set(molecules))
    rejects = [("smiles_missing", f"chem_id={ids[n]}") for n in missing]
    rejects += [("smiles_unreadable", f"chem_id={ids[n]}, smiles={smiles[n]}") for n in unreadable]
    return StepResult(
        table=vector_table(ids[np.array([*molecules], dtype=np.int64)], components.values),
        rows_in=structures.num_rows,
        rejects=_rejects(rejects),
        notes={
            "described": len(molecules),
            "smiles_missing": len(missing),
            "smiles_unreadable": len(unreadable),
            "components": components.rank,
            "padded_with_zeros": N_COMPONENTS - components.rank,
            "explained_variance": round(float(components.explained.sum()), 6),
            "explained_variance_by_component": [round(float(x), 6) for x in components.explained],
            "descriptors": ", ".join(DESCRIPTORS),
        },
    )


@dataclass(frozen=True)
class Components:
    """Whitened principal components.

    Attributes
    ----------
    values : shape ``(n, 20)``; columns from `rank` on are zero.
    rank : components that carry variance, at most 20.
    explained : share of the variance of each of them, shape ``(rank,)``.
    """

    values: npt.NDArray[np.float64]
    rank: int
    explained: npt.NDArray[np.float64]


def whitened_components(features: npt.NDArray[np.float64]) -> Components:
    """Leading principal components of centred `features` ``(n, p)``, scaled to unit variance.

    With ``X = U S V'`` the k-th component is ``sqrt(n - 1) U_k``, whose sample variance is one.
    The sign is fixed by the loadings: the first of the largest in size in ``V_k`` is positive.
    """
    n = features.shape[0]
    values = np.zeros((n, N_COMPONENTS))
    features = features[:, np.any(features != 0, axis=0)]  # constant columns only cost time
    if n < 2 or features.size == 0:
        return Components(values, 0, np.zeros(0))
    u, s, vt = np.linalg.svd(features, full_matrices=False)
    rank = min(N_COMPONENTS, int(np.sum(s > s[0] * _SAME)))
    size = np.abs(vt[:rank])
    # the first of those that are largest up to rounding, so that noise cannot turn a sign
    leading = np.argmax(size >= size.max(axis=1, keepdims=True) * (1 - _SAME), axis=1)
    signs = np.sign(vt[np.arange(rank), leading])
    values[:, :rank] = u[:, :rank] * signs * np.sqrt(n - 1)
    explained = s[:rank] ** 2 / np.sum(s**2)
    return Components(np.round(values, DECIMALS) + 0.0, rank, explained)  # no minus zero


def _standardised(block: npt.NDArray[np.float64], scale_columns: bool) -> npt.NDArray[np.float64]:
    """Centre a block ``(n, p)`` and give it total variance one, so that no block outweighs another.

    Columns in different units are scaled to unit variance first; fingerprint columns are not,
    since that would make the rarest features the loudest.
    """
    if block.shape[0] == 0:
        return block
    constant = np.all(block == block[0], axis=0)
    centred = np.where(constant, 0.0, block - block.mean(axis=0))
    variance = np.mean(centred**2, axis=0)
    if scale_columns:
        centred = centred / np.sqrt(np.where(constant, 1.0, variance))
        variance = np.where(constant, 0.0, 1.0)
    total = variance.sum()
    return centred / np.sqrt(total) if total > 0 else centred


def _sorted_structures(structures: pa.Table) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Ids and SMILES (``""`` for null) by ascending id."""
    column = structures.column("chem_id")
    if column.null_count:
        raise InputError(
            f"structures: chem_id is null in {column.null_count} rows.", "give every row its id."
        )
    ids = np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)
    repeats = repeated(ids)
    if repeats.size:
        raise InputError(
            f"structures: column chem_id holds {repeats.size} ids more than once: "
            f"{first(repeats.tolist())}.",
            "keep one row for each chemical.",
        )
    order = np.argsort(ids)
    smiles = structures.column("smiles").cast(pa.string()).take(order).to_pylist()
    return ids[order], [text or "" for text in smiles]


def _rejects(details: list[tuple[str, str]]) -> pa.Table:
    """Rejects with the columns of `REJECT_COLUMNS`, from (reason, detail)."""
    filled = {
        "reason": [reason for reason, _ in details],
        "detail": [detail for _, detail in details],
    }
    return pa.table(
        {
            column.name: pa.array(filled.get(column.name, [None] * len(details)), pa.string())
            for column in REJECT_COLUMNS
        }
    )
