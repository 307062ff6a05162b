"""The oracle of the compound tree: one dense Gaussian, every latent and every row written out."""

from __future__ import annotations

import numpy as np

from compassign_core.rt.hierarchy.compound_tree.marginal import CompoundVariances
from compassign_core.rt.hierarchy.tree import Hierarchy
from compassign_core.rt.rows import TrainingRows
from tests.rt.hierarchy.dense import Gaussian


def compound_variances(tree: Hierarchy, d: int, seed: int) -> CompoundVariances:
    """Random variances: uneven noise, and random effects uneven with it; d entries a vector."""
    rng = np.random.default_rng(seed + 2000)
    g, _, n_super, _ = tree.sizes
    wide = (1, d - 1)
    return CompoundVariances(
        sigma2=(0.05 * np.exp(0.5 * rng.normal(size=g))) ** 2,
        psi=np.exp(rng.normal(-3, 1, size=g)),
        tau_b2=np.exp(rng.normal(-4, 1, size=g)),
        node=np.repeat(np.exp(rng.normal(-3, 1, size=(n_super, 2))), wide, axis=1),
        compound=np.repeat(np.exp(rng.normal([0, -3], 1)), wide),
        root=np.repeat([100.0, 1.0], wide),
        species=np.exp(rng.normal(-3, 1, size=n_super)),
        supercategory=float(np.exp(rng.normal(-3, 1))),
        theta2=float(np.exp(rng.normal(0, 0.5))),
    )


class DenseCompounds(Gaussian):
    """Latents: a_0, deviations of compounds and of every (supercategory, compound), effects of
    supercategories, deviations of species, theta, and deviations of groups."""

    def __init__(self, rows: TrainingRows, tree: Hierarchy, v: CompoundVariances) -> None:
        g, c, s, k = tree.sizes
        d, q, chem = v.root.size, rows.x.shape[1] + 1, tree.z.shape[1]
        self.d, self.q, self.v, self.tree = d, q, v, tree
        self.at = np.concatenate([[0], np.cumsum((d, k * d, s * k * d, s, c, chem, g * q))])
        spread = np.concatenate([v.tau_b2[:, None], np.repeat(v.psi[:, None], q - 1, 1)], axis=1)
        prior = np.concatenate(
            [
                v.root,
                np.tile(v.compound, k),
                np.repeat(v.node, k, axis=0).ravel(),
                np.full(s, v.supercategory),
                v.species[tree.supercat_of],
                np.full(chem, v.theta2),
                spread.ravel(),
            ]
        )
        self.condition(rows, prior, v.sigma2)

    def root(self) -> np.ndarray:
        """a_0 as ``(d, latents)``."""
        made = np.zeros((self.d, self.at[-1]))
        made[:, : self.d] = np.eye(self.d)
        return made

    def described(self, z: np.ndarray) -> np.ndarray:
        """z·theta as ``(latents,)``."""
        made = np.zeros(self.at[-1])
        made[self.at[5] : self.at[6]] = z
        return made

    def compound(self, k: int) -> np.ndarray:
        made = self.root()
        made[0] += self.described(self.tree.z[k])
        made[:, self.at[1] + k * self.d : self.at[1] + (k + 1) * self.d] += np.eye(self.d)
        return made

    def node(self, s: int, k: int) -> np.ndarray:
        made = self.compound(k)
        begin = self.at[2] + (s * self.tree.sizes[3] + k) * self.d
        made[:, begin : begin + self.d] += np.eye(self.d)
        return made

    def supercategory(self, s: int) -> np.ndarray:
        """The effect of a supercategory as ``(latents,)``."""
        made = np.zeros(self.at[-1])
        made[self.at[3] + s] = 1.0
        return made

    def species(self, c: int) -> np.ndarray:
        made = self.supercategory(self.tree.supercat_of[c])
        made[self.at[4] + c] = 1.0
        return made

    def group(self, g: int) -> np.ndarray:
        c = self.tree.species_of[g]
        made = np.zeros((self.q, self.at[-1]))
        made[: self.d] = self.node(self.tree.supercat_of[c], self.tree.comp_of[g])
        made[0] += self.species(c)
        made[:, self.at[6] + g * self.q : self.at[6] + (g + 1) * self.q] += np.eye(self.q)
        return made
