"""Small real chemicals that simulated libraries consist of."""

from __future__ import annotations

CHEMICALS: tuple[tuple[str, str], ...] = (
    ("ethanol", "CCO"),
    ("1-butanol", "CCCCO"),
    ("1-hexanol", "CCCCCCO"),
    ("1-octanol", "CCCCCCCCO"),
    ("acetic acid", "CC(=O)O"),
    ("butyric acid", "CCCC(=O)O"),
    ("caproic acid", "CCCCCC(=O)O"),
    ("caprylic acid", "CCCCCCCC(=O)O"),
    ("lauric acid", "CCCCCCCCCCCC(=O)O"),
    ("palmitic acid", "CCCCCCCCCCCCCCCC(=O)O"),
    ("stearic acid", "CCCCCCCCCCCCCCCCCC(=O)O"),
    ("oleic acid", "CCCCCCCC/C=C\\CCCCCCCC(=O)O"),
    ("lactic acid", "CC(O)C(=O)O"),
    ("pyruvic acid", "CC(=O)C(=O)O"),
    ("succinic acid", "OC(=O)CCC(=O)O"),
    ("citric acid", "OC(=O)CC(O)(CC(=O)O)C(=O)O"),
    ("glycine", "NCC(=O)O"),
    ("alanine", "CC(N)C(=O)O"),
    ("leucine", "CC(C)CC(N)C(=O)O"),
    ("phenylalanine", "NC(Cc1ccccc1)C(=O)O"),
    ("tyrosine", "NC(Cc1ccc(O)cc1)C(=O)O"),
    ("tryptophan", "NC(Cc1c[nH]c2ccccc12)C(=O)O"),
    ("benzoic acid", "OC(=O)c1ccccc1"),
    ("hippuric acid", "OC(=O)CNC(=O)c1ccccc1"),
    ("salicylic acid", "OC(=O)c1ccccc1O"),
    ("phenol", "Oc1ccccc1"),
    ("indole", "c1ccc2[nH]ccc2c1"),
    ("caffeine", "Cn1cnc2c1c(=O)n(C)c(=O)n2C"),
    ("nicotinamide", "NC(=O)c1cccnc1"),
    ("urea", "NC(N)=O"),
    ("creatinine", "CN1CC(=O)NC1=N"),
    ("choline", "C[N+](C)(C)CCO"),
    ("glycerol", "OCC(O)CO"),
)
"""Name and SMILES; the place in the list, from 1, is the chemical id."""


def carbon_counts() -> tuple[int, ...]:
    """Carbons of each chemical; no SMILES above holds another element that begins with C."""
    return tuple(smiles.upper().count("C") for _, smiles in CHEMICALS)
