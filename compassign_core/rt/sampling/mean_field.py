"""Mean-field variational inference by stochastic gradients, of any log density.

q is a product of normals. One step size suits all variables because they are measured in units of
their standard deviations at the start. Every step takes an antithetic pair of draws
``x = m + s exp(r) (±eps)`` and the path derivative of ``log p - log q`` alone, whose noise vanishes
where q is right (Roeder, Wu, Duvenaud, "Sticking the landing", NeurIPS 2017)::

    d ELBO / d m = s g + exp(-r) (±eps),  d ELBO / d r = that × exp(r) (±eps),  g = d log p / d x

Steps are Adam's (Kingma, Ba, ICLR 2015). Belongs here: the optimiser, and what it says of its own
convergence. Not here: the model (`explicit`), nor where to start (`advi`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.sampling import AdviSettings

Floats = npt.NDArray[np.float64]
Density = Callable[[Floats], tuple[float, Floats]]
"""Log density and its gradient at a point ``(L,)``."""

_DECAYS = (0.9, 0.999)
_LEAST_GRADIENT = 0.1
"""Below this, in nats for one unit of the start, steps shrink with the gradient, and so end."""


@dataclass(frozen=True, eq=False)
class Variational:
    """A product of normals over L latents, and how it was reached.

    Attributes
    ----------
    mean, sd : of every latent, ``(L,)``, averaged over the last window of steps.
    loss : negative ELBO of every step, nats, ``(steps,)``.
    """

    mean: Floats
    sd: Floats
    loss: Floats


def climb(
    density: Density, start_mean: Floats, start_sd: Floats, settings: AdviSettings
) -> Variational:
    """Maximise the ELBO from independent normals of means and standard deviations ``(L,)``.

    Raises
    ------
    InputError
        when the loss becomes infinite or no number.
    """
    rng = np.random.default_rng(settings.seed)
    size, steps = start_mean.size, settings.steps
    params = np.zeros((2, size))  # m and r, in units of the start
    first, second, total = np.zeros((2, size)), np.zeros((2, size)), np.zeros((2, size))
    loss = np.empty(steps)
    for i, rate in enumerate(learning_rates(settings)):
        elbo, gradient = _elbo(density, start_mean, start_sd, params, rng.standard_normal(size))
        if not np.isfinite(elbo):
            raise InputError(
                f"the variational fit failed at step {i + 1} of {steps}: its loss is {-elbo}.",
                "lower advi.learning_rate, or use method='laplace' or 'nuts'.",
            )
        loss[i] = -elbo
        first += (1.0 - _DECAYS[0]) * (gradient - first)
        second += (1.0 - _DECAYS[1]) * (gradient**2 - second)
        mean, square = (
            m / (1.0 - decay ** (i + 1)) for m, decay in zip((first, second), _DECAYS, strict=True)
        )
        params = params + rate * mean / (np.sqrt(square) + _LEAST_GRADIENT)
        if i >= steps - settings.window:
            total += params / settings.window
    return Variational(start_mean + start_sd * total[0], start_sd * np.exp(total[1]), loss)


def _elbo(
    density: Density, start_mean: Floats, start_sd: Floats, params: Floats, eps: Floats
) -> tuple[float, Floats]:
    """ELBO from one antithetic pair, and its path gradient by m and r, ``(2, L)``."""
    m, r = params
    spread = np.exp(r)
    # -log q, the same at both draws
    elbo = 0.5 * float(eps @ eps) + float((r + np.log(start_sd)).sum())
    elbo += 0.5 * eps.size * float(np.log(2.0 * np.pi))
    gradient = np.zeros((2, eps.size))
    for signed in (eps, -eps):
        log_p, g = density(start_mean + start_sd * (m + spread * signed))
        path = start_sd * g + signed / spread
        gradient += 0.5 * np.stack([path, path * spread * signed])
        elbo += 0.5 * float(log_p)
    return elbo, gradient


def learning_rates(settings: AdviSettings) -> Floats:
    """The learning rate of every step: even, then falling to a tenth, ``(steps,)``."""
    passed = np.arange(settings.steps) / settings.steps
    return np.asarray(settings.learning_rate * 0.1 ** np.clip(2.0 * passed - 1.0, 0.0, 1.0))


def convergence(loss: Floats, window: int) -> dict[str, float]:
    """How far the loss ``(steps,)`` still moves over its last `window` steps, in numbers.

    ``elbo`` is the mean ELBO there in nats, ``elbo_slope`` its trend in nats per 1,000 steps,
    ``elbo_noise`` the standard deviation about the trend, and ``elbo_drift`` the change along the
    trend over the window in these standard deviations.
    """
    last = -loss[-window:]
    steps = np.arange(last.size) - 0.5 * (last.size - 1)
    slope = float(steps @ last / (steps @ steps))
    noise = float(np.std(last - last.mean() - slope * steps))
    return {
        "elbo": float(last.mean()),
        "elbo_drift": abs(slope) * last.size / max(noise, np.finfo(np.float64).tiny),
        "elbo_noise": noise,
        "elbo_slope": 1000.0 * slope,
        "steps": float(loss.size),
    }
