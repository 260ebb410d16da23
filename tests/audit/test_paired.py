"""Before and after: the same pairs scored twice."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fairjax.audit import paired
from fairjax.audit.layout import TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.phantom_scores import Planted, Size, draw
from fairjax.audit.run import Settings, measure
from fairjax.audit.tables import InputError
from fairjax.core.results import Measure, Results
from fairjax.core.verdict import ALPHA

SIZE = Size(people=40, images=4, nonmated=1500, across=100)


def write(path, pairs, image, score, order=None, names=True):
    rows = []
    for k in range(len(score)):
        (a, b), (i, j), (g, h) = pairs.subject[k], image[k], pairs.group[k]
        images = f"p{a}_{i},p{b}_{j}," if names else ""
        rows.append(f"{images}p{a},p{b},{pairs.groups[g]},{pairs.groups[h]},{score[k]:.6f}")
    header = ("image1,image2," if names else "") + "subject1,subject2,group1,group2,score"
    order = range(len(rows)) if order is None else order
    path.write_text("\n".join([header, *(rows[k] for k in order)]) + "\n")


@pytest.fixture(scope="module")
def phantom():
    return draw(Planted(fmr_ratio=4.0), seed=0, size=SIZE)


@pytest.fixture(scope="module")
def both(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paired")
    pairs = phantom.comparisons
    files = [folder / "before.csv", folder / "after.csv"]
    write(files[0], pairs, phantom.image, pairs.score)
    moved = pairs.score - 0.1 * (pairs.group == 2).all(axis=1)
    order = np.random.default_rng(0).permutation(len(moved))
    write(files[1], pairs, phantom.image, moved, order=order)
    return files, moved


def test_the_second_tables_rows_may_come_in_any_order(phantom, both):
    files, moved = both
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    assert list(loaded.scores) == ["before", "after"]
    np.testing.assert_allclose(loaded.scores["before"], phantom.comparisons.score, atol=1e-6)
    np.testing.assert_allclose(loaded.scores["after"], moved, atol=1e-6)


def test_a_change_of_one_group_is_shown_and_no_other(both):
    files, _ = both
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    settings = Settings(fmrs=(), thresholds=(0.28,), resamples=300, paired=True)
    results = measure(loaded, settings)
    table = paired.table(results)
    rows = {(row[1], row[2]): row for row in table.rows}
    assert rows["FNMR", "jade"][-1] == "higher" and float(rows["FMR", "jade"][6]) < 0.05
    assert rows["FMR", "amber"][-1] == "not shown"
    assert float(rows["FMR", "amber"][6]) == 1  # nothing changed at all
    assert any("FNMR of jade higher" in sentence for sentence in paired.sentences(results))
    p = results.get(
        "fnmr_change_p_value", at="threshold 0.28", system="after minus before", group="jade"
    )
    change = results.get(
        "fnmr_change", at="threshold 0.28", system="after minus before", group="jade"
    )
    assert 0 < p.value < 1e-3 and change.interval[0] > 0
    holm = results.get(
        "fnmr_change_p_value_holm", at="threshold 0.28", system="after minus before", group="jade"
    )
    assert holm.value == pytest.approx(7 * p.value, rel=0.5) and "Holm" in holm.rule


def test_without_paired_no_change_is_tested(both):
    files, _ = both
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    results = measure(loaded, Settings(fmrs=(), thresholds=(0.28,), resamples=50))
    assert not paired.table(results).rows and not paired.sentences(results)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("amber", "umber"), "have different groups"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", "must list the same pairs"),
        (lambda text: text.replace("p1_0", "p1_9"), "is in the first alone"),
        (lambda text: text.replace("p0,p0,", "q0,q0,"), "disagree about people"),
    ],
)
def test_other_pairs_are_refused(both, tmp_path, change, said):
    files, _ = both
    other = tmp_path / "other.csv"
    other.write_text(change(files[0].read_text()))
    with pytest.raises(InputError, match=re.escape(said)):
        paired.load_both([files[0], other], TableOptions(), people=None)


def test_without_images_rows_are_matched_in_their_order(phantom, tmp_path):
    pairs = phantom.comparisons
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "s.csv", pairs, phantom.image, pairs.score, names=False)
    files = [tmp_path / "a" / "s.csv", tmp_path / "b" / "s.csv"]
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    assert list(loaded.scores) == ["before", "after"]
    turned = Path(files[1])
    lines = turned.read_text().splitlines()
    turned.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with pytest.raises(InputError, match="disagree about"):
        paired.load_both(files, TableOptions(), people=None)


FILES = [Path("a/old.csv"), Path("b/new.csv")]


def four(**changes):
    """Four pairs of four people in two groups, with images."""
    whole = dict(
        by="group",
        groups=("X", "Y"),
        scores={"s": np.array([0.9, 0.8, 0.1, 0.2])},
        mated=np.array([True, True, False, False]),
        subject=np.array([[0, 0], [1, 1], [0, 2], [1, 3]]),
        group=np.array([[0, 0], [1, 1], [0, 0], [1, 1]]),
        fold=np.zeros(4, int),
        has_subjects=True,
        has_images=True,
        names=("a", "b", "c", "d"),
        image=np.array([[0, 1], [2, 3], [0, 4], [2, 5]]),
        images=("a1", "a2", "b1", "b2", "c1", "d1"),
        kinds={"s": "cosine"},
    )
    return Loaded(**{**whole, **changes})


def joined(second, first=None):
    return paired.join(first or four(), second, ["old", "new"], FILES)


def test_rows_images_and_sides_may_come_in_any_order():
    order = np.array([2, 0, 3, 1])
    number = np.array([5, 3, 1, 0, 2, 4])  # of each image in the other table
    names = np.empty(6, object)
    names[number] = four().images
    other = replace(
        four(scores={"t": np.array([0.7, 0.6, 0.3, 0.4])}, kinds={"t": "cosine"}),
        image=number[four().image][:, ::-1],
        images=tuple(names),
    ).take(order)
    found = joined(other)
    assert list(found.scores) == ["old", "new"]
    np.testing.assert_array_equal(found.scores["old"], [0.9, 0.8, 0.1, 0.2])
    np.testing.assert_array_equal(found.scores["new"], [0.7, 0.6, 0.3, 0.4])
    assert found.images == four().images and found.kinds == {"old": "cosine", "new": "cosine"}


def test_kinds_distances_and_notes_go_by_the_systems_new_names():
    second = four(kinds={}, distances=("s",), notes=("Odd.",))
    found = joined(second, four(notes=("Odd.", "Old.")))
    assert found.kinds == {"old": "cosine", "new": ""} and found.distances == ("new",)
    assert found.notes == ("old.csv: Odd.", "old.csv: Old.", "new.csv: Odd.")
    assert joined(four(), four(distances=("s",))).distances == ("old",)
    assert joined(four(distances=("s",)), four(distances=("s",))).distances == ("old", "new")


def test_people_may_be_numbered_otherwise_and_go_by_their_names():
    turned = four(subject=3 - four().subject, names=("d", "c", "b", "a"))
    assert len(joined(turned)) == 4
    renamed = four(names=("a", "b", "c", "x"))
    with pytest.raises(
        InputError, match="disagree about people in 1 pairs, first in data row 4; b"
    ):
        joined(renamed)
    assert len(joined(four(names=()))) == 4  # one that names nobody contradicts nobody


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"groups": ("X", "Z")}, "old.csv and new.csv have different groups: X, Y; X, Z."),
        (
            {"scores": {"s": np.zeros(4), "t": np.zeros(4)}},
            "new.csv has several columns of scores; n",
        ),
        (
            {"mated": np.array([True, True, True, False])},
            "about mated pairs in 1 pairs, first in d",
        ),
        (
            {"group": np.array([[0, 0], [1, 1], [0, 1], [1, 1]])},
            "about groups in 1 pairs, first in data row 3; both must list the same pairs.",
        ),
        (
            {"images": ("a1", "a2", "b1", "b2", "c1", "d9")},
            "the pair 'b1', 'd1' is in the first alone (1 such pair); both must list the same",
        ),
    ],
)
def test_what_two_tables_disagree_about_is_named(changes, said):
    with pytest.raises(InputError) as caught:
        joined(four(**changes))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_sides_in_another_order_are_no_other_groups():
    across = np.array([[0, 0], [1, 1], [0, 1], [1, 0]])
    assert len(joined(four(group=across[:, ::-1]), four(group=across))) == 4


def test_tables_of_other_lengths_or_without_images_are_matched_by_row():
    with pytest.raises(InputError, match="have 4 and 3 pairs; both must list the same pairs"):
        joined(four().take(np.arange(3)))
    bare = dict(image=None, images=(), has_images=False)
    assert len(joined(four(**bare), four(**bare))) == 4
    moved = four(**bare).take(np.array([1, 0, 2, 3]))
    with pytest.raises(
        InputError, match=r"in 2 pairs, first in data row 1; .*, in one order, as no"
    ):
        joined(moved, four(**bare))


def change(value, p, *, name="fnmr", unit="fraction", adjusted=None, interval=None, **more):
    """The five measures of one tested change."""
    place = dict(at="FMR 1e-3", **more)
    systems = "new minus old"
    before, after = (0.1, 0.1 + value) if unit == "fraction" else (2.0, 2.0 + value)
    return [
        Measure(name, before, unit, 9, system="old", **place),
        Measure(name, after, unit, 9, system="new", **place),
        Measure(f"{name}_change", value, unit, 9, system=systems, interval=interval, **place),
        Measure(f"{name}_change_p_value", p, "fraction", 9, system=systems, **place),
        Measure(
            f"{name}_change_p_value_holm", adjusted or p, "fraction", 9, system=systems, **place
        ),
    ]


def told(*changes):
    return Results("verification", {}, [m for one in changes for m in one], {}, [], {})


def test_a_change_by_hand():
    one = change(0.05, 0.01, adjusted=0.02, group={"race": "X"}, interval=(0.01, 0.09))
    table = paired.table(told(one))
    assert table.rows == [
        ["FMR 1e-3", "FNMR", "X", "10", "15", "+5 [1, 9]", "0.01", "0.02", "higher"]
    ]
    assert paired.sentences(told(one)) == [
        "Shown to have changed at FMR 1e-3: FNMR of X higher, 10 to 15 %."
    ]


@pytest.mark.parametrize(
    ("made", "what", "cells", "said"),
    [
        (
            change(-0.02, 0.01, name="fmr_difference", across="race"),
            "gap, difference",
            ["10", "8", "-2"],
            "FMR gap, difference narrower, 10 to 8 points",
        ),
        (
            change(0.5, 0.01, name="fnmr_max_over_min", unit="ratio", across="race"),
            "gap, largest / smallest",
            ["2", "2.5", "+0.5"],
            "FNMR gap, largest / smallest wider, 2 to 2.5 times",
        ),
        (change(-0.02, 0.01), "everyone", ["10", "8", "-2"], "FNMR of everyone lower, 10 to 8 %"),
    ],
)
def test_gaps_grow_wider_or_narrower_in_their_unit(made, what, cells, said):
    (row,) = paired.table(told(made)).rows
    assert row[2] == what and row[3:6] == cells
    assert paired.sentences(told(made)) == [f"Shown to have changed at FMR 1e-3: {said}."]


@pytest.mark.parametrize(
    ("value", "adjusted", "word"),
    [
        (0.05, ALPHA, "higher"),
        (-0.05, ALPHA, "lower"),
        (0.05, ALPHA + 1e-9, "not shown"),
        (0.0, 0.001, "not shown"),
    ],
)
def test_a_change_is_shown_at_the_level_and_has_a_direction(value, adjusted, word):
    one = change(value, 0.001, adjusted=adjusted)
    assert paired.table(told(one)).rows[0][-1] == word
    nothing = ["What changed: no change of a group's error rate or of a gap is shown."]
    assert (paired.sentences(told(one)) == nothing) is (word == "not shown")


def test_each_point_has_its_sentence_and_what_is_not_shown_is_left_out():
    first, still = change(0.05, 0.01, group={"g": "X"}), change(0.05, 0.9, group={"g": "Y"})
    other = [replace(m, at="threshold 0.5") for m in first]
    assert paired.sentences(told(first, still, other)) == [
        f"Shown to have changed at {at}: FNMR of X higher, 10 to 15 %."
        for at in ("FMR 1e-3", "threshold 0.5")
    ]
    assert paired.sentences(told()) == []


def test_systems_of_one_name_are_before_and_after(tmp_path):
    rows = "subject1,subject2,group1,group2,score\na,a,X,X,0.9\nb,b,Y,Y,0.8\na,b,X,Y,0.1\n"
    files = [tmp_path / "a" / "s.csv", tmp_path / "b" / "s.csv", tmp_path / "t.csv"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text(rows)
    same, other = (
        paired.load_both(two, TableOptions(), people=None)["group"]
        for two in (files[:2], files[1:])
    )
    assert list(same.scores) == ["before", "after"] and list(other.scores) == ["s", "t"]
