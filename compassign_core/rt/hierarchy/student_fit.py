"""The fit of a model with Student-t rows: expectation-maximisation from that of normal rows.

A round goes over the rows twice (once when nu is given): nu is learned from the last posterior, and
the groups are decomposed again with the weights that follow from both; then noise and scales take
a few steps from where they stood. When nothing
speaks for Student-t rows, none is made, and the model is that of normal rows bit for bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compassign_core.rt.hierarchy.fit import Problem, find_mode
from compassign_core.rt.hierarchy.noise import Fitted, global_noise, shrink
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.row_df import learned_row_df
from compassign_core.rt.hierarchy.row_weights import RowWeights
from compassign_core.rt.hierarchy.spectra import Spectra, decompose
from compassign_core.rt.rows import BLOCK_VALUES, GroupedRows

_ROUNDS = 10
_SETTLED = 0.01
_STEPS = 8
_TOLERANCE = 0.3


def fit_student_rows(
    data: GroupedRows, problem: Problem, fitted: Fitted, block_values: int = BLOCK_VALUES
) -> tuple[Problem, Fitted, dict[str, float]]:
    """The weighted statistics, the fit to them, and numbers on the rounds.

    Parameters
    ----------
    data, problem, fitted : rows, their statistics, and the fit of normal rows to them.
    block_values : bounds memory and changes no bit.

    Returns
    -------
    Statistics and fit, and ``row_rounds``; of Student-t rows also ``weight_change``, the root mean
    square by row of what the last round changed the groups' summed log weights by, and where nu
    is learned ``row_df_gain``, its log likelihood less that of normal rows at the first look.
    """
    asked = fitted.scales.settings.rows_df
    tree = problem.tree
    numbers = {"row_rounds": 0.0}
    for step in range(_ROUNDS):
        weights = _weights(problem, fitted)
        if asked == "learned":
            row_df, gain = learned_row_df(data, weights, fitted.state.df)
            if not step and not np.isfinite(row_df):
                return problem, fitted, numbers
            numbers.setdefault("row_df_gain", gain)
        else:
            row_df = float(asked)
        weights = replace(weights, row_df=row_df)
        before = problem.spectra
        spectra = decompose(data, tree.offset[tree.comp_of], block_values, weights)
        problem = Problem(spectra, tree)
        fitted = _refitted(problem, fitted, weights)
        numbers["row_rounds"] = step + 1.0
        numbers["weight_change"] = _change(before, spectra)
        if numbers["weight_change"] < _SETTLED:
            break
    return problem, _at_mode(problem, fitted), numbers


def _weights(problem: Problem, fitted: Fitted) -> RowWeights:
    """What the weights behind the statistics of a fit follow from at its posterior."""
    found, state = export_posterior(problem, fitted), fitted.state
    return RowWeights(
        found.keys, found.beta_mean, found.beta_cov_packed, state.variance, state.row_df
    )


def _refitted(problem: Problem, fitted: Fitted, weights: RowWeights) -> Fitted:
    """A few steps from where `fitted` ended towards the fit of statistics with other weights."""
    if fitted.noise.variance is not None:
        settings = fitted.scales.settings
        _, moments = problem.evaluate(fitted.scales, fitted.mode.phi, fitted.noise)
        state = shrink(
            problem.tree,
            problem.spectra.n,
            moments,
            settings.noise,
            unspoken=settings.priors.sigma_y_prior**2,
            **weights.behind(),
        )
        spent = fitted.evaluations + 1
        fitted = replace(fitted, noise=state.as_noise, state=state, evaluations=spent)
    state = replace(fitted.state, row_df=weights.row_df)
    fitted = replace(fitted, state=state, weights=weights)
    return _at_mode(problem, fitted, iterations=_STEPS, tolerance=_TOLERANCE)


def _at_mode(problem: Problem, fitted: Fitted, **steps: Any) -> Fitted:
    """The fit with its scales at their mode, or some steps nearer; noise that differs stays."""
    scales, noise, state = fitted.scales, fitted.noise, fitted.state
    mode = find_mode(problem, scales, noise, fitted.mode.phi, **steps)
    done, moments = problem.evaluate(scales, mode.phi, noise)
    if noise.variance is None:
        variance = float(done.variances.sigma2[0])
        state = global_noise(problem.tree, problem.spectra.n, moments, variance, state.row_df)
    spent = fitted.evaluations + mode.evaluations
    return replace(fitted, mode=mode, state=state, done=done, moments=moments, evaluations=spent)


def _change(before: Spectra, after: Spectra) -> float:
    change = after.log_weight - before.log_weight
    return float(np.sqrt((change**2).sum() / after.n.sum()))
