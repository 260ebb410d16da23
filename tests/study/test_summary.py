"""A study's files, from folders as finished runs leave them."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from fairjax.config import base_config
from fairjax.config.study import Claim, Column, Row, Spread, Study, Thesis
from fairjax.core.results import save_results
from fairjax.metrics.representation import cka
from fairjax.run.build import build_scoring
from fairjax.run.score import attributes_of, score_columns
from fairjax.run.workdir import WorkdirError
from fairjax.study import save_study, summarise

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
    resamples=30,
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
    results = score_columns(build_scoring(config), columns, None, attributes_of(data))
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
