"""The file `libraries.toml`: what is legal, and that every fault names file, entry and field."""

from __future__ import annotations

import os

import pytest

from compassign_core.contracts.errors import CompassignError, InputError, SettingsError
from compassign_core.contracts.identifiers import CAPS
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.libraries import load_libraries
from compassign_core.contracts.settings.prep import PrepSettings
from tests.support.export_oracle import DATA

CHEMISTRY = '[chemistry]\nstructures = "structures.parquet"\n'
ENTRY = '[library.7]\ntitle = "x"\nexport = "e"\nmetadata = "m.csv"\ncomp_chem = "c.csv"\n'


def _load(tmp_path, text):
    file = tmp_path / "libraries.toml"
    file.write_text(text, encoding="utf-8")
    return load_libraries(file)


def test_an_entry_has_sensible_defaults(tmp_path):
    libraries = _load(tmp_path, CHEMISTRY + ENTRY)
    library = libraries.get(7)
    assert (library.species_raw, library.group) == ("species_matrix_type", "group")
    assert library.prep == PrepSettings()
    assert library.prep.statuses == ("Complete", "Complete - NFS")
    assert library.prep.excluded_sample_types == ("PRCS",)
    assert libraries.path(library.metadata) == tmp_path.resolve() / "m.csv"


def test_defaults_for_all_libraries_yield_to_an_entry(tmp_path):
    other = ENTRY.replace("7", "5")
    text = f"[prep]\nseed = 1\ntest_share = 0.5\n{CHEMISTRY}{ENTRY}prep.seed = 2\n{other}"
    libraries = _load(tmp_path, text)
    assert list(libraries.library) == [5, 7]
    seeds = {lib: entry.prep.seed for lib, entry in libraries.library.items()}
    assert seeds == {5: 1, 7: 2}
    assert {entry.prep.test_share for entry in libraries.library.values()} == {0.5}


def test_the_shipped_file_is_legal_and_states_its_counts():
    libraries = load_libraries(DATA / "libraries.toml")
    assert {100, 101, 109, 208, 209, 305, 400, 402} <= set(libraries.library)
    assert libraries.get(100).expected.cap[5].sampled == 11_758
    assert libraries.get(208).expected.cap[5].classed == 25_781


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            ENTRY.replace('export = "e"', 'export = "e"\nmerged = "m.parquet"'),
            ["[library.7]", "exactly one of export and merged", "'e'", "'m.parquet'"],
        ),
        (ENTRY.replace('export = "e"\n', ""), ["[library.7]", "exactly one of export and merged"]),
        (ENTRY.replace('metadata = "m.csv"\n', ""), ["[library.7]", "metadata: Field required"]),
        (ENTRY + 'specie_raw = "y"\n', ["[library.7]", "specie_raw", "species_raw"]),
        (ENTRY + "title2 = 5\n", ["[library.7]", "title2", "given: 5"]),
        (ENTRY + "prep.seed = -1\n", ["[library.7]", "prep.seed", "given: -1"]),
        (ENTRY + "prep.test_share = 1.0\n", ["prep.test_share", "less than 1", "given: 1.0"]),
        (ENTRY + 'prep.missing_chemistry = "skip"\n', ["missing_chemistry", "'fill' or 'drop'"]),
        (ENTRY + "prep.statuses = []\n", ["prep.statuses", "at least 1"]),
        (ENTRY + "prep.sed = 1\n", ["prep.sed", "given: 1"]),
        (ENTRY + "expected.cap.7.sampled = 1\n", ["expected", "cap [7] is not one of (5, 10"]),
        (ENTRY + "expected.cap.5.mapped = 1\n", ["expected.cap.5.sampled: Field required"]),
        (ENTRY + "expected.runs = -1\n", ["expected.runs", "given: -1"]),
        (ENTRY + "expected.tolerance = 1.5\n", ["expected.tolerance"]),
        (ENTRY.replace("7", "abc"), ["'abc' is not a positive whole number", "libraries.toml"]),
        (ENTRY.replace("7", "007"), ["'007' is not a positive whole number"]),
        (ENTRY.replace("7", '"../x"'), ["'../x' is not a positive whole number"]),
        (ENTRY + "[libraries.8]\n", ["unknown section 'libraries'", "[library.<id>]"]),
        (
            ENTRY.replace('"m.csv"', '"/data/m.csv"') + 'split = "/s.csv"\n',
            ["[library.7]", "metadata, split must be relative"],
        ),
        ("", ["names no library", "[library.<id>]"]),
        ("library = 5\n", ["library", "[library.<id>]"]),
        ("library.7 = 5\n", ["[library.7]", "given: 5"]),
        (ENTRY + "prep = 5\n", ["[library.7]", "prep", "given: 5"]),
        ("prep = 5\n" + ENTRY, ["[prep]", "given: 5"]),
    ],
)
def test_a_fault_names_the_file_the_entry_and_the_field(tmp_path, text, words):
    # keys without a section must stand before the first one
    text = CHEMISTRY + text if text.startswith("[") else text + CHEMISTRY
    with pytest.raises(SettingsError) as error:
        _load(tmp_path, text)
    for word in words:
        assert word in str(error.value)
    assert error.value.advice
    assert "libraries.toml" in str(error.value)


@pytest.mark.parametrize(
    ("chemistry", "words"),
    [
        ("", "give structures (SMILES) or embeddings"),
        ("[chemistry]\nstructure = 'x'\n", "structure"),
        ("[chemistry]\nstructures = 'x'\nsettings.n_classes = 0\n", "settings.n_classes"),
    ],
)
def test_chemistry_must_come_from_somewhere(tmp_path, chemistry, words):
    with pytest.raises(SettingsError, match=r"libraries\.toml, \[chemistry\]") as error:
        _load(tmp_path, chemistry + ENTRY)
    assert words in str(error.value)


@pytest.mark.parametrize("content", [b"[library.7\n", b"a = \xff\n", b"x = 1\nx = 2\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    file = tmp_path / "libraries.toml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"libraries\.toml is not legal TOML"):
        load_libraries(file)


def test_an_absent_file_is_named_with_its_folder(tmp_path):
    with pytest.raises(InputError, match=r"there is no libraries\.toml in") as error:
        load_libraries(tmp_path / "libraries.toml")
    assert str(tmp_path) in error.value.problem
    assert "COMPASSIGN_DATA" in error.value.advice


def test_a_library_that_is_not_there_is_named_with_those_that_are(tmp_path):
    libraries = _load(tmp_path, CHEMISTRY + ENTRY)
    with pytest.raises(SettingsError, match="library 8 has no entry") as error:
        libraries.get(8)
    assert "known are 7" in error.value.advice


def test_a_changed_file_is_read_again(tmp_path):
    assert _load(tmp_path, CHEMISTRY + ENTRY).get(7).title == "x"
    file = tmp_path / "libraries.toml"
    file.write_text(CHEMISTRY + ENTRY.replace('"x"', '"y"'))
    os.utime(file, ns=(1, 1))
    assert load_libraries(file).get(7).title == "y"


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        PrepSettings().seed = 3  # type: ignore[misc]


def test_fingerprints_tell_settings_apart_and_nothing_else():
    assert PrepSettings().fingerprint() == PrepSettings(seed=42).fingerprint()
    prints = {PrepSettings(seed=seed).fingerprint() for seed in range(50)}
    assert len(prints) == 50
    assert all(len(text) == 16 for text in prints)


@pytest.mark.parametrize("value", ["4", "4 GB", "GB", "4GB; DROP", "-1GB"])
def test_the_memory_limit_is_a_size(value):
    with pytest.raises(SettingsError, match="memory_limit"):
        EngineSettings.parse({"memory_limit": value}, "the environment")


def test_errors_are_one_family_and_show_what_to_do():
    error = SettingsError("it is wrong.", "mend it.")
    assert isinstance(error, CompassignError)
    assert str(error) == "it is wrong.\n  What to do: mend it."
    assert str(InputError("only this.")) == "only this."
    assert CAPS == tuple(sorted(CAPS))
