"""The id registry: ids are for life, growth is safe, a spoiled file is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compassign_core.contracts.errors import InputError
from compassign_core.prep.registry import assign_ids, read_registry, registry_file

LABELS = st.lists(st.text(min_size=1, max_size=8), max_size=6)


def test_new_labels_get_the_next_ids_in_sorted_order(tmp_path):
    file = registry_file(tmp_path / "ids", 208)
    assert file.name == "lib208_ids.csv"
    ids = assign_ids(file, {"species": ["b", "a"], "supercategory": ["g"]})
    assert ids == {"species": {"a": 0, "b": 1}, "supercategory": {"g": 0}}
    ids = assign_ids(file, {"species": ["c", "aa", "b"]})
    assert ids["species"] == {"a": 0, "b": 1, "aa": 2, "c": 3}
    assert read_registry(file) == ids


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=4))
def test_ids_never_change_whatever_labels_come(batches):
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ids.csv"
        known: dict[str, dict[str, int]] = {"species": {}, "supercategory": {}}
        for species, groups in batches:
            now = assign_ids(file, {"species": species, "supercategory": groups})
            for kind, labels in (("species", species), ("supercategory", groups)):
                assert known[kind].items() <= now[kind].items()
                assert set(now[kind]) == set(known[kind]) | set(labels)
                assert sorted(now[kind].values()) == list(range(len(now[kind])))
            known = now
        assert read_registry(file) == known


def test_nothing_is_written_when_no_label_is_new(tmp_path):
    file = tmp_path / "ids.csv"
    assign_ids(file, {"species": ["a"]})
    before = file.stat().st_mtime_ns, file.stat().st_ino
    assign_ids(file, {"species": ["a"]})
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_two_processes_that_grow_it_at_once_lose_nothing(tmp_path):
    file = tmp_path / "ids.csv"
    code = (
        "import sys; from pathlib import Path\n"
        "from compassign_core.prep.registry import assign_ids\n"
        "for n in range(40):\n"
        "    assign_ids(Path(sys.argv[1]), {'species': [f'{sys.argv[2]} {n}', f'both {n}']})\n"
    )
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(file), name], cwd=root)
        for name in ("first", "second")
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    ids = read_registry(file)["species"]
    assert set(ids) == {f"{who} {n}" for who in ("first", "second", "both") for n in range(40)}
    assert sorted(ids.values()) == list(range(120))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"kind,label,id\nspecies,a,0\nspecies,b,x\n", "line 3"),
        (b"kind,label,id\nspecies,a,0\nspecies,b,0\n", "line 3.*occurs twice"),
        (b"kind,label,id\nspecies,a,0\nspecies,a,1\n", "line 3.*occurs twice"),
        (b"kind,label,id\nplanet,a,0\n", "line 2"),
        (b"kind,label,id\nspecies,,0\n", "line 2"),
        (b"kind,label,id\nspecies,a\n", "line 2"),
        ("kind,label,id\nspecies,a,²\n".encode(), "line 2"),
        (b"label;id\na;0\n", "line 2"),
        (b"kind,label,id\nspecies,\xff\xfe,0\n", "no CSV text in UTF-8"),
        (b"PAR1\x00\x01\x02\nkind,\x00", "line 2|no CSV text in UTF-8"),
    ],
)
def test_a_spoiled_file_is_named_and_left_alone(tmp_path, content, words):
    file = tmp_path / "lib5_ids.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"lib5_ids\.csv.*({words})") as error:
        assign_ids(file, {"species": ["new"]})
    assert "version control" in error.value.advice
    assert file.read_bytes() == content
