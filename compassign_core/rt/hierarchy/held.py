"""What an update holds and what it adds to: statistics and tree, scales and noise of a fit.

Belongs here: these, their way into a model file and back. Not here: how rows are added (`update`,
`conjugate`), or what scoring needs (`stored`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import RUN_KEY, first
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.folds import keyed_hash
from compassign_core.rt.hierarchy.artifact import STATISTICS, PoolingSummaries
from compassign_core.rt.hierarchy.fit import Mode, Problem
from compassign_core.rt.hierarchy.noise import Fitted, NoisePrior, NoiseState
from compassign_core.rt.hierarchy.scales import Noise, ScaleSet
from compassign_core.rt.hierarchy.spectra import Spectra
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.rows import GroupedRows
from compassign_core.rt.stored import plain_field

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

ROW_KEY = (*RUN_KEY, "comp_id")
"""What a peak is known by: a run has one of each compound."""

_ROW_SEED = 0x636F6D70
"""Key of the hashes that rows are remembered by."""


@dataclass(frozen=True, eq=False)
class Held:
    """Data and structure of a fit, with the scales and noise that an update leaves as they are.

    Attributes
    ----------
    problem : statistics of the groups, and the tree.
    scales, phi : which scales there are, and their logarithms.
    noise, state : what the scales are tied to, and the noise of all that can be scored.
    """

    problem: Problem
    scales: ScaleSet
    phi: Floats
    noise: Noise
    state: NoiseState

    @classmethod
    def of(cls, problem: Problem, fitted: Fitted) -> Self:
        """What a fit leaves to be held."""
        return cls(problem, fitted.scales, fitted.mode.phi, fitted.noise, fitted.state)

    def fitted(self, evaluations: int = 0) -> Fitted:
        """One posterior pass over all that is held."""
        done, moments = self.problem.evaluate(self.scales, self.phi, self.noise)
        mode = Mode(self.phi, done.log_marginal + self.scales.log_prior(self.phi)[0], evaluations)
        return Fitted(
            self.scales, mode, self.noise, self.state, done, moments, evaluations
        )  # fmt: skip

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of it as plain arrays by name, from which `from_arrays` makes it again."""
        spectra, tree, state = self.problem.spectra, self.problem.tree, self.state
        made = {f"spectra.{f.name}": getattr(spectra, f.name) for f in fields(spectra)}
        made |= {
            f"tree.{f.name}": getattr(tree, f.name)
            for f in fields(Hierarchy)
            if f.name != "embeddings"
        }
        made |= {f"embeddings.{f.name}": getattr(tree.embeddings, f.name) for f in _CHEMICALS}
        made |= {f"noise.{f.name}": getattr(state, f.name) for f in _NOISE}
        made |= {
            "noise.prior_scales": np.array(state.prior.scales),
            "noise.prior_dfs": np.array(state.prior.dfs),
            "noise.uneven": self.noise.variance is not None,
            "noise.log_centre": self.noise.log_centre,
            "phi": self.phi,
        }
        return {name: np.asarray(value) for name, value in made.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], settings: PoolingSettings) -> Self:
        """What `arrays` gave; raises `KeyError` naming what is not there."""
        embeddings = Embeddings(**{f.name: arrays[f"embeddings.{f.name}"] for f in _CHEMICALS})
        tree = Hierarchy(
            **{
                f.name: arrays[f"tree.{f.name}"]
                for f in fields(Hierarchy)
                if f.name != "embeddings"
            },
            embeddings=embeddings,
        )
        spectra = Spectra(**{f.name: arrays[f"spectra.{f.name}"] for f in fields(Spectra)})
        prior = NoisePrior(
            tuple(arrays["noise.prior_scales"].tolist()), tuple(arrays["noise.prior_dfs"].tolist())
        )
        state = NoiseState(
            **{f.name: plain_field(arrays[f"noise.{f.name}"], str(f.type)) for f in _NOISE},
            prior=prior,
        )
        uneven = bool(arrays["noise.uneven"])
        noise = Noise(state.variance if uneven else None, float(arrays["noise.log_centre"]))
        problem = Problem(spectra, tree)
        scales = ScaleSet(settings, tree.sizes[2], problem.features > 0, not uneven)
        return cls(problem, scales, arrays["phi"], noise, state)


_CHEMICALS = fields(Embeddings)
_NOISE = tuple(f for f in fields(NoiseState) if f.name != "prior")
_ROWS = "row_keys"


def hash_rows(keys: npt.NDArray[np.int64]) -> Hashes:
    """64-bit hashes of row keys ``(N, 4)`` in the columns of `ROW_KEY`, ``(N,)``.

    Among a million rows of a model and a thousand new ones, two different rows meet with a
    chance of 5e-11.
    """
    return keyed_hash(keys, _ROW_SEED)


def row_keys(data: GroupedRows) -> Hashes:
    """Sorted hashes of the keys of all rows ``(N,)``, by which they are known again."""
    hashes = [
        hash_rows(np.column_stack([rows.ids[name] for name in ROW_KEY])) for rows in data.chunks()
    ]
    return np.sort(np.concatenate(hashes))


def statistics_of(held: Held, keys: Hashes) -> dict[str, npt.NDArray[Any]]:
    """What a model file keeps so that rows can be added: `held`, and the hashes of its rows."""
    return {**held.arrays(), _ROWS: keys}


def settings_of(summaries: PoolingSummaries) -> PoolingSettings:
    """The settings that a model was trained with."""
    return PoolingSettings.model_validate(json.loads(summaries.settings)["pooling"])


def load_for_update(path: str | Path) -> tuple[PoolingSummaries, Held, Hashes]:
    """A trained model with its statistics, and the sorted hashes of the rows behind it.

    ``held.problem`` are its data and structure; ``held.fitted()`` makes the posterior pass.

    Raises
    ------
    MissingArtifactError
        when there is no such file.
    InputError
        when it is no hierarchical model of this version, or was saved without statistics.
    """
    summaries = PoolingSummaries.load(path)
    held, keys = held_of(summaries, str(path))
    return summaries, held, keys


def held_of(summaries: PoolingSummaries, name: str) -> tuple[Held, Hashes]:
    """Statistics and row hashes of a model in memory, called `name` in messages; see above."""
    stored = summaries.statistics
    if not stored:
        raise InputError(
            f"{name} holds no training statistics ({STATISTICS}…), so rows cannot be added.",
            "give the file that training wrote; a model read for scoring and saved again has none.",
        )
    try:
        held = Held.from_arrays(stored, settings_of(summaries))
        keys = stored[_ROWS]
    except KeyError as error:
        raise InputError(
            f"{name} lacks {STATISTICS}{error.args[0]}.",
            "the file is incomplete; train the model again.",
        ) from error
    _check_shapes(held, summaries, name)
    return held, keys


def _check_shapes(held: Held, summaries: PoolingSummaries, name: str) -> None:
    tree, spectra = held.problem.tree, held.problem.spectra
    g, c, _, k = tree.sizes
    r = spectra.lam.size
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "tree.keys": (tree.keys, summaries.keys.shape),
        "spectra.n": (spectra.n, (g,)),
        "spectra.start": (spectra.start, (g + 1,)),
        "spectra.u": (spectra.u, (r, summaries.feature_names.size)),
        "tree.supercat_of": (tree.supercat_of, (c,)),
        "tree.offset": (tree.offset, (k,)),
        "noise.variance": (held.state.variance, (g,)),
        "noise.pair_variance": (held.state.pair_variance, (k,)),
        "phi": (held.phi, (len(held.scales.names),)),
    }
    wrong = [
        f"{STATISTICS}{field} {array.shape} instead of {shape}"
        for field, (array, shape) in expected.items()
        if array.shape != shape
    ]
    if wrong or (g and int(spectra.start[-1]) != r):
        raise InputError(
            f"{name}: statistics that do not fit together: {first(wrong)}.",
            "the file is damaged; train the model again.",
        )
