"""Sampling: how many rows of a pair are kept, which ones, and that nothing else decides it."""

from __future__ import annotations

import shutil
from itertools import combinations, pairwise

import ibis
import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from compassign_core.contracts.identifiers import CAPS
from compassign_core.contracts.settings.engine import EngineSettings
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.prep import ranking
from compassign_core.prep.keyed_hash import MASK, keyed_hash
from compassign_core.prep.ranking import build_ranked_training
from compassign_core.store.engine import connect
from tests.support.pipeline import Pipeline
from tests.support.rewrite import reshard

ROW = "sampleset_id, worksheet_id, task_id, comp_id"


def numpy_hash(columns: list[np.ndarray], seed: int) -> np.ndarray:
    """The keyed hash again, in 64-bit unsigned integers that wrap: shape (n,)."""
    mask = np.uint64(2**31 - 1)
    rounds = [(np.asarray(c, np.uint64) % mask, 0x5BD1E995) for c in columns]
    rounds += [(np.uint64(0), 0x2C1B3C6D), (np.uint64(0), 0x297A2D39)]
    value = np.full(len(columns[0]), (seed * 2654435761) % 2**31, dtype=np.uint64)
    for absorbed, multiplier in rounds:
        value = ((value ^ absorbed) * np.uint64(multiplier)) & mask
        value = value ^ (value >> np.uint64(15))
    return value.astype(np.int64)


@pytest.fixture(scope="module")
def connection():
    return connect(EngineSettings())


@pytest.fixture(params=["simulated", "deep", 109])
def pipeline(request, shipped):
    if request.param == 109:
        return shipped(109)
    return request.getfixturevalue(request.param).pipeline


# -- how many ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", CAPS)
def test_every_pair_keeps_the_smaller_of_its_rows_and_the_cap(pipeline, cap):
    kept = pipeline.rows(
        f"""SELECT species, comp_id, count(*) FROM {pipeline.source("rt_table", cap)}
            GROUP BY ALL ORDER BY ALL"""
    )
    support = pipeline.rows(
        f"""SELECT species, comp_id, n_train FROM {pipeline.source("species_compound_support")}
            WHERE n_train > 0 ORDER BY ALL"""
    )
    assert kept == [(species, comp, min(n, cap)) for species, comp, n in support]


def test_there_are_pairs_on_both_sides_of_every_cap(simulated, deep):
    support = [
        n
        for p in (simulated.pipeline, deep.pipeline)
        for (n,) in p.rows(f"SELECT n_train FROM {p.source('species_compound_support')}")
    ]
    for cap in CAPS:
        assert min(support) < cap < max(support)


def test_caps_are_nested(pipeline):
    rows = {
        cap: set(pipeline.rows(f"SELECT {ROW} FROM {pipeline.source('rt_table', cap)}"))
        for cap in CAPS
    }
    for smaller, larger in pairwise(CAPS):
        assert rows[smaller] <= rows[larger]
    assert rows[5] < rows[20]


def test_no_held_out_sample_set_is_in_any_cap(pipeline):
    test = {number for number, fold in pipeline.folds().items() if fold == "test"}
    assert test
    for cap in CAPS:
        source = pipeline.source("rt_table", cap)
        found = {n for (n,) in pipeline.rows(f"SELECT DISTINCT sampleset_id FROM {source}")}
        assert found and not found & test
    held_out = pipeline.source("realtest_table")
    found = {n for (n,) in pipeline.rows(f"SELECT DISTINCT sampleset_id FROM {held_out}")}
    assert found == test


# -- which, and what does not matter -------------------------------------------------------------


def _prepared_again(deep, tmp_path, threads=2, seed=None):
    folder = shutil.copytree(deep.truth.folder, tmp_path / "export")
    if seed is not None:
        reshard(folder, deep.pipeline.lib, seed)
    pipeline = Pipeline(
        folder / "libraries.toml", deep.pipeline.lib, tmp_path / "lake", threads=threads
    )
    pipeline.run_library().run_chemistry().run("realtest_table")
    return pipeline.run_caps((5, 100))


@pytest.mark.parametrize(("threads", "seed"), [(1, 11), (2, 12), (4, 13)])
def test_files_row_groups_and_threads_do_not_change_a_byte(deep, tmp_path, threads, seed):
    other = _prepared_again(deep, tmp_path, threads, seed)
    for cap in (5, 100):
        assert other.file("rt_table", cap).read_bytes() == (
            deep.pipeline.file("rt_table", cap).read_bytes()
        )
    assert other.file("realtest_table").read_bytes() == (
        deep.pipeline.file("realtest_table").read_bytes()
    )
    # only the columns that name the shard may differ before
    changing = "EXCLUDE (source_file, cpd_group)"
    both = [
        p.rows(f"SELECT * {changing} FROM {p.source('lib_training')}")
        for p in (other, deep.pipeline)
    ]
    assert both[0] == both[1]


@pytest.mark.parametrize("threads", [1, 4])
def test_all_tables_are_the_same_bytes_on_any_number_of_threads(deep, tmp_path, threads):
    other = _prepared_again(deep, tmp_path, threads)
    for table in ("run_covariates", "lib_training", "ranked_training", "chem_classes"):
        assert other.file(table).read_bytes() == deep.pipeline.file(table).read_bytes(), table
    for cap in (5, 100):
        assert other.file("rt_table", cap).read_bytes() == (
            deep.pipeline.file("rt_table", cap).read_bytes()
        )
    assert other.rejects("lib_training") == deep.pipeline.rejects("lib_training")


def _ranked(pipeline, seed):
    result = build_ranked_training(
        pipeline.connection,
        pipeline.source("lib_training"),
        pipeline.source("species_mapping"),
        pipeline.source("fold_assignment"),
        PrepSettings(seed=seed),
    )
    table = result.table.select("species", "comp_id", "task_id", "pair_rank").to_pandas()
    return table.sort_values(["species", "comp_id", "pair_rank"]).to_numpy()


def test_another_seed_draws_another_sample_of_the_same_size(deep):
    first, same, other = (_ranked(deep.pipeline, seed) for seed in (42, 42, 43))
    assert (first == same).all()
    assert first.shape == other.shape
    # a row's rank in a pair of hundreds agrees by chance only
    assert (first[:, 2] == other[:, 2]).mean() < 0.1


def test_ranks_are_the_order_of_the_hash_of_the_row(deep):
    pipeline = deep.pipeline
    table = pipeline.connection.sql(
        f"""SELECT peaks.*, species FROM {pipeline.source("lib_training")} AS peaks
            JOIN {pipeline.source("fold_assignment")} USING (sampleset_id) WHERE fold = 'train'"""
    ).df()
    identity = ["sampleset_id", "worksheet_id", "task_id", "comp_id"]
    for seed in (0, 42, 2**31 - 1):
        table["hash"] = numpy_hash([table[c].to_numpy() for c in identity], seed)
        table = table.sort_values(["species", "comp_id", "hash", *identity])
        table["rank"] = table.groupby(["species", "comp_id"]).cumcount() + 1
        expected = table[table["rank"] <= max(CAPS)]
        expected = expected[["species", "comp_id", "task_id", "rank"]].to_numpy()
        assert (_ranked(pipeline, seed) == expected).all()


# -- the hash ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31 - 1])
def test_the_hash_is_the_same_in_numpy(connection, seed):
    rng = np.random.default_rng(seed)
    # ids of all sizes, beyond 31 bits too
    ids = [rng.integers(0, 2**bits, 500) for bits in (4, 20, 31, 53)]
    ids[3][:3] = (0, MASK, 2**53 - 1)
    rows = ibis.memtable({f"c{k}": column for k, column in enumerate(ids)})
    engine = ibis.duckdb.from_connection(connection)
    found = engine.to_pandas(keyed_hash(rows, ["c0", "c1", "c2", "c3"], seed))
    expected = numpy_hash([found[f"c{k}"].to_numpy() for k in range(4)], seed)
    assert (found["hash"].to_numpy() == expected).all()
    assert expected.min() >= 0 and expected.max() < 2**31


def test_distinct_ids_have_distinct_hashes(connection):
    """Every round is a bijection of 31 bits, so one id below 2**31 - 1 never meets another."""
    ids = np.unique(np.random.default_rng(5).integers(0, MASK, 200_000))
    engine = ibis.duckdb.from_connection(connection)
    found = engine.to_pandas(keyed_hash(ibis.memtable({"id": ids}), ["id"], 7))
    assert found["hash"].nunique() == ids.size


def test_a_round_can_be_undone():
    rng = np.random.default_rng(6)
    before = rng.integers(0, 2**31, 10_000)
    for multiplier in (0x5BD1E995, 0x2C1B3C6D, 0x297A2D39):
        mixed = (before * multiplier) & MASK
        after = mixed ^ (mixed >> 15)
        # 31 bits: the shift by 15 is undone in three steps, the odd factor by its inverse
        undone = after ^ (after >> 15) ^ (after >> 30)
        assert ((undone * pow(multiplier, -1, 2**31)) & MASK == before).all()


# -- uniform -------------------------------------------------------------------------------------


def _inclusions(n_rows, cap, seeds):
    """Whether each row is among the first `cap`, shape (seeds, n_rows); ids as in an export."""
    rows = np.arange(n_rows)
    columns = [123_400 + rows // 12, 5_000 + rows // 30, 900_001 + rows, np.full(n_rows, 77)]
    hashes = np.stack([numpy_hash(columns, seed) for seed in seeds])
    return np.argsort(np.argsort(hashes, axis=1), axis=1) < cap


@pytest.mark.parametrize(("n_rows", "cap"), [(12, 5), (60, 5), (60, 50), (150, 100)])
def test_every_row_is_drawn_with_the_chance_cap_over_rows(n_rows, cap):
    """Chi-square over fixed seeds; the hash is the product's, as the tests above show."""
    n_seeds = 4000
    counts = _inclusions(n_rows, cap, range(n_seeds)).sum(axis=0)
    share = cap / n_rows
    # a draw of fixed size has covariance p(1-p)(I - J/n) n/(n-1), hence this statistic
    spread = n_seeds * share * (1 - share) * n_rows / (n_rows - 1)
    statistic = ((counts - n_seeds * share) ** 2).sum() / spread
    assert 1e-3 < stats.chi2.sf(statistic, n_rows - 1) < 1 - 1e-3


def test_rows_are_drawn_independently_of_their_neighbours():
    n_rows, cap, n_seeds = 12, 5, 20_000
    drawn = _inclusions(n_rows, cap, range(n_seeds)).astype(int)
    together = drawn.T @ drawn
    chance = cap * (cap - 1) / (n_rows * (n_rows - 1))
    sd = np.sqrt(n_seeds * chance * (1 - chance))
    off = [abs(together[i, j] - n_seeds * chance) / sd for i, j in combinations(range(n_rows), 2)]
    assert max(off) < 4.5


def test_the_product_draws_uniformly_over_pairs_too(connection):
    """One seed, 3,000 pairs of 20 rows: each place in the pair is drawn equally often."""
    source = """(SELECT 500 + i // 5 AS sampleset_id, 70 + i // 10 AS worksheet_id,
                        10000 + i AS task_id, c AS comp_id, i
                 FROM range(20) AS r(i), range(3000) AS s(c))"""
    mapping = """(SELECT 500 + range AS sampleset_id, 0 AS species, 0 AS species_cluster,
                         'train' AS fold FROM range(4))"""
    result = build_ranked_training(connection, source, mapping, mapping, PrepSettings())
    table = result.table
    counts = table.filter(table.pair_rank <= 5).group_by("i").agg(n=ibis._.count()).to_pandas()
    observed = counts["n"].to_numpy()
    assert observed.sum() == 3000 * 5 and observed.size == 20
    statistic = ((observed - 750) ** 2).sum() / (3000 * 0.25 * 0.75 * 20 / 19)
    assert 1e-3 < stats.chi2.sf(statistic, 19) < 1 - 1e-3


# -- large pairs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [0, 2, 12, 31])
def test_leaving_out_rows_that_cannot_be_drawn_changes_no_rank(connection, monkeypatch, levels):
    """Pairs of 1 to 20,000 rows against the order of the hash in NumPy."""
    monkeypatch.setattr(ranking, "_LEVELS", levels)
    sizes = [1, 2, 99, 100, 101, 150, 199, 200, 400, 1000, 5000, 20_000]
    comp = np.repeat(np.arange(len(sizes)), sizes)
    task = np.random.default_rng(levels).permutation(comp.size)
    table = pa.table(
        {"sampleset_id": task % 7, "worksheet_id": task % 3, "task_id": task, "comp_id": comp}
    )
    mapping = """(SELECT range AS sampleset_id, 0 AS species, 0 AS species_cluster,
                         'train' AS fold FROM range(7))"""
    connection.register("large_pairs", table)
    try:
        result = build_ranked_training(connection, "large_pairs", mapping, mapping, PrepSettings())
        ranked = result.table.select("comp_id", "task_id", "pair_rank").to_pandas()
    finally:
        connection.unregister("large_pairs")
    hashes = numpy_hash([table[name].to_numpy() for name in table.column_names], 42)
    order = np.lexsort((task, task % 3, task % 7, hashes, comp))
    rank = np.arange(comp.size) - np.searchsorted(comp[order], comp[order]) + 1
    kept = order[rank <= max(CAPS)]
    expected = np.column_stack([comp[kept], task[kept], rank[rank <= max(CAPS)]])
    found = ranked.sort_values(["comp_id", "pair_rank"]).to_numpy()
    assert (found == expected).all() and found.shape == expected.shape
    assert result.set_aside["beyond_rank_100"] == sum(max(n - 100, 0) for n in sizes)
