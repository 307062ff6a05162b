from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from compassign_core.store.lake import Partition
from tests.support.installation import CAP, LIB

MODEL = f"supercategory_ridge:{LIB}:{CAP}"


@pytest.fixture
def test_table(made):
    return made.lake.need("realtest_table", Partition(LIB))


def test_sql_reads_the_lake_with_its_partitions(run, made) -> None:
    code, out, _ = run(
        "sql", "--format", "csv", "SELECT lib_id, row_cap, count(*) n FROM rt_table GROUP BY ALL"
    )
    rows = made.lake.arrow("rt_table", Partition(LIB, CAP)).num_rows
    assert code == 0
    assert list(csv.reader(io.StringIO(out))) == [
        ["lib_id", "row_cap", "n"],
        [str(LIB), "5", str(rows)],
    ]


def test_sql_prints_tables_and_json(run) -> None:
    code, out, _ = run("sql", "SELECT 1 AS one, 'x' AS letter")
    assert code == 0 and "one" in out and "letter" in out
    code, out, _ = run("sql", "--format", "json", "SELECT 1 AS one")
    assert json.loads(out) == [{"one": 1}]


def test_sql_says_when_rows_are_left_out(run) -> None:
    code, out, err = run("sql", "--limit", "2", "SELECT range AS r FROM range(5)")
    assert code == 0
    assert "only the first 2 rows" in err
    assert " 4 " not in out


def test_sql_cannot_write(run) -> None:
    code, _, err = run("sql", "CREATE TABLE t AS SELECT 1")
    assert code == 1
    assert "read-only" in err


def test_a_wrong_query_ends_in_one_message(run) -> None:
    code, _, err = run("sql", "SELECT * FROM nowhere")
    assert code == 1
    assert err.startswith("Error: ") and "nowhere" in err and "SHOW TABLES" in err
    assert "Traceback" not in err


def test_sql_before_the_first_run_says_what_to_do(run, made, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("COMPASSIGN_ROOT", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    code, _, err = run("sql", "SELECT 1")
    assert code == 1 and "make demo" in err


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_score_gives_windows_for_every_row(run, made, test_table, tmp_path, suffix) -> None:
    out_file = tmp_path / f"windows.{suffix}"
    code, out, _ = run(
        "rt", "score", "--model", MODEL, "--table", str(test_table), "--out", str(out_file)
    )
    assert code == 0
    stored = made.lake.arrow("rt_predictions", Partition(LIB, CAP)).to_pylist()
    stored = [row for row in stored if row["model"] == "supercategory_ridge"]
    if suffix == "parquet":
        written = pq.read_table(out_file).to_pylist()
    else:
        written = list(csv.DictReader(out_file.open()))
    assert len(written) == len(stored)
    assert f"of {len(stored):,} rows scored" in out
    low = sorted(float(row["rt_low"]) for row in written if row["rt_low"] not in (None, ""))
    assert low == pytest.approx(sorted(r["rt_low"] for r in stored if r["scored"]), abs=1e-9)


def test_score_prints_the_first_rows_and_the_share_covered(run, test_table) -> None:
    code, out, _ = run("rt", "score", "--model", MODEL, "--table", str(test_table), "--limit", "3")
    assert code == 0
    assert "rt_predicted" in out
    assert "% of their retention times lie in the window" in out


def test_another_level_gives_other_windows(run, test_table, tmp_path) -> None:
    widths = []
    for level in ("0.5", "0.99"):
        file = tmp_path / f"{level}.parquet"
        code, *_ = run(
            "rt", "score", "--model", MODEL, "--table", str(test_table), "--out", str(file),
            "--level", level,
        )  # fmt: skip
        assert code == 0
        scored = [row for row in pq.read_table(file).to_pylist() if row["scored"]]
        widths.append(sum(row["rt_high"] - row["rt_low"] for row in scored))
    assert widths[0] < widths[1]


def test_the_production_rule_is_asked_for_by_flags(run, test_table, tmp_path) -> None:
    widths = {}
    for multiplier in ("4", "0.5"):
        file = tmp_path / f"{multiplier}.parquet"
        code, out, _ = run(
            "rt", "score", "--model", MODEL, "--table", str(test_table), "--out", str(file),
            "--rule", "production", "--window-multiplier", multiplier,
        )  # fmt: skip
        assert code == 0
        assert "production rule." in out and "lie in the window" in out
        scored = [row for row in pq.read_table(file).to_pylist() if row["scored"]]
        widths[multiplier] = [row["rt_high"] - row["rt_low"] for row in scored]
    assert widths["4"] == pytest.approx([8 * width for width in widths["0.5"]], rel=1e-6)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--rule", "production", "--level", "0.9"), ("rule='production'", "level=0.9")),
        (("--window-minimum", "0.1"), ("window_minimum", "rule='predictive'")),
        (("--level", "0.9999"), ("level", "0.999")),
        (("--rule", "other"), ("rule", "other")),
    ],
)
def test_a_window_that_cannot_be_asked_for_is_named(run, test_table, flags, named) -> None:
    code, _, err = run("rt", "score", "--model", MODEL, "--table", str(test_table), *flags)
    assert code == 1
    assert all(text in err for text in named)


def test_a_level_that_left_out_rows_do_not_reach_is_said(run, test_table) -> None:
    code, out, _ = run(
        "rt", "score", "--model", MODEL, "--table", str(test_table), "--level", "0.999"
    )
    assert code == 0
    assert "training left out too few rows to measure this level" in out


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nothing:305:5", "neither a .npz file nor kind:lib:cap"),
        ("supercategory_ridge:305:7", "cap '7' is not one of"),
        ("supercategory_ridge:x:5", "library id 'x'"),
        ("supercategory_ridge:305:100", "has not been made yet"),
        ("absent.npz", "absent.npz"),
    ],
)
def test_a_model_that_is_not_there_is_named(run, test_table, model, said) -> None:
    code, _, err = run("rt", "score", "--model", model, "--table", str(test_table))
    assert code == 1
    assert said in err and "What to do" in err


def test_a_table_without_a_needed_column_is_named(run, tmp_path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("comp_id,species_cluster\n1,0\n")
    code, _, err = run("rt", "score", "--model", MODEL, "--table", str(file))
    assert code == 1
    assert "runs.csv" in err and "IS_00" in err


def test_an_output_of_unknown_kind_is_refused(run, test_table, tmp_path) -> None:
    code, _, err = run(
        "rt",
        "score",
        "--model",
        MODEL,
        "--table",
        str(test_table),
        "--out",
        str(tmp_path / "x.doc"),
    )
    assert code == 1 and ".parquet nor .csv" in err
    assert not list(tmp_path.glob("x.doc*"))


def test_the_version_is_printed(run) -> None:
    code, out, _ = run("--version")
    assert code == 0 and out.startswith("compassign ")


def test_train_makes_what_is_missing_and_skips_what_is_current(project_run) -> None:
    code, out, err = project_run("rt", "train", "--libs", str(LIB), "--cap", "5,10")
    assert code == 0, err
    first = int(out.split(" artifacts made")[0].split()[-1])
    assert first > 15
    code, out, _ = project_run("rt", "train", "--libs", str(LIB), "--cap", "5,10")
    assert code == 0 and out.startswith("0 artifacts made")
    code, out, _ = project_run(
        "rt", "train", "--libs", str(LIB), "--cap", "5", "--force", "--model", "supercategory_mean"
    )
    assert code == 0 and out.startswith("1 artifacts made")


def test_evaluate_and_compare_print_what_is_stored(run, made) -> None:
    code, out, _ = run("rt", "evaluate", "--libs", str(LIB), "--cap", str(CAP))
    assert code == 0 and out.startswith("0 artifacts made")
    for row in made.lake.arrow("rt_evaluation", Partition(LIB, CAP)).to_pylist():
        if row["slice"] == "overall":
            assert f"{row['rmse']:.4f}" in out and row["model"] in out
    code, out, _ = run("rt", "compare", "--libs", str(LIB), "--cap", str(CAP), "--metric", "mae")
    assert code == 0
    stored = made.lake.arrow("rt_comparison", Partition(LIB, CAP)).to_pylist()
    (row,) = [
        r for r in stored
        if (r["model"], r["baseline"]) == ("supercategory_ridge", "supercategory_mean")
        and (r["slice"], r["metric"]) == ("overall", "mae")
    ]  # fmt: skip
    assert f"{row['difference']:.4f}" in out


def test_plot_prints_where_the_report_is(run, made) -> None:
    code, out, _ = run("rt", "plot", "--libs", str(LIB), "--cap", str(CAP))
    assert code == 0
    assert str(made.lake.file("rt_report", Partition(LIB, CAP), "report.html")) in out.replace(
        "\n", ""
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rt", "train", "--libs", "305", "--model", "x"), "--model 'x' is no model kind"),
        (("rt", "train", "--libs", "a"), "library id 'a'"),
        (("rt", "train", "--libs", "208"), "library 208 has no entry"),
        (("rt", "evaluate", "--libs", "305", "--by", "day"), "--by 'day' is not known"),
        (("rt", "compare", "--libs", "305", "--metric", "z"), "--metric 'z' is not known"),
    ],
)
def test_wrong_options_are_named(run, arguments, said) -> None:
    code, _, err = run(*arguments)
    assert code == 1
    assert said in err
