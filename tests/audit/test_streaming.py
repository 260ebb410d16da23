import itertools

import numpy as np
import pytest

from fairjax.audit import demo, run, streaming, table_files
from fairjax.audit.layout import Attribute, Layout, TableOptions
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.people import load_people
from fairjax.audit.streaming import Survey
from fairjax.audit.tables import InputError


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "pairs.csv"
    demo.write_comparisons(path, demo.GAP, seed=0)
    return path


SETTINGS = run.Settings(fmrs=[1e-2, 1e-7], thresholds=[0.3], resamples=2)


def test_a_stream_gives_the_rates_of_the_whole(table, monkeypatch):
    monkeypatch.setattr(table_files, "BLOCK", 1 << 20)  # many batches
    streamed = streaming.measure([table], TableOptions(), SETTINGS)["group"]
    whole = run.measure(load_comparisons(table, TableOptions())["group"], SETTINGS)
    at = "threshold 0.3"
    for rate in ("fmr", "fnmr", "tmr"):
        for group in [{}, {"group": "jade"}, {"group": "amber"}]:
            for point in (at, "FMR 1e-2"):
                a = streamed.get(rate, at=point, **group)
                b = whole.get(rate, at=point, **group)
                assert (a.value, a.n, a.n_errors, a.threshold, a.n_clusters) == (
                    b.value,
                    b.n,
                    b.n_errors,
                    b.threshold,
                    b.n_clusters,
                ), (rate, group)
            assert streamed.get(rate, at=at, **group).interval == pytest.approx(
                whole.get(rate, at=at, **group).interval
            )
    cell = {"group": "amber", "other_group": "jade"}
    assert streamed.get("fmr", at=at, **cell).value == whole.get("fmr", at=at, **cell).value
    a, b = (r.get("fmr_gini", across="group", at=at).value for r in (streamed, whole))
    assert a == pytest.approx(b)
    assert streamed.get("fmr", at="FMR 1e-7").value is None
    assert "insufficient data" in streamed.get("fmr", at="FMR 1e-7").note


def test_a_stream_refuses_what_it_cannot_give(table):
    with pytest.raises(InputError, match="no --tolerance"):
        streaming.measure([table], TableOptions(), run.Settings(tolerances={"fmr_gini": 0.1}))


TEXT = "subject1,subject2,group1,group2,score\na,a,X,X,0.9\nb,b,Y,Y,0.8\na,c,X,X,0.1\nb,c,Y,X,0.2\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("b,c,Y,X", "b,c,X,X", "data row 4: 'b' is in 'X' here and in 'Y' elsewhere"),
        ("0.9", "-9", "mated pairs score lower than non-mated ones"),
        ("Y", "X", "needs two groups and both kinds of pairs; it has 1"),
        ("score", "same,score", "Expected 6 columns, got 5"),
    ],
)
def test_a_stream_is_checked_as_the_whole_is(tmp_path, old, new, words):
    path = tmp_path / "pairs.csv"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(InputError, match=words):
        streaming.measure([path], TableOptions(), SETTINGS)


def test_a_stream_needs_people_and_marks_that_agree_with_them(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("same,group,score\n1,X,0.9\n0,Y,0.1\n")
    with pytest.raises(InputError, match="needs to know who is on each side"):
        streaming.measure([path], TableOptions(), SETTINGS)
    path.write_text("same,subject1,subject2,group,score\n1,a,a,X,0.9\n1,a,b,Y,0.1\n")
    with pytest.raises(InputError, match="data row 2: marked mated, but its people say otherwise"):
        streaming.measure([path], TableOptions(), SETTINGS)


def write(folder, text=TEXT):
    path = folder / "pairs.csv"
    path.write_text(text)
    return path


POINT = run.Settings(fmrs=[], thresholds=[0.5])
AT = "threshold 0.5"


def test_groups_may_come_from_a_table_of_people_and_meet(tmp_path):
    path = write(
        tmp_path, TEXT.replace(",group1,group2", "").replace(",X,X", "").replace(",Y,Y", "")
    )
    path.write_text(path.read_text().replace(",Y,X", ""))
    (tmp_path / "people.csv").write_text("subject,race,sex\na,X,f\nb,Y,m\nc,X,m\n")
    people = load_people(tmp_path / "people.csv")
    options = TableOptions(by=["race", "race+sex"])
    found = streaming.measure([path], options, POINT, people=people)
    assert list(found) == ["race", "race+sex"]
    assert found["race"].protocol["groups"] == ["X", "Y"]
    assert found["race+sex"].protocol["groups"] == ["X f", "X m", "Y m"]
    assert found["race"].get("fmr", at=AT, race="X").n == 1


def test_distances_are_accepted_up_to_the_threshold(tmp_path):
    text = TEXT.replace("score", "distance").replace("0.9", "0.3").replace("0.8", "0.6")
    path = write(tmp_path, text.replace("0.1", "0.7").replace(",0.2", ",0.5"))
    found = streaming.measure([path], TableOptions(), POINT)["group"]
    assert (found.get("fnmr", at=AT).value, found.get("fmr", at=AT).value) == (0.5, 0.5)
    assert found.get("fmr", at=AT).threshold == 0.5
    assert found.protocol["thresholds"] == [0.5]
    assert any(said.startswith("distance is a distance") for said in found.limits)


def test_the_kind_is_checked_and_kept(tmp_path):
    path = write(tmp_path)
    assert streaming.measure([path], TableOptions(kind="cosine"), POINT)["group"].protocol[
        "score_kinds"
    ] == {"score": "cosine"}
    assert streaming.measure([path], TableOptions(), POINT)["group"].protocol["score_kinds"] == {
        "score": "not stated"
    }
    with pytest.raises(
        InputError, match="data row 1: score is 9, but cosines lie between -1 and 1"
    ):
        streaming.measure(
            [write(tmp_path, TEXT.replace("0.9", "9"))], TableOptions(kind="cosine"), POINT
        )


@pytest.mark.parametrize(
    ("options", "settings", "said"),
    [
        ({"failures": True}, POINT, "a stream takes no --failures"),
        ({"failure_scores": [-1.0]}, POINT, "--failure-score"),
        ({"decision": "group1", "accept": ["X"]}, POINT, "--decision or --subjects-by-group"),
        ({"subjects_by_group": True}, POINT, "--subjects-by-group"),
        ({}, run.Settings(protocol="rfw"), "no --tolerance, no accuracies"),
        ({"scores": ["score", "group1"]}, POINT, "a stream takes one system"),
        ({}, run.Settings(fmrs=[], thresholds=[2.0]), "--threshold 2 lies outside the scores"),
        ({"group_names": ["X", "Z"]}, POINT, "'Y' is not among --group-names"),
        ({"by": ["race"]}, POINT, "no columns for the groups by 'race'"),
    ],
)
def test_what_a_stream_does_not_do_is_said_at_once(tmp_path, options, settings, said):
    with pytest.raises(InputError) as caught:
        streaming.measure([write(tmp_path)], TableOptions(**options), settings)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_directions_are_not_checked_where_nobody_wants_it(tmp_path):
    path = write(tmp_path, TEXT.replace("0.9", "-0.9").replace("0.8", "-0.8"))
    found = streaming.measure(
        [path], TableOptions(any_direction=True), run.Settings(fmrs=[], thresholds=[0.0])
    )["group"]
    assert found.get("fnmr", at="threshold 0").value == 1.0
    assert any(said.startswith("--any-direction") for said in found.limits)


def test_people_without_a_group_count_among_everyone_only(tmp_path):
    text = TEXT.replace("b,c,Y,X,0.2", "b,c,Y,,0.6").replace("a,c,X,X", "a,c,X,")
    path = write(tmp_path, text)
    with pytest.raises(InputError, match="--unknown-groups"):
        streaming.measure([path], TableOptions(), POINT)
    found = streaming.measure([path], TableOptions(unknown_groups=True), POINT)["group"]
    assert (found.get("fmr", at=AT).n, found.get("fmr", at=AT).n_errors) == (2, 1)
    assert found.get("fmr", at=AT, group="X").n == 0


def test_names_alike_are_refused_as_in_memory(tmp_path):
    text = TEXT.replace("b,c,Y,X", "b,A,Y,X")
    with pytest.raises(InputError, match="the subjects .* differ by case"):
        streaming.measure([write(tmp_path, text)], TableOptions(), POINT)
    assert streaming.measure([write(tmp_path, text)], TableOptions(names_as_written=True), POINT)
    with pytest.raises(InputError, match="the groups 'X' and 'x' differ by case"):
        streaming.measure([write(tmp_path, TEXT.replace("c,X,X", "c,X,x"))], TableOptions(), POINT)


def test_rows_are_counted_through_all_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "BLOCK", 1 << 10)
    wrong = "1,p0,p1,X,Y,0.1\n"
    rows = "".join(f"1,p{k},p{k},{'XY'[k % 2]},{'XY'[k % 2]},0.9\n" for k in range(200))
    path = write(tmp_path, "same,subject1,subject2,group1,group2,score\n" + rows + wrong)
    with pytest.raises(InputError, match="data row 201: marked mated, but its people say other"):
        streaming.measure([path], TableOptions(), POINT)
    moved = rows + "0,p0,p1,Y,Y,0.1\n"
    path = write(tmp_path, "same,subject1,subject2,group1,group2,score\n" + moved)
    with pytest.raises(InputError, match="data row 201: 'p0' is in 'Y' here and in 'X' elsewhere"):
        streaming.measure([path], TableOptions(), POINT)


def test_ages_fall_into_bins_and_named_columns_are_read(tmp_path):
    text = TEXT.replace("group1,group2", "l,r").replace("X", "19").replace("Y", "44")
    found = streaming.measure([write(tmp_path, text)], TableOptions(by=["age:30=l,r"]), POINT)[
        "age"
    ]
    assert found.protocol["groups"] == ["<30", "30+"]
    assert found.get("fnmr", at=AT, age="30+").n == 1


def test_the_row_of_a_score_of_another_kind_is_counted_through_all_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "BLOCK", 1 << 10)
    rows = "".join(f"p{k},p{k},X,X,0.9\n" for k in range(200)) + "q,q,Y,Y,9\n"
    path = write(tmp_path, "subject1,subject2,group1,group2,score\n" + rows)
    with pytest.raises(InputError, match="data row 201: score is 9, but cosines"):
        streaming.measure([path], TableOptions(kind="cosine"), POINT)


def pairs_of(groups, people=24, seed=0):
    """Lines of a table of all pairs of so many people, two mated ones each."""
    rng = np.random.default_rng(seed)
    couples = [(p, p) for p in range(people)] * 2 + list(itertools.combinations(range(people), 2))
    group = "ABCDEFGH"
    return [
        f"p{p},p{q},{group[p % groups]},{group[q % groups]},{rng.normal(0.5 * (p == q), 0.2):.4f}"
        for p, q in couples
    ]


HEAD = "subject1,subject2,group1,group2,score\n"


def streamed(folder, lines, name="pairs.csv", settings=POINT, **options):
    (folder / name).write_text(HEAD + "\n".join(lines) + "\n")
    return streaming.measure([folder / name], TableOptions(**options), settings)["group"]


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_rates_of_two_three_and_eight_groups_are_counted_independently(tmp_path, groups):
    lines = pairs_of(groups)
    found = streamed(tmp_path, lines)
    cells = [line.split(",") for line in lines]
    score = np.array([float(cell[4]) for cell in cells])
    mated = np.array([cell[0] == cell[1] for cell in cells])
    for name in "ABCDEFGH"[:groups]:
        own = np.array([cell[2] == cell[3] == name for cell in cells])
        for rate, rows, wrong in (
            ("fmr", own & ~mated, score >= 0.5),
            ("fnmr", own & mated, score < 0.5),
        ):
            m = found.get(rate, at=AT, group=name)
            assert (m.n, m.n_errors) == (rows.sum(), (rows & wrong).sum())
            assert m.value == pytest.approx(wrong[rows].mean())
    assert found.protocol["groups"] == list("ABCDEFGH"[:groups])


def test_the_order_of_rows_and_of_sides_changes_nothing(tmp_path):
    lines = pairs_of(3)
    plain = streamed(tmp_path, lines)
    cells = [line.split(",") for line in reversed(lines)]
    turned = streamed(tmp_path, [f"{b},{a},{h},{g},{s}" for a, b, g, h, s in cells])
    for one, other in zip(plain.measures, turned.measures, strict=True):
        assert (one.name, one.group, one.at, one.n, one.n_errors) == (
            (other.name, other.group, other.at, other.n, other.n_errors)
        )
        assert other.value == (one.value if one.value is None else pytest.approx(one.value))


def test_doubled_pairs_of_a_group_are_twice_as_many(tmp_path):
    lines = pairs_of(2)
    plain = streamed(tmp_path, lines)
    twice = [line for line in lines for _ in range(1 + (",A,A," in line))]
    doubled = streamed(tmp_path, twice)
    for rate, (group, times) in itertools.product(("fmr", "fnmr"), (("A", 2), ("B", 1))):
        one, two = (found.get(rate, at=AT, group=group) for found in (plain, doubled))
        assert (two.n, two.n_errors) == (times * one.n, times * one.n_errors)
        assert two.value == one.value


def test_parts_of_a_table_are_the_table(tmp_path):
    lines = pairs_of(3)
    settings = run.Settings(fmrs=[0.1], thresholds=[0.5])
    whole = streamed(tmp_path, lines, settings=settings)
    for k, part in enumerate((lines[:50], lines[50:51], lines[51:])):
        (tmp_path / f"{k}.csv").write_text(HEAD + "\n".join(part) + "\n")
    paths = [tmp_path / f"{k}.csv" for k in range(3)]
    parts = streaming.measure(paths, TableOptions(), settings)["group"]
    assert parts.measures == whole.measures and parts.protocol == whole.protocol


def test_a_contradiction_between_parts_names_the_part(tmp_path):
    lines = pairs_of(2)
    (tmp_path / "0.csv").write_text(HEAD + "\n".join(lines) + "\n")
    (tmp_path / "1.csv").write_text(HEAD + "p0,p1,B,B,0.1\n")
    with pytest.raises(
        InputError, match=r"1\.csv, data row 1: 'p0' is in 'B' here and in 'A' else"
    ):
        streaming.measure([tmp_path / "0.csv", tmp_path / "1.csv"], TableOptions(), POINT)


def survey(home, labels, *, ends=(0.0, 1.0), pairs=(1, 1), total=(0.1, 0.9)):
    found = Survey()
    found.labels = {label: k for k, label in enumerate(labels, 1)}
    found.home = np.array(home)
    found.range = ends
    found.pairs, found.total = np.array(pairs), np.array(total)
    return found


def test_surveys_are_merged_by_names_whatever_their_numbers():
    first = survey([1, 2, 0], ["X", "Y"])
    other = survey([1, 2], ["Y", "Z"], ends=(-1.0, 0.5), pairs=(3, 4), total=(1.0, 2.0))
    names = {"a": 0, "b": 1, "c": 2, "d": 3}
    first.merge(other, np.array([1, 3]), names, "part.npz")  # b is in Y, d in Z
    assert first.labels == {"X": 1, "Y": 2, "Z": 3}
    assert first.home.tolist() == [1, 2, 0, 3]
    assert first.range == (-1.0, 1.0)
    assert first.pairs.tolist() == [4, 5] and first.total.tolist() == [1.1, 2.9]


def test_a_person_in_another_group_of_another_survey_is_refused():
    first = survey([1], ["X"])
    with pytest.raises(
        InputError, match="^part.npz: 'a' is in 'Y' here and in 'X' elsewhere; corr"
    ):
        first.merge(survey([1], ["Y"]), np.array([0]), {"a": 0}, "part.npz")


LAYOUT = Layout(
    ("score",), (), None, ("a1", "a2"), None, None, (Attribute("g", {"g": ("g", "g")}),)
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"image": ("i1", "i2")}, ""),  # no part of it
        ({"fold": "part"}, ""),
        ({"scores": ("other",)}, "its columns are ('other',) (systems), not ('score',) as in"),
        ({"scores": (), "distances": ("score",)}, ""),  # a system by its name
        ({"mated": "same"}, "its columns are 'same' (mated), not None as in"),
        ({"subject": ("b1", "b2")}, "(subject), not ('a1', 'a2') as in"),
        ({"attributes": ()}, "the groups stand in other columns than in"),
    ],
)
def test_tables_of_other_columns_are_told_apart(changes, said):
    other = LAYOUT.__class__(**{**vars(LAYOUT), **changes})
    found = streaming.other_columns(other, LAYOUT)
    assert found.endswith(said) and bool(found) is bool(said)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a"], "a"),
        (["a", "b"], "a and 1 more"),
        ([str(k) for k in range(1002)], "0 and 1,001 more"),
    ],
)
def test_several_tables_are_named_by_the_first(paths, words):
    assert streaming.shown(paths) == words


def test_thresholds_of_distances_are_held_as_minus_them():
    assert streaming.held([0.5, 1], is_distance=True) == [-0.5, -1.0]
    assert streaming.held([0.5, 1], is_distance=False) == [0.5, 1.0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [",".join(line.split(",")[:4]) + ",0.5" for line in pairs_of(2)[:24]],
            "0 non-mated pairs",
        ),
        (pairs_of(2)[48:], "2, 0 mated and 276 non-mated pairs"),
    ],
)
def test_both_kinds_of_pairs_are_needed(tmp_path, lines, said):
    with pytest.raises(InputError, match=f"needs two groups and both kinds of pairs.*{said}"):
        streamed(tmp_path, lines)


def test_what_a_stream_leaves_out_is_said_and_the_settings_are_kept(tmp_path):
    settings = run.Settings(fmrs=[0.5], thresholds=[0.5], limits=["Made up."], level=0.9)
    found = streamed(tmp_path, pairs_of(2), settings=settings)
    assert "Streamed: pairs listed twice were not looked for." in found.limits
    assert "Made up." in found.limits and found.provenance == {"scored": ["score"]}
    assert found.protocol["thresholds"] == [0.5]
    assert found.get("fmr", at=AT, group="A").level == 0.9
    assert found.get("fmr", at="FMR 5e-1").threshold_source == "all non-mated pairs"
