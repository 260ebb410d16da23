"""Pairs as an audit holds them, and what makes them unfit."""

from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit.loaded import (
    UNNAMED_IMAGES,
    Loaded,
    check_direction,
    check_groups,
    check_people,
    independent,
)
from fairjax.audit.tables import InputError
from fairjax.core.comparisons import UNKNOWN, Pairs

NAMES = ["a", "b", "c"]


def pairs(**changes):
    """Four pairs: a-a and b-b of X and Y, a-c within X, and b-a across."""
    whole = Loaded(
        by="race",
        groups=("X", "Y"),
        scores={"s": np.array([0.9, 0.8, 0.1, 0.2]), "t": np.array([4.0, 3.0, 2.0, 1.0])},
        mated=np.array([True, True, False, False]),
        subject=np.array([[0, 0], [1, 1], [0, 2], [1, 0]]),
        group=np.array([[0, 0], [1, 1], [0, 0], [1, 0]]),
        fold=np.array([0, 1, 0, 1]),
        has_subjects=True,
        has_images=True,
    )
    return replace(whole, **changes)


def test_taken_pairs_keep_everything_that_belongs_to_them():
    rows = Pairs(np.arange(4), np.arange(4) + 4, np.zeros(4, bool), np.zeros(4, int))
    some = pairs(pairs=rows).take(np.array([3, 0]))
    assert len(some) == 2
    assert some.scores["s"].tolist() == [0.2, 0.9] and some.scores["t"].tolist() == [1.0, 4.0]
    assert some.mated.tolist() == [False, True]
    assert some.subject.tolist() == [[1, 0], [0, 0]] and some.group.tolist() == [[1, 0], [0, 0]]
    assert some.fold.tolist() == [1, 0]
    assert some.pairs.first.tolist() == [3, 0] and some.pairs.second.tolist() == [7, 4]
    assert pairs().take(np.array([True, False, False, True])).fold.tolist() == [0, 1]


def test_comparisons_are_of_one_system():
    found = pairs().comparisons("t")
    assert found.score.tolist() == [4.0, 3.0, 2.0, 1.0]
    assert found.groups == ("X", "Y") and found.fold.tolist() == [0, 1, 0, 1]


def test_limits_say_what_the_pairs_do_not():
    assert pairs().limits() == []
    assert pairs(notes=("Odd.",), has_images=False).limits() == ["Odd.", UNNAMED_IMAGES]
    (said,) = pairs(has_subjects=False).limits()
    assert said.startswith("THE PAIRS DO NOT SAY WHO IS ON THEM")


def test_people_who_are_made_up_share_nothing_but_a_mated_pair():
    mated = np.array([True, False, True, False])
    made_up = independent(mated)
    assert ((made_up[:, 0] == made_up[:, 1]) == mated).all()
    assert len(np.unique(made_up)) == 6  # one a mated pair, two a non-mated one
    assert independent(np.zeros(0, bool)).shape == (0, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"groups": ("X",)}, "t.csv: a comparison between groups needs two or more; by race there"),
        ({"groups": ()}, "by race there is none"),
        ({"mated": np.zeros(4, bool)}, "t.csv has no mated pairs (4 pairs in all)"),
        ({"mated": np.ones(4, bool)}, "t.csv has no non-mated pairs (4 pairs in all)"),
    ],
)
def test_two_groups_and_both_kinds_of_pairs_are_needed(changes, said):
    check_groups(pairs(), "t.csv")
    with pytest.raises(InputError) as caught:
        check_groups(pairs(**changes), "t.csv")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("distances", "column", "parts"),
    [
        ((), "", ["mean s of 0.15, non-mated ones of 0.85", "use --distance s if smaller"]),
        (("s",), "", ["mean s of -0.15, non-mated ones of -0.85", "use --score s if larger"]),
        ((), "same", ["or --zero-is-same if 0 in 'same' marks one person", "--any-direction"]),
    ],
)
def test_scores_that_fall_with_likeness_are_refused_with_the_flags(distances, column, parts):
    turned = pairs(scores={"s": np.array([0.1, 0.2, 0.9, 0.8])}, distances=distances)
    with pytest.raises(InputError) as caught:
        check_direction(turned, "s", "t.csv", mated_column=column)
    for part in parts:
        assert part in str(caught.value)
    check_direction(pairs(), "s", "t.csv")


@pytest.mark.parametrize("rows", [29, 30])
def test_one_group_alone_may_run_the_wrong_way_only_where_chance_explains_it(rows):
    mated = np.tile(np.repeat([True, False], rows), 2)
    group = np.repeat([0, 1], 2 * rows)
    score = np.where(group == 0, 10.0 * mated, 0.1 * ~mated)  # right over all, wrong within Y
    several = pairs(
        scores={"s": score},
        mated=mated,
        subject=independent(mated),
        group=np.stack([group, group], axis=1),
        fold=np.zeros(len(mated), int),
    )
    if rows < 30:
        check_direction(several, "s", "t.csv")
        return
    with pytest.raises(InputError) as caught:
        check_direction(several, "s", "t.csv")
    assert "mated pairs of 'Y' have a mean s of 0," in str(caught.value)
    assert "the table mixes directions" in str(caught.value)


def test_pairs_across_groups_are_in_none_of_them():
    mated = np.repeat([True, False, False], 40)
    group = np.zeros((120, 2), int)
    group[80:, 1] = 1
    score = np.repeat([0.5, 0.4, 0.0], 40)
    fine = pairs(
        scores={"s": score}, mated=mated, subject=independent(mated), group=group, fold=mated * 0
    )
    check_direction(fine, "s", "t.csv")
    with pytest.raises(InputError, match="of 'X'"):
        check_direction(replace(fine, scores={"s": np.repeat([0.5, 0.6, 0.0], 40)}), "s", "t.csv")


def test_a_failures_code_that_turns_the_scores_is_named():
    mated = np.arange(60) % 2 == 0
    score = np.where(mated, 0.6, 0.1) + np.linspace(0, 0.2, 60)
    score[:20:2] = -999
    odd = pairs(
        scores={"s": score},
        mated=mated,
        subject=independent(mated),
        group=np.zeros((60, 2), int),
        fold=np.zeros(60, int),
    )
    with pytest.raises(InputError, match="--failure-score -999"):
        check_direction(odd, "s", "t.csv")


def test_everybody_is_in_one_group():
    check_people(pairs(), NAMES, "t.csv")
    group = pairs().group.copy()
    group[3, 0] = 0
    with pytest.raises(InputError) as caught:
        check_people(pairs(group=group), NAMES, "t.csv")
    said = str(caught.value)
    assert "data row 4: 'b' is in 'X' here and in 'Y' elsewhere (1 such person of 3)" in said
    assert "--subjects-by-group" in said


def test_a_group_that_is_known_on_one_row_only_is_named():
    group = pairs().group.copy()
    group[3] = UNKNOWN
    with pytest.raises(InputError) as caught:
        check_people(pairs(group=group), NAMES, "t.csv")
    assert "data row 4: 'b' is in no group here and in 'Y' elsewhere" in str(caught.value)
    assert "(2 such people of 3)" in str(caught.value)


def test_where_nobody_is_named_a_mated_pair_is_in_one_group():
    nameless = pairs(has_subjects=False)
    check_people(nameless, [], "t.csv")
    group = nameless.group.copy()
    group[1] = 0, 1
    with pytest.raises(InputError, match=r"data row 2: a mated pair with one person in two groups"):
        check_people(replace(nameless, group=group), [], "t.csv")
