from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from benchmarks import evaluation
from compassign_core.contracts.catalogue import EVALUATION_SLICES, RT_PREDICTIONS
from compassign_core.rt.evaluation import evaluate

ROWS, MODELS = 1200, 3


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    evaluation.generate(path, ROWS, MODELS, seed=5)
    return path


def test_generated_predictions_keep_the_contract(file) -> None:
    table = pq.read_table(file)
    assert tuple(table.column_names) == RT_PREDICTIONS.names()
    assert table.num_rows == ROWS * MODELS
    ordered = table.sort_by([(name, "ascending") for name in RT_PREDICTIONS.order_by])
    assert ordered.equals(table)
    keys = table.select(RT_PREDICTIONS.key).group_by(list(RT_PREDICTIONS.key)).aggregate([])
    assert keys.num_rows == table.num_rows
    assert {row["slice"] for row in evaluate(table).to_pylist()} == set(EVALUATION_SLICES)


@pytest.mark.parametrize("step", evaluation.STEPS)
def test_every_step_can_be_measured(file, step: str) -> None:
    found = evaluation.measure(step, file, "1GB")
    assert found["rows_out"] > 0 and found["seconds"] > 0
