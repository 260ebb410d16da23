import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairjax.audit import phantom_scores, run
from fairjax.audit.layout import TableOptions
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


def load(folder: Path, text: str, options: TableOptions | None = None, people: str = "") -> Loaded:
    table = folder / "pairs.csv"
    table.write_text(text)
    known = None
    if people:
        (folder / "people.csv").write_text(people)
        known = load_people(folder / "people.csv")
    return next(iter(load_comparisons(table, options or TableOptions(), people=known).values()))


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
    options = TableOptions(
        scores=["ours"],
        distances=["theirs"],
        subject="who",
        image="left,right",
        by=["race=gl,gr"],
        any_direction=True,
    )
    loaded = load(tmp_path, text, options)
    assert loaded.by == "race"
    assert loaded.scores["ours"].tolist() == [0.9, 0.8, 0.1, 0.2]
    assert loaded.scores["theirs"].tolist() == [-0.5] * 4  # a distance is turned round


def test_the_bfw_table_is_read_as_it_comes(tmp_path):
    text = (
        "fold,p1,p2,label,id1,id2,att1,att2,vgg16,resnet50\n"
        "1,f/1.jpg,f/2.jpg,1,0,0,asian_females,asian_females,0.9,0.8\n"
        "2,f/1.jpg,g/1.jpg,0,0,1,asian_females,white_males,0.1,0.2\n"
    )
    loaded = load(tmp_path, text, TableOptions(scores=["vgg16", "resnet50"]))
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
    assert len(load(tmp_path, text, TableOptions(any_direction=True)))


def test_unknown_groups_are_kept_among_everyone_only_where_that_is_asked_for(tmp_path):
    loaded = load(
        tmp_path,
        GOOD.replace("Y,Y", ",").replace("Y,X", ",X").replace("c,X,X", "c,X,Y"),
        TableOptions(unknown_groups=True),
    )
    assert loaded.group.tolist() == [[0, 0], [-1, -1], [0, 1], [-1, 0]]


def test_names_of_groups_are_held_to_the_ones_expected(tmp_path):
    assert load(tmp_path, GOOD, TableOptions(group_names=["Y", "X"])).groups == ("Y", "X")
    with pytest.raises(InputError, match="'Y' is not among --group-names 'X', 'Yy'; did you mean"):
        load(tmp_path, GOOD, TableOptions(group_names=["X", "Yy"]))
    with pytest.raises(InputError, match="nobody is in the group 'Z'"):
        load(tmp_path, GOOD, TableOptions(group_names=["X", "Y", "Z"]))


def test_groups_come_from_a_table_of_people_and_meet(tmp_path):
    text = "subject1,subject2,score\na,a,.9\nb,b,.8\na,c,.1\nb,a,.2\n"
    loaded = load(tmp_path, text, TableOptions(by=["race+gender"]), PEOPLE)
    assert loaded.groups == ("X f", "X m", "Y m")
    assert loaded.group.tolist() == [[0, 0], [2, 2], [0, 1], [2, 0]]
    with pytest.raises(InputError, match="say with --by which"):
        load(tmp_path, text, people=PEOPLE)
    with pytest.raises(InputError, match="lacks 1 of the 3 subjects of .*: 'c'"):
        load(tmp_path, text, TableOptions(by=["race"]), PEOPLE.replace("c,X,m\n", ""))
    with pytest.raises(InputError, match="'c'. Add their rows; with --unknown-groups groups may"):
        load(tmp_path, text, TableOptions(by=["race"]), PEOPLE.replace("c,X,m\n", ""))
    with pytest.raises(InputError, match="'b' is in data rows 2 and 3; keep one row a subject"):
        load(tmp_path, text, TableOptions(by=["race"]), PEOPLE.replace("c,X", "b,X"))
    with pytest.raises(InputError, match="the race of 'c' is empty"):
        load(tmp_path, text, TableOptions(by=["race"]), PEOPLE.replace("c,X", "c,"))
    with pytest.raises(InputError, match="the race of 'c' is 'nan', which says .*--group-names"):
        load(tmp_path, text, TableOptions(by=["race"]), PEOPLE.replace("c,X", "c,nan"))


def test_columns_of_groups_that_the_table_of_people_replaces_are_told(tmp_path):
    text = "subject1,subject2,race1,race2,score\na,a,Q,Q,.9\nb,b,R,R,.8\na,c,Q,R,.1\nb,a,R,Q,.2\n"
    loaded = load(tmp_path, text, TableOptions(by=["race"]), PEOPLE)
    assert loaded.groups == ("X", "Y")
    (note,) = [note for note in loaded.notes if "are not read" in note]
    assert note.startswith("The columns 'race1' and 'race2' are not read: the race comes from ")
    assert note.endswith("For these columns say --by race=race1,race2.")
    own = load(tmp_path, text, TableOptions(by=["race=race1,race2"]), PEOPLE)
    assert own.groups == ("Q", "R") and not any("not read" in note for note in own.notes)


def test_reversed_decisions_are_sent_to_the_words_that_accept(tmp_path):
    text = PLAIN.replace("score", "verdict").replace(".9", "no").replace(".8", "no")
    text = text.replace(".1", "yes")
    with pytest.raises(InputError, match="wrong way round; name the words .* --accept, or keep"):
        load(tmp_path, text, TableOptions(decision="verdict", accept=["yes"]))


def test_images_lead_to_people_and_groups(tmp_path):
    people = "image,subject,race\ni,a,X\nj,a,X\nk,b,Y\n"
    loaded = load(tmp_path, "image1,image2,score\ni,j,.9\nj,k,.1\n", people=people)
    assert loaded.by == "race"
    assert loaded.mated.tolist() == [True, False]


def test_a_name_can_be_one_within_its_group_only(tmp_path):
    text = GOOD.replace("b1,b2,b,b,Y,Y", "b1,b2,a,a,Y,Y").replace("b1,a1,b,a", "b1,a1,a,a")
    with pytest.raises(InputError, match="--subjects-by-group"):
        load(tmp_path, text.replace(ROWS[3].replace("b,a", "a,a"), ""))
    loaded = load(tmp_path, text, TableOptions(subjects_by_group=True))
    assert loaded.mated.tolist() == [True, True, False]  # one name in two groups is left out
    assert "1 of 2 names occur in several groups" in loaded.limits()[0]
    assert "1 of 4 pairs show one name in two groups and were left out" in loaded.limits()[0]


def test_without_subjects_pairs_stand_alone_and_the_report_says_so(tmp_path):
    loaded = load(tmp_path, "same,group,score\n1,X,.9\n0,Y,.1\n")
    assert loaded.subject.tolist() == [[0, 0], [2, 3]]
    assert "DO NOT SAY WHO" in loaded.limits()[0]
    with pytest.raises(InputError, match="data row 1: a mated pair with one person in two groups"):
        load(tmp_path, "same,group1,group2,score\n1,X,Y,.9\n0,Y,Y,.1\n")


PLAIN = "subject1,subject2,group1,group2,score\na,a,X,X,.9\nb,b,Y,Y,.8\na,b,X,Y,.1\n"


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("1", "0"),
        ("1.0", "0.0"),
        ("True", "False"),
        ("YES", "no"),
        ("same", "different"),
        ("mated", "nonmated"),
        ("Mated", "Non-mated"),
        ("match", "nonmatch"),
        ("genuine", "impostor"),
        (" 1 ", "0 "),
    ],
)
def test_marks_of_mated_pairs_are_read_as_they_are_customary(tmp_path, yes, no):
    loaded = load(tmp_path, f"same,group,score\n{yes},X,.9\n{no},Y,.1\n")
    assert loaded.mated.tolist() == [True, False]
    options = TableOptions(zero_is_same=True, any_direction=True)
    turned = load(tmp_path, f"same,group,score\n{yes},X,.9\n{no},Y,.1\n", options)
    assert turned.mated.tolist() == [False, True]
    assert any("1 pairs are mated, 1 are not" in said for said in turned.notes)


def test_a_label_that_contradicts_nearly_all_people_was_most_likely_turned(tmp_path):
    rows = [f"0,p{k},p{k},{'XY'[k % 2]},.9\n" for k in range(6)] + ["1,p0,p2,X,.1\n"] * 1
    with pytest.raises(InputError, match="If 0 in 'same' marks one person, say --zero-is-same"):
        load(tmp_path, MARKED + "".join(rows))
    with pytest.raises(InputError) as caught:
        load(
            tmp_path, MARKED + "".join(rows[:1] + [row.replace("0,", "1,", 1) for row in rows[1:]])
        )
    assert "--zero-is-same" not in str(caught.value)


@pytest.mark.parametrize(
    ("accept", "words", "score"),
    [
        (["match"], ["match", "no", "no"], [1, 0, 0]),
        (["MATCH", "maybe"], ["match", "maybe", "no"], [1, 1, 0]),
        (["1"], ["1", "1", "0"], [1, 1, 0]),
        (["same person"], ["same person ", "x", "x"], [1, 0, 0]),
    ],
)
def test_decisions_are_one_and_nought(tmp_path, accept, words, score):
    lines = PLAIN.replace("score", "verdict").splitlines()
    text = "\n".join(
        [
            lines[0],
            *(f"{row.rpartition(',')[0]},{w}" for row, w in zip(lines[1:], words, strict=True)),
        ]
    )
    options = TableOptions(decision="verdict", accept=accept, any_direction=True)
    loaded = load(tmp_path, text + "\n", options)
    assert loaded.scores["verdict"].tolist() == score
    assert loaded.decided and loaded.kinds == {"verdict": "other"}


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (["a", "b", "c"], {"accept": ["a"]}, "verdict holds 'a', 'b', 'c'; name all that accept"),
        (["a", "b", "b"], {"accept": ["x"]}, "it holds 'a', 'b'"),
        (["a", "", "b"], {"accept": ["a"]}, "data row 2: verdict is empty; --failures counts"),
        (["a", "nan", "b"], {"accept": ["a"]}, "data row 2: verdict is 'nan', which says nothing;"),
    ],
)
def test_decisions_that_nobody_can_read_are_refused(tmp_path, words, options, said):
    lines = PLAIN.replace("score", "verdict").splitlines()
    text = "\n".join(
        [
            lines[0],
            *(f"{row.rpartition(',')[0]},{w}" for row, w in zip(lines[1:], words, strict=True)),
        ]
    )
    with pytest.raises(InputError) as caught:
        load(tmp_path, text + "\n", TableOptions(decision="verdict", **options))
    assert said in str(caught.value)


def test_scores_that_stand_for_a_failure_leave_the_pairs_and_are_kept_beside(tmp_path):
    text = PLAIN + "c,c,X,X,-1\nd,d,Y,Y,error\n"
    loaded = load(tmp_path, text, TableOptions(failure_scores=[-1.0, "error"]))
    assert len(loaded) == 3 and loaded.mated.tolist() == [True, True, False]
    assert loaded.failures.failed.tolist() == [False, False, False, True, True]
    assert loaded.failures.mated.tolist() == [True, True, False, True, True]
    assert loaded.failures.image is None and loaded.failures.sides == ("image", "image")
    assert loaded.notes[-1].startswith("2 of 5 pairs have no score")
    with pytest.raises(InputError, match="say --failure-score error"):
        load(tmp_path, text)
    with pytest.raises(InputError, match="no pair has a score"):
        load(
            tmp_path,
            PLAIN.replace(".9", "").replace(".8", "").replace(".1", ""),
            TableOptions(failures=True),
        )


def test_a_pair_that_any_system_failed_is_left_out_of_all(tmp_path):
    text = PLAIN.replace("score", "one,two").replace(".9", ".9,").replace(".8", ".8,.7")
    loaded = load(
        tmp_path, text.replace(".1", ".1,.2"), TableOptions(scores=["one", "two"], failures=True)
    )
    assert loaded.scores["one"].tolist() == [0.8, 0.1]
    assert loaded.scores["two"].tolist() == [0.7, 0.2]


def test_probes_and_references_are_told_by_their_columns(tmp_path):
    text = GOOD.replace("image1,image2", "probe_image,gallery_image").replace("0.1", "")
    loaded = load(tmp_path, text, TableOptions(failures=True))
    assert loaded.failures.sides == ("probe", "reference")
    assert loaded.failures.image[2].tolist() == loaded.failures.image[0].tolist()[:1] + [
        loaded.failures.image.max()
    ]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nan", {}, "data row 1: subject1 (subject) is 'nan', which says nothing; --names-as-w"),
        ("None", {}, "is 'None', which says nothing"),
        ("nan", {"names_as_written": True}, ""),
        ("", {"names_as_written": True}, "data row 1: subject1 (subject) is empty."),
    ],
)
def test_names_of_people_that_say_nothing(tmp_path, name, options, said):
    text = PLAIN.replace("a,a,X,X", f"{name},{name},X,X").replace("a,b", f"{name},b")
    if not said:
        assert load(tmp_path, text, TableOptions(**options)).mated.tolist() == [True, True, False]
        return
    with pytest.raises(InputError) as caught:
        load(tmp_path, text, TableOptions(**options))
    assert said in str(caught.value)


def test_a_group_called_none_is_one_where_it_is_named(tmp_path):
    text = PLAIN.replace("X", "None")
    with pytest.raises(InputError, match="--group-names takes it for a group"):
        load(tmp_path, text)
    assert load(tmp_path, text, TableOptions(group_names=["None", "Y"])).groups == ("None", "Y")


def test_people_on_one_side_only_are_said(tmp_path):
    text = PLAIN + "c1,d1,X,X,.2\nc2,d2,Y,Y,.3\n"
    notes = " ".join(load(tmp_path, text).notes)
    assert "2 people occur on the left side of the pairs only and 2 on the right only" in notes
    assert "'c1' and 'd1'" in notes
    assert "side of the pairs only" not in " ".join(load(tmp_path, PLAIN).notes)


def test_pairs_without_any_name_on_both_sides_seem_spelled_apart(tmp_path):
    text = "subject1,subject2,group1,group2,score\na,A1,X,X,.9\nb,B1,Y,Y,.1\n"
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert "no name in subject1 occurs in subject2, such as 'a' and 'A1'" in str(caught.value)


def test_repeated_rows_are_counted_where_no_image_tells_them_apart(tmp_path):
    notes = load(tmp_path, PLAIN + "b,a,Y,X,.1\n").notes
    assert any(said.startswith("1 of 4 rows repeat the people and the scores") for said in notes)
    assert not any("repeat" in said for said in load(tmp_path, PLAIN + "b,a,Y,X,.11\n").notes)


def test_ages_of_a_table_of_people_fall_into_bins(tmp_path):
    people = "subject,age,race\na,17,X\nb,30,Y\n"
    loaded = load(tmp_path, PLAIN, TableOptions(by=["age:18,30"]), people)
    assert loaded.groups == ("<18", "30+") and loaded.by == "age"
    with pytest.raises(InputError, match="'old' is no number, so it falls into no bin"):
        load(tmp_path, PLAIN, TableOptions(by=["age:18"]), people.replace("17", "old"))


def test_a_table_of_images_needs_images_in_the_pairs(tmp_path):
    with pytest.raises(InputError, match="gives the race of each image, but .* names no images"):
        load(tmp_path, PLAIN, TableOptions(by=["race"]), "image,race\n1.jpg,X\n")


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
def test_a_quarter_of_a_million_rows_is_read_in_seconds(tmp_path):
    size = phantom_scores.Size(people=600, images=5, nonmated=57_000, across=5_000)
    drawn = phantom_scores.draw(phantom_scores.Planted(), seed=0, size=size)
    (tmp_path / "pairs.csv").write_text(as_table(drawn))
    start = time.perf_counter()
    loaded = load_comparisons(tmp_path / "pairs.csv", TableOptions())["group"]
    assert len(loaded) > 250_000
    assert time.perf_counter() - start < 8  # 1 s on two idle cores
