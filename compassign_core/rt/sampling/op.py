"""The exact log marginal as one PyTensor Op with gradient, and the PyMC model around it.

The model's only free variables are the log scales: slopes, intercepts, species, supercategories,
chemistry and compounds are integrated out inside the Op, in closed form. Its log density and
gradient are those of `hierarchy.fit.log_posterior`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor.tensor as pt
from pytensor.compile.mode import Mode, get_mode
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.vm import VMLinker

from compassign_core.rt.hierarchy.fit import Problem, log_posterior
from compassign_core.rt.hierarchy.scales import LOG_BOUNDS, Noise, ScaleSet

Floats = npt.NDArray[np.float64]

LOG_SCALES = "log_scales"
"""Name of the one free variable of the scale model; the explicit model has it too."""


class LogMarginal(Op):  # type: ignore[misc]  # PyTensor is not typed
    """Log marginal likelihood of the rows at log scales ``(V,)``, and its gradient ``(V,)``.

    Both come from one posterior pass; the last point is kept, so that asking for the value and
    for the gradient of one point costs one pass even where a graph asks twice. Outside
    `LOG_BOUNDS`, or where a matrix is not positive definite any more, the value is -inf with a
    gradient of zero, which a sampler takes as a wall.

    Attributes
    ----------
    evaluations : posterior passes made so far.
    """

    def __init__(self, problem: Problem, scales: ScaleSet, noise: Noise) -> None:
        self.problem, self.scales, self.noise = problem, scales, noise
        self.evaluations = 0
        self._last: tuple[bytes, float, Floats] | None = None

    def make_node(self, phi: Any) -> Any:
        """One vector in; the value and its gradient out."""
        phi = pt.as_tensor_variable(phi, dtype="float64")
        return Apply(self, [phi], [pt.dscalar(), pt.dvector()])

    def perform(self, node: Any, inputs: list[Any], outputs: list[list[Any]]) -> None:
        """Value and gradient at one point."""
        value, gradient = self.at(inputs[0])
        outputs[0][0], outputs[1][0] = np.asarray(value), gradient.copy()

    def L_op(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        """Gradient of the value; the gradient itself has none."""
        return [output_gradients[0] * outputs[1]]

    def infer_shape(self, fgraph: Any, node: Any, shapes: list[Any]) -> list[Any]:
        """A number, and as many as came in."""
        return [(), shapes[0]]

    def at(self, phi: Floats) -> tuple[float, Floats]:
        """Log marginal and its gradient at log scales `phi` ``(V,)``."""
        key = phi.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = (key, *self._evaluate(phi))
        return self._last[1:]

    def _evaluate(self, phi: Floats) -> tuple[float, Floats]:
        wall = -np.inf, np.zeros(phi.size)
        if not ((phi >= LOG_BOUNDS[0]) & (phi <= LOG_BOUNDS[1])).all():
            return wall
        self.evaluations += 1
        try:
            value, gradient = log_posterior(self.problem, self.scales, phi, self.noise)
        except np.linalg.LinAlgError:
            return wall
        prior, of_prior = self.scales.log_prior(phi)
        return value - prior, gradient - of_prior


def log_scales(scales: ScaleSet) -> Any:
    """The log scales as a random variable of the open model: logarithms of HalfNormals ``(V,)``."""
    return pm.CustomDist(
        LOG_SCALES,
        np.array(scales.prior),
        dist=lambda prior, size: pt.log(pm.HalfNormal.dist(sigma=prior, size=size)),
        dims="scale",
    )


def scale_model(problem: Problem, scales: ScaleSet, noise: Noise) -> tuple[Any, LogMarginal]:
    """The PyMC model of the log scales ``log_scales`` (dims ``scale``), and the Op inside it."""
    op = LogMarginal(problem, scales, noise)
    with pm.Model(coords={"scale": list(scales.names)}) as model:
        pm.Potential("log_marginal", op(log_scales(scales))[0])
    return model, op


def interpreted() -> Any:
    """How the scale model is compiled: not at all, since one Op does all the work.

    Fused elementwise calls, which would run number by number, are left out.
    """
    linker = VMLinker(use_cloop=False, c_thunks=False)
    rewrites = get_mode("FAST_RUN").excluding("fusion", "cxx_only")
    return Mode(linker, rewrites.provided_optimizer)
