"""The trained hierarchical ridge in one versioned, pickle-free file.

Belongs here: what is stored besides the posterior, and the reading and writing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BINS
from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import first
from compassign_core.rt.hierarchy.stored import HierarchyPosterior
from compassign_core.rt.stored import StoredGroups, check_format, plain_field, write_model

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

FORMAT = "compassign-pooling-summaries"
FORMAT_VERSION = 1
_POSTERIOR = "posterior."


@dataclass(frozen=True, eq=False)
class PoolingSummaries(StoredGroups):
    """A trained hierarchical ridge; scoring needs nothing else, and NumPy only.

    Attributes
    ----------
    model, group_col, settings, fingerprint : as in `summaries.CoefficientSummaries`.
    n_train : training rows of each group, ``(G,)``.
    feature_names, covariates, indicators, dropped, centre, imputed : as there.
    levels, kappa, kappa_rows, kappa_basis, support_bins : conformal correction of trained groups
        by support bin, as there.
    novelty_kappa, novelty_rows, novelty_basis : that of untrained groups by novelty, ``(L, 4)``,
        ``(4,)``, ``(L, 4)``.
    calibration : ``calibrated`` or ``uncalibrated``.
    t_quantile : Student-t quantiles of the trained groups, ``(L, G)``.
    df_grid, df_quantile : the same on a grid of degrees of freedom, ``(N,)`` and ``(L, N)``, from
        which those of untrained groups are read, so that scoring needs no SciPy.
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
    levels: Floats
    kappa: Floats
    kappa_rows: Ints
    kappa_basis: npt.NDArray[np.int8]
    support_bins: Texts
    novelty_kappa: Floats
    novelty_rows: Ints
    novelty_basis: npt.NDArray[np.int8]
    calibration: str
    t_quantile: Floats
    df_grid: Floats
    df_quantile: Floats
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
    posterior: HierarchyPosterior

    @property
    def keys(self) -> Ints:  # type: ignore[override]  # they are the posterior's
        """``(group_id << 32) + comp_id`` of the trained groups, sorted, ``(G,)``."""
        return self.posterior.keys

    def save(self, path: str | Path) -> None:
        """Write the summaries atomically; equal summaries give equal bytes."""
        arrays = {name: np.asarray(getattr(self, name)) for name in _own_fields()}
        for field in fields(HierarchyPosterior):
            arrays[_POSTERIOR + field.name] = np.asarray(getattr(self.posterior, field.name))
        write_model(path, FORMAT, FORMAT_VERSION, arrays)

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], path: Path) -> Self:
        """The summaries from the arrays read from `path`; see `load` for what is refused."""
        check_format(arrays, path, FORMAT, FORMAT_VERSION)
        below = [_POSTERIOR + field.name for field in fields(HierarchyPosterior)]
        missing = [name for name in (*_own_fields(), *below) if name not in arrays]
        if missing:
            raise InputError(
                f"{path} lacks {len(missing)} array(s) of a hierarchical model: {first(missing)}.",
                "the file is incomplete; train the model again.",
            )
        posterior = HierarchyPosterior(
            **{
                field.name: plain_field(arrays[_POSTERIOR + field.name], str(field.type))
                for field in fields(HierarchyPosterior)
            }
        )
        types = {field.name: str(field.type) for field in fields(cls)}
        values = {name: plain_field(arrays[name], types[name]) for name in _own_fields()}
        made = cls(**values, posterior=posterior)
        made._check_shapes(path)
        return made

    def _check_shapes(self, path: Path) -> None:
        post = self.posterior
        g, p, levels = self.n_groups, self.feature_names.size, self.levels.size
        c, s, k = post.species.size, post.supercategories.size, post.comps.size
        d, n_nodes, chem = post.node_mean.shape[1], c + s + 1, post.theta.size
        expected: dict[str, tuple[Any, tuple[int, ...]]] = {
            "n_train": (self.n_train, (g,)),
            "t_quantile": (self.t_quantile, (levels, g)),
            "centre": (self.centre, (p,)),
            "imputed": (self.imputed, (self.covariates.size,)),
            "kappa": (self.kappa, (levels, len(SUPPORT_BINS))),
            "novelty_kappa": (self.novelty_kappa, (levels, len(NOVELTY))),
            "df_quantile": (self.df_quantile, (levels, self.df_grid.size)),
            "beta_mean": (post.beta_mean, (g, p + 1)),
            "beta_cov_packed": (post.beta_cov_packed, (g, (p + 1) * (p + 2) // 2)),
            "noise_variance": (post.noise_variance, (g,)),
            "noise_df": (post.noise_df, (g,)),
            "comp_of": (post.comp_of, (g,)),
            "eb": (post.eb, (g, d)),
            "supercat_of": (post.supercat_of, (c,)),
            "species_start": (post.species_start, (c + 1,)),
            "node_mean": (post.node_mean, (n_nodes, d)),
            "node_cov": (post.node_cov, (n_nodes, d, d)),
            "gain": (post.gain, (c, d, d)),
            "cross": (post.cross, (s + 1, d, k)),
            "alpha_cov": (post.alpha_cov, (k, k)),
            "node_theta": (post.node_theta, (n_nodes, d, chem)),
            "chem_z": (post.chem_z, (post.chem_id.size, chem)),
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
    return tuple(f.name for f in fields(PoolingSummaries) if f.name != "posterior")
