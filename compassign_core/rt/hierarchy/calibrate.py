"""Conformal correction of the hierarchy's windows, measured on runs that were left out.

Folds keep runs together. Each fold is predicted from the others with the scales held: the tree,
the offsets, the weights of rows and the levels above the noise stay, the noise of compounds and
groups and the posterior are made anew (two passes a fold). Rows of groups that a fold left
without any row are predicted as untrained ones are, and calibrate those by their novelty. As runs
seldom leave a group empty, one more fold leaves out a fifth of the groups whole; their runs are
not new, so untrained groups are calibrated for what is not known of them, less for the shift to a
new run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.catalogue import NOVELTY, SUPPORT_BINS
from compassign_core.contracts.settings.rt import WindowSettings
from compassign_core.rt.conformal import (
    Calibration,
    calibrate,
    calibrate_kinds,
    uncalibrated,
)
from compassign_core.rt.folds import Folds, assign_folds
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.noise import Fitted, shrink
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import Places, predict
from compassign_core.rt.hierarchy.spectra import decompose
from compassign_core.rt.hierarchy.tree import Hierarchy
from compassign_core.rt.left_out import sampled_rows, sampled_share
from compassign_core.rt.rows import BLOCK_VALUES, TrainingData, TrainingRows
from compassign_core.rt.tiles import joined_columns, retiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


_GROUP_SHARE = 0.2
"""Share of the groups left out whole to see how untrained ones are predicted."""


@dataclass(frozen=True, eq=False)
class PoolingCalibration:
    """Factors for trained groups by support bin, and for untrained ones by novelty.

    Those of untrained groups are 1, and without rows, for ``seen``; and 1 for a novelty of which
    too few rows were left out.
    """

    trained: Calibration
    untrained: Calibration


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictions of n left-out rows: residual and scale in min, df, support, and novelty."""

    residual: Floats
    scale: Floats
    df: Floats
    support: Ints
    novelty: Ints


def calibrate_pooling(
    data: TrainingData,
    problem: Problem,
    fitted: Fitted,
    windows: WindowSettings,
    block_values: int = BLOCK_VALUES,
) -> PoolingCalibration:
    """Correction factors of a fitted model."""
    dealt = Folds.deal(data.seen.units(windows.fold_unit), windows.folds, windows.seed)
    if dealt.used < 2:
        return from_left_out(None, windows.min_rows_per_bin)
    unit = windows.fold_unit
    splits: list[Mask] = [partial(_in_fold, dealt, unit, k) for k in range(dealt.used)]
    if fitted.scales.settings.intercept_prior != "flat":
        splits += _some_groups(data.keys, windows.seed)
    counts = _counts(data, splits)
    share = sampled_share(int((data.count - counts).sum()))
    parts = [
        _left_out(data, problem, fitted, Split(out, count, share), block_values)
        for out, count in zip(splits, counts, strict=True)
    ]
    joined = LeftOut(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in LeftOut.__dataclass_fields__)
    )
    return from_left_out(joined, windows.min_rows_per_bin)


Mask = Callable[[TrainingRows], npt.NDArray[np.bool_]]
"""Marks the rows ``(n,)`` of a chunk that are left out."""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows that are left out.

    Attributes
    ----------
    out : which ones.
    count : rows that stay, of each group, ``(G,)``.
    share : share of the left-out ones that is predicted.
    """

    out: Mask
    count: Ints
    share: float


@dataclass(frozen=True, eq=False)
class Remaining:
    """The rows that stay, as `rows.GroupedRows`; groups left without rows are gone."""

    data: TrainingData
    split: Split

    @property
    def keys(self) -> Ints:
        """Group keys, ``(G',)``."""
        return self.data.keys[self.split.count > 0]

    @property
    def count(self) -> Ints:
        """Rows of each group, ``(G',)``."""
        return self.split.count[self.split.count > 0]

    @property
    def n_features(self) -> int:
        """P."""
        return self.data.n_features

    def chunks(self) -> Iterator[TrainingRows]:
        """All rows, some whole groups at a time."""
        for rows in self.data.chunks():
            stay = ~self.split.out(rows)
            if stay.any():
                yield rows.where(stay)


def _in_fold(dealt: Folds, unit: str, k: int, rows: TrainingRows) -> npt.NDArray[np.bool_]:
    """Marks of the rows ``(n,)`` of fold `k`."""
    return np.asarray(dealt.of(rows.runs(unit)) == k)


def _some_groups(keys: Ints, seed: int) -> list[Mask]:
    """A share of the groups left out whole; none when that would be all or none."""
    fold, folds = assign_folds(keys[:, None], round(1.0 / _GROUP_SHARE), seed)
    if folds < 2:
        return []
    out = fold == 0
    return [lambda rows: np.repeat(out[np.searchsorted(keys, rows.keys)], rows.count)]


def _counts(data: TrainingData, splits: list[Mask]) -> Ints:
    """Rows of each group that stay in each split, ``(splits, G)``."""
    parts = [
        np.stack([np.add.reduceat(~out(rows), rows.start, dtype=np.int64) for out in splits])
        for rows in data.chunks()
    ]
    return np.concatenate(parts, axis=1)


def from_left_out(left_out: LeftOut | None, min_rows: int) -> PoolingCalibration:
    """Factors from left-out predictions; a novelty with fewer rows than `min_rows` keeps 1."""
    kinds = len(NOVELTY)
    if left_out is None:
        return PoolingCalibration(uncalibrated(), uncalibrated(kinds))
    known = left_out.novelty == NOVELTY.index("seen")
    trained = calibrate(
        left_out.residual[known],
        left_out.scale[known],
        left_out.df[known],
        left_out.support[known].astype(np.float64),
        min_rows,
    )
    untrained = calibrate_kinds(
        left_out.residual[~known],
        left_out.scale[~known],
        left_out.df[~known],
        left_out.novelty[~known],
        kinds,
        min_rows,
        pooled=False,
    )
    # nothing of trained groups speaks for untrained ones
    return PoolingCalibration(trained.without(SUPPORT_BINS.index("0")), untrained)


def _left_out(
    data: TrainingData, problem: Problem, fitted: Fitted, split: Split, block_values: int
) -> LeftOut:
    """Predictions of the rows left out from the others."""
    tree = problem.tree
    kept = np.flatnonzero(split.count)
    spectra = decompose(
        Remaining(data, split), tree.offset[tree.comp_of[kept]], block_values, fitted.weights
    )
    part = Problem(spectra, tree.of_groups(kept))
    posterior = export_posterior(part, refit_held(part, fitted, kept))
    at = _places(tree, kept)
    novelty = _novelty(tree, kept)
    # tiles of one size, so that no bit depends on how the rows came in chunks
    columns = []
    for group, y, x in retiled(_outside(data, split)):
        found = predict(posterior, at.of(group), x)
        usable = np.isfinite(found.mean)
        made = (y - found.mean, found.scale, found.df, split.count[group], novelty[group])
        columns.append(tuple(column[usable] for column in made))
    if not columns:
        none = np.zeros(0)
        return LeftOut(none, none, none, none.astype(np.int64), none.astype(np.int64))
    return LeftOut(*joined_columns(columns))


def _outside(data: TrainingData, split: Split) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """Group, y and features of the rows left out, as many as are predicted."""
    for rows in data.chunks():
        out = split.out(rows) & sampled_rows(rows, split.share)
        group = np.repeat(np.searchsorted(data.keys, rows.keys), rows.count)
        yield group[out], rows.y[out], rows.x[out]


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
    of_rows = {} if fitted.weights is None else fitted.weights.behind(groups)
    state = shrink(part.tree, part.spectra.n, moments, kind, held=fitted.state.prior, **of_rows)
    noise = replace(noise, variance=state.variance)
    done, moments = part.evaluate(scales, phi, noise)
    return replace(fitted, noise=noise, state=state, done=done, moments=moments)


def _places(tree: Hierarchy, kept: Ints) -> Places:
    """Where rows of each group ``(G,)`` stand when only the groups `kept` have rows.

    A species or compound left without rows stays in the tree, where its posterior is what its
    parents say; so every row keeps its node and compound.
    """
    place = np.full(tree.keys.size, -1)
    place[kept] = np.arange(kept.size)
    comp = tree.comp_of
    return Places(place, tree.species_of, comp, tree.z[comp], tree.described[comp])


def _novelty(tree: Hierarchy, kept: Ints) -> Ints:
    """Index into `NOVELTY` of rows of each group ``(G,)`` when only `kept` have rows."""
    g, n_species, _, k = tree.sizes
    with_species = np.bincount(tree.species_of[kept], minlength=n_species) > 0
    with_comp = np.bincount(tree.comp_of[kept], minlength=k) > 0
    trained = np.zeros(g, dtype=np.bool_)
    trained[kept] = True
    kinds = [NOVELTY.index(kind) for kind in ("seen", "unseen_compound", "unseen_species")]
    return np.select(
        [trained, ~with_comp[tree.comp_of], ~with_species[tree.species_of]],
        kinds,
        NOVELTY.index("unseen_pair"),
    )
