"""Galleries by hand: orders, flags, enrolled people, and what searches of one gallery find."""

import numpy as np
import pytest

from fairjax.audit import galleries
from fairjax.audit.tables import InputError
from fairjax.metrics.identification import NOWHERE


@pytest.mark.parametrize(
    ("word", "truth"),
    [
        ("1", True),
        ("true", True),
        ("YES", True),
        ("1.0", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("0.0", False),
        ("", False),
    ],
)
def test_a_flag_is_one_or_nought_in_words(word, truth):
    assert galleries._flag(word, "failed", "t.csv") is truth


@pytest.mark.parametrize("word", ["2", "maybe", "-1", "nan"])
def test_another_flag_is_refused(word):
    with pytest.raises(InputError, match=f"^t.csv: enrolled is '{word}'; expected 1 or 0.$"):
        galleries._flag(word, "enrolled", "t.csv")


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_every_beginning_of_a_gallery_has_the_groups_in_equal_parts(groups):
    people = np.arange(20 * groups) * 2
    home = np.full(40 * groups, -1)
    home[people] = np.arange(20 * groups) % groups
    order = galleries._mixed(people, home, np.random.default_rng(0))
    assert sorted(order) == people.tolist()
    for size in range(groups, len(order), groups):
        count = np.bincount(home[order[:size]], minlength=groups)
        assert np.ptp(count) == 0
    other = galleries._mixed(people, home, np.random.default_rng(1))
    assert order.tolist() != other.tolist()


def test_groups_of_unequal_size_keep_their_shares():
    home = np.repeat([0, 1], [30, 10])
    order = galleries._mixed(np.arange(40), home, np.random.default_rng(0))
    assert [(home[order[: 4 * k]] == 1).sum() for k in range(11)] == list(range(11))


LISTS = [
    # probe, its person, candidate's person, score
    ("p2", "bea", "ann", 0.7),
    ("p1", "ann", "ann", 0.9),
    ("p1", "ann", "bea", 0.9),  # as high as the mate's: ahead of it
    ("p2", "bea", "cyd", 0.8),
    ("p3", "cyd", "", np.nan),
    ("p2", "bea", "bea", 0.6),
]


def table(rows=LISTS, **more):
    probe, person, candidate, score = zip(*rows, strict=True)
    words = {"probe": probe, "probe_subject": person, "candidate_subject": candidate}
    columns = {name: np.array(column, object) for name, column in words.items()}
    return {**columns, "score": np.array(score, float), **more}


def searched(rows=LISTS, members=frozenset({"ann", "bea"}), name="", **more):
    group = np.zeros(len(rows), int)
    return galleries._searches(table(rows, **more), group, members, name, "t.csv")


def test_searches_are_sorted_by_probe_and_ranked_by_hand():
    gallery = searched()
    found = gallery.searches
    assert found.mated.tolist() == [True, True, False]
    assert found.person.tolist() == [0, 1, 2]  # ann, bea, cyd
    np.testing.assert_array_equal(found.top, [0.9, 0.8, -np.inf])
    assert found.rank.tolist() == [2, 3, NOWHERE]
    assert found.found[1:].tolist() == [2, -1]
    assert (gallery.name, gallery.size) == ("N 2", 2)
    assert gallery.failed is gallery.seconds is None


def test_the_order_of_the_rows_changes_no_search():
    one, other = searched().searches, searched(LISTS[::-1]).searches
    for name in ("person", "mated", "top", "rank"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_names_of_galleries_and_what_else_is_known():
    flags = np.array(list("100010"), object)
    gallery = searched(
        members=None,
        enrolled=np.array(["1", "1", "1", "1", "0", "1"], object),
        failed=flags,
        seconds=np.arange(6.0),
    )
    assert (gallery.name, gallery.size) == ("candidate lists", None)
    assert gallery.failed.tolist() == [False, True, True]
    assert gallery.seconds.tolist() == [1.0, 0.0, 4.0]
    assert searched(name="large").name == "large"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("p1", "bea", "bea", 0.1), "t.csv: the probe 'p1' shows two people."),
        (("p4", "", "bea", 0.1), "t.csv, data row 7: probe_subject is empty."),
        (
            ("p4", "cyd", "cyd", 0.1),
            "the probe 'p4' has its own person among the candidates, who is",
        ),
    ],
)
def test_lists_that_contradict_themselves_are_refused(row, said):
    with pytest.raises(InputError, match=said):
        searched([*LISTS, row])


@pytest.mark.parametrize(("mates", "refused"), [(4, False), (5, True)])
def test_distances_are_seen_with_five_of_each_kind(mates, refused):
    score = np.concatenate([np.full(mates, 0.2), np.full(9, 0.8), [-np.inf]])
    is_mate = np.arange(len(score)) < mates
    galleries._require_scores(-score, is_mate, "t.csv")
    if not refused:
        galleries._require_scores(score, is_mate, "t.csv")
        return
    with pytest.raises(
        InputError, match=r"scores lower \(median 0.2\) than other candidates \(0.8"
    ):
        galleries._require_scores(score, is_mate, "t.csv")


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("subject\nann\nbea\n", {"": {"ann", "bea"}}),
        ("no,Subject\n1,ann\n2,bea\n", {"": {"ann", "bea"}}),
        ("who\nann\n", {"": {"ann"}}),
        ("subject,gallery\nann,s\nann,l\nbea,l\n", {"s": {"ann"}, "l": {"ann", "bea"}}),
        ("gallery\nann\n", {"": {"ann"}}),  # the only column is the people's
    ],
)
def test_people_enrolled_by_gallery(tmp_path, text, people):
    path = tmp_path / "e.csv"
    path.write_text(text)
    assert galleries._enrolled(path, {"ann", "zoe"}, "t.csv") == people
    assert galleries._enrolled(path, set(), "t.csv") == people  # nobody was found
    with pytest.raises(InputError, match="^t.csv: nobody in the column "):
        galleries._enrolled(path, {"zoe"}, "t.csv")
