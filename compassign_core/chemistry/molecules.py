"""One molecule to numbers: its fingerprint and its physico-chemical descriptors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors, rdFingerprintGenerator

from compassign_core.contracts.settings.chemistry import ChemistrySettings

_DOUBLE_BOND = Chem.MolFromSmarts("[#6]=[#6]")


def longest_carbon_chain(molecule: Chem.Mol) -> int:
    """Carbons in the longest path over carbons outside rings (0 when there are none).

    These carbons form a forest, so two sweeps find a tree's longest path: the atom farthest
    from any start is one of its ends.
    """
    carbons = {
        atom.GetIdx(): [
            other.GetIdx()
            for other in atom.GetNeighbors()
            if other.GetAtomicNum() == 6 and not other.IsInRing()
        ]
        for atom in molecule.GetAtoms()
        if atom.GetAtomicNum() == 6 and not atom.IsInRing()
    }
    longest = 0
    seen: set[int] = set()
    for start in carbons:
        if start not in seen:
            reached = _distances(carbons, start)
            seen.update(reached)
            end = max(reached, key=reached.__getitem__)
            longest = max(longest, 1 + max(_distances(carbons, end).values()))
    return longest


def _distances(neighbours: dict[int, list[int]], start: int) -> dict[int, int]:
    """Bonds from `start` to every atom that can be reached."""
    reached = {start: 0}
    frontier = [start]
    for atom in frontier:  # grows while it is walked: breadth first
        for other in neighbours[atom]:
            if other not in reached:
                reached[other] = reached[atom] + 1
                frontier.append(other)
    return reached


_OF_RDKIT = (
    "MolWt",
    "MolLogP",
    "MolMR",
    "TPSA",
    "LabuteASA",
    "NumHDonors",
    "NumHAcceptors",
    "NumRotatableBonds",
    "NumHeteroatoms",
    "FractionCSP3",
    "RingCount",
    "NumAromaticRings",
    "HeavyAtomCount",
)
_FUNCTIONS: dict[str, Callable[[Chem.Mol], float]] = dict(Descriptors.descList)

DESCRIPTORS: dict[str, Callable[[Chem.Mol], float]] = {
    **{name: _FUNCTIONS[name] for name in _OF_RDKIT},
    "FormalCharge": Chem.GetFormalCharge,
    "LongestCarbonChain": longest_carbon_chain,
    "CarbonDoubleBonds": lambda molecule: len(molecule.GetSubstructMatches(_DOUBLE_BOND)),
}
"""Physico-chemical descriptors by name; the last two are what separates lipids of one class."""


def read_molecules(smiles: list[str]) -> list[Chem.Mol | None]:
    """Molecules of SMILES texts, in canonical atom order, None where unreadable.

    The canonical order makes two spellings of one structure give the same last bits.
    """
    with rdBase.BlockLogs():  # what cannot be read is reported as a reject, not on stderr
        return [_read(text) for text in smiles]


def _read(smiles: str) -> Chem.Mol | None:
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        return None
    return Chem.MolFromSmiles(Chem.MolToSmiles(molecule))


def fingerprints(molecules: list[Chem.Mol], settings: ChemistrySettings) -> npt.NDArray[np.float64]:
    """Folded Morgan fingerprints, shape ``(n, fingerprint_bits)``: 0/1, or log1p of counts.

    Rogers & Hahn (2010), Extended-connectivity fingerprints, J. Chem. Inf. Model. 50, 742-754.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(
        radius=settings.fingerprint_radius, fpSize=settings.fingerprint_bits
    )
    of_one = (
        generator.GetCountFingerprintAsNumPy
        if settings.fingerprint_values == "counts"
        else generator.GetFingerprintAsNumPy
    )
    features = np.zeros((len(molecules), settings.fingerprint_bits))
    for row, molecule in enumerate(molecules):
        features[row] = of_one(molecule)
    return np.log1p(features) if settings.fingerprint_values == "counts" else features


def physico_chemical(molecules: list[Chem.Mol]) -> npt.NDArray[np.float64]:
    """Values of `DESCRIPTORS`, shape ``(n, len(DESCRIPTORS))``."""
    values = [[float(of(molecule)) for of in DESCRIPTORS.values()] for molecule in molecules]
    return np.array(values, dtype=np.float64).reshape(len(molecules), len(DESCRIPTORS))
