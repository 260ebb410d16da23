import json

import numpy as np
import pytest

from fairjax.audit import partial, partial_files
from fairjax.audit.layout import Attribute, TableOptions
from fairjax.audit.partial_files import known_labels, narrowed, packed
from fairjax.audit.request import Request, write_partial
from fairjax.audit.run import Settings
from fairjax.audit.tables import InputError


@pytest.fixture
def whole_file(tmp_path):
    """The folder and the path of a partial file of 100 pairs."""
    rng = np.random.default_rng(5)
    people, score = rng.integers(0, 30, (100, 2)), rng.normal(size=100).round(3)
    rows = [
        f"p{a},p{b},{'XYZ'[a % 3]},{'XYZ'[b % 3]},{20 + a},{20 + b},{s + (a == b)}"
        for (a, b), s in zip(people.tolist(), score.tolist(), strict=True)
    ]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["who_a,who_b,race_a,race_b,age_a,age_b,score", *rows]) + "\n")
    options = TableOptions(subject="who", by=("race", "age:30"))
    request = Request(files=[table], options=options, settings=Settings(fmrs=(0.1,)))
    write_partial(request, tmp_path / "partial")
    return tmp_path / "partial", tmp_path / "partial" / partial_files.NAME


def refusal(folder):
    with pytest.raises(InputError) as caught:
        list(partial.merge([folder], command=""))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


def test_a_missing_or_damaged_file_is_refused_in_a_line(whole_file):
    folder, path = whole_file
    content = path.read_bytes()
    for damaged in (content[:-30], content[: len(content) // 2], b"", b"no archive"):
        path.write_bytes(damaged)
        assert "is no partial file or is damaged" in refusal(folder)
    rng = np.random.default_rng(0)
    for place in rng.integers(len(content), size=15).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:  # a flip in a date of the archive changes nothing
            list(partial.merge([folder], command=""))
        except InputError as error:
            assert "is no partial file or is damaged" in str(error)
    path.unlink()
    assert "does not exist; make it with fairjax audit FILE --partial" in refusal(folder)


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("subject", lambda a: a + 1000),
        ("subject", lambda a: a[:-1]),
        ("score", lambda a: np.where(np.arange(len(a)), a, np.nan)),
        ("home 1", lambda a: a * 0),
        ("counts 0", lambda a: a + 1),
        ("bins 0", lambda a: a + (1 << 30)),
        ("trials", None),
        ("subject", lambda a: a.astype(float)),
        ("score", lambda a: a.astype(int)),
        ("score", lambda a: a[:-1]),
        ("couples", lambda a: a[:, :1]),
        ("home 0", lambda a: a[:-1]),
        ("home 0", lambda a: a + 9),
        ("counts 1", lambda a: a - 1),
        ("bins 1", lambda a: a[:-1]),
        ("people", lambda a: np.frombuffer(b'["p1", "p1"]', np.uint8)),
        ("people", lambda a: np.frombuffer(b"{", np.uint8)),
        ("people", lambda a: np.frombuffer(b"[1, 1]", np.uint8)),
        ("about", lambda a: np.frombuffer(b"[]", np.uint8)),
    ],
)
def test_contents_that_contradict_each_other_are_refused(whole_file, array, change):
    folder, path = whole_file
    with np.load(path) as file:
        arrays = dict(file)
    changed = {array: change(arrays.pop(array))} if change else {}
    if not change:
        del arrays[array]
    np.savez(path, **arrays, **changed)
    assert "is no partial file or is damaged" in refusal(folder)


def test_another_format_is_refused(whole_file, monkeypatch):
    folder, _ = whole_file
    monkeypatch.setattr(partial_files, "FORMAT", 2)
    assert "has format 1; this FairJAX reads format 2" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 0}, "has format 0; this FairJAX reads format 1"),
        ({"pairs": [1, 1]}, "the numbers of pairs differ"),
        ({"range": [1.0, 0.0]}, "the range of scores is none"),
        ({"range": [0.0, float("inf")]}, "the range of scores is none"),
        ({"cut": -1}, "the range of scores is none"),
        ({"cut": 1 << 40}, "the range of scores is none"),
        ({"total": [1.0]}, "the range of scores is none"),
        ({"labels": {}}, "('race' is missing); make it again."),
        ({"layout": {}}, "('attributes' is missing); make it again."),
        ({"facts": {}}, "('files' is missing); make it again."),
        ({"options": {"columns": {"nope": 1}, "measures": {}}}, "is damaged"),
        ({"options": {"columns": {}, "measures": {"fmrs": [2]}}}, "is damaged"),
    ],
)
def test_facts_that_contradict_the_arrays_are_refused(whole_file, change, said):
    folder, path = whole_file
    with np.load(path) as file:
        arrays = dict(file)
    about = {**json.loads(arrays.pop("about").tobytes()), **change}
    np.savez(path, about=packed(about), **arrays)
    assert said in refusal(folder)


def test_what_was_written_is_read_again(whole_file):
    folder, path = whole_file
    kept = partial_files.PartialFile(path)
    assert sorted(kept.people) == sorted({f"p{k}" for k in range(30)} & set(kept.people))
    assert kept.settings.fmrs == [0.1] and kept.options.subject == "who"
    assert kept.layout.subject == ("who_a", "who_b") and kept.layout.image is None
    assert kept.layout.attributes == (
        Attribute("race", {"race": ("race_a", "race_b")}),
        Attribute("age", {"age": ("age_a", "age_b")}, {"age": (30.0,)}),
    )
    assert [table["name"] for table in kept.tables] == ["t.csv"]
    subject, score = kept.read("subject", "score")
    survey = kept.survey(0, "race")
    assert len(survey.home) == len(kept.people) and sum(survey.pairs) == 100
    home = {
        kept.people[k]: list(survey.labels)[survey.home[k] - 1] for k in range(len(kept.people))
    }
    assert all(home[f"p{k}"] == "XYZ"[k % 3] for k in range(30) if f"p{k}" in home)
    histogram, groups = kept.histogram(0, "race")
    assert groups == ["X", "Y", "Z"] and histogram.counts.sum() == 100
    assert len(subject) == len(score) == 100  # so few are all kept
    assert survey.range == (score.min(), score.max())


def test_a_table_of_groups_is_no_table_of_pairs(tmp_path):
    rows = "".join(f"p{k},p{k + j},{k + j / 9}\n" for k in range(6) for j in (0, 1))
    (tmp_path / "t.csv").write_text("subject1,subject2,score\n" + rows)
    people = "".join(f"p{k},{'XY'[k % 2]}\n" for k in range(7))
    (tmp_path / "g.csv").write_text("subject,group\n" + people)
    options = TableOptions(any_direction=True)
    request = Request(
        [tmp_path / "t.csv"], options, Settings(fmrs=(0.5,)), groups=tmp_path / "g.csv"
    )
    written = write_partial(request, tmp_path / "out")
    kept = partial_files.PartialFile(written.path)
    assert [table["name"] for table in kept.tables] == ["t.csv"]
    assert set(kept.about["facts"]["files"]) == {"file 1", "groups"}
    assert (written.pairs, written.kept, written.couples) == (12, 12, 0)
    assert written.size == written.path.stat().st_size


@pytest.mark.parametrize(
    ("score", "kind"),
    [
        ([0.5, -0.25, 1e3], np.float32),
        ([0.1], np.float64),
        ([1e300], np.float64),
        ([], np.float32),
        ([float(np.float32(0.1))], np.float32),
    ],
)
def test_scores_are_narrowed_where_that_loses_nothing(score, kind):
    found = narrowed(np.array(score))
    assert found.dtype == kind
    np.testing.assert_array_equal(found.astype(np.float64), score)


def test_labels_of_known_groups_are_sorted():
    assert known_labels(["b", "", "a"]) == ["a", "b"] and known_labels([""]) == []


def test_a_tree_is_packed_as_bytes_and_back():
    tree = {"a": [1, "\u00eb"], "b": None}
    assert packed(tree).dtype == np.uint8 and partial_files._unpacked(packed(tree)) == tree
