"""The trained hierarchical ridge in one versioned, pickle-free file.

Belongs here: what is stored besides the posterior, and the reading and writing of it. The training
statistics, which only an update needs, stand under `STATISTICS` and are made in `held`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.rt.design_arrays import check_design
from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior, CompoundPosterior
from compassign_core.rt.hierarchy.stored import HierarchyPosterior, Shapes
from compassign_core.rt.levels import factors_at, level_above
from compassign_core.rt.stored import StoredGroups, check_format, plain_field, write_model

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

FORMAT = "compassign-pooling-summaries"
FORMAT_VERSION = 3
STATISTICS = "statistics."
"""How the names of the arrays begin that scoring does not need."""
_POSTERIOR = "posterior."
_TREE = "tree"
_TREES: dict[str, type[AnyPosterior]] = {
    kind.tree: kind for kind in (HierarchyPosterior, CompoundPosterior)
}


@dataclass(frozen=True, eq=False)
class PoolingSummaries(StoredGroups):
    """A trained hierarchical ridge; scoring needs nothing else, and NumPy only.

    Attributes
    ----------
    model, group_col, settings, fingerprint : as in `summaries.CoefficientSummaries`.
    n_train : training rows of each group, ``(G,)``.
    feature_names, covariates, indicators, dropped, centre, imputed, expansion, rotation : as there.
    levels, kappa, kappa_rows, kappa_basis, support_bins : conformal correction of trained groups
        by support bin, as there.
    novelty_kappa, novelty_rows, novelty_basis : that of untrained groups by novelty, ``(L, 4)``,
        ``(4,)``, ``(L, 4)``; none for ``seen``.
    calibration : ``calibrated`` or ``uncalibrated``.
    pairs : trained (species, comp) pairs, sorted.
    species, species_cluster, comps, compound, compound_class : what was trained, as in
        `CoefficientSummaries`.
    scale_names, scales : fitted scales (standard deviations), ``(V,)``.
    scale_log_cov : covariance of their logarithms, ``(V, V)``; empty unless method is laplace.
    noise_scale2, noise_df : levels of the noise prior, see `noise.NoisePrior`.
    noise_log_centre : mean log noise variance that random effects are tied to.
    log_marginal, log_posterior : at the fitted scales and noise.
    evaluations : evaluations of the marginal that the fit took.
    posterior : coefficients and all that is above them.
    diagnostics : JSON of numbers on the convergence of the fit, see `convergence`.
    updates : JSON list of what was added since training, see `update_model`.
    statistics : what an update needs, by name (`held`); empty when read for scoring.
    """

    model: str
    group_col: str
    settings: str
    fingerprint: str
    n_train: Ints
    feature_names: Texts
    covariates: Texts
    indicators: Texts
    dropped: Texts
    centre: Floats
    imputed: Ints
    expansion: str
    rotation: Floats
    levels: Floats
    kappa: Floats
    kappa_rows: Ints
    kappa_basis: npt.NDArray[np.int8]
    support_bins: Texts
    novelty_kappa: Floats
    novelty_rows: Ints
    novelty_basis: npt.NDArray[np.int8]
    calibration: str
    pairs: Ints
    species: Ints
    species_cluster: Ints
    comps: Ints
    compound: Ints
    compound_class: Ints
    scale_names: Texts
    scales: Floats
    scale_log_cov: Floats
    noise_scale2: Floats
    noise_df: Floats
    noise_log_centre: float
    log_marginal: float
    log_posterior: float
    evaluations: int
    posterior: AnyPosterior
    diagnostics: str = "{}"
    updates: str = "[]"
    statistics: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @property
    def keys(self) -> Ints:  # type: ignore[override]  # they are the posterior's
        """``(group_id << 32) + comp_id`` of the trained groups, sorted, ``(G,)``."""
        return self.posterior.keys

    def novelty_kappa_at(self, levels: Floats) -> Floats:
        """Factors of untrained groups by novelty at K levels, ``(K, 4)``."""
        return factors_at(self.levels, self.novelty_kappa, levels)

    def novelty_measured_at(self, level: float) -> npt.NDArray[np.bool_]:
        """Whether left-out rows suffice for the factor of each novelty, ``(4,)``."""
        at = level_above(self.levels, np.array([level]))
        return np.asarray(self.novelty_basis[at[0]] > 0)

    def save(self, path: str | Path) -> None:
        """Write the summaries atomically; equal summaries give equal bytes.

        A model that was read for scoring is written without statistics, as a smaller file.
        """
        arrays = {name: np.asarray(getattr(self, name)) for name in _own_fields()}
        arrays[_TREE] = np.array(self.posterior.tree)
        for item in fields(self.posterior):
            arrays[_POSTERIOR + item.name] = np.asarray(getattr(self.posterior, item.name))
        arrays |= {STATISTICS + name: array for name, array in self.statistics.items()}
        write_model(path, FORMAT, FORMAT_VERSION, arrays)

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], path: Path) -> Self:
        """The summaries from the arrays read from `path`; see `load` for what is refused."""
        check_format(arrays, path, FORMAT, FORMAT_VERSION)
        kind = _TREES.get(str(arrays.get(_TREE, "")), HierarchyPosterior)
        below = [_POSTERIOR + item.name for item in fields(kind)]
        missing = [name for name in (*_own_fields(), _TREE, *below) if name not in arrays]
        if missing:
            raise InputError(
                f"{path} lacks {len(missing)} array(s) of a hierarchical model: {first(missing)}.",
                "the file is incomplete; train the model again.",
            )
        posterior = kind(
            **{
                item.name: plain_field(arrays[_POSTERIOR + item.name], str(item.type))
                for item in fields(kind)
            }
        )
        types = {item.name: str(item.type) for item in fields(cls)}
        values = {name: plain_field(arrays[name], types[name]) for name in _own_fields()}
        statistics = {
            name.removeprefix(STATISTICS): array
            for name, array in arrays.items()
            if name.startswith(STATISTICS)
        }
        made = cls(**values, posterior=posterior, statistics=statistics)
        made._check_shapes(path)
        return made

    def _check_shapes(self, path: Path) -> None:
        check_design(self, str(path))
        levels = self.levels.size
        expected: Shapes = {
            "n_train": (self.n_train, (self.n_groups,)),
            "kappa": (self.kappa, (levels, len(SUPPORT_BINS))),
            "kappa_basis": (self.kappa_basis, (levels, len(SUPPORT_BINS))),
            "novelty_kappa": (self.novelty_kappa, (levels, len(NOVELTY))),
            "novelty_basis": (self.novelty_basis, (levels, len(NOVELTY))),
            **self.posterior.shapes(self.feature_names.size),
        }
        wrong = [
            f"{name} {array.shape} instead of {shape}"
            for name, (array, shape) in expected.items()
            if array.shape != shape
        ]
        if wrong:
            raise InputError(
                f"{path}: arrays that do not fit together: {first(wrong)}.",
                "the file is damaged; train the model again.",
            )


def _own_fields() -> tuple[str, ...]:
    return tuple(
        f.name for f in fields(PoolingSummaries) if f.name not in ("posterior", "statistics")
    )
