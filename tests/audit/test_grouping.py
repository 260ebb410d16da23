"""Groups as tables spell them: bins, intersections, order, and names that nobody can mean."""

import numpy as np
import pytest

from fairjax.audit.grouping import (
    binned,
    check_names,
    intersect,
    known_groups,
    labelled,
    name_limits,
    numbered,
    ordered_groups,
    refuse_alike,
)
from fairjax.audit.layout import MOST_GROUPS, TableOptions
from fairjax.audit.tables import InputError
from fairjax.core.comparisons import UNKNOWN


def test_names_of_two_attributes_are_joined_where_they_meet():
    race, sex = np.array([[0, 1], [1, 0]]), np.array([[1, 0], [1, 1]])
    place, labels = labelled([race, sex], [["X", "Y"], ["f", "m"]])
    assert labels == ["X m", "Y f", "Y m"]  # nobody is "X f"
    assert place.tolist() == [[0, 1], [2, 0]]


def test_three_attributes_are_joined_in_their_order():
    codes = [np.array([1, 0]), np.array([2, 0]), np.array([0, 3])]
    place, labels = labelled(codes, [["a", "b"], ["c", "d", "e"], ["f", "g", "h", "i"]])
    assert [labels[k] for k in place] == ["b e f", "a c i"]


def test_who_lacks_one_of_the_names_is_in_no_group():
    place, labels = labelled([np.array([0, 1, 1]), np.array([0, 0, 1])], [["", "Y"], ["f", ""]])
    assert [labels[k] for k in place] == ["", "Y f", ""]
    assert numbered(labels, ["Y f"])[place].tolist() == [UNKNOWN, 0, UNKNOWN]


def test_groups_are_numbered_in_the_order_asked_for_or_by_name():
    codes, words = [np.array([1, 0, 1])], [["b", "a"]]
    number, groups = intersect(codes, words, TableOptions(), "t.csv")
    assert (number.tolist(), groups) == ([0, 1, 0], ["a", "b"])
    number, groups = intersect(codes, words, TableOptions(group_names=["b", "a"]), "t.csv")
    assert (number.tolist(), groups) == ([1, 0, 1], ["b", "a"])


@pytest.mark.parametrize(
    ("edges", "names"),
    [
        ((18.0, 30.0), ["<18", "18-29", "18-29", "30+", ""]),
        ((18.5, 30.0), ["<18.5", "<18.5", "18.5-30", "30+", ""]),  # no whole number before 30
    ],
)
def test_a_bin_holds_its_lower_end(edges, names):
    assert binned(["17.9", "18", "29.9", "30", ""], edges, "t.csv", name="age") == names


def test_what_is_no_number_falls_into_no_bin():
    with pytest.raises(
        InputError, match=r"^t.csv \(age\): 'old' is no number, so it falls into no"
    ):
        binned(["3", "old"], (18.0,), "t.csv", name="age")


@pytest.mark.parametrize("unknown", ["-1", "999"])
def test_a_code_for_an_unknown_age_is_no_age(unknown):
    with pytest.raises(InputError, match=f"{unknown}' is no age from 0 to 120; leave unknown ages"):
        binned(["3", unknown], (18.0,), "t.csv", name="age")
    assert binned(["3", unknown], (18.0,), "t.csv", name="angle")  # may be any number


def test_bins_are_ordered_by_number_and_words_by_name():
    labels = ["30+", "5-17", "<5", "18-29"]
    assert ordered_groups(labels, TableOptions(by=["age:5,18,30"]), "t") == [
        "<5",
        "5-17",
        "18-29",
        "30+",
    ]
    assert ordered_groups(["10", "9", ""], TableOptions(by=["age"]), "t") == ["10", "9"]
    crossed = ["f 30+", "f <5", "m 5-17", "f 5-17"]
    options = TableOptions(by=["sex+age:5,30"])
    assert ordered_groups(crossed, options, "t") == ["f <5", "f 5-17", "f 30+", "m 5-17"]


@pytest.mark.parametrize("many", [False, True])
def test_more_groups_than_anybody_compares_must_be_asked_for(many):
    names = [f"g{k:02d}" for k in range(MOST_GROUPS + 1)]
    assert len(ordered_groups(names[:-1], TableOptions(), "t.csv")) == MOST_GROUPS
    if many:
        assert ordered_groups(names, TableOptions(many_groups=True), "t.csv") == names
        assert ordered_groups(names, TableOptions(group_names=names), "t.csv") == names
    else:
        with pytest.raises(InputError, match=r"t.csv: 21 groups .'g00', .* or say --many-groups"):
            ordered_groups(names, TableOptions(), "t.csv")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["Asian", "Asia"], "'Asia' is not among --group-names 'Asian', 'Black'; did you mean 'As"),
        (["Asian", "Black", "x"], "'x' is not among --group-names 'Asian', 'Black'."),
        (["Asian", ""], "nobody is in the group 'Black' of --group-names"),
    ],
)
def test_groups_other_than_those_asked_for_are_refused(labels, said):
    with pytest.raises(InputError) as caught:
        ordered_groups(labels, TableOptions(group_names=["Asian", "Black"]), "t.csv")
    assert str(caught.value).startswith("t.csv: ") and said in str(caught.value)


def test_names_that_say_nothing_are_no_groups_unless_they_are_asked_for():
    names = ["a", "nan", "None", "null", ""]
    assert known_groups(names, TableOptions()) == ["a", "", "", "", ""]
    assert known_groups(names, TableOptions(group_names=["a", "None"])) == ["a", "", "None", "", ""]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["Asian", "asian"], "the groups 'Asian' and 'asian' differ by case or spaces alone"),
        (["a b", "a  b"], "differ by case or spaces alone; write them alike"),
        (["a\nb", "c"], "the group name 'a\\nb' holds a line break"),
        (["10-12", "13-19", "Oct-12"], "'Oct-12' and '10-12' are most likely one"),
    ],
)
def test_names_that_are_most_likely_one_are_refused(names, said):
    with pytest.raises(InputError) as caught:
        check_names([["X", "Y"], names], "t.csv")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_names_that_differ_are_left_alone():
    check_names([["Asian", "Black", ""], ["f", "m"]], "t.csv")
    refuse_alike(["", "", "a"], "the groups", "t.csv")
    assert name_limits(["10-19", "20-29"], "age") == []


@pytest.mark.parametrize("name", ["Unbekannt", "OKÄND", "Not stated", "未知", "non renseigné"])
def test_a_word_that_may_mean_unknown_is_pointed_out(name):
    (said,) = name_limits(["White", name, "Other"], "race")
    assert said.startswith(f"race {name!r} is taken for a name like any other.")
    assert "leave its cells blank" in said


def test_a_date_among_ranges_is_said_of_the_attribute():
    (said,) = name_limits(["Oct-19", "20-29"], "age")
    assert said.startswith("age 'Oct-19' stands among ranges") and "'10-19'" in said
