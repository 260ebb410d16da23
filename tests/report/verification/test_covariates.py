"""What the report says where covariates were held."""

import pytest

from fairjax.core.results import Results
from fairjax.report.summary import summarise
from fairjax.report.verification.covariate_section import section
from fairjax.report.verification.covariates import TITLE, Answer, sentences, tables

FITTED = Answer(
    rate="fnmr",
    system="",
    at="FMR 1e-2",
    groups=["amber", "jade <b>"],
    left_out=["violet"],
    errors=[10, 30],
    trials=[100, 100],
    covariates=["sharpness", "age"],
    means=[[40.0, 20.0], [30.0, 31.0]],
    found=[0.1, 0.3],
    found_interval=[(0.05, 0.2), (0.2, 0.4)],
    held=[0.15, 0.18],
    held_interval=[(0.1, 0.2), (0.1, 0.3)],
    overlap=[1.0, 0.85],
    worst=1,
    best=0,
    found_ratio=(3.0, 1.5, 6.0),
    held_ratio=(1.2, 0.8, 1.9),
    share=0.83,
    smaller=True,
    effects=[(-0.1, -0.15, -0.05, 1e-4), (0.01, -0.02, 0.04, 0.5)],
    answer="picture",
)


def results(*answers):
    arrays = {"covariates": [answer.as_json() for answer in answers]}
    return Results("verification", {"attribute": "group"}, [], arrays, [], {})


def test_the_sentence_names_both_groups_both_ratios_and_what_is_left_out():
    (said,) = sentences(results(FITTED))
    assert said == (
        "False non-matches at FMR 1e-2: jade <b> over amber 3 times as found, 1.2 [0.8, 1.9] with "
        "sharpness and age held. The gap goes with the picture: what is left is not shown. Left "
        "out, with too few errors or people: violet."
    )
    assert said in summarise(results(FITTED)).sentences or not summarise(results(FITTED)).compared


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("group", "do not explain it"),
        ("both", "part stays"),
        ("hidden", "but one is with the picture held"),
        ("no gap", "No gap is shown"),
        ("too few data", "Too few data to tell"),
        ("no overlap", "only 85% are like those of jade"),
    ],
)
def test_every_answer_has_words(answer, words):
    (said,) = sentences(results(Answer(**{**FITTED.as_json(), "answer": answer})))
    assert words in said


def test_the_section_draws_what_was_fitted_and_escapes_names():
    unfitted = Answer("fmr", "", "FMR 1e-2", [], ["amber"], [], [], ["age"], why="no errors")
    shown = section(results(FITTED, unfitted))
    assert shown.title == TITLE and shown.key == "covariates"
    ((_, figures),) = shown.parts
    assert "jade &lt;b" in figures[0].svg and "<b>" not in figures[0].svg
    assert "10.0% (5.0 to 20.0) as found, 15.0%" in figures[0].svg
    said = [row[2] for row in tables(results(FITTED, unfitted))[0].rows]
    assert any("too few data to hold covariates (no errors)" in text for text in said)


def test_means_are_given_for_groups_that_one_rate_alone_compares():
    fmr = Answer(**{**FITTED.as_json(), "rate": "fmr"})
    three = {"groups": ["amber", "jade <b>", "violet"], "left_out": []}
    three |= {
        "means": [[4.0, 5.0, 6.0], [1.0, 2.0, 3.0]],
        "errors": [10, 30, 20],
        "trials": [100] * 3,
    }
    three |= {name: [0.1] * 3 for name in ("found", "held", "overlap")}
    three |= {f"{name}_interval": [(0.05, 0.2)] * 3 for name in ("found", "held")}
    table = tables(results(fmr, Answer(**{**FITTED.as_json(), **three})))[-1]
    assert table.columns[2:] == ["amber", "jade <b>", "violet"]
    assert [row[-1] for row in table.rows] == ["–", "–", "6", "3"]


def test_nothing_is_said_where_no_covariates_were_held():
    plain = Results("verification", {}, [], {}, [], {})
    assert not section(plain) and not sentences(plain) and not tables(plain)
