"""The oracle: the whole model as one dense Gaussian, every latent and every row written out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compassign_core.rt.hierarchy.marginal import Variances
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.rows import TrainingRows


@dataclass
class Case:
    rows: TrainingRows
    embeddings: Embeddings


def case(
    seed: int,
    features: int = 3,
    chemistry: int = 2,
    sizes: tuple[int, ...] = (1, 2, 3, 7, 12),
    n_species: int = 4,
    n_comps: int = 5,
    n_super: int = 2,
    keep: float = 0.7,
) -> Case:
    """A small ragged hierarchy: groups with one row, with fewer and with more rows than features.

    Every supercategory has a species; ids have gaps; one compound has no descriptors.
    """
    rng = np.random.default_rng(seed)
    species = np.repeat(np.arange(n_species), n_comps)
    comp = np.tile(np.arange(n_comps), n_species)
    kept = rng.uniform(size=species.size) < keep
    kept[:: n_comps + 1] = True
    species, comp = species[kept], comp[kept]
    count = rng.choice(sizes, size=species.size)
    count[: len(sizes)] = sizes[: species.size]
    group = np.repeat(np.arange(species.size), count)
    n = group.size
    x = (
        rng.normal(size=(n, features)) * 0.4
        + rng.normal(size=(species.size, features))[group] * 0.2
    )
    y = 5.0 + 0.8 * comp[group] + 0.1 * rng.normal(size=n) + x.sum(axis=1) * 0.3
    s, k = 3 * species[group] + 1, 2 * comp[group] + 5
    cluster = (species[group] % n_super) * 4 + 1
    ids = {
        "species": s,
        "species_cluster": cluster,
        "comp_id": k,
        "compound": k + 100,
        "compound_class": k * 0,
        "sampleset_id": rng.integers(0, 6, size=n),
        "worksheet_id": np.zeros(n, dtype=np.int64),
        "task_id": np.arange(n),
    }
    keys, start, counts = np.unique((s << 32) + k, return_index=True, return_counts=True)
    chem = 2 * np.arange(n_comps + 2) + 105
    chem = chem[chem != 107]  # one trained compound has no descriptors
    z = rng.normal(size=(chem.size, chemistry))
    return Case(TrainingRows(ids, y, x, keys, start, counts), Embeddings(chem, z))


def variances(tree: Hierarchy, features: int, seed: int, *, slopes: bool = True) -> Variances:
    """Random variances: uneven noise, and random effects uneven with it."""
    rng = np.random.default_rng(seed + 1000)
    g, _, n_super, _ = tree.sizes
    d = features + 1 if slopes else 1
    of_super = np.exp(rng.normal(-3, 1, size=(n_super, 2)))
    node = np.repeat(of_super, (1, d - 1), axis=1)
    return Variances(
        sigma2=(0.05 * np.exp(0.5 * rng.normal(size=g))) ** 2,
        psi=np.exp(rng.normal(-3, 1, size=g)),
        tau_b2=np.exp(rng.normal(-4, 1, size=g)),
        species=node[tree.supercat_of],
        supercategory=np.repeat(np.exp(rng.normal(-3, 1, size=2)), (1, d - 1)),
        root=np.repeat([100.0, 1.0], (1, d - 1)),
        tau_comp2=float(np.exp(rng.normal())),
        theta2=float(np.exp(rng.normal(0, 0.5))),
    )


class Gaussian:
    """Latents with a diagonal prior, and rows of y that read them through `group`."""

    def condition(self, rows: TrainingRows, prior: np.ndarray, sigma2: np.ndarray) -> None:
        """Posterior mean and covariance of the latents, and the log marginal of y."""
        self.prior = prior
        of_row = np.repeat(np.arange(rows.keys.size), rows.count)
        x1 = np.column_stack([np.ones(rows.y.size), rows.x])
        b = np.stack([x1[i] @ self.group(j) for i, j in enumerate(of_row)])
        cov_y = (b * prior) @ b.T + np.diag(sigma2[of_row])
        gain = np.linalg.solve(cov_y, b * prior).T
        self.mean = gain @ rows.y
        self.cov = np.diag(prior) - gain @ (b * prior)
        self.log_marginal = -0.5 * (
            rows.y.size * np.log(2 * np.pi)
            + np.linalg.slogdet(cov_y)[1]
            + rows.y @ np.linalg.solve(cov_y, rows.y)
        )
        self.x1, self.of_row, self.y = x1, of_row, rows.y

    def group(self, g: int) -> np.ndarray:
        """beta_g as ``(q, latents)``."""
        raise NotImplementedError

    def moments(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and covariance of rows ``(m, latents)``."""
        return rows @ self.mean, rows @ self.cov @ rows.T


class Dense(Gaussian):
    """Latents: a_0, deviations of supercategories and species, theta, deviations of compounds, and
    of groups; everything else is a row of numbers on them."""

    def __init__(self, rows: TrainingRows, tree: Hierarchy, v: Variances) -> None:
        g, c, s, k = tree.sizes
        d, q, chem = v.species.shape[1], rows.x.shape[1] + 1, tree.z.shape[1]
        self.d, self.q, self.v, self.tree = d, q, v, tree
        widths = (d, s * d, c * d, chem, k, g * q)
        self.at = np.concatenate([[0], np.cumsum(widths)])
        spread = np.concatenate([v.tau_b2[:, None], np.repeat(v.psi[:, None], q - 1, 1)], axis=1)
        prior = np.concatenate(
            [
                v.root,
                np.tile(v.supercategory, s),
                v.species.ravel(),
                np.full(chem, v.theta2),
                np.full(k, v.tau_comp2),
                spread.ravel(),
            ]
        )
        self.condition(rows, prior, v.sigma2)

    def root(self) -> np.ndarray:
        """a_0 as ``(d, latents)``."""
        made = np.zeros((self.d, self.at[-1]))
        made[:, : self.d] = np.eye(self.d)
        return made

    def supercategory(self, s: int) -> np.ndarray:
        made = self.root()
        made[:, self.at[1] + s * self.d : self.at[1] + (s + 1) * self.d] = np.eye(self.d)
        return made

    def species(self, c: int) -> np.ndarray:
        made = self.supercategory(self.tree.supercat_of[c])
        made[:, self.at[2] + c * self.d : self.at[2] + (c + 1) * self.d] = np.eye(self.d)
        return made

    def described(self, z: np.ndarray) -> np.ndarray:
        """z·theta as ``(latents,)``."""
        made = np.zeros(self.at[-1])
        made[self.at[3] : self.at[4]] = z
        return made

    def compound(self, k: int) -> np.ndarray:
        made = self.described(self.tree.z[k])
        made[self.at[4] + k] = 1.0
        return made

    def group(self, g: int) -> np.ndarray:
        """beta_g as ``(q, latents)``."""
        made = np.zeros((self.q, self.at[-1]))
        made[: self.d] = self.species(self.tree.species_of[g])
        made[0] += self.compound(self.tree.comp_of[g])
        made[:, self.at[5] + g * self.q : self.at[5] + (g + 1) * self.q] += np.eye(self.q)
        return made
