"""`fairjax plan audit` as it is typed: each flag, and how many groups there are."""

from dataclasses import replace
from pathlib import Path

import pytest

from fairjax.audit import plan as planning
from fairjax.audit.findings import Findings
from fairjax.audit.plan import Question
from fairjax.cli import main
from fairjax.core.results import Results, load_results

USUAL = Question(fmr=1e-3, fnmr=0.05, groups=4, images=4)


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def plan(question, *, like):
        calls.append((question, like))
        return Findings("Answer.", [], [], Results("plan", {}, [], {}, [], {}))

    monkeypatch.setattr(planning, "plan", plan)
    return calls


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ([], {}),
        (["--ratio", "3"], {"ratio": 3.0}),
        (["--fmr", "1e-2"], {"fmr": 1e-2}),
        (["--fnmr", "0.1"], {"fnmr": 0.1}),
        (["--groups", "2"], {"groups": 2}),
        (["--groups", "8"], {"groups": 8}),
        (["--images-per-person", "2"], {"images": 2}),
        (["--people", "50"], {"people": (50,)}),
        (["--people", "50,60"], {"people": (50, 60), "groups": 2}),
        (["--people", "1,2,3".replace("1", "9")], {"people": (9, 2, 3), "groups": 3}),
        (["--people", "50", "--groups", "3"], {"people": (50,), "groups": 3}),
        (["--power", "0.9"], {"power": 0.9}),
        (["--points", "2"], {"points": 2}),
        (["--nonmated-pairs", "500"], {"most_pairs": 500}),
        (["--shared", "0"], {"shared": 0.0}),
    ],
)
def test_a_flag_changes_one_thing_that_is_asked(asked, words, changes):
    assert main(["plan", "audit", *words]) == 0
    assert asked == [(replace(USUAL, **changes), None)]


def test_an_earlier_audit_is_passed_on_and_the_answer_left_in_a_folder(asked, tmp_path):
    assert main(["plan", "audit", "--like", "old", "--out", str(tmp_path / "new")]) == 0
    assert asked == [(USUAL, Path("old"))]
    assert load_results(tmp_path / "new" / "results.json").kind == "plan"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--groups", "0"], "--groups 0 must be 2 or more."),
        (["--people", "50,60", "--groups", "3"], "one for each of the 3 groups."),
        (["--people", "1"], "--people 1 must be 2 or more in each group."),
        (["--ratio", "nan"], "--ratio nan must be above 1 and at most 20."),
        (["--power", "0"], "--power 0.0 must be between 0 and 1."),
        (["--shared", "1"], "--shared 1.0 must be at least 0 and below 1."),
        (["--points", "0"], "--points 0 must be 1 or more."),
        (["--config.seed=3"], "an audit's plan has no config; leave out --config."),
    ],
)
def test_what_cannot_be_planned_is_one_line(asked, capsys, words, said):
    assert main(["plan", "audit", *words]) == 2
    error = capsys.readouterr().err
    assert error.endswith(f"{said}\n") and error.count("\n") == 1 and asked == []
