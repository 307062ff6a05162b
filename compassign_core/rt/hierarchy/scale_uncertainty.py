"""Untrained species and supercategories when the scales themselves are uncertain.

Of trained groups the scales' uncertainty is a share of about 1e-5 of the predictive variance. How
far a species never seen stands from its supercategory is known only as well as the spread of the
few species in it. So coefficients of such nodes are averaged over draws of the scales, by the law
of total variance. Nodes a and compound effects alpha are correlated through the grand mean, which
the data share between them anew in every draw; what is averaged is therefore the node given the
compounds, with symbols of `moments` and hats for the fitted scales::

    g = a + F^ alpha,  F^ = -Cov^(a, alpha) Sigma^^-1     (uncorrelated with alpha at the fit)
    E[a] = mean_w E_i[g] - F^ alpha^
    Cov(a) = mean_w Cov_i(g) + Cov_w(E_i[g]) + F^ Sigma^ F^',  Cov(a, alpha) = -F^ Sigma^

over draws i with weights w. Draws of a normal approximation are weighted by exact posterior over
approximate density, truncated (Ionides, "Truncated importance sampling", J. Comput. Graph. Stat.
17(2), 2008): without that, a spread that few species inform would be drawn in minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.compound_tree.stored import AnyPosterior
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.marginal import Forward
from compassign_core.rt.hierarchy.moments import Moments
from compassign_core.rt.hierarchy.noise import Fitted
from compassign_core.rt.hierarchy.posterior import unseen_nodes
from compassign_core.rt.hierarchy.scale_posterior import ScalePosterior
from compassign_core.rt.hierarchy.stored import HierarchyPosterior

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Given:
    """Nodes never seen given the compounds, at one draw of the scales."""

    mean: Floats  # (S+1, d) E[g] less that at the fit
    cov: Floats  # (S+1, d, d) Cov(g)


def with_uncertain_scales(
    problem: Problem, fitted: Fitted, posterior: AnyPosterior, known: ScalePosterior
) -> tuple[AnyPosterior, dict[str, float]]:
    """The posterior with untrained nodes averaged over the draws of the scales.

    Parameters
    ----------
    problem, fitted, posterior : a fit, and what it exports.
    known : what is known of the scales; without draws nothing changes.

    Returns
    -------
    The posterior, and numbers on the average: ``scale_draws``, and ``scale_draws_ess``, to how
    many even draws their weights come. A model without pooled intercepts scores no untrained
    groups, and the compound tree has nodes of another kind: both stay as they are.
    """
    if not isinstance(posterior, HierarchyPosterior):
        return posterior, {}
    if not known.draws.shape[0] or not posterior.pooled:
        return posterior, {}
    n_species = posterior.species.size
    loading = -_solved(posterior.cross, posterior.alpha_cov)  # F^ (S+1, d, K)
    at_fit = posterior.node_mean[n_species:]
    alpha = posterior.alpha - problem.tree.offset
    log_weight = np.zeros(known.draws.shape[0])
    given: list[_Given] = []
    for i, phi in enumerate(known.draws):
        done, moments = problem.evaluate(fitted.scales, phi, fitted.noise)
        assert isinstance(moments, Moments) and isinstance(done, Forward)
        mean, cov, cross = unseen_nodes(problem.tree, moments, done.variances)
        shift = mean - at_fit + loading @ (moments.alpha - alpha)
        mixed = cross @ loading.transpose(0, 2, 1)
        cov = cov + mixed + mixed.transpose(0, 2, 1)
        cov += loading @ moments.sigma @ loading.transpose(0, 2, 1)
        given.append(_Given(shift, cov))
        if known.log_density is not None:
            log_posterior = done.log_marginal + fitted.scales.log_prior(phi)[0]
            log_weight[i] = log_posterior - known.log_density[i]
    w = truncated_weights(log_weight)
    shifts = np.stack([part.mean for part in given])  # (n, S+1, d)
    shift = np.einsum("i,isa->sa", w, shifts)
    away = shifts - shift
    cov = np.einsum("i,isab->sab", w, np.stack([part.cov for part in given]))
    cov += np.einsum("i,isa,isb->sab", w, away, away)
    cov -= posterior.cross @ loading.transpose(0, 2, 1)  # F^ Sigma^ F^'
    node_mean, node_cov = posterior.node_mean.copy(), posterior.node_cov.copy()
    node_mean[n_species:] += shift
    node_cov[n_species:] = 0.5 * (cov + cov.transpose(0, 2, 1))
    numbers = {"scale_draws": float(w.size), "scale_draws_ess": float(1.0 / (w**2).sum())}
    return replace(posterior, node_mean=node_mean, node_cov=node_cov), numbers


def truncated_weights(log_weight: Floats) -> Floats:
    """Importance weights ``(n,)`` that sum to one, none above ``sqrt(n)`` times their mean."""
    w = np.exp(log_weight - log_weight.max())
    w = np.minimum(w, w.mean() * np.sqrt(w.size))
    return np.asarray(w / w.sum())


def _solved(cross: Floats, sigma: Floats) -> Floats:
    """``cross Sigma^-1`` ``(S+1, d, K)``."""
    flat = cross.reshape(-1, cross.shape[2])
    return np.asarray(np.linalg.solve(sigma, flat.T).T.reshape(cross.shape))
