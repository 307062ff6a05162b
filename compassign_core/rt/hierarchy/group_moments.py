"""Posterior moments of groups given those of their parents, and the gradient they imply.

A group is drawn about ``h_g = a_node + e_0 effect``: the coefficients of its node in the tree, and
one effect that crosses the tree. Whatever the tree, only the moments of h_g enter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.rt.hierarchy.groups import Groups, GroupVariances, weighted_rows
from compassign_core.rt.hierarchy.spectra import Spectra

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SlopeProducts:
    """Products of the parents' slopes h_w ~ (mean, C_ww) with eigenvectors u and m^ of groups.

    Attributes
    ----------
    u_h, quad : ``U h_w`` and ``u'C_ww u``, ``(R,)``.
    cm, mcm : ``C_ww m^``, ``(G, P)``, and ``m^'C_ww m^``, ``(G,)``.
    """

    u_h: Floats
    quad: Floats
    cm: Floats
    mcm: Floats

    @classmethod
    def none(cls, rows: int, groups: int, features: int) -> SlopeProducts:
        """Of parents without slopes; to be filled for others."""
        return cls(np.zeros(rows), np.zeros(rows), np.zeros((groups, features)), np.zeros(groups))


@dataclass(frozen=True, eq=False)
class Parents:
    """Posterior of h_g, the coefficients that a group is drawn about.

    Attributes
    ----------
    mean, variance : of its intercept, ``(G,)``.
    slopes, cross : mean of its slopes, and their covariance with the intercept, ``(G, P)``.
    products : what the covariance of the slopes enters by.
    """

    mean: Floats
    variance: Floats
    slopes: Floats
    cross: Floats
    products: SlopeProducts


@dataclass(frozen=True, eq=False)
class GroupGradient:
    """Derivatives of the log marginal by the logarithm of each variance of groups, ``(G,)``.

    That of a flat intercept means nothing.
    """

    sigma2: Floats
    psi: Floats
    tau_b2: Floats


@dataclass(frozen=True, eq=False)
class GroupMoments:
    """Posterior of the groups.

    Attributes
    ----------
    shift : E[beta_g] less its prior mean E[h_g], ``(G, P+1)``.
    rss : residual sum of squares at the posterior mean, ``(G,)``, min².
    p_eff : effective number of coefficients, ``(G,)``.
    """

    shift: Floats
    rss: Floats
    p_eff: Floats


def group_moments(
    spectra: Spectra, g: Groups, v: GroupVariances, parents: Parents
) -> tuple[GroupMoments, GroupGradient]:
    """Moments of all groups and the gradient by their variances.

    C_g = Cov(h_g) enters through <M, C> and tr(M C M) only, for which the diagonal of
    ``U C_ww U'`` is enough.
    """
    h_b, h_w, c_bb, c_bw = parents.mean, parents.slopes, parents.variance, parents.cross
    slopes = parents.products
    m, kappa, beta = g.m_hat, g.kappa, g.beta
    bk = beta * kappa
    mh = np.einsum("gp,gp->g", m, h_w)
    # residual intercept r_b = s^ - n^ h_b - m^·h_w, so that tau_b² xi_b = kappa r_b stays finite
    r_b = g.s_hat - g.n_hat * h_b - mh
    mh_w = weighted_rows(spectra, g.g * slopes.u_h) - (kappa * mh)[:, None] * m
    mh_w += g.m_bw * h_b[:, None]
    xi_w = g.v_w - mh_w
    m2 = np.einsum("gp,gp->g", m, m)
    m_bar = weighted_rows(spectra, g.g * g.f * g.t)
    m_c_b = np.einsum("gp,gp->g", m, c_bw)
    g_q, g2_q = (spectra.by_group(w * slopes.quad) for w in (g.g, g.g**2))
    # <M, C>, tr(M C M)_ww and tau_b² (M C M)_bb
    m_c = g.m_bb * c_bb + 2.0 * bk * m_c_b + g_q - kappa * slopes.mcm
    along = m_bar - (kappa * m2)[:, None] * m  # M_ww m^
    trace_w = c_bb * bk**2 * m2 + 2.0 * bk * np.einsum("gp,gp->g", along, c_bw) + g2_q
    trace_w += -2.0 * kappa * np.einsum("gp,gp->g", m_bar, slopes.cm) + kappa**2 * m2 * slopes.mcm
    mcm_b = beta * kappa**2 * (g.n_hat**2 * c_bb + 2.0 * g.n_hat * m_c_b + slopes.mcm)
    gamma_b = kappa * g.n_hat - mcm_b  # tau_b² Gamma_bb
    gamma_w = v.psi * (spectra.by_group(g.g) - kappa * m2 - trace_w)
    xi_b2 = beta * (kappa * r_b) ** 2  # tau_b² xi_b²
    xi_w2 = v.psi * np.einsum("gp,gp->g", xi_w, xi_w)
    fit = g.c - 2.0 * (h_b * g.v_b + np.einsum("gp,gp->g", h_w, g.v_w))
    fit += h_b * (g.m_bb * h_b + bk * mh) + np.einsum("gp,gp->g", h_w, mh_w)
    d_b, d_w = 0.5 * (xi_b2 - gamma_b), 0.5 * (xi_w2 - gamma_w)
    d_sigma = 0.5 * (fit - spectra.n + m_c) - d_b - d_w
    shift = np.concatenate([(kappa * r_b)[:, None], v.psi[:, None] * xi_w], axis=1)
    rss = np.maximum(fit - xi_b2 - xi_w2, 0.0) * v.sigma2
    return GroupMoments(shift, rss, m_c + gamma_b + gamma_w), GroupGradient(d_sigma, d_w, d_b)
