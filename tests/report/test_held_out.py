"""What the report reads of the predictions: sums by the engine, equal to slow and obvious ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from compassign_core.report.held_out import RUN_RESIDUALS, HeldOut

RUN = ["sampleset_id", "worksheet_id", "task_id"]
SumUp = Callable[[pa.Table, str], HeldOut]


def test_runs_are_counted_for_every_model(predictions: pa.Table, held_out_of: SumUp) -> None:
    found = held_out_of(predictions, "lasso").runs
    assert found.schema == RUN_RESIDUALS
    frame = predictions.to_pandas()
    expected = frame.groupby(["model", *RUN])
    assert found.num_rows == expected.ngroups
    for row in found.to_pylist():
        own = expected.get_group((row["model"], *(row[name] for name in RUN)))
        assert row["n"] == own["scored"].sum()
        assert row["n_judged"] == own["covered"].notna().sum()
        assert row["n_covered"] == own["covered"].fillna(False).astype(bool).sum()


def test_quantiles_are_only_made_of_the_model_shown(
    predictions: pa.Table, held_out_of: SumUp
) -> None:
    found = held_out_of(predictions, "lasso").runs.to_pandas()
    assert found.loc[found["model"] != "lasso", ["low", "median", "high"]].isna().all(axis=None)
    frame = predictions.to_pandas()
    frame = frame[(frame["model"] == "lasso") & frame["scored"]]
    error = (frame["rt"] - frame["rt_predicted"]).groupby([frame[name] for name in RUN])
    own = found[found["model"] == "lasso"].set_index(RUN)
    for name, p in (("low", 0.1), ("median", 0.5), ("high", 0.9)):
        np.testing.assert_allclose(own[name], error.quantile(p), atol=1e-12)


def test_unscored_rows_are_in_no_residual(predictions: pa.Table, held_out_of: SumUp) -> None:
    found = held_out_of(predictions, "lasso")
    own = predictions.filter((pc.field("model") == "lasso") & pc.field("scored"))
    assert own.num_rows < 720
    assert sum(found.counts) == pytest.approx(0.99 * own.num_rows, abs=2)


def test_sums_do_not_depend_on_the_order_of_the_rows(
    predictions: pa.Table, held_out_of: SumUp
) -> None:
    order = np.random.default_rng(4).permutation(predictions.num_rows)
    one = held_out_of(predictions, "partial_pooling")
    other = held_out_of(predictions.take(order), "partial_pooling")
    assert one.runs.equals(other.runs)
    assert (one.edge, one.counts, one.cells) == (other.edge, other.counts, other.cells)


def test_cells_are_those_of_the_model_shown(predictions: pa.Table, held_out_of: SumUp) -> None:
    cells = held_out_of(predictions, "partial_pooling").cells
    frame = predictions.to_pandas()
    own = frame[frame["model"] == "partial_pooling"]
    groups = own.groupby(["species_cluster", "pair_support_bin"])["covered"]
    assert {(c.species_cluster, c.support_bin): c.n_peaks for c in cells} == dict(groups.size())
    for cell in cells:
        covered = groups.get_group((cell.species_cluster, cell.support_bin)).astype(float)
        assert cell.coverage == pytest.approx(covered.mean())
