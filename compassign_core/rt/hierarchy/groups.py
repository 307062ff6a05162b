"""Groups of rows with their own slopes and intercepts integrated out, whatever is above them.

Belongs here: one group's likelihood of its parent's coefficients. Not here: the tree above, which
is `marginal` or `compound_tree`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse

from compassign_core.rt.hierarchy.spectra import Spectra

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroupVariances:
    """Variances of what belongs to one group, ``(G,)`` each.

    Attributes
    ----------
    sigma2 : noise, min².
    psi : slopes about those of the parent.
    tau_b2 : intercept about that of the parent, infinite when flat.
    """

    sigma2: Floats
    psi: Floats
    tau_b2: Floats


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups with slopes and intercepts integrated out; symbols of the module's formulas.

    With lam, t, z and sums over sigma_g², f = 1/(1 + psi lam), e = psi f, g = lam f::

        n^ = n - sum t² e,  s^ = s_y - sum t z e,  m^ = U'(f t),  z^ = U'(f z)
        kappa = 1/(n^ + 1/tau_b²),  M_bb = n^ kappa/tau_b²,  M_bw = kappa/tau_b² m^
        M_ww = U' diag(g) U - kappa m^ m^',  v_b = kappa s^/tau_b²,  v_w = z^ - kappa s^ m^
    """

    f: Floats  # (R,)
    g: Floats  # (R,)
    t: Floats  # (R,)
    n_hat: Floats  # (G,)
    s_hat: Floats  # (G,)
    kappa: Floats  # (G,)
    beta: Floats  # (G,) 1 / tau_b²
    m_hat: Floats  # (G, P)
    m_bb: Floats  # (G,)
    m_bw: Floats  # (G, P)
    v_b: Floats  # (G,)
    v_w: Floats  # (G, P)
    c: Floats  # (G,) what is left of y'y
    logdet: float


def weighted_rows(spectra: Spectra, weights: Floats) -> Floats:
    """``U_g' weights`` of every group, ``(G, P)``."""
    g, r = spectra.n.size, spectra.lam.size
    picked = scipy.sparse.csr_matrix((weights, np.arange(r), spectra.start), shape=(g, r))
    return np.asarray(picked @ spectra.u)


def summed(index: npt.NDArray[np.int64], weights: Floats, size: int) -> Floats:
    """Sums of weights by index, ``(size,)``."""
    return np.asarray(np.bincount(index, weights, size), dtype=np.float64)


def eliminate_groups(spectra: Spectra, v: GroupVariances) -> Groups:
    """Integrate slopes and intercepts of all groups out."""
    beta = 1.0 / v.tau_b2
    precision = 1.0 / v.sigma2
    per_row = np.repeat(precision, spectra.rank)
    psi = np.repeat(v.psi, spectra.rank)
    lam, t, z = spectra.lam * per_row, spectra.t * per_row, spectra.z * per_row
    f = 1.0 / (1.0 + psi * lam)
    e = psi * f
    n = spectra.weight * precision
    # n^ is at least what one row with this much covariate leaves, far above rounding
    n_hat = np.maximum(n - spectra.by_group(t * t * e), 1e-15 * n)
    s_hat = spectra.sum_y * precision - spectra.by_group(t * z * e)
    y_hat = spectra.yy * precision - spectra.by_group(z * z * e)
    kappa = 1.0 / (n_hat + beta)
    m_hat = weighted_rows(spectra, f * t)
    # a flat intercept has no prior variance to count
    flat = beta == 0
    spread = np.where(flat, np.log(n_hat), np.log1p(n_hat * np.where(flat, 1.0, v.tau_b2)))
    logdet = (spectra.n * np.log(v.sigma2) - spectra.log_weight).sum()
    logdet += np.log1p(psi * lam).sum() + spread.sum()
    bk = beta * kappa
    return Groups(
        f=f,
        g=lam * f,
        t=t,
        n_hat=n_hat,
        s_hat=s_hat,
        kappa=kappa,
        beta=beta,
        m_hat=m_hat,
        m_bb=n_hat * bk,
        m_bw=bk[:, None] * m_hat,
        v_b=bk * s_hat,
        v_w=weighted_rows(spectra, f * z) - (kappa * s_hat)[:, None] * m_hat,
        c=y_hat - kappa * s_hat**2,
        logdet=float(logdet),
    )
