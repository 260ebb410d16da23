"""A study's files, from folders as finished runs leave them."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from fairjax import cli
from fairjax.config import base_config
from fairjax.config.study import Claim, Column, Floor, Row, Spread, Study, Thesis
from fairjax.core.results import load_results, save_results
from fairjax.metrics.representation import cka
from fairjax.run.build import build_scoring
from fairjax.run.score import attributes_of, score_columns
from fairjax.run.workdir import WorkdirError
from fairjax.study import save_study, summarise
from fairjax.study.stored import differences, read_stored
from fairjax.study.summary import similarities, state, study_of
from fairjax.study.summary import test_claims as claims_of

GROUPS = {"values": ["A", "B"], "low": 0, "high": 1, "unit": "", "assigned_by": "nobody"}
GENDER = {**GROUPS, "values": ["male", "female"]}
BETTER = Claim("Good is better.", "Good", "Bad", "Accuracy", "higher", family="main")
WORSE = Claim("Good is worse.", "Good", "Bad", "Accuracy", "lower", family="main")
CLOSE = Claim("Good costs little.", "Good", "Bad", "Accuracy", "higher", margin=5.0)
STUDY = Study(
    title="Good and bad",
    source="",
    rows=(Row("Good"), Row("Bad")),
    columns=(Column("Accuracy", "gender_accuracy"),),
    claims=(BETTER, WORSE, CLOSE),
    thesis=Thesis(
        "Good is good.",
        (BETTER.text, CLOSE.text),
        (),
        holds="It is.",
        contradicted="It is not.",
        inconclusive="Nobody knows.",
    ),
    similar=(("Good", "Bad"),),
    seeds=(0, 1),
    resamples=8,
)


def published(accuracy):
    """The row that a paper gives this accuracy: the good one above 91."""
    return Row("Good" if accuracy > 91 else "Bad", published={"Accuracy": accuracy})


def run(folder, seed, right):
    """A run that decides a share `right` of 200 faces rightly, with features of its own."""
    folder.mkdir()
    rng, n = np.random.default_rng(seed), 200
    gender = np.arange(n) % 2
    decided = np.where(np.random.default_rng(1).random(n) < right, gender, 1 - gender)
    columns = {
        "id": np.arange(n).astype(str),
        "cluster": np.arange(n),
        "race": np.arange(n) // 2 % 2,
        "gender": gender,
        "prob_gender": np.eye(2)[decided] * 0.8 + 0.1,
        "features": np.random.default_rng(9).normal(size=(n, 3)) + 0.3 * rng.normal(size=(n, 3)),
    }
    config = base_config()
    config.eval.protocol.update(group_by="race", resamples=9)
    data = {"hash": "0", "attributes": {"race": GROUPS, "gender": GENDER}}
    results = score_columns(build_scoring(config.to_dict()), columns, None, attributes_of(data))
    save_results(folder / "results.json", results)
    np.savez(folder / "predictions.npz", **columns)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "data.json").write_text(json.dumps(data))
    return columns["features"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    features = {
        (name, seed): run(workdir / f"{name}-seed{seed}", 10 * k + seed, right + 0.01 * seed)
        for k, (name, right) in enumerate((("good", 0.95), ("bad", 0.6)))
        for seed in (0, 1)
    }
    save_study(workdir, STUDY, "the line")
    with (workdir / "printed.txt").open("w") as out:
        summarise(workdir, Console(file=out))
    return workdir, features, json.loads((workdir / "study.json").read_text())


def test_features_are_compared_seed_by_seed_for_everyone_and_by_group(study):
    _, features, kept = study
    ((pair,),) = (kept["similar"],)
    assert pair["rows"] == ["Good", "Bad"]
    for name, of in (("everyone", np.arange(200) >= 0), ("B", np.arange(200) // 2 % 2 == 1)):
        found = pair["cells"][name]
        expected = [cka(features["good", s][of], features["bad", s][of]) for s in (0, 1)]
        assert found["values"] == pytest.approx(expected)
        assert found["std"] == pytest.approx(np.std(expected, ddof=1))


def test_the_verdict_comes_of_adjusted_claims_and_stands_first(study):
    workdir, _, kept = study
    better, worse, close = kept["claims"]
    assert [c["verdict"] for c in kept["claims"]] == ["holds", "contradicted", "holds"]
    assert better["p_value_holm"] == pytest.approx(2 * better["p_value"])
    assert close["p_value_holm"] == close["p_value"] < worse["p_value"]
    assert kept["verdict"]["verdict"] == "holds"
    assert kept["verdict"]["must_hold"] == {"holds": 2}
    page, printed = (workdir / "report.html").read_text(), (workdir / "printed.txt").read_text()
    assert page.index("Holds here.") < page.index("Good is good.") < page.index(BETTER.text)
    assert page.count("Claim of the paper:") == 4  # the whole and its three parts
    assert printed.startswith("Verdict\n")
    assert printed.endswith("Claim of the paper: Good is good.\nHolds here. It is.\n")
    assert "the whole,holds" in (workdir / "table-1-verdict.csv").read_text()
    assert "Good and Bad" in (workdir / "table-4-similarity-of-features.csv").read_text()


def test_what_the_study_can_find_stands_on_its_page(study, tmp_path):
    spread = Spread(seeds=3.0, people=2.0, source="two seeds of last year")
    known = replace(STUDY, spreads={"Accuracy": spread}, rows=(published(92.0), published(90.0)))
    save_study(tmp_path, known, "python -m fairjax.main --config study.py")
    page = summarise(tmp_path, Console(file=io.StringIO())).read_text()
    assert "What this study can find with a probability of 80%" in page
    assert "(two seeds of last year)" in page
    assert page.count("TOO LITTLE for the paper&#39;s") == 2, "better, and not much worse"


def test_a_smoke_test_is_called_one_on_the_page_and_in_the_tables(study, tmp_path):
    workdir = tmp_path / "smoke"
    shutil.copytree(study[0], workdir, ignore=shutil.ignore_patterns("*.csv"))
    noted = replace(STUDY, notes=("The paper does not state its seeds.",))
    save_study(workdir, noted, "python -m fairjax.main --config configs/x.py:smoke --workdir w")
    summarise(workdir, Console(file=io.StringIO()))
    page = (workdir / "report.html").read_text()
    assert "<h1>Smoke test: Good and bad</h1>" in page
    assert "Its numbers say nothing about any method." in page
    assert "Of the study at full size: The paper does not state its seeds." in page
    names = sorted(path.name for path in workdir.glob("*.csv"))
    assert names and all("smoke-test-" in name for name in names)


def test_a_plan_of_another_schema_is_refused(tmp_path):
    save_study(tmp_path, STUDY, "the line")
    kept = json.loads((tmp_path / "study.json").read_text())
    del kept["plan"]["thesis"]
    (tmp_path / "study.json").write_text(json.dumps(kept))
    with pytest.raises(WorkdirError, match="not of schema 1.1 .*; run the study's line again"):
        summarise(tmp_path, Console())


QUICK = replace(STUDY, resamples=3)


@pytest.fixture
def copied(study, tmp_path):
    """The study's folder, to be changed."""
    workdir = tmp_path / "copy"
    shutil.copytree(study[0], workdir)
    save_study(workdir, QUICK, "the line")
    return workdir


def results_in(workdir, rows=("good", "bad")):
    """Results of each row's seeds; None where there is no file."""
    return {
        name.capitalize(): [
            load_results(path)
            if (path := workdir / f"{name}-seed{s}" / "results.json").exists()
            else None
            for s in (0, 1)
        ]
        for name in rows
    }


def again(workdir, **more):
    summarise(workdir, Console(file=io.StringIO()), **more)
    return json.loads((workdir / "study.json").read_text())


def test_results_that_are_damaged_are_computed_again_from_the_predictions(study, copied, caplog):
    path = copied / "good-seed1" / "results.json"
    before = load_results(path)
    path.write_text(path.read_text()[:-100])
    environment = {"fairjax": "0.0", "git_revision": None, "command": "the line"}
    (copied / "good-seed1" / "environment.json").write_text(json.dumps(environment))
    (copied / "good-seed1" / "outcome.json").write_text(json.dumps({"evaluated_step": 3}))
    kept = again(copied)
    assert "it is computed again from the run's predictions" in caplog.text
    assert load_results(path).measures == before.measures
    assert kept["rows"] == study[2]["rows"]


def test_a_run_whose_predictions_are_gone_too_is_missing(copied, caplog):
    folder = copied / "good-seed1"
    (folder / "results.json").write_text("{")
    (folder / "predictions.npz").unlink()
    kept = again(copied)
    assert "predictions.npz is missing" in caplog.text
    assert [run["state"] for run in kept["runs"]] == ["done", "missing", "done", "done"]


def test_runs_that_are_missing_or_failed_leave_dashes_and_are_named(copied):
    shutil.rmtree(copied / "good-seed0")
    shutil.rmtree(copied / "good-seed1")
    kept = again(copied, failed={"good-seed1": "signal 9 ended it"})
    assert [(run["name"], run["state"], run["why"]) for run in kept["runs"]] == [
        ("good-seed0", "missing", ""),
        ("good-seed1", "failed", "signal 9 ended it"),
        ("bad-seed0", "done", ""),
        ("bad-seed1", "done", ""),
    ]
    assert kept["rows"][0]["cells"]["Accuracy"]["mean"] is None
    assert {claim["verdict"] for claim in kept["claims"]} == {"not tested"}
    assert {claim["why"] for claim in kept["claims"]} == {"no seed has both numbers"}
    assert kept["verdict"]["verdict"] == "not tested"
    assert kept["similar"][0]["cells"] == {}
    assert "Good and Bad\n" in (copied / "table-4-similarity-of-features.csv").read_text()


def test_a_claim_is_tested_on_the_seeds_that_both_rows_have(copied):
    both = claims_of(copied, QUICK, results_in(copied))[0]
    results = results_in(copied)
    results["Good"][1] = None
    one = claims_of(copied, QUICK, results)[0]
    assert one.why.startswith("one seed: how much another training would change")
    accuracies = [r[0].get("gender_accuracy").value for r in (results["Good"], results["Bad"])]
    assert one.difference == pytest.approx(100 * (accuracies[0] - accuracies[1]))
    assert both.why == "" and both.p_value != one.p_value


def test_runs_on_other_people_are_not_compared(copied):
    path = copied / "bad-seed0" / "predictions.npz"
    columns = dict(np.load(path))
    np.savez(path, **{**columns, "cluster": columns["cluster"][::-1]})
    (first, *_) = claims_of(copied, QUICK, results_in(copied))
    assert first.verdict == "not tested"
    assert first.why == "the two were tested on different people, images or pairs"


def test_a_row_is_never_better_than_itself(copied):
    same = replace(QUICK, claims=(replace(BETTER, than="Good"),))
    (found,) = claims_of(copied, same, results_in(copied))
    assert (found.verdict, found.difference) == ("not tested", None)
    assert found.why.startswith("the difference does not vary")


def test_features_of_a_seed_that_is_missing_are_no_number(copied):
    results = results_in(copied)
    results["Bad"][0] = None
    cells = similarities(copied, QUICK, results)["Good", "Bad"]
    assert cells["everyone"].values[0] is None and cells["everyone"].values[1] is not None
    results["Bad"][1] = None
    assert similarities(copied, QUICK, results)["Good", "Bad"] == {}


def test_a_study_is_read_as_it_was_saved(tmp_path):
    whole = replace(
        STUDY,
        rows=(
            Row("Good", {"optim.peak_lr": 0.5}, published={"Accuracy": 3.0}),
            Row("Bad", needs={"init.run": "Good"}, shown=False),
        ),
        cited={"Other": {"Accuracy": 1.0}},
        notes=("One.", "Two."),
    )
    for some in (whole, replace(whole, thesis=None, claims=(), similar=())):
        save_study(tmp_path, some, "the line")
        kept = json.loads((tmp_path / "study.json").read_text())
        assert (kept["command"], kept["schema_version"]) == ("the line", "1.1")
        assert study_of(kept) == some


def test_a_row_that_is_not_shown_is_trained_and_tested_but_not_in_the_table(copied):
    hidden = replace(QUICK, rows=(Row("Good"), Row("Bad", shown=False)))
    save_study(copied, hidden, "the line")
    kept = again(copied)
    assert [row["name"] for row in kept["rows"]] == ["Good"]
    assert len(kept["runs"]) == 4 and kept["claims"][0]["difference"] > 0


def test_the_state_of_a_run():
    assert state(None, failed=False) == "missing"
    assert state(None, failed=True) == "failed"


def test_a_study_with_a_baseline_shows_costs_and_the_trade_off(study, tmp_path):
    workdir = tmp_path / "costs"
    shutil.copytree(study[0], workdir)
    for name, speed, parameters in (("good", 50, 12), ("bad", 100, 10)):
        for seed in (0, 1):
            line = {"step": 1, "kind": "train", "images_per_second": speed}
            (workdir / f"{name}-seed{seed}" / "metrics.jsonl").write_text(json.dumps(line) + "\n")
            (workdir / f"{name}-seed{seed}" / "outcome.json").write_text(
                json.dumps({"parameters": parameters})
            )
    more = Column("Std", "gender_accuracy_std", across="race")
    planned = replace(
        STUDY,
        columns=(*STUDY.columns, more),
        trade_off=("Accuracy", "Std"),
        baseline="Bad",
        facts={"Good": {"needs group labels": "yes"}, "Bad": {"needs group labels": "no"}},
    )
    save_study(workdir, planned, "the line")
    summarise(workdir, Console(file=io.StringIO()))
    kept, page = (
        json.loads((workdir / "study.json").read_text()),
        (workdir / "report.html").read_text(),
    )
    assert kept["costs"]["Good"] == {"more_parameters": 2, "step": 2.0}
    assert "Good" in kept["front"]
    assert "Accuracy against Std" in page and "1 Good" in page
    assert "Good,yes,+2,2.00" in (workdir / "table-5-costs.csv").read_text()
    summarise(workdir, Console(file=io.StringIO()))  # reads what it has written
    assert json.loads((workdir / "study.json").read_text()) == kept


def log_of(folder, losses):
    lines = [{"step": k, "kind": "train", "loss": loss} for k, loss in enumerate(losses, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_no_claim_is_tested_on_a_row_that_has_not_learned(copied):
    log_of(copied / "good-seed1", [2.0] * 6)
    kept = again(copied)
    assert {claim["verdict"] for claim in kept["claims"]} == {"not converged"}
    assert kept["claims"][0]["why"].startswith("Good has not converged: seed 1: its loss is still")
    assert kept["not_converged"].keys() == {"Good"}
    page = (copied / "report.html").read_text()
    assert "Not converged here." in page and "Not converged: Good (seed 1" in page
    assert "Good,2.00,2.00,–,–,–,no" in (copied / "table-5-training.csv").read_text()


def test_a_row_below_the_floor_is_described_and_not_tested(copied):
    std = Column("Std", "gender_accuracy_std", across="race")
    claims = (
        Claim("Bad is more even.", "Bad", "Good", "Std", "lower"),
        Claim("Bad has another spread.", "Bad", "Good", "Std", "higher", descriptive=True),
        Claim("Bad is worse.", "Bad", "Good", "Accuracy", "lower"),
    )
    floor = Floor("Accuracy", "Good", 10.0)
    planned = replace(QUICK, columns=(*STUDY.columns, std), claims=claims, thesis=None, floor=floor)
    save_study(copied, planned, "the line")
    even, other, worse = again(copied)["claims"]
    assert (
        even["verdict"] == "not tested"
        and "below Good in Accuracy, more than the 10" in even["why"]
    )
    assert other["verdict"] == "descriptive" and other["p_value"] is None
    assert other["difference"] is not None and worse["verdict"] == "holds"
    assert "Bad,Good,Std" in (copied / "table-4-differences-described.csv").read_text()
    save_study(copied, replace(planned, floor=replace(floor, margin=60.0)), "the line")
    assert again(copied)["claims"][0]["verdict"] != "not tested"


def test_folds_are_one_test_of_all_their_images(copied, tmp_path):
    path = copied / "good-seed1" / "predictions.npz"
    for folder in copied.glob("*-seed1"):
        columns = dict(np.load(folder / "predictions.npz"))
        ids, cluster = (columns["id"].astype(int) + 200).astype(str), columns["cluster"] + 200
        np.savez(folder / "predictions.npz", **{**columns, "id": ids, "cluster": cluster})
    save_study(copied, replace(QUICK, folds=True, similar=()), "the line")
    kept = again(copied)
    right = [dict(np.load(copied / f"good-seed{s}" / "predictions.npz")) for s in (0, 1)]
    shares = [(c["prob_gender"].argmax(axis=1) == c["gender"]).mean() for c in right]
    cell = kept["rows"][0]["cells"]["Accuracy"]
    assert cell["mean"] == pytest.approx(50 * sum(shares))
    assert cell["interval"][0] < cell["mean"] < cell["interval"][1]
    assert path.exists() and (copied / "pooled-good.json").exists()
    assert "each image tested once" in (copied / "report.html").read_text()


def test_a_new_run_is_compared_with_the_stored_one_within_their_intervals(study, copied):
    stored = read_stored(study[0])
    assert stored.study == STUDY and differences(stored, stored) == []
    path = copied / "study.json"
    save_study(copied, STUDY, "the same line")
    kept = again(copied)
    assert differences(read_stored(path), stored) == []
    cell = kept["rows"][0]["cells"]["Accuracy"]
    low, high = cell["interval"]
    half = (high - low) / 2
    # Two cells: half widths in quadrature, widened from 1.96 to the normal quantile of 0.0125.
    reach = 2.2414 / 1.95996 * 2**0.5 * half
    mean = cell["mean"]
    for move, differs in ((0.99, False), (1.01, True)):
        moved = dict(cell, mean=mean + move * reach, interval=[low, high])
        kept["rows"][0]["cells"]["Accuracy"] = moved
        path.write_text(json.dumps(kept))
        found = differences(read_stored(path), stored)
        assert [d.what for d in found] == (["Good, Accuracy"] if differs else [])
    kept["rows"] = kept["rows"][1:]
    kept["claims"][0]["verdict"] = "contradicted"
    kept["not_converged"] = {"Bad": "its loss"}
    path.write_text(json.dumps(kept))
    found = differences(read_stored(path), stored)
    assert [(d.what, d.new) for d in found] == [
        ("Good, Accuracy", "missing"),
        (BETTER.text, "contradicted"),
        ("Bad", "not converged"),
    ]
    kept["claims"][0] = {}
    path.write_text(json.dumps(kept))
    with pytest.raises(WorkdirError, match="holds a damaged study"):
        read_stored(path)


def test_a_page_of_seeds_that_logged_no_step_in_common_has_no_curve(copied, tmp_path):
    for name in ("good", "bad"):
        for seed in (0, 1):
            text = json.dumps({"step": 20 + seed, "kind": "train", "loss": 1.0})
            (copied / f"{name}-seed{seed}" / "metrics.jsonl").write_text(text + "\n")
    again(copied)
    assert cli.main(["study", "page", str(copied), "--out", str(tmp_path / "good.md")]) == 0
    curves = json.loads((tmp_path / "good" / "curves.json").read_text())
    assert curves["rows"]["Good"]["loss"] == []


def test_a_page_is_made_from_the_study_and_again_from_what_it_left(copied, tmp_path, capsys):
    for name in ("good", "bad"):
        for seed in (0, 1):
            log_of(copied / f"{name}-seed{seed}", [2.0 - 0.1 * k - seed for k in range(6)])
    line = "/opt/env/bin/python -m fairjax.main --config /home/a/configs/x.py --workdir /tmp/runs/y"
    save_study(copied, STUDY, line)
    again(copied)
    page = tmp_path / "good.md"
    assert cli.main(["study", "page", str(copied), "--out", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("# Good and bad\n\n**Claim**: Good is good.\n\n**Holds here.** It is.")
    assert "$ python -m fairjax.main --config configs/x.py --workdir runs/good\n" in text
    assert "| Good |" in text and "![Training loss](good/loss.svg)" in text
    assert "1 Good, 2 Bad" in text and "[study.json](good/study.json)" in text
    curves = json.loads((tmp_path / "good" / "curves.json").read_text())
    expected = [pytest.approx([k, 1.5 - 0.1 * (k - 1)]) for k in range(1, 7)]
    assert curves["rows"]["Good"]["loss"] == expected
    kept = "".join(path.read_text() for path in (tmp_path / "good").iterdir())
    assert "/opt" not in kept + text and "/home" not in kept + text and "/tmp" not in kept + text
    other = tmp_path / "again" / "good.md"
    other.parent.mkdir()
    assert cli.main(["study", "page", str(tmp_path / "good"), "--out", str(other)]) == 0
    assert other.read_text() == text
    for path in (tmp_path / "good").iterdir():
        assert (other.parent / "good" / path.name).read_bytes() == path.read_bytes()
    stored = str(tmp_path / "good")
    assert cli.main(["study", "check", str(copied), stored]) == 0
    assert "2 numbers and 3 claims agree" in capsys.readouterr().out
    kept = json.loads((copied / "study.json").read_text())
    kept["claims"][0]["verdict"] = "inconclusive"
    (copied / "study.json").write_text(json.dumps(kept))
    with pytest.raises(SystemExit, match="1"):
        cli.main(["study", "check", str(copied), stored])
    assert "1 difference among" in capsys.readouterr().out
