import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairjax.audit import phantom_scores, run
from fairjax.audit.layout import Asked
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.people import load_people
from fairjax.audit.tables import InputError

HEAD = "image1,image2,subject1,subject2,group1,group2,score\n"
ROWS = [
    "a1,a2,a,a,X,X,0.9\n",
    "b1,b2,b,b,Y,Y,0.8\n",
    "a1,c1,a,c,X,X,0.1\n",
    "b1,a1,b,a,Y,X,0.2\n",
]
GOOD = HEAD + "".join(ROWS)
MARKED = "same,subject1,subject2,group,score\n"
PEOPLE = "subject,race,gender\na,X,f\nb,Y,m\nc,X,m\n"


def load(folder: Path, text: str, asked: Asked | None = None, people: str = "") -> Loaded:
    table = folder / "pairs.csv"
    table.write_text(text)
    known = None
    if people:
        (folder / "people.csv").write_text(people)
        known = load_people(folder / "people.csv")
    return next(iter(load_comparisons(table, asked or Asked(), people=known).values()))


def test_customary_names_are_found(tmp_path):
    loaded = load(tmp_path, GOOD)
    assert loaded.groups == ("X", "Y")
    assert loaded.mated.tolist() == [True, True, False, False]
    assert loaded.subject.tolist() == [[0, 0], [1, 1], [0, 2], [1, 0]]
    assert loaded.group.tolist() == [[0, 0], [1, 1], [0, 0], [1, 0]]
    assert loaded.scores["score"].tolist() == [0.9, 0.8, 0.1, 0.2]
    assert loaded.limits() == []


def test_flags_name_columns_and_several_systems(tmp_path):
    text = GOOD.replace(HEAD, "left,right,who_a,who_b,gl,gr,ours\n").replace("\n", ",0.5\n")
    text = text.replace("ours,0.5", "ours,theirs", 1)
    asked = Asked(
        scores=["ours"],
        distances=["theirs"],
        subject="who",
        image="left,right",
        by=["race=gl,gr"],
        any_direction=True,
    )
    loaded = load(tmp_path, text, asked)
    assert loaded.by == "race"
    assert loaded.scores["ours"].tolist() == [0.9, 0.8, 0.1, 0.2]
    assert loaded.scores["theirs"].tolist() == [-0.5] * 4  # a distance is turned round


def test_the_bfw_table_is_read_as_it_comes(tmp_path):
    text = (
        "fold,p1,p2,label,id1,id2,att1,att2,vgg16,resnet50\n"
        "1,f/1.jpg,f/2.jpg,1,0,0,asian_females,asian_females,0.9,0.8\n"
        "2,f/1.jpg,g/1.jpg,0,0,1,asian_females,white_males,0.1,0.2\n"
    )
    loaded = load(tmp_path, text, Asked(scores=["vgg16", "resnet50"]))
    assert loaded.groups == ("asian_females", "white_males")
    assert list(loaded.scores) == ["vgg16", "resnet50"]
    assert loaded.fold.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("b,a,Y,X", "b,a,X,X"), "row 4: 'b' is in 'X' here and in 'Y' elsewhere"),
        (GOOD + ROWS[2], "the pair 'a1', 'c1' is in data rows 3 and 5"),
        (GOOD + "c1,a1,c,a,X,X,.1\n", "the pair 'a1', 'c1' is in data rows 3 and 5"),
        (GOOD + "c1,c1,c,c,X,X,.9\n", "data row 5: 'c1' is compared with itself"),
        (HEAD + ROWS[0] + ROWS[2], "needs two or more; by group there is 'X'"),
        (HEAD + ROWS[0] + ROWS[1], "has no non-mated pairs"),
        (HEAD + ROWS[2] + ROWS[3], "has no mated pairs"),
        (GOOD.replace(",X,", ",x,", 1), "the groups 'x' and 'X' differ by case or spaces alone"),
        (GOOD.replace(",Y,Y", ",Y,"), "data row 2: group2 (group) is empty; --unknown-groups"),
        (GOOD.replace("a1,a2,a,a", "a1,a2,a,"), "data row 1: subject2 (subject) is empty"),
        (GOOD.replace("score", "distance"), "the wrong way round; use --score distance"),
        (GOOD.replace("0.9", "-0.9").replace("0.8", "-0.8"), "use --distance score"),
        (GOOD.replace("score", "value"), "no column of scores"),
        (GOOD.replace("subject", "who"), "name the columns with --mated or --subject"),
        (GOOD.replace("group", "clan"), "no columns for the groups by 'group'"),
        (GOOD.replace("image1", "score", 1), "has 'score', 'score'; say which one with --score"),
        (MARKED + "1,a,a,X,.9\n1,a,b,X,.1\n", "data row 2: marked mated but shows 'a', 'b'"),
        (MARKED + "1,a,a,X,.9\nmaybe,a,b,X,.1\n", "data row 2: same is 'maybe'; expected 1 or 0"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_group_in_the_other_direction_is_found_among_right_ones(tmp_path):
    drawn = phantom_scores.draw(phantom_scores.Planted(), seed=0, size=SMALL)
    text = as_table(drawn, flipped=1)
    with pytest.raises(InputError, match="'cobalt' have a mean .* mixes directions"):
        load(tmp_path, text)
    assert len(load(tmp_path, text, Asked(any_direction=True)))


def test_unknown_groups_are_kept_among_everyone_only_where_that_is_asked_for(tmp_path):
    loaded = load(
        tmp_path,
        GOOD.replace("Y,Y", ",").replace("Y,X", ",X").replace("c,X,X", "c,X,Y"),
        Asked(unknown_groups=True),
    )
    assert loaded.group.tolist() == [[0, 0], [-1, -1], [0, 1], [-1, 0]]


def test_names_of_groups_are_held_to_the_ones_expected(tmp_path):
    assert load(tmp_path, GOOD, Asked(group_names=["Y", "X"])).groups == ("Y", "X")
    with pytest.raises(InputError, match="'Y' is not among --group-names 'X', 'Yy'; did you mean"):
        load(tmp_path, GOOD, Asked(group_names=["X", "Yy"]))
    with pytest.raises(InputError, match="nobody is in the group 'Z'"):
        load(tmp_path, GOOD, Asked(group_names=["X", "Y", "Z"]))


def test_groups_come_from_a_table_of_people_and_meet(tmp_path):
    text = "subject1,subject2,score\na,a,.9\nb,b,.8\na,c,.1\nb,a,.2\n"
    loaded = load(tmp_path, text, Asked(by=["race+gender"]), PEOPLE)
    assert loaded.groups == ("X f", "X m", "Y m")
    assert loaded.group.tolist() == [[0, 0], [2, 2], [0, 1], [2, 0]]
    with pytest.raises(InputError, match="say with --by which"):
        load(tmp_path, text, people=PEOPLE)
    with pytest.raises(InputError, match="lacks 1 of the 3 subjects of .*: 'c'"):
        load(tmp_path, text, Asked(by=["race"]), PEOPLE.replace("c,X,m\n", ""))
    with pytest.raises(InputError, match="subject 'b' is in data rows 2 and 3"):
        load(tmp_path, text, Asked(by=["race"]), PEOPLE.replace("c,X", "b,X"))
    with pytest.raises(InputError, match="the race of 'c' is empty"):
        load(tmp_path, text, Asked(by=["race"]), PEOPLE.replace("c,X", "c,"))


def test_images_lead_to_people_and_groups(tmp_path):
    people = "image,subject,race\ni,a,X\nj,a,X\nk,b,Y\n"
    loaded = load(tmp_path, "image1,image2,score\ni,j,.9\nj,k,.1\n", people=people)
    assert loaded.by == "race"
    assert loaded.mated.tolist() == [True, False]


def test_a_name_can_be_one_within_its_group_only(tmp_path):
    text = GOOD.replace("b1,b2,b,b,Y,Y", "b1,b2,a,a,Y,Y").replace("b1,a1,b,a", "b1,a1,a,a")
    with pytest.raises(InputError, match="--subjects-by-group"):
        load(tmp_path, text.replace(ROWS[3].replace("b,a", "a,a"), ""))
    loaded = load(tmp_path, text, Asked(subjects_by_group=True))
    assert loaded.mated.tolist() == [True, True, False]  # one name in two groups is left out
    assert "1 of 2 names occur in several groups" in loaded.limits()[0]
    assert "1 of 4 pairs show one name in two groups and were left out" in loaded.limits()[0]


def test_without_subjects_pairs_stand_alone_and_the_report_says_so(tmp_path):
    loaded = load(tmp_path, "same,group,score\n1,X,.9\n0,Y,.1\n")
    assert loaded.subject.tolist() == [[0, 0], [2, 3]]
    assert "DO NOT SAY WHO" in loaded.limits()[0]
    with pytest.raises(InputError, match="data row 1: a mated pair with one person in two groups"):
        load(tmp_path, "same,group1,group2,score\n1,X,Y,.9\n0,Y,Y,.1\n")


SMALL = phantom_scores.Size(people=40, images=3, nonmated=600, across=100)


def as_table(drawn: phantom_scores.Phantom, order=None, names=None, flipped: int = -1) -> str:
    """The comparisons as CSV, in some order and with some names of groups."""
    c, names = drawn.comparisons, names or phantom_scores.GROUPS
    sign = np.where((c.group == flipped).all(axis=1), -1, 1)
    rows = [
        f"s{s[0]}_{i[0]},s{s[1]}_{i[1]},s{s[0]},s{s[1]},{names[g[0]]},{names[g[1]]},{score}\n"
        for s, i, g, score in zip(
            c.subject.tolist(),
            drawn.image.tolist(),
            c.group.tolist(),
            (sign * c.score).tolist(),
            strict=True,
        )
    ]
    return HEAD + "".join(rows[k] for k in (range(len(rows)) if order is None else order))


def measured(folder: Path, text: str):
    settings_ = run.Settings(fmrs=[1e-2], resamples=50)
    return run.measure(load(folder, text), settings_)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(tmp_path, seed):
    drawn = phantom_scores.draw(phantom_scores.Planted(fmr_ratio=3.0), seed=0, size=SMALL)
    order = np.random.default_rng(seed).permutation(len(drawn.comparisons))
    one, other = (measured(tmp_path, as_table(drawn, o)) for o in (None, order))
    assert one.provenance["pairs"] == other.provenance["pairs"]
    for a, b in zip(one.measures, other.measures, strict=True):
        assert a.value == (b.value if b.value is None else pytest.approx(b.value)), a
        assert a.interval == (b.interval if b.interval is None else pytest.approx(b.interval)), a


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.permutations(["p", "q", "r", "s"]))
def test_renaming_groups_moves_no_rate(tmp_path, names):
    drawn = phantom_scores.draw(phantom_scores.Planted(fmr_ratio=3.0), seed=0, size=SMALL)
    one, other = (measured(tmp_path, as_table(drawn, names=n)) for n in (None, names))
    for old, new in zip(phantom_scores.GROUPS, names, strict=True):
        for rate in ("fmr", "fnmr"):
            a, b = (
                one.get(rate, at="FMR 1e-2", group=old),
                other.get(rate, at="FMR 1e-2", group=new),
            )
            assert (a.value, a.n, a.n_errors) == (b.value, b.n, b.n_errors)
    a, b = (r.get("fmr_gini", across="group", at="FMR 1e-2").value for r in (one, other))
    assert a == pytest.approx(b)


@pytest.mark.slow
def test_a_million_rows_are_read_in_seconds(tmp_path):
    size = phantom_scores.Size(people=600, images=5, nonmated=230_000, across=20_000)
    drawn = phantom_scores.draw(phantom_scores.Planted(), seed=0, size=size)
    (tmp_path / "pairs.csv").write_text(as_table(drawn))
    start = time.perf_counter()
    loaded = load_comparisons(tmp_path / "pairs.csv", Asked())["group"]
    assert len(loaded) > 1_000_000
    assert time.perf_counter() - start < 30  # 4 s on two idle cores
