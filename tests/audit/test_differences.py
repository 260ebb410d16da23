from dataclasses import replace

import pytest

from fairjax.audit.differences import differences, tables
from fairjax.core.results import Measure, Results

BASE = Results(
    "verification",
    {
        "name": "rfw",
        "attribute": "race",
        "groups": ["X", "Y"],
        "n": 10,
        "fmrs": [1e-3],
        "accuracies": ["rfw_official", "uncentred"],
        "threshold_rule": "a",
        "resamples": 2000,
    },
    [
        Measure(
            "accuracy",
            0.99,
            "fraction",
            5,
            {"race": "X"},
            interval=(0.98, 1.0),
            rule="rfw_official: centred",
        ),
        Measure("accuracy_uncentred", 0.98, "fraction", 5, {"race": "X"}, rule="uncentred: plain"),
        Measure("accuracy_std", 0.01, "fraction", 5, across="race", ddof=1),
    ],
    {},
    [],
    {
        "pairs": "sha256:aa",
        "stated": {"flip": "yes"},
        "files": {"file 1": {"hash": "sha256:1"}},
        "versions": {"fairjax": "1"},
    },
)


def changed(room: str, **fields) -> Results:
    return replace(BASE, **{room: {**getattr(BASE, room), **fields}})


def test_equal_results_have_no_differences():
    assert differences(BASE, BASE) == []
    assert "Nothing that is written down differs" in tables(BASE, BASE, ("a", "b"))[0].note


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (changed("provenance", pairs="sha256:bb"), "pairs: pairs"),
        (changed("provenance", files={"file 1": {"hash": "sha256:2"}}), "data: files"),
        (changed("protocol", name="plain"), "protocol"),
        (changed("protocol", accuracies=["uncentred"]), "centring and accuracy variant"),
        (changed("provenance", stated={"flip": "no"}), "flip"),
        (
            changed("provenance", stated={"flip": "yes", "preprocessing": "crop"}),
            "preprocessing: preprocessing",
        ),
        (changed("protocol", threshold_rule="b"), "threshold rule and source: threshold_rule"),
        (replace(BASE, measures=[replace(m, ddof=m.ddof and 0) for m in BASE.measures]), "ddof"),
        (changed("protocol", resamples=100), "intervals: resamples"),
    ],
)
def test_each_cause_is_named_alone(other, what):
    assert [d.what for d in differences(BASE, other)] == [what]


def test_what_moves_numbers_most_comes_first():
    other = replace(
        changed("protocol", resamples=100, name="plain", threshold_rule="b"),
        provenance={**BASE.provenance, "pairs": "sha256:bb", "versions": {"fairjax": "2"}},
    )
    found = [d.what.split(":")[0] for d in differences(BASE, other)]
    assert found == ["pairs", "protocol", "threshold rule and source", "intervals", "versions"]


def test_numbers_that_moved_are_listed_in_half_widths():
    moved = replace(BASE, measures=[replace(BASE.measures[0], value=0.97), *BASE.measures[1:]])
    rows = tables(BASE, moved, ("a", "b"))[1].rows
    assert rows == [["accuracy (X)", "99.0", "97.0", "2.0"]]


def test_all_variants_stand_side_by_side():
    table = tables(BASE, BASE, ("a", "b"))[-1]
    assert table.columns == ["variant", "result", "X"]
    assert [row[:2] for row in table.rows] == [
        ["rfw_official", "a"],
        ["rfw_official", "b"],
        ["uncentred", "a"],
        ["uncentred", "b"],
    ]
