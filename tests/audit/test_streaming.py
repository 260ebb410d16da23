import pytest

from fairjax.audit import demo, run, streaming, table_files
from fairjax.audit.layout import TableOptions
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.people import load_people
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
