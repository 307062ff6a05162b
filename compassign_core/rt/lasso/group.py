"""One group's lasso: the penalty chosen by leaving runs out, the line, the held-out residuals.

    minimise  1/(2n) |y - b - Z c|² + alpha |c|_1,   Z = (X - m) / s,   w = c / s

Belongs here: the regression of a single group, in memory. Standardising, choosing among a path of
penalties by mean squared error and the fixed penalty of small groups follow the historic baseline;
folds keep runs together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import lasso_path

from compassign_core.contracts.settings.lasso import LassoSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CONSTANT = 1e-9
"""Minutes; a covariate whose standard deviation in a group is not above this, or retention times
whose range is not, are constant but for rounding, to which no line is fitted."""


@dataclass(frozen=True)
class GroupFit:
    """The lasso of one group of n rows and P features.

    Attributes
    ----------
    alpha : penalty, in minutes.
    coefficients : (b, w) in the coordinates of the features given, ``(P + 1,)``.
    held_out : residuals of the rows when their run was left out, minutes, ``(n,)``; empty when
        there is one run only.
    converged : whether the line reached the tolerance that was asked for.
    """

    alpha: float
    coefficients: Floats
    held_out: Floats
    converged: bool


def fit_group(x: Floats, y: Floats, run: Ints, settings: LassoSettings) -> GroupFit:
    """Fit features ``(n, P)`` and retention times ``(n,)`` of one group.

    Parameters
    ----------
    run : number of each row's run, ``(n,)``: 0 to R - 1 in the order in which runs are dealt to
        folds.
    """
    shift, sd = x.mean(axis=0), x.std(axis=0)
    varying = sd > CONSTANT
    sd = np.where(varying, sd, 1.0)
    z = np.where(varying, (x - shift) / sd, 0.0)
    n_runs = int(run.max()) + 1
    if n_runs < settings.min_runs:
        alphas, folds = np.array([settings.small_group_alpha]), n_runs
    else:
        alphas, folds = penalties(z, y, settings), min(settings.cv_folds, n_runs)
    residuals = _held_out(z, y, run % folds, folds, alphas, settings)
    chosen = int(np.argmin((residuals**2).mean(axis=0))) if folds > 1 else 0
    # the path down to the chosen penalty, which is what makes each fit a warm start
    mean, intercept, slopes, converged = _path(z, y, alphas[: chosen + 1], settings)
    w = slopes[:, -1] / sd
    b = intercept - mean @ slopes[:, -1] - shift @ w
    coefficients = np.concatenate([[b], w])
    return GroupFit(float(alphas[chosen]), coefficients, residuals[:, chosen], converged)


def penalties(z: Floats, y: Floats, settings: LassoSettings) -> Floats:
    """Penalties to try, largest first: the first leaves no slope in any fit of all rows."""
    largest = float(np.abs(z.T @ (y - y.mean())).max(initial=0.0)) / y.size
    if largest == 0 or np.ptp(y) <= CONSTANT:  # nothing to do it with, or nothing to explain
        return np.array([settings.small_group_alpha])
    return largest * np.geomspace(1.0, settings.alpha_ratio, settings.n_alphas)


def _held_out(
    z: Floats, y: Floats, fold: Ints, folds: int, alphas: Floats, settings: LassoSettings
) -> Floats:
    """Residuals of each row at each penalty, fitted without the row's fold, ``(n, A)``."""
    if folds < 2:
        return np.zeros((0, alphas.size))
    residuals = np.empty((y.size, alphas.size))
    for k in range(folds):
        out = fold == k
        mean, intercept, slopes, _ = _path(z[~out], y[~out], alphas, settings)
        residuals[out] = y[out, None] - intercept - (z[out] - mean) @ slopes
    return residuals


def _path(
    z: Floats, y: Floats, alphas: Floats, settings: LassoSettings
) -> tuple[Floats, float, Floats, bool]:
    """Mean of z ``(P,)``, intercept at it, slopes ``(P, A)`` of every penalty.

    Last, whether the duality gap of the last penalty is within the tolerance.
    """
    mean, intercept = z.mean(axis=0), float(y.mean())
    centred, response = np.asfortranarray(z - mean), y - intercept
    moment = centred.T @ response
    slopes, converged = np.zeros((z.shape[1], alphas.size)), True
    # at or above this the optimum is known to be zero, so most small fits end here
    active = alphas * y.size < np.abs(moment).max(initial=0.0)
    if active.any():
        _, slopes[:, active], gaps = lasso_path(
            centred,
            response,
            alphas=alphas[active],
            precompute=np.ascontiguousarray(centred.T @ centred),
            Xy=moment,
            check_input=False,
            tol=settings.tolerance,
            max_iter=settings.max_iter,
        )
        # the library gives gaps by row, and compares their sum
        converged = bool(gaps[-1] * y.size <= settings.tolerance * (response @ response))
    return mean, intercept, slopes, converged
