"""Coefficient summaries: all that scoring needs of a trained model, in one versioned file.

Belongs here: what is stored, with shapes and units, and the reading and writing of it. How it is
computed stands in `train`; how rows are scored with it in `predict`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.rt.design_arrays import check_design
from compassign_core.rt.stored import StoredGroups, check_format, plain_field, write_model

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FORMAT = "compassign-coefficient-summaries"
FORMAT_VERSION = 3


@dataclass(frozen=True, eq=False)
class CoefficientSummaries(StoredGroups):
    """A trained model: G groups, P features, D = P + 1 (the intercept first).

    Attributes
    ----------
    model : model kind, as in the `model` column of tables.
    group_col : the id column that makes a group with comp_id.
    settings : JSON of the ridge and window settings.
    fingerprint : what data it was trained on, as told by the caller.
    keys : ``(group_id << 32) + comp_id``, sorted, ``(G,)``.
    n_train : training rows of each group, ``(G,)``.
    beta_mean : posterior means of (b, w) in centred coordinates, min and 1, ``(G, D)``.
    beta_cov_packed : lower triangle, row by row, of the scale matrix of (b, w), ``(G, D(D+1)/2)``.
    scale2 : residual scale squared, min², ``(G,)``.
    df : degrees of freedom of the Student-t predictive, ``(G,)``.
    feature_names : ``(P,)``; without rotation the first C are `covariates`, then indicators
        ``missing(...)``, then products.
    covariates, indicators, dropped : columns read, those with an indicator, and those left out
        because training had no value.
    centre : training mean of each feature before rotation, ``(E,)``; missing covariates take it.
    imputed : missing training values of each covariate, ``(C,)``.
    expansion, rotation : see `design.Design`; ``(E, P)``, or ``(0, 0)`` without rotation.
    levels, kappa, kappa_rows, kappa_basis : conformal correction, see `conformal.Calibration`.
    support_bins : labels of the B support bins, ``(B,)``.
    calibration : ``calibrated``, or ``uncalibrated`` when kappa is 1 for want of runs.
    pairs : trained (species, comp) pairs, ``(species << 32) + comp_id``, sorted.
    species, species_cluster : trained species, sorted, and their supercategories.
    comps, compound, compound_class : trained comps, sorted, with chemical and class.
    lambda_slopes, noise_df0, noise_scale0 : shared penalty (min²), prior degrees of freedom, and
        prior noise standard deviation (min).
    log_evidence : log marginal likelihood of the training rows of groups that vary.
    constant_groups : groups left out of it because all their retention times are equal.
    diagnostics : JSON of numbers on the convergence of the fit; empty for imported coefficients.
    """

    model: str
    group_col: str
    settings: str
    fingerprint: str
    keys: Ints
    n_train: Ints
    beta_mean: Floats
    beta_cov_packed: Floats
    scale2: Floats
    df: Floats
    feature_names: npt.NDArray[np.str_]
    covariates: npt.NDArray[np.str_]
    indicators: npt.NDArray[np.str_]
    dropped: npt.NDArray[np.str_]
    centre: Floats
    imputed: Ints
    expansion: str
    rotation: Floats
    levels: Floats
    kappa: Floats
    kappa_rows: Ints
    kappa_basis: npt.NDArray[np.int8]
    support_bins: npt.NDArray[np.str_]
    calibration: str
    pairs: Ints
    species: Ints
    species_cluster: Ints
    comps: Ints
    compound: Ints
    compound_class: Ints
    lambda_slopes: float
    noise_df0: float
    noise_scale0: float
    log_evidence: float
    constant_groups: int
    diagnostics: str = "{}"

    @property
    def beta_cov(self) -> Floats:
        """Scale matrices of (b, w) unpacked, ``(G, D, D)``, min²."""
        return unpack(self.beta_cov_packed)

    def save(self, path: str | Path) -> None:
        """Write the summaries atomically; equal summaries give equal bytes."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        write_model(path, FORMAT, FORMAT_VERSION, arrays)

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], path: Path) -> Self:
        """The summaries from the arrays read from `path`; see `load` for what is refused."""
        check_format(arrays, path, FORMAT, FORMAT_VERSION)
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise InputError(
                f"{path} lacks {len(missing)} array(s) of coefficient summaries: {first(missing)}.",
                "the file is incomplete; train the model again.",
            )
        values = {
            field.name: plain_field(arrays[field.name], str(field.type)) for field in fields(cls)
        }
        made = cls(**values)
        made._check_shapes(path)
        return made

    def _check_shapes(self, path: Path) -> None:
        check_design(self, str(path))
        g, p = self.n_groups, self.feature_names.size
        levels, bins = self.levels.size, len(SUPPORT_BINS)
        expected = {
            "n_train": (g,),
            "beta_mean": (g, p + 1),
            "beta_cov_packed": (g, (p + 1) * (p + 2) // 2),
            "scale2": (g,),
            "df": (g,),
            "kappa": (levels, bins),
            "kappa_rows": (bins,),
            "kappa_basis": (levels, bins),
            "species_cluster": self.species.shape,
            "compound": self.comps.shape,
            "compound_class": self.comps.shape,
        }
        wrong = [
            f"{name} {getattr(self, name).shape} instead of {shape}"
            for name, shape in expected.items()
            if getattr(self, name).shape != shape
        ]
        if wrong:
            raise InputError(
                f"{path}: arrays that do not fit together: {first(wrong)}.",
                "the file is damaged; train the model again.",
            )


def pack(symmetric: Floats) -> Floats:
    """Lower triangles, row by row, of matrices ``(G, D, D)``: ``(G, D(D+1)/2)``."""
    rows, columns = np.tril_indices(symmetric.shape[1])
    return symmetric[:, rows, columns]


def unpack(packed: Floats) -> Floats:
    """Symmetric matrices ``(G, D, D)`` of packed lower triangles ``(G, D(D+1)/2)``."""
    d = round((np.sqrt(8 * packed.shape[1] + 1) - 1) / 2)
    rows, columns = np.tril_indices(d)
    full = np.empty((packed.shape[0], d, d))
    full[:, rows, columns] = packed
    full[:, columns, rows] = packed
    return full
