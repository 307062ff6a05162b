"""The batched algebra of the Bayesian ridge: slopes, intercept, noise and predictive of G groups.

Model of one group g, features x centred on the training mean, n rows::

    y ~ N(b + X w, sigma² I),  b flat,  w ~ N(0, sigma²/lambda I)
    sigma² ~ scaled-inverse-chi²(d0, s0²)

Posterior, with means xbar and ybar and sums about them::

    A = Xc'Xc + lambda I,  w = A⁻¹ Xc'yc,  b = ybar - xbar·w,  S = yc'yc - w·Xc'yc
    s² = (d0 s0² + S) / (d0 + n - 1)
    y* | x* ~ t(d0 + n - 1; b + x*·w, s² (1 + 1/n + (x* - xbar)'A⁻¹(x* - xbar)))

(Gelman et al., Bayesian Data Analysis, 3rd ed., section 14.2, with a proper prior on w.)
Evaluation, learning of the scalars and files stand elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.rt.statistics import CentredStatistics

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scalars:
    """What all groups share.

    Attributes
    ----------
    lambda_slopes : penalty of the slopes, min² (infinite when there are no slopes).
    df0 : prior degrees of freedom of the noise.
    variance0 : prior noise variance s0², min².
    """

    lambda_slopes: float
    df0: float
    variance0: float


@dataclass(frozen=True)
class RidgeFit:
    """Posterior of G groups with P features.

    Attributes
    ----------
    n, df : rows and degrees of freedom, ``(G,)``.
    mean_x, mean_y : the groups' means, ``(G, P)`` and ``(G,)``.
    slopes : w, ``(G, P)``.
    inverse : A⁻¹, ``(G, P, P)``.
    scale2 : s², min², ``(G,)``.
    """

    n: Floats
    df: Floats
    mean_x: Floats
    mean_y: Floats
    slopes: Floats
    inverse: Floats
    scale2: Floats

    def coefficients(self) -> Floats:
        """Posterior mean of (b, w), ``(G, P+1)``."""
        intercept = self.mean_y - np.einsum("gp,gp->g", self.mean_x, self.slopes)
        return np.concatenate([intercept[:, None], self.slopes], axis=1)

    def covariance(self) -> Floats:
        """Scale matrix of the Student-t posterior of (b, w), ``(G, P+1, P+1)``, min²."""
        n_groups, n_features = self.slopes.shape
        lever = np.einsum("gpq,gq->gp", self.inverse, self.mean_x)
        cov = np.empty((n_groups, n_features + 1, n_features + 1))
        cov[:, 0, 0] = 1.0 / self.n + np.einsum("gp,gp->g", self.mean_x, lever)
        cov[:, 0, 1:] = cov[:, 1:, 0] = -lever
        cov[:, 1:, 1:] = self.inverse
        return cov * self.scale2[:, None, None]

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Mean and scale of the predictive at `x` ``(G, m, P)``, each ``(G, m)``.

        Groups without rows give NaN.
        """
        away = x - self.mean_x[:, None, :]
        mean = self.mean_y[:, None] + (away @ self.slopes[:, :, None])[:, :, 0]
        spread = ((away @ self.inverse) * away).sum(axis=2)
        with np.errstate(divide="ignore"):
            share = 1.0 / self.n[:, None]
        scale2 = self.scale2[:, None] * (1.0 + share + spread)
        return np.where(self.n[:, None] > 0, mean, np.nan), np.sqrt(
            np.where(self.n[:, None] > 0, scale2, np.nan)
        )


def fit_groups(statistics: CentredStatistics, scalars: Scalars) -> RidgeFit:
    """The posterior of every group given the shared scalars."""
    n_groups, n_features = statistics.xy.shape
    identity = np.eye(n_features)
    penalty = scalars.lambda_slopes if n_features else 0.0
    a = statistics.xx + penalty * identity
    right = np.concatenate(
        [statistics.xy[:, :, None], np.broadcast_to(identity, (n_groups, *identity.shape))], axis=2
    )
    solved = np.linalg.solve(a, right)
    slopes, inverse = solved[:, :, 0], solved[:, :, 1:]
    inverse = 0.5 * (inverse + inverse.transpose(0, 2, 1))
    penalised = np.maximum(statistics.yy - np.einsum("gp,gp->g", slopes, statistics.xy), 0.0)
    df = scalars.df0 + np.maximum(statistics.n - 1.0, 0.0)
    scale2 = (scalars.df0 * scalars.variance0 + penalised) / df
    return RidgeFit(statistics.n, df, statistics.mean_x, statistics.mean_y, slopes, inverse, scale2)
