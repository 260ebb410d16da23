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


@pytest.mark.parametrize(
    ("other", "what", "second"),
    [
        (replace(BASE, kind="attributes"), "kind", "attributes"),
        (changed("protocol", n=12), "pairs: n", "12"),
        (changed("provenance", data_hash="aa"), "data: data_hash", "aa"),
        (changed("provenance", scored=["ours"]), "system: scored", "ours"),
        (changed("provenance", checkpoint_step=7), "system: checkpoint_step", "7"),
        (changed("protocol", attribute="sex"), "groups: attribute", "sex"),
        (changed("protocol", groups=["X", "Z"]), "groups: groups", "X, Z"),
        (changed("protocol", fmrs=[1e-3, 1e-4]), "operating points: fmrs", "0.001, 0.0001"),
        (
            changed("protocol", threshold_source="c.csv"),
            "threshold rule and source: threshold_sou",
            "",
        ),
        (changed("protocol", gender_positive="male"), "decision rule: gender_positive", "male"),
        (changed("protocol", tolerances={"a": 2.0}), "tolerance", "a 2.0"),
        (changed("protocol", level=0.9), "intervals: level", "0.9"),
        (changed("provenance", fairjax="3"), "versions: fairjax", "3"),
    ],
)
def test_more_causes_by_where_they_are_written(other, what, second):
    (found,) = differences(BASE, other)
    assert found.what.startswith(what) and second in found.second
    assert found.effect


def test_what_one_result_does_not_say_is_called_so():
    (found,) = differences(BASE, changed("protocol", tolerances={"a": 2.0}))
    assert (found.first, found.second) == ("not said", "a 2.0")
    (back,) = differences(changed("protocol", tolerances={"a": 2.0}), BASE)
    assert (back.first, back.second) == ("a 2.0", "not said")


def test_hashes_are_cut_and_files_are_told_by_them():
    long = "sha256:" + "0123456789abcdef" * 4
    (found,) = differences(BASE, changed("provenance", pairs=long))
    assert found.second == "sha256:0123456789ab"
    renamed = changed("provenance", files={"file 1": {"hash": "sha256:1", "name": "other.csv"}})
    assert differences(BASE, renamed) == []


def test_causes_are_numbered_in_a_table_with_both_names():
    other = changed("protocol", resamples=100, name="plain")
    table = tables(BASE, other, ("ours", "theirs"))[0]
    assert table.columns == ["", "what", "ours", "theirs", "effect"]
    assert [row[:4] for row in table.rows] == [
        ["1", "protocol", "rfw", "plain"],
        ["2", "intervals: resamples", "2000", "100"],
    ]
    assert table.note == ""


def test_numbers_come_in_the_order_of_their_distance_and_are_cut_at_twenty():
    def measures(shift):
        return [
            Measure(
                f"m{k}",
                0.5 + shift * k / 100,
                "fraction",
                9,
                interval=(0.4, 0.6) if k % 2 else None,
            )
            for k in range(25)
        ]

    first, second = (replace(BASE, measures=measures(shift)) for shift in (0, 1))
    table = next(t for t in tables(first, second, ("a", "b")) if "that differ" in t.title)
    assert len(table.rows) == 20 and table.note.endswith(" 4 more differ.")
    assert table.rows[0] == ["m23 (everyone)", "50.0", "73.0", "2.3"]
    assert table.rows[12][0] == "m24 (everyone)" and table.rows[12][3] == ""  # no interval


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"at": "FMR 1e-3"}, "accuracy (X) at FMR 1e-3"),
        ({"system": "ours"}, "ours accuracy (X)"),
        ({"group": {}, "across": "race"}, "accuracy (across race)"),
        ({"group": {}}, "accuracy (everyone)"),
    ],
)
def test_a_number_is_named_by_all_that_it_is(changes, name):
    one = replace(BASE.measures[0], **changes)
    first, second = (replace(BASE, measures=[replace(one, value=value)]) for value in (0.5, 0.25))
    table = next(t for t in tables(first, second, ("a", "b")) if "that differ" in t.title)
    assert table.rows[0][0] == name


def test_numbers_that_only_one_result_has_are_not_compared():
    one, *_ = BASE.measures
    first = replace(BASE, measures=[one, replace(one, name="old")])
    second = replace(BASE, measures=[replace(one, value=None), replace(one, name="new")])
    assert [t.title for t in tables(first, second, ("a", "b"))] == [
        "What differs, what moves numbers most first"
    ]


def test_one_variant_alone_is_no_table_and_a_missing_one_is_a_dash():
    plain = replace(BASE, measures=BASE.measures[:1])
    assert not [t for t in tables(plain, plain, ("a", "b")) if "variant" in t.title]
    table = tables(BASE, plain, ("a", "b"))[-1]
    assert [row[:2] for row in table.rows] == [
        ["rfw_official", "a"],
        ["rfw_official", "b"],
        ["uncentred", "a"],
    ]
    gone = replace(BASE, measures=[BASE.measures[0], replace(BASE.measures[1], value=None)])
    assert tables(gone, gone, ("a", "b"))[-1].rows[2] == ["uncentred", "a", "–"]
