"""Conformal correction of the hierarchy's windows, measured on runs that were left out.

Folds keep runs together. Each fold is predicted from the others with the scales held: the tree,
the offsets and the levels above the noise stay, the noise of compounds and groups and the
posterior are made anew (two passes a fold). Rows of groups that a fold left without any row are
predicted as untrained ones are, and calibrate those by their novelty. As runs seldom leave a
group empty, one more fold leaves out a fifth of the groups whole; their runs are not new, so
untrained groups are calibrated for what is not known of them, less for the shift to a new run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BINS
from compassign_core.contracts.settings.rt import STORED_LEVELS, WindowSettings
from compassign_core.rt.conformal import (
    BASES,
    Calibration,
    calibrate,
    conformal_quantile,
    t_quantiles,
    uncalibrated,
)
from compassign_core.rt.folds import assign_folds
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.noise import Fitted, shrink
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import Places, predict
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.tree import Hierarchy
from compassign_core.rt.rows import BLOCK_VALUES, TrainingRows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


_GROUP_SHARE = 0.2
"""Share of the groups left out whole to see how untrained ones are predicted."""


@dataclass(frozen=True, eq=False)
class PoolingCalibration:
    """Factors for trained groups by support bin, and for untrained ones by novelty.

    Attributes
    ----------
    trained : see `conformal.Calibration`.
    kappa : factors by novelty, 1 for ``seen``, ``(L, 4)``.
    rows : left-out rows of each novelty, ``(4,)``.
    basis : index into `BASES`: 0 (factor 1) or that of ``bin``, ``(L, 4)``.
    """

    trained: Calibration
    kappa: Floats
    rows: Ints
    basis: npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictions of n left-out rows: residual and scale in min, df, support, and novelty."""

    residual: Floats
    scale: Floats
    df: Floats
    support: Ints
    novelty: Ints


def calibrate_pooling(
    rows: TrainingRows,
    problem: Problem,
    fitted: Fitted,
    windows: WindowSettings,
    block_values: int = BLOCK_VALUES,
) -> PoolingCalibration:
    """Correction factors of a fitted model."""
    fold, folds = assign_folds(rows.runs(windows.fold_unit), windows.folds, windows.seed)
    if folds < 2:
        return from_left_out(None, windows.min_rows_per_bin)
    masks = [fold == k for k in range(folds)]
    if fitted.scales.settings.intercept_prior != "flat":
        masks += _some_groups(rows, windows.seed)
    parts = [_left_out(rows, problem, fitted, mask, block_values) for mask in masks]
    joined = LeftOut(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in LeftOut.__dataclass_fields__)
    )
    return from_left_out(joined, windows.min_rows_per_bin)


def _some_groups(rows: TrainingRows, seed: int) -> list[npt.NDArray[np.bool_]]:
    """Marks of the rows ``(N,)`` of a share of the groups; none when that would be all or none."""
    fold, folds = assign_folds(rows.keys[:, None], round(1.0 / _GROUP_SHARE), seed)
    return [np.repeat(fold == 0, rows.count)] if folds > 1 else []


def from_left_out(left_out: LeftOut | None, min_rows: int) -> PoolingCalibration:
    """Factors from left-out predictions; a novelty with fewer rows than `min_rows` keeps 1."""
    n_levels = len(STORED_LEVELS)
    kappa = np.ones((n_levels, len(NOVELTY)))
    basis = np.zeros((n_levels, len(NOVELTY)), dtype=np.int8)
    rows = np.zeros(len(NOVELTY), dtype=np.int64)
    if left_out is None:
        return PoolingCalibration(uncalibrated(), kappa, rows, basis)
    rows = np.bincount(left_out.novelty, minlength=len(NOVELTY)).astype(np.int64)
    seen = left_out.novelty == NOVELTY.index("seen")
    trained = calibrate(
        left_out.residual[seen],
        left_out.scale[seen],
        left_out.df[seen],
        left_out.support[seen].astype(np.float64),
        min_rows,
    )
    levels = np.array(STORED_LEVELS)
    for j in range(len(NOVELTY)):
        those = left_out.novelty == j
        if NOVELTY[j] == "seen" or rows[j] < min_rows:
            continue
        width = left_out.scale[those] * t_quantiles(left_out.df[those], levels)
        scores = np.abs(left_out.residual[those]) / width
        for i, level in enumerate(STORED_LEVELS):
            own = conformal_quantile(scores[i], level)
            if own is not None:
                kappa[i, j], basis[i, j] = own, BASES.index("bin")
    # nothing of trained groups speaks for untrained ones
    unused = SUPPORT_BINS.index("0")
    trained.kappa[:, unused], trained.basis[:, unused] = 1.0, 0
    return PoolingCalibration(trained, kappa, rows, basis)


def _left_out(
    rows: TrainingRows,
    problem: Problem,
    fitted: Fitted,
    out: npt.NDArray[np.bool_],
    block_values: int,
) -> LeftOut:
    """Predictions of the rows marked in `out` ``(N,)`` from the others."""
    tree = problem.tree
    of_row = np.repeat(np.arange(rows.keys.size), rows.count)
    inside = np.flatnonzero(~out)
    kept, start, count = np.unique(of_row[inside], return_index=True, return_counts=True)
    smaller = replace(
        rows,
        ids={},
        y=rows.y[inside],
        x=rows.x[inside],
        keys=rows.keys[kept],
        start=start,
        count=count,
    )
    part = Problem(
        decompose(smaller, tree.offset[tree.comp_of[kept]], block_values), tree.of_groups(kept)
    )
    posterior = export_posterior(part, refit_held(part, fitted, kept))
    outside = np.flatnonzero(out)
    places, support, novelty = _places(tree, kept, count, of_row[outside])
    found = predict(posterior, places, rows.x[outside])
    usable = np.isfinite(found.mean)
    return LeftOut(
        (rows.y[outside] - found.mean)[usable],
        found.scale[usable],
        found.df[usable],
        support[usable],
        novelty[usable],
    )


def refit_held(part: Problem, fitted: Fitted, groups: Ints) -> Fitted:
    """The posterior of some of the rows with the scales held and the noise made anew.

    `groups` are the places of its groups in the fitted model, ``(G',)``.
    """
    scales, phi = fitted.scales, fitted.mode.phi
    if fitted.noise.variance is None:
        done, moments = part.evaluate(scales, phi, fitted.noise)
        state = replace(
            fitted.state, variance=fitted.state.variance[groups], df=fitted.state.df[groups]
        )
        return replace(fitted, state=state, done=done, moments=moments)
    noise = replace(fitted.noise, variance=fitted.noise.variance[groups])
    _, moments = part.evaluate(scales, phi, noise)
    kind = scales.settings.noise
    state = shrink(part.tree, part.spectra.n, moments, kind, held=fitted.state.prior)
    noise = replace(noise, variance=state.variance)
    done, moments = part.evaluate(scales, phi, noise)
    return replace(fitted, noise=noise, state=state, done=done, moments=moments)


def _places(tree: Hierarchy, kept: Ints, count: Ints, group: Ints) -> tuple[Places, Ints, Ints]:
    """Where rows of `group` ``(n,)`` stand when only the groups `kept` have rows.

    A species or compound left without rows stays in the tree, where its posterior is what its
    parents say; so every row keeps its node and compound.
    """
    g, n_species, _, k = tree.sizes
    place, support = np.full(g, -1), np.zeros(g, dtype=np.int64)
    place[kept], support[kept] = np.arange(kept.size), count
    species, comp = tree.species_of[group], tree.comp_of[group]
    with_species = np.bincount(tree.species_of[kept], minlength=n_species) > 0
    with_comp = np.bincount(tree.comp_of[kept], minlength=k) > 0
    places = Places(place[group], species, comp, tree.z[comp], tree.described[comp])
    kinds = [NOVELTY.index(kind) for kind in ("seen", "unseen_compound", "unseen_species")]
    novelty = np.select(
        [places.group >= 0, ~with_comp[comp], ~with_species[species]],
        kinds,
        NOVELTY.index("unseen_pair"),
    )
    return places, support[group], novelty
