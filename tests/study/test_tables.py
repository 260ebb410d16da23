"""A study's words: verdict, tests, similarity."""

from dataclasses import replace

import pytest

from fairjax.config.study import Claim, Column, Row, Study, Thesis
from fairjax.study.costs import Cost
from fairjax.study.learned import Training
from fairjax.study.numbers import Cell, ClaimResult, Conclusion
from fairjax.study.tables import (
    RULE,
    claim_table,
    conclusion_table,
    cost_table,
    difference_table,
    headline,
    how_tested,
    main_table,
    reasons,
    similarity_table,
    training_table,
    whole,
    words,
)

CLAIM = Claim("It keeps it.", "A", "B", "Spread", "higher", margin=0.02, family="kept")
OTHER = Claim("It lowers it.", "A", "B", "Spread", "lower")
STUDY = Study(
    "S",
    "",
    (Row("A"), Row("B")),
    (Column("Spread", "std", digits=3),),
    (CLAIM, OTHER),
    seeds=(0, 1),
    resamples=50,
)
TESTED = ClaimResult(CLAIM, -0.034, -0.0046, (-0.01, 0.0012), 0.0123, 0.0246, "holds")
CELL = Cell((0.5, 0.7), 0.6, 0.1414, (-0.67, 1.87), "Student's t", None)


def test_numbers_have_the_decimals_of_their_column():
    assert words(STUDY, TESTED) == (
        "Spread: A minus B is -0.005 (95% interval -0.010 to +0.001; p 0.012 of -0.020, 0.025 "
        "after Holm); the paper's difference is -0.034."
    )
    assert claim_table(STUDY, [TESTED]).rows == [
        [
            "It keeps it.",
            "Spread",
            "-0.005",
            "-0.020",
            "-0.010 to +0.001",
            "0.012",
            "0.025",
            "-0.034",
            "holds",
        ],
    ]
    assert main_table(STUDY, {"A": {"Spread": CELL}}).rows == [
        ["A", "0.600 ± 0.141"],
        ["  95% interval", "-0.670 to 1.870"],
    ]


def test_cited_rows_stand_below_with_dashes_for_what_they_lack():
    study = replace(STUDY, cited={"GAC": {"Spread": 0.6}, "PFE": {}})
    assert main_table(study, {}).rows == [["GAC (cited)", "0.600"], ["PFE (cited)", "–"]]


def test_families_are_named_where_there_are_several():
    assert "in its family (kept 1, others 1), so" in how_tested(STUDY)
    assert "below 5% in each family" in how_tested(STUDY)
    table = claim_table(STUDY, [TESTED, ClaimResult(OTHER, None, why="no seed has both numbers")])
    assert [row[0] for row in table.rows] == ["kept", ""]
    assert table.rows[1][3:] == ["–", "", "–", "–", "–", "–", "not tested"]


def test_the_verdict_says_which_claims_stand_in_its_way():
    thesis = Thesis(
        "All.", ("a.",), (), holds="Yes.", contradicted="No.", inconclusive="Who knows?"
    )
    found = Conclusion(thesis, "contradicted", tuple("abcde"), {"contradicted": 5}, {})
    assert whole(found) == "All. Contradicted here. No. Contradicted: a b c And 2 more."
    assert conclusion_table(found).rows == [
        ["the whole", "contradicted", "", "", "", ""],
        ["claims that must hold", "", "0", "0", "5", "0"],
    ]
    assert whole(Conclusion(thesis, "holds", (), {}, {})) == "All. Holds here. Yes."


def test_a_pair_whose_runs_are_missing_has_dashes():
    table = similarity_table(STUDY, {("A", "B"): {"everyone": CELL}, ("A", "C"): {}})
    assert table.rows == [
        ["A and B", "0.60 ± 0.14"],
        ["  95% interval", "-0.67 to 1.87"],
        ["A and C", "–"],
    ]


def test_the_papers_numbers_and_differences_stand_below_a_row_that_has_any():
    published = Cell((0.5,), 0.5, None, None, "", 0.75)
    bare = replace(CELL, std=None, interval=None)
    study = replace(STUDY, columns=(*STUDY.columns, Column("MAE", "mae", digits=1)))
    table = main_table(study, {"A": {"Spread": published, "MAE": bare}, "B": {"Spread": bare}})
    assert table.rows[:3] == [
        ["A", "0.500", "0.6"],
        ["  paper", "0.750", "–"],
        ["  ours - paper", "-0.250", "–"],
    ]
    assert [row[0] for row in table.rows[3:]] == ["B"]  # no interval, no paper
    assert table.columns == ["", "Spread", "MAE"]


def test_a_number_that_no_seed_has_is_a_dash():
    none = Cell((None, None), None, None, None, "", 1.0)
    assert main_table(STUDY, {"A": {"Spread": none}}).rows == [
        ["A", "–"],
        ["  paper", "1.000"],
        ["  ours - paper", "–"],
    ]


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((0,), "One seed; interval: over the test people."),
        ((0, 1), "Mean over 2 seeds ± standard deviation over seeds (ddof 1); interval: Student's"),
    ],
)
def test_the_note_says_what_an_interval_is_over(seeds, said):
    note = main_table(replace(STUDY, seeds=seeds, source="Doe 2020"), {}).note
    assert note.startswith(said) and note.endswith("Paper: Doe 2020.")
    assert "Paper" not in main_table(STUDY, {}).note


@pytest.mark.parametrize(
    ("verdict", "because", "title", "why"),
    [
        ("holds", (), "Holds here.", "Yes."),
        ("contradicted", ("a.",), "Contradicted here.", "No. Contradicted: a."),
        ("inconclusive", ("a.", "b."), "Inconclusive here.", "Who knows? Not shown: a. b."),
        ("not tested", ("a.",), "Not tested here.", "It rests on: a."),
        ("not tested", tuple("abcd"), "Not tested here.", "It rests on: a b c And 1 more."),
        ("inconclusive", tuple("abc"), "Inconclusive here.", "Who knows? Not shown: a b c"),
    ],
)
def test_a_verdict_has_a_headline_and_reasons(verdict, because, title, why):
    thesis = Thesis(
        "All.", ("a.",), (), holds="Yes.", contradicted="No.", inconclusive="Who knows?"
    )
    found = Conclusion(thesis, verdict, because, {}, {})
    assert (headline(found), reasons(found)) == (title, why)
    assert whole(found) == f"All. {title} {why}"
    assert conclusion_table(found).note == f"All. {title} {why} {RULE}"


def test_claims_that_must_hold_and_those_that_must_not_fail_have_a_row_each():
    thesis = Thesis("t", (), (), holds="", contradicted="", inconclusive="")
    found = Conclusion(
        thesis, "inconclusive", (), {"holds": 1, "not tested": 2}, {"inconclusive": 3}
    )
    table = conclusion_table(found)
    assert table.columns == ["", "verdict", "holds", "inconclusive", "contradicted", "not tested"]
    assert table.rows[1:] == [
        ["claims that must hold", "", "1", "0", "0", "2"],
        ["claims that must not be contradicted", "", "0", "3", "0", "0"],
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"published": None}, "0.025 after Holm)."),
        ({"why": "one seed"}, "the paper's difference is -0.034. One seed."),
        ({"claim": OTHER}, "(95% interval -0.010 to +0.001; p 0.012, 0.025 after Holm)"),
        ({"p_value": 3e-7, "p_value_holm": 6e-7}, "p 3e-07 of -0.020, 6e-07 after Holm"),
        ({"difference": None, "why": "no seed has both"}, "No seed has both."),
    ],
)
def test_a_claim_in_words_says_only_what_is_known(changes, said):
    found = words(STUDY, replace(TESTED, **changes))
    assert said in found
    assert (": A minus B is" in found) is ("difference" not in changes)


def test_one_family_is_not_named():
    one = replace(STUDY, claims=(CLAIM,))
    assert "family" not in how_tested(one) and "each family" not in how_tested(one)
    assert "(50 paired resamples of them)" in how_tested(one)
    table = claim_table(one, [TESTED])
    assert table.columns[0] == "claim" and table.note == how_tested(one)


def test_similarity_has_a_column_a_group_that_any_pair_has():
    table = similarity_table(
        STUDY, {("A", "B"): {"everyone": CELL, "x": replace(CELL, mean=0.25, std=None)}}
    )
    assert table.columns == ["", "everyone", "x"]
    assert table.rows[0] == ["A and B", "0.60 ± 0.14", "0.25"]
    assert "jackknife" not in table.note and "Student's t" in table.note
    assert "jackknife over blocks" in similarity_table(replace(STUDY, seeds=(0,)), {}).note


def test_what_is_described_has_a_table_without_verdicts():
    described = replace(
        TESTED, claim=replace(CLAIM, descriptive=True), p_value=None, p_value_holm=None
    )
    missing = ClaimResult(replace(OTHER, descriptive=True), None, why="no seed has both numbers")
    table = difference_table(STUDY, [TESTED, described, missing])
    assert table.columns == ["row", "less", "column", "ours", "95% interval", "paper"]
    assert table.rows == [
        ["A", "B", "Spread", "-0.005", "-0.010 to +0.001", "-0.034"],
        ["A", "B", "Spread", "–", "–", "–"],
    ]
    assert "some intervals miss 0 by chance" in table.note
    assert claim_table(STUDY, [described]).rows == []


def test_a_verdict_that_waits_for_trainings_counts_them():
    thesis = Thesis("t", (), (), holds="", contradicted="", inconclusive="")
    tally = {"not converged": 2, "holds": 1}
    table = conclusion_table(Conclusion(thesis, "not converged", ("a.",), tally, {}))
    assert table.columns[-1] == "not converged"
    assert table.rows == [
        ["the whole", "not converged", "", "", "", "", ""],
        ["claims that must hold", "", "1", "0", "0", "0", "2"],
    ]
    only = Conclusion(thesis, "descriptive", ("a.",), {}, {"descriptive": 1})
    assert headline(only) == "Descriptive here." and reasons(only) == "Only described: a."


def test_trainings_are_means_over_the_seeds_that_say_something():
    trained = {
        "A": [Training(4.0, 1.0, 0.5, 0.25, None), Training(2.0, None, None, 0.35, None)],
        "B": [Training(None, None, None, None, 0.1234)],
    }
    table = training_table(trained, {"B": "a plateau"})
    assert table.rows == [
        ["A", "3.00", "1.00", "0.50", "0.30", "–", "yes"],
        ["B", "–", "–", "–", "–", "0.123", "no"],
    ]
    assert table.columns[1:3] == ["loss at the start", "at the end"]
    assert table.columns[4] == "threshold of the test"
    assert "below 95% of the loss" in table.note and "1.5 times the validation loss" in table.note


def test_costs_have_a_column_for_every_fact_of_any_row():
    study = replace(STUDY, baseline="B", facts={"A": {"labels": "yes"}, "B": {"code": "ours"}})
    costs = {"A": Cost(-1500, 0.876), "B": Cost(0, 1.0), "C": Cost(None, None)}
    table = cost_table(study, costs)
    assert table.columns == ["", "labels", "code", "parameters", "time of a step"]
    assert table.rows == [
        ["A", "yes", "–", "-1,500", "0.88"],
        ["B", "–", "ours", "+0", "1.00"],
        ["C", "–", "–", "–", "–"],
    ]
    assert "more than B's" in table.note


def test_folds_are_not_called_seeds():
    folds = replace(STUDY, folds=True)
    note = main_table(folds, {}).note
    assert note.startswith("Predictions of 2 folds together ± standard deviation over folds")
    assert "Each difference is that of the predictions of all folds together" in how_tested(folds)
    assert "a mean over seeds, paired by seed" in how_tested(STUDY)


def test_only_claims_that_are_tested_are_counted_in_a_family():
    study = replace(STUDY, claims=(CLAIM, replace(OTHER, descriptive=True)))
    assert "family" not in how_tested(study)
    three = replace(STUDY, claims=(CLAIM, OTHER, replace(OTHER, text="It lowers it twice.")))
    assert "(kept 1, others 2)" in how_tested(three)


def test_a_pair_of_rows_without_features_has_a_line_of_dashes_alone():
    table = similarity_table(STUDY, {("A", "B"): {}})
    assert (table.columns, table.rows) == ([""], [["A and B"]])
