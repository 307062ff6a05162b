"""`compassign rt update` on a finished project: labels of held-out runs into a trained model."""

from __future__ import annotations

import duckdb
import pytest

from compassign_core.rt.model import load_model
from compassign_core.store.lake import Partition
from tests.support.installation import CAP, LIB

MODEL = f"partial_pooling:{LIB}:{CAP}"


@pytest.fixture
def held_out(made) -> str:
    return made.lake.source("realtest_table", Partition(LIB))


@pytest.fixture
def labels(made, held_out, tmp_path) -> str:
    path = tmp_path / "labels.csv"
    duckdb.sql(f"SELECT * FROM {held_out} ORDER BY ALL LIMIT 40").write_csv(str(path))
    return str(path)


@pytest.mark.parametrize("hierarchy", [(), ("--hierarchy",)])
def test_update_writes_a_model_that_score_takes(run, made, labels, tmp_path, hierarchy) -> None:
    out = str(tmp_path / "new.npz")
    before = made.lake.need("partial_pooling_coefficients", Partition(LIB, CAP), "coefficients.npz")
    kept = before.read_bytes()
    code, said, err = run(
        "rt", "update", "--model", MODEL, "--table", labels, "--out", out, *hierarchy
    )
    assert code == 0, err
    assert said.startswith("40 rows added to ") and f"score --model {out}" in said
    assert ("add --hierarchy" in said) == (not hierarchy)
    assert load_model(out).n_train.sum() == load_model(before).n_train.sum() + 40
    assert before.read_bytes() == kept
    code, said, _ = run("rt", "score", "--model", out, "--table", labels, "--limit", "2")
    assert code == 0 and "40 of 40 rows scored" in said
    code, _, err = run("rt", "update", "--model", out, "--table", labels, "--out", out)
    assert code == 1
    assert "40 peak(s) are behind the model already" in err and "labels.csv" in err


def test_update_leaves_the_lake_alone_and_names_what_it_cannot_do(run, made, labels) -> None:
    lake = made.lake.file("partial_pooling_coefficients", Partition(LIB, CAP), "coefficients.npz")
    for arguments, expected in (
        (("--model", MODEL, "--out", str(lake)), "lies in the lake"),
        (("--model", MODEL, "--out", "model.bin"), "does not end in .npz"),
        (("--model", f"supercategory_ridge:{LIB}:{CAP}", "--out", "x.npz"), "compassign-pooling"),
    ):
        code, _, err = run("rt", "update", "--table", labels, *arguments)
        assert code == 1 and expected in err
