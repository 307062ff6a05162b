"""Noise that differs between compounds and groups: nested scaled-inverse-chi² by empirical Bayes.

::

    sigma_k² ~ scaled-inv-chi²(d0, s0²)             per compound
    sigma_ck² ~ scaled-inv-chi²(d1, s1 sigma_k²)    per group, when asked for

From one posterior pass come a residual sum of squares and degrees of freedom n_g - p_eff,g of
each unit; their ratio is s0² F(dof, d0), whose likelihood gives (s0², d0) (Smyth, "Linear models
and empirical Bayes methods", Stat. Appl. Genet. Mol. Biol. 3(1), 2004, by maximum likelihood).
With even noise d0 runs to its upper bound and one variance is left.

With Student-t rows (`student_t`) sigma² is their scale², residuals are weighted, and what they say
about sigma² counts for less.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import digamma, fdtr, gammaln

from compassign_core.contracts.settings.rt import LEARNED_DF0_BOUNDS
from compassign_core.rt.hierarchy.compound_tree.marginal import CompoundForward
from compassign_core.rt.hierarchy.compound_tree.moments import CompoundMoments
from compassign_core.rt.hierarchy.fit import (
    Mode,
    Problem,
    find_mode,
    rough_sigma,
    warm_start,
)
from compassign_core.rt.hierarchy.group_moments import GroupMoments
from compassign_core.rt.hierarchy.groups import summed
from compassign_core.rt.hierarchy.marginal import Forward
from compassign_core.rt.hierarchy.moments import Moments
from compassign_core.rt.hierarchy.row_weights import RowWeights
from compassign_core.rt.hierarchy.scales import Noise, ScaleSet
from compassign_core.rt.hierarchy.student_t import predictive_noise, scale_information, unweighted
from compassign_core.rt.hierarchy.tree import Hierarchy

Floats = npt.NDArray[np.float64]

SAMPLED_GROUPS = 3000
"""Groups above which uneven noise is first fitted on a sample of the compounds."""

_LEAST_DF = 1e-3
_INFORMATIVE_DF = 0.3
_OUTER_ROUNDS = 5
_INNER_STEPS = 8
_INNER_TOLERANCE = 0.3
_SETTLED = 0.01
_INCREDIBLE = 1e-4
_SMALLEST_VARIANCE = 1e-12  # min²; a thousandth of a millisecond, where equal times are rounding


@dataclass(frozen=True)
class NoisePrior:
    """Scale (min², and 1 for groups) and degrees of freedom of each level, compounds first."""

    scales: tuple[float, ...]
    dfs: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class NoiseState:
    """Noise of everything that can be scored.

    Attributes
    ----------
    variance, df : of each group, min² and 1, ``(G,)``.
    pair_variance, pair_df : of a group never seen of each compound, ``(K,)``.
    new_variance, new_df : of a compound never seen.
    prior : the levels above.
    row_df : degrees of freedom of the rows about that noise, infinite for normal rows. Variances
        are then the scale² of rows, and `df` says how well these are known.
    """

    variance: Floats
    df: Floats
    pair_variance: Floats
    pair_df: Floats
    new_variance: float
    new_df: float
    prior: NoisePrior
    row_df: float = inf

    def predictive(self, variance: Floats, df: Floats) -> tuple[Floats, Floats]:
        """Scale² and degrees of freedom of new rows with such noise, of any equal shape."""
        return predictive_noise(variance, df, self.row_df)

    @property
    def as_noise(self) -> Noise:
        """What the random effects are tied to."""
        return Noise(self.variance, float(np.log(self.variance).mean()))


def fit_f_prior(variance: Floats, df: Floats) -> tuple[float, float] | None:
    """Maximum likelihood of (s0², d0) where ``variance / s0² ~ F(df, d0)``, ``(n,)`` each.

    Units too quiet to come from any such prior have no say: a compound that stands among its own
    covariates (an internal standard in the library), or one whose times were set by hand. That is,
    their share of the median variance has a probability below `_INCREDIBLE` under F(df, d0) even at
    the least d0, which has the longest tail. With them the fit ran to that d0 and from round to
    round did not settle. None when no unit has degrees of freedom to speak with.
    """
    used = (df > _INFORMATIVE_DF) & (variance > 0)
    if used.any():
        share_of_median = variance / np.median(variance[used])
        used &= fdtr(df, LEARNED_DF0_BOUNDS[0], share_of_median) > _INCREDIBLE
    if not used.any():
        return None
    z, d1 = np.log(variance[used]), df[used]
    a = 0.5 * d1
    centre = float(np.average(z, weights=d1))

    def negative(v: Floats) -> tuple[float, Floats]:
        log_s, d0 = v[0] + centre, np.exp(v[1])
        b = 0.5 * d0
        log_r = np.log(d1 / d0) + z - log_s
        soft = np.logaddexp(0.0, log_r)
        share = np.exp(log_r - soft)  # r / (1 + r)
        value = gammaln(a + b) - gammaln(a) - gammaln(b) + a * log_r - (a + b) * soft
        by_scale = ((a + b) * share - a).sum()
        by_d0 = 0.5 * (digamma(a + b) - digamma(b) - soft) + ((a + b) * share - a) / d0
        return -float(value.sum()), -np.array([by_scale, d0 * by_d0.sum()])

    edge = tuple(np.log(LEARNED_DF0_BOUNDS))
    found = minimize(
        negative, np.array([0.0, np.log(4.0)]), jac=True, method="L-BFGS-B",
        bounds=[(-20.0, 20.0), edge],
    )  # fmt: skip
    return float(np.exp(found.x[0] + centre)), float(np.exp(found.x[1]))


def shrink(
    tree: Hierarchy,
    n: Floats,
    moments: GroupMoments,
    kind: str,
    *,
    unspoken: float = 0.0,
    held: NoisePrior | None = None,
    row_df: float = inf,
    weighed: Floats | None = None,
) -> NoiseState:
    """Noise of compounds and groups from one posterior pass; `held` keeps the levels above.

    `kind` is ``per_compound`` or ``per_compound_and_group``; `n` are the groups' rows ``(G,)``;
    `unspoken` is the noise variance (min²) to assume where no unit has degrees of freedom;
    `row_df` are those of Student-t rows, `weighed` the sigma² that the weights of rows were
    computed with, min² ``(G,)``; both as `RowWeights` has them.
    """
    least, most = LEARNED_DF0_BOUNDS
    k = tree.sizes[3]
    df, rss = np.maximum(n - moments.p_eff, _LEAST_DF), moments.rss
    comp_rss, comp_dof = (summed(tree.comp_of, w, k) for w in (rss, df))
    if weighed is not None:
        relative = summed(tree.comp_of, rss / weighed, k)
        comp_rss, comp_dof = unweighted(comp_rss, comp_dof, relative, row_df)
        rss, df = unweighted(rss, df, rss / weighed, row_df)
    some = comp_dof > 0
    if held is not None:
        s0, d0 = held.scales[0], held.dfs[0]
    else:
        of_comps = fit_f_prior(comp_rss[some] / comp_dof[some], comp_dof[some])
        s0, d0 = of_comps or (unspoken, least)
    comp_variance = np.maximum((d0 * s0 + comp_rss) / (d0 + comp_dof), _SMALLEST_VARIANCE)
    comp_df = d0 + comp_dof
    of_group = comp_variance[tree.comp_of]
    if kind == "per_compound":
        prior = NoisePrior((s0,), (d0,))
        new = max(s0, _SMALLEST_VARIANCE)
        return NoiseState(
            of_group, comp_df[tree.comp_of], comp_variance, comp_df, new, d0, prior, row_df
        )
    relative = rss / of_group
    if held is not None:
        s1, d1 = held.scales[1], held.dfs[1]
    else:
        s1, d1 = fit_f_prior(relative / df, df) or (1.0, most)
    variance = of_group * (d1 * s1 + relative) / (d1 + df)
    # log variances have a variance of about 2 / df each, and that of the compound counts by its
    # weight in the group's: so d1 = infinity leaves the compound's degrees of freedom
    weight = d1 / (d1 + df)
    group_df = 1.0 / (1.0 / (d1 + df) + weight**2 / comp_df[tree.comp_of])
    return NoiseState(
        variance=np.maximum(variance, _SMALLEST_VARIANCE),
        df=group_df,
        pair_variance=np.maximum(comp_variance * s1, _SMALLEST_VARIANCE),
        pair_df=1.0 / (1.0 / d1 + 1.0 / comp_df),
        new_variance=max(s0 * s1, _SMALLEST_VARIANCE),
        new_df=1.0 / (1.0 / d1 + 1.0 / d0),
        prior=NoisePrior((s0, s1), (d0, d1)),
        row_df=row_df,
    )


def global_noise(
    tree: Hierarchy, n: Floats, moments: GroupMoments, variance: float, row_df: float = inf
) -> NoiseState:
    """One variance for all, with the degrees of freedom that the rows leave."""
    df = max(scale_information(row_df) * float(n.sum() - moments.p_eff.sum()), 1.0)
    g, _, _, k = tree.sizes
    return NoiseState(
        np.full(g, variance), np.full(g, df), np.full(k, variance), np.full(k, df), variance, df,
        NoisePrior((variance,), (df,)), row_df,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fitted:
    """Scales and noise of a model, with the posterior pass at them.

    `weights` are those in its statistics; None where every row weighs 1.
    """

    scales: ScaleSet
    mode: Mode
    noise: Noise
    state: NoiseState
    done: Forward | CompoundForward
    moments: Moments | CompoundMoments
    evaluations: int
    weights: RowWeights | None = None


def fit_model(problem: Problem, sigma_scales: ScaleSet) -> Fitted:
    """Fit the scales, and the noise as the settings say.

    `sigma_scales` are the scales with one sigma; uneven noise alternates between the mode of the
    scales given the noise and the noise given the posterior, until the noise settles. Above
    `SAMPLED_GROUPS` groups it begins where the fit of a sample of the compounds ended.
    """
    if sigma_scales.settings.noise != "global":
        return _fit_uneven(problem, sigma_scales)
    noise = Noise()
    mode = find_mode(problem, sigma_scales, noise, warm_start(problem, sigma_scales))
    done, moments = problem.evaluate(sigma_scales, mode.phi, noise)
    variance = float(done.variances.sigma2[0])
    state = global_noise(problem.tree, problem.spectra.n, moments, variance)
    return Fitted(sigma_scales, mode, noise, state, done, moments, mode.evaluations)


def _fit_uneven(problem: Problem, sigma_scales: ScaleSet) -> Fitted:
    settings = sigma_scales.settings
    scales = ScaleSet(settings, sigma_scales.n_super, sigma_scales.slopes, False)
    if problem.tree.keys.size > SAMPLED_GROUPS:
        sampled = _fit_uneven(problem.sample(), sigma_scales)
        phi, centre, spent = sampled.mode.phi, sampled.noise.log_centre, 0
    else:
        # the first mode is only where the noise is looked at from
        start = sigma_scales.start(rough_sigma(problem.spectra))
        even = find_mode(
            problem, sigma_scales, Noise(), start, iterations=_INNER_STEPS, tolerance=1.0
        )
        phi, centre, spent = even.phi[1:], 2.0 * float(even.phi[0]), even.evaluations
    noise = Noise(np.exp(np.full(problem.tree.keys.size, centre)), centre)
    return _alternate(problem, scales, phi, noise, spent)


def _alternate(problem: Problem, scales: ScaleSet, phi: Floats, noise: Noise, spent: int) -> Fitted:
    """Scales given the noise and noise given the posterior, in turn, from `phi` and `noise`."""
    settings = scales.settings
    assert noise.variance is not None
    before = np.log(noise.variance)
    _, moments = problem.evaluate(scales, phi, noise)
    spent += 1
    unspoken = settings.priors.sigma_y_prior**2
    for _ in range(_OUTER_ROUNDS):
        state = shrink(problem.tree, problem.spectra.n, moments, settings.noise, unspoken=unspoken)
        noise = state.as_noise
        mode = find_mode(
            problem, scales, noise, phi, iterations=_INNER_STEPS, tolerance=_INNER_TOLERANCE
        )
        _, moments = problem.evaluate(scales, mode.phi, noise)
        spent += mode.evaluations
        after = np.log(state.variance)
        change = float(np.sqrt(np.mean((after - before) ** 2)))
        phi, before = mode.phi, after
        if change < _SETTLED:
            break
    mode = find_mode(problem, scales, noise, phi)
    done, moments = problem.evaluate(scales, mode.phi, noise)
    return Fitted(scales, mode, noise, state, done, moments, spent + mode.evaluations)
