"""Trials from the command line: what they make, what they leave alone, and how they are judged."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compassign_core.cli.judging import show_rows
from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.pipeline.trials.quick import EVALUATION, KINDS, LIMITS
from compassign_core.rt.model import load_model
from compassign_core.store.lake import Partition
from tests.support.installation import CAP, LIB, lake_files

PLACE = Partition(LIB, CAP)
AT = ("--libs", str(LIB), "--cap", str(CAP))


def artifacts(project) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of every file of the lake that is no trial's."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in lake_files(project)
        if "trials" not in path.parts
    }


def folder(project, name: str):
    return project.root / "lake" / "trials" / name / PLACE.folder()


def record(project, name: str) -> dict[str, object]:
    return json.loads((folder(project, name) / "trial.json").read_text())


def test_a_changed_setting_makes_a_trial_and_touches_no_artifact(run, made) -> None:
    before = artifacts(made)
    code, out, err = run("rt", "train", *AT, "--rho", "0.3", "--prior", "tau_b=0.1")
    assert code == 0, err
    (name,) = [path.name for path in (made.root / "lake" / "trials").iterdir()]
    assert name.startswith("partial_pooling-") and len(name) == len("partial_pooling-") + 8
    assert artifacts(made) == before
    assert "1 of 1 trials trained" in out and str(folder(made, name)) in out
    facts = record(made, name)
    assert facts["changed"] == {"rho": 0.3, "priors.tau_b_prior": 0.1}
    assert facts["kind"] == "partial_pooling" and facts["seconds"] > 0
    model = load_model(folder(made, name) / "coefficients.npz")
    assert model.model == name
    assert json.loads(model.settings)["pooling"]["rho"] == 0.3
    # beside it stand the stored models on the same rows, with the figures that are stored
    for row in made.lake.arrow("rt_evaluation", PLACE).to_pylist():
        wanted = ("partial_pooling", "supercategory_mean", "supercategory_ridge")
        if row["slice"] == "overall" and row["model"] in wanted:
            assert f"{row['crps']:.4f}" in out
    assert out.count(f" {name} ") == 2

    code, out, _ = run("rt", "train", *AT, "--rho", "0.3", "--prior", "tau_b_prior=0.10")
    assert code == 0 and "0 of 1 trials trained" in out
    code, out, _ = run("rt", "train", *AT, "--rho", "0.3", "--prior", "tau_b=0.1", "--force")
    assert code == 0 and "1 of 1 trials trained" in out and "0 artifacts made" in out
    assert artifacts(made) == before


def test_limits_take_the_same_rows_each_time(run, made) -> None:
    arguments = (
        "rt", "train", *AT, "--model", "supercategory_ridge", "--max-train-rows", "90",
        "--max-groups", "12", "--name", "small",
    )  # fmt: skip
    code, out, err = run(*arguments)
    assert code == 0, err
    path = folder(made, "small") / "coefficients.npz"
    first, facts = path.read_bytes(), record(made, "small")
    assert facts["rows"] <= 90 < facts["input_rows"] and facts["groups"] <= 12
    assert f"{facts['rows']} of {facts['input_rows']:,} rows" in out
    assert run("rt", "trials", "--remove", "small")[0] == 0
    assert not path.exists()
    assert run(*arguments)[0] == 0
    assert path.read_bytes() == first


def test_a_trial_that_was_cut_off_or_is_damaged_is_trained_again(run, made) -> None:
    arguments = ("rt", "train", *AT, "--model", "species_ridge", "--noise-df0", "5", "--name", "a")
    assert run(*arguments)[0] == 0
    path = folder(made, "a") / "coefficients.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    code, out, _ = run(*arguments)
    assert code == 0 and "1 of 1 trials trained" in out
    assert path.read_bytes() == whole


def test_one_name_means_one_thing(run, made) -> None:
    assert run("rt", "train", *AT, "--rho", "0.3", "--name", "mine")[0] == 0
    before = (folder(made, "mine") / "coefficients.npz").read_bytes()
    for force in ((), ("--force",)):
        code, _, err = run("rt", "train", *AT, "--rho", "0.4", "--name", "mine", *force)
        assert code == 1 and "'mine' is there already" in err and "rho=0.3" in err
    assert (folder(made, "mine") / "coefficients.npz").read_bytes() == before


def test_trials_are_judged_with_the_stored_kinds_and_nothing_is_kept(run, made, tmp_path) -> None:
    assert run("rt", "train", *AT, "--noise", "per_compound", "--name", "pc")[0] == 0
    before = artifacts(made)
    file = tmp_path / "figures.parquet"
    code, out, err = run(
        "rt", "evaluate", *AT, "--trial", "pc", "--by", "novelty", "--out", str(file)
    )
    assert code == 0, err
    rows = {(row["model"], row["level"]): row for row in pq.read_table(file).to_pylist()}
    stored = [
        row for row in made.lake.arrow("rt_evaluation", PLACE).to_pylist()
        if row["slice"] == "novelty"
    ]  # fmt: skip
    assert {level for model, level in rows if model == "pc"} == {
        row["level"] for row in stored if row["model"] == "partial_pooling"
    }
    for row in stored:
        assert rows[row["model"], row["level"]] == {"lib_id": LIB, "row_cap": CAP, **row}
    assert len(rows) == len(stored) + sum(model == "pc" for model, _ in rows)

    code, out, _ = run(
        "rt", "evaluate", *AT, "--trial", "pc", "--model", "species_ridge", "--max-test-rows", "50"
    )
    assert code == 0 and "50 of " in out and "species_ridge" in out
    assert "supercategory_mean" not in out

    code, out, err = run("rt", "compare", *AT, "--trial", "pc", "--out", str(tmp_path / "c.csv"))
    assert code == 0, err
    printed = [line for line in out.splitlines() if " pc " in line]
    assert len(printed) == 3 and "partial_pooling" in printed[0]  # the kind it was made from
    assert " species_ridge " not in out
    assert "species_ridge" in (tmp_path / "c.csv").read_text()
    code, out, _ = run(
        "rt", "compare", *AT, "--trial", "pc", "--model", "species_ridge", "--baseline", "pc"
    )
    assert code == 0
    assert [line for line in out.splitlines() if "species_ridge" in line and " pc " in line]
    assert artifacts(made) == before
    assert not list((made.root / "lake" / ".spill").glob("judged_*"))


def test_support_is_printed_from_few_rows_to_many(capsys) -> None:
    levels = [*sorted(SUPPORT_BINS), *sorted(SUPPORT_BINS)]  # as tables are stored
    rows = [
        {"model": f"m{i // len(SUPPORT_BINS)}", "slice": "pair_support", "level": level}
        for i, level in enumerate(levels)
    ]
    assert levels[: len(SUPPORT_BINS)] != list(SUPPORT_BINS)
    show_rows({PLACE: pa.Table.from_pylist(rows)}, {"slice": "pair_support"}, ("model", "level"))
    printed = [line.split("│")[3:5] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [(model.strip(), level.strip()) for model, level in printed] == [
        (model, level) for model in ("m0", "m1") for level in SUPPORT_BINS
    ]


def test_changed_settings_can_be_compared_at_once(run, made) -> None:
    before = artifacts(made)
    code, out, err = run("rt", "compare", *AT, "--no-chemistry", "--metric", "crps")
    assert code == 0, err
    assert "1 of 1 trials trained" in out and out.count(" partial_pooling-") == 3
    assert artifacts(made) == before


def test_a_page_with_trials_is_written_where_it_is_asked_for(run, made, tmp_path) -> None:
    before = artifacts(made)
    page = tmp_path / "page.html"
    code, _, _ = run(
        "rt", "plot", *AT, "--max-groups", "30", "--model", "partial_pooling", "--name", "few",
        "--out", str(page),
    )  # fmt: skip
    assert code == 2  # a page names no trial
    arguments = ("--max-groups", "30", "--model", "partial_pooling")
    code, _, err = run("rt", "plot", *AT, *arguments, "--out", str(page))
    assert code == 0, err
    text = page.read_text(encoding="utf-8")
    assert "Trial of partial_pooling with max_groups=30." in text
    assert "<title>" in text and ": trial partial_pooling-" in text
    assert "supercategory_mean" in text and artifacts(made) == before
    for wrong, said in (
        ((*arguments,), "needs a file to write to"),
        ((*arguments, "--out", str(made.root / "lake" / "x.html")), "lies in the lake"),
        (("--out", str(page)), "there is no trial"),
        ((*arguments, "--cap", "5,10", "--out", str(page)), "one library and cap"),
    ):
        code, _, err = run("rt", "plot", *AT, *wrong)
        assert code == 1 and said in err


def test_a_quick_look_says_what_it_cut(run, made) -> None:
    code, out, err = run("rt", "compare", *AT, "--quick", "--method", "laplace")
    assert code == 0, err
    assert out.startswith("Quick look: ")
    for cut in (f"{LIMITS.max_train_rows:,} training", f"{EVALUATION.max_test_rows:,} held-out"):
        assert cut in out
    trials = {path.name.rpartition("-")[0] for path in (made.root / "lake/trials").iterdir()}
    assert trials == set(KINDS) and "lasso" not in str(trials)
    assert f"{len(KINDS) + 1} of {len(KINDS) + 1} trials trained" in out
    methods = [
        record(made, path.name)["settings"].get("method")
        for path in (made.root / "lake/trials").glob("partial_pooling-*")
    ]
    assert sorted(methods) == ["laplace", "map"]


def test_trials_are_listed_scored_with_and_removed(run, made, tmp_path) -> None:
    assert "no trial yet" in run("rt", "trials")[1]
    assert run("rt", "train", *AT, "--rho-intercept", "0.5", "--name", "half")[0] == 0
    code, out, _ = run("rt", "trials")
    assert code == 0 and " half " in out and "rho_intercept=0.5" in out and "as it is now" in out
    table = str(made.lake.need("realtest_table", Partition(LIB)))
    code, out, err = run("rt", "score", "--model", f"half:{LIB}:{CAP}", "--table", table)
    assert code == 0 and "rows scored" in out, err
    code, _, err = run("rt", "evaluate", "--libs", str(LIB), "--cap", "10", "--trial", "half")
    assert code == 1 and f"only for lib {LIB} cap {CAP}" in err
    code, out, _ = run("rt", "trials", "--remove", "half")
    assert code == 0 and "removed half" in out
    assert list((made.root / "lake" / "trials").iterdir()) == []
    code, _, err = run("rt", "trials", "--remove", "half")
    assert code == 1 and "there is no trial 'half'" in err


def test_a_trial_of_other_data_is_refused_until_it_is_trained_again(run, made) -> None:
    arguments = ("rt", "train", *AT, "--rho", "0.2", "--name", "old")
    assert run(*arguments)[0] == 0
    path = folder(made, "old") / "trial.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"inputs": dict.fromkeys(facts["inputs"], "other")}))
    assert "has changed since" in run("rt", "trials")[1]
    for command in ("evaluate", "compare"):
        code, _, err = run("rt", command, *AT, "--trial", "old")
        assert code == 1 and "on a table that has changed since" in err
    code, out, _ = run(*arguments)
    assert code == 0 and "1 of 1 trials trained" in out
    assert run("rt", "evaluate", *AT, "--trial", "old")[0] == 0


def test_a_record_that_cannot_be_read_is_named_and_can_be_removed(run, made) -> None:
    assert run("rt", "train", *AT, "--rho", "0.2", "--name", "torn")[0] == 0
    (folder(made, "torn") / "trial.json").write_text("{")
    code, _, err = run("rt", "trials")
    assert code == 0 and "trial.json cannot be read" in err and "--remove torn" in err
    code, _, err = run("rt", "evaluate", *AT, "--trial", "torn")
    assert code == 1 and "trial.json cannot be read" in err
    assert run("rt", "train", *AT, "--rho", "0.3", "--name", "sound")[0] == 0
    assert run("rt", "trials", "--remove", "torn")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rho", "2"), "rho: Input should be less than or equal to 1 (given: '2')"),
        (("--noise", "loud"), "noise: Input should be 'global', 'per_compound' or"),
        (("--lambda-slopes", "3e-4"), "lambda_slopes=0.0003 ties slopes to one noise variance"),
        (("--group-col", "species_cluster"), "group_col='species_cluster' makes groups of"),
        (("--sampler", "draws=100"), "sampler is about method='nuts'"),
        (("--method", "nuts", "--sampler", "draws=5"), "sampler.draws: Input should be greater"),
        (("--cv-folds", "3"), "cv_folds is no setting of partial_pooling, but of supercategory_l"),
        (("--model", "species_ridge", "--rho", "1"), "rho is no setting of species_ridge"),
        (("--model", "supercategory_lasso", "--windows", "folds=3"), "window rule of its own"),
        (("--windows", "level=0.4"), "level: Input should be greater than or equal to 0.5"),
        (("--max-groups", "-1"), "max_groups: Input should be greater than or equal to 0"),
        (("--rho", "0.5"), "nothing differs from partial_pooling"),
        (("--rho", "0.3", "--name", "../up"), "trial name '../up' is not legal"),
        (("--rho", "0.3", "--name", "species_ridge"), "is that of a model kind"),
        (("--name", "x"), "names a trial, but nothing was changed"),
        (("--max-train-rows", "50", "--name", "x"), "--name x names one trial, but there are"),
        (("--max-test-rows", "50"), "only trials are judged after training"),
        (("--rho", "0.3", "--max-test-rows", "-1"), "max_test_rows: Input should be greater"),
    ],
)
def test_what_is_not_legal_ends_with_the_sentence_of_the_settings(
    run, made, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = run("rt", "train", *AT, *arguments)
    assert code == 1
    assert said in err and "What to do" in err and "Traceback" not in err
    assert not (made.root / "lake" / "trials").exists()


def test_a_baseline_that_is_not_there_is_named(run) -> None:
    code, _, err = run("rt", "compare", *AT, "--baseline", "nobody")
    assert code == 1 and "--baseline 'nobody' is not among the models compared" in err
    code, _, err = run("rt", "evaluate", *AT, "--trial", "nobody")
    assert code == 1 and "trial 'nobody' has not been trained" in err
