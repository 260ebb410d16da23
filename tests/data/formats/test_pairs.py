"""Lists of pairs: their two forms, every fault of them, and pairs drawn from a seed."""

import itertools

import numpy as np
import pytest

from fairjax.core.comparisons import UNKNOWN
from fairjax.data.dataset import DataError
from fairjax.data.faces import Faces
from fairjax.data.formats.pairs import account, draw_pairs, match, parse_pairs, refuse_problems


def lines_of(folds, n, start=0):
    """A whole list: in each part n mated and n non-mated lines, every image used once."""
    rows = []
    for part in range(start, start + folds):
        rows += [f"p{part}{k}\t1\t2" for k in range(n)]
        rows += [f"p{part}{k}\t3\tq{part}{k}\t1" for k in range(n)]
    return rows


def faces_of(people, groups=()):
    """People with as many images as given; images are named by person and number."""
    ids = [f"{who}/{k}" for who, n in people.items() for k in range(1, n + 1)]
    return Faces(
        source="made up",
        ids=np.array(ids),
        person=np.repeat(np.arange(len(people)), list(people.values())),
        people=np.array(list(people)),
        group=np.array([UNKNOWN if not groups else k % len(groups) for k in range(len(people))]),
        groups=tuple(groups),
        attribute="group",
        assigned_by="",
        digests=np.array(ids),
        skipped=(),
        read=lambda rows: [b""] * len(rows),
    )


def matched(rows, people):
    faces = faces_of(people)
    names = {(name.split("/")[0], int(name.split("/")[1])): name for name in faces.ids.tolist()}
    return match("lfw", faces, parse_pairs("\n".join(rows), name="pairs.txt"), names)


def test_both_kinds_of_line_are_told_by_their_fields():
    lines = parse_pairs("\n".join(lines_of(10, 2)), name="x")
    assert len(lines) == 40
    assert lines[0].first == ("p00", 1) and lines[0].second == ("p00", 2) and lines[0].mated
    assert lines[2].first == ("p00", 3) and lines[2].second == ("q00", 1) and not lines[2].mated
    assert [line.fold for line in lines] == np.repeat(np.arange(10), 4).tolist()
    assert lines[2].where == "x:3"


@pytest.mark.parametrize("head", ["3\t2", "3 2"])
def test_a_first_line_gives_parts_and_pairs(head):
    lines = parse_pairs("\n".join([head, *lines_of(3, 2)]), name="x")
    assert [line.fold for line in lines] == [0] * 4 + [1] * 4 + [2] * 4
    assert lines[0].where == "x:2"


def test_a_first_line_of_one_number_is_one_part():
    lines = parse_pairs("\n".join(["4", *lines_of(1, 4)]), name="x")
    assert {line.fold for line in lines} == {0}
    assert sum(line.mated for line in lines) == 4


def test_blanks_serve_as_tabs_and_empty_lines_are_nothing():
    tabs = lines_of(10, 1)
    blanks = "\n\n".join(line.replace("\t", "  ") for line in tabs) + "\n\n"
    plain = parse_pairs("\n".join(tabs), name="x")
    assert [line[:4] for line in parse_pairs(blanks, name="x")] == [line[:4] for line in plain]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "0 pairs are not 10 parts"),
        (lines_of(10, 2)[:-1], "39 pairs are not 10 parts"),
        (["10\t2", *lines_of(9, 2)], "36 pairs are not 10 parts of 2 mated and 2"),
        (lines_of(10, 3)[:-20], "x:3: a mated pair, where part 1 of 10 is to have 2 mated"),
        (["0 2"], "0 pairs are not 0 parts"),
        (["ten 2", *lines_of(10, 2)], "the first line, 'ten 2'"),
        ([*lines_of(10, 1)[:-1], "a\t1\tb\tx"], "x:20: 'a 1 b x' is no pair"),
        ([*lines_of(10, 1)[:-1], "a\t1\tb\t2\t3"], "x:20: 'a 1 b 2 3' is no pair"),
        ([*lines_of(10, 1)[:-1], "a\x1b\t-1\tb\t2"], r"'a\\x1b -1 b 2' is no pair"),
    ],
)
def test_a_list_of_another_form_is_refused_in_one_line(rows, words):
    with pytest.raises(DataError, match=words.replace("(", r"\(")) as caught:
        parse_pairs("\n".join(rows), name="x")
    assert "\n" not in str(caught.value)


def test_lines_become_rows_of_the_table():
    rows = ["1 1", "b 2 1", "a 1 b 2"]
    found = matched(rows, {"a": 1, "b": 2})
    assert found.problems == ()
    assert found.pairs.first.tolist() == [2, 0]
    assert found.pairs.second.tolist() == [1, 2]
    assert found.pairs.mated.tolist() == [True, False]
    assert found.pairs.fold.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("mated", "nonmated", "reason"),
    [
        ("a 1 9", "a 1 b 1", "image 9 of a is not there"),
        ("c 1 2", "a 1 b 1", "image 1 of c is not there"),
        ("a 1 1", "a 1 b 1", "image 1 of a is paired with itself"),
        ("a 1 2", "a 1 a 3", "a is given as two people"),
        ("a 1 2", "a 1 a 2", "a is given as two people"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_problem_and_the_rest_is_kept(mated, nonmated, reason):
    found = matched(["1", mated, nonmated], {"a": 3, "b": 1})
    assert len(found.pairs) == 1
    (problem,) = found.problems
    assert reason in problem.reason
    with pytest.raises(DataError, match=f"1 of 2 pairs of made up .* {problem.where}: ") as caught:
        refuse_problems(found, on_error="raise")
    assert "on_error=skip" in str(caught.value) and "\n" not in str(caught.value)
    assert refuse_problems(found, on_error="skip") is found


def test_a_pair_that_comes_again_is_a_problem_in_either_order():
    found = matched(["2", "a 1 2", "a 2 1", "a 1 b 1", "b 1 a 1"], {"a": 2, "b": 1})
    assert [problem.where for problem in found.problems] == ["pairs.txt:3", "pairs.txt:5"]
    assert found.problems[0].reason == "the pair of pairs.txt:2 again"


def test_a_list_without_a_usable_pair_is_refused_whatever_the_policy():
    found = matched(["1", "x 1 2", "x 1 y 1"], {"a": 1})
    for policy in ("raise", "skip"):
        with pytest.raises(DataError, match="2 of 2 pairs"):
            refuse_problems(found, on_error=policy)


def test_drawn_pairs_are_true_distinct_balanced_and_keep_people_in_one_part():
    faces = faces_of({f"p{k:03d}": 1 + k % 4 for k in range(120)}, groups=("x", "y", "z"))
    group = faces.group[faces.person]
    pairs = draw_pairs(faces.person, group, folds=5, per_fold=7, seed=3)
    assert (
        faces.person[pairs.first] == faces.person[pairs.second]
    ).tolist() == pairs.mated.tolist()
    assert (group[pairs.first] == group[pairs.second]).all()
    both = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert len(both) == len(pairs) and all(i < j for i, j in both)
    for g, fold in itertools.product(range(3), range(5)):
        inside = (group[pairs.first] == g) & (pairs.fold == fold)
        assert pairs.mated[inside].tolist() == [True] * 7 + [False] * 7
    part_of = {}
    for side in (pairs.first, pairs.second):
        for person, fold in zip(faces.person[side].tolist(), pairs.fold.tolist(), strict=True):
            assert part_of.setdefault(person, fold) == fold


def test_drawn_pairs_depend_on_the_seed_alone_and_come_as_far_as_there_are_any():
    faces = faces_of({"a": 3, "b": 2, "c": 1, "d": 1})
    group = faces.group[faces.person]

    def draw(seed, most=100):
        return draw_pairs(faces.person, group, folds=1, per_fold=most, seed=seed)

    assert draw(0).mated.sum() == 4 and len(draw(0)) == 8  # a gives 3 mated pairs, b gives 1
    some = [(p.first.tolist(), p.second.tolist()) for p in (draw(0, 2), draw(0, 2), draw(1, 2))]
    assert some[0] == some[1] != some[2]


def test_every_pair_is_as_likely_to_be_drawn():
    person = np.repeat(np.arange(6), 2)
    times = np.zeros(6)
    for seed in range(600):
        pairs = draw_pairs(person, np.zeros(12, int), folds=1, per_fold=1, seed=seed)
        times[person[pairs.first[0]]] += 1
    assert (np.abs(times - 100) < 4 * 100**0.5).all()


def test_the_account_counts_by_group_part_and_kind():
    faces = faces_of({"a": 2, "b": 2, "c": 1}, groups=("x", "y"))  # a and c are in x
    found = match(
        "lfw",
        faces,
        parse_pairs("2 1\na 1 2\na 1 c 1\nb 1 2\nc 1 b 1", name="x"),
        {(name.split("/")[0], int(name.split("/")[1])): name for name in faces.ids.tolist()},
    )
    assert account(found.pairs, faces) == {
        "pairs": 4,
        "by_group": {
            "x": {"mated": 1, "nonmated": 2, "people": 3},
            "y": {"mated": 1, "nonmated": 0, "people": 1},
        },
        "by_fold": {"1": {"mated": 1, "nonmated": 1}, "2": {"mated": 1, "nonmated": 1}},
    }
