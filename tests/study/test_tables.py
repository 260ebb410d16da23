"""A study's words: verdict, tests, similarity."""

from dataclasses import replace

from fairjax.config.study import Claim, Column, Row, Study, Thesis
from fairjax.study.numbers import Cell, ClaimResult, Conclusion
from fairjax.study.tables import (
    claim_table,
    conclusion_table,
    how_tested,
    main_table,
    similarity_table,
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
