"""What is computed of one molecule, against values known from its formula."""

from __future__ import annotations

import numpy as np
import pytest

from compassign_core.chemistry.molecules import (
    DESCRIPTORS,
    fingerprints,
    longest_carbon_chain,
    physico_chemical,
    read_molecules,
)
from compassign_core.contracts.settings.chemistry import ChemistrySettings


@pytest.mark.parametrize(
    ("smiles", "carbons"),
    [
        ("O", 0),
        ("C", 1),
        ("c1ccccc1", 0),
        ("CCCCCCCCCCCCCCCC(=O)O", 16),
        ("CCCCCCCC/C=C\\CCCCCCCC(=O)O", 18),
        ("CC(C)CC(N)C(=O)O", 5),
        ("CCCCOCCC", 4),
        ("Cc1ccccc1CCC", 3),
        ("C(OC(=O)CCC)COC(=O)CCCCC", 6),
    ],
)
def test_the_longest_carbon_chain_is_counted(smiles, carbons):
    assert longest_carbon_chain(read_molecules([smiles])[0]) == carbons


def test_descriptors_of_oleic_acid_are_those_of_its_formula():
    # C18H34O2
    values = physico_chemical(read_molecules(["CCCCCCCC/C=C\\CCCCCCCC(=O)O"]))[0]
    of = dict(zip(DESCRIPTORS, values, strict=True))
    assert of["MolWt"] == pytest.approx(18 * 12.011 + 34 * 1.008 + 2 * 15.999, abs=0.01)
    assert (of["HeavyAtomCount"], of["NumHeteroatoms"], of["NumHDonors"]) == (20, 2, 1)
    assert (of["CarbonDoubleBonds"], of["LongestCarbonChain"], of["RingCount"]) == (1, 18, 0)
    assert of["FractionCSP3"] == pytest.approx(15 / 18)


def test_unreadable_and_empty_smiles_give_no_molecule(capfd):
    assert read_molecules(["not smiles", "C1CC", "", "c1cccc1"]) == [None] * 4
    assert capfd.readouterr().err == ""


def test_counts_tell_chain_lengths_apart_that_bits_cannot():
    molecules = read_molecules(["CCCCCCCCCC", "CCCCCCCCCCCC"])
    bits = fingerprints(molecules, ChemistrySettings(fingerprint_values="bits"))
    counts = fingerprints(molecules, ChemistrySettings())
    assert bits.shape == counts.shape == (2, 2048)
    np.testing.assert_array_equal(bits[0], bits[1])
    assert np.abs(counts[0] - counts[1]).max() > 0
    np.testing.assert_array_equal(counts > 0, bits > 0)


def test_no_molecules_give_empty_blocks_of_full_width():
    assert fingerprints([], ChemistrySettings(fingerprint_bits=64)).shape == (0, 64)
    assert physico_chemical([]).shape == (0, len(DESCRIPTORS))
