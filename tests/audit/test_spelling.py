"""Names written in two ways, groups without a name, flags that turn or leave out: all is said."""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from fairjax.audit import run
from fairjax.audit.embedding_files import load_images
from fairjax.audit.embeddings import load_embeddings
from fairjax.audit.layout import TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.people import load_people
from fairjax.audit.spelling import spelled_nearly
from fairjax.audit.tables import InputError
from fairjax.core.comparisons import UNKNOWN

NAMES = [f"{first}\u00eb{k}" for k in range(4) for first in ("Zo", "No\u0308")]
HEAD = "image1,image2,subject1,subject2,group1,group2,score\n"


def rows(left=str, right=str, names=NAMES) -> str:
    """All pairs of two images a person, with how each side spells the people."""
    lines = []
    for k, one in enumerate(names):
        for m, other in enumerate(names[k:], k):
            score = 0.8 if m == k else 0.1 + 0.001 * (k + m)
            groups = "XY"[k % 2], "XY"[m % 2]
            lines.append(
                f"{k}_0,{m}_1,{left(one)},{right(other)},{groups[0]},{groups[1]},{score}\n"
            )
    return HEAD + "".join(lines)


def load(folder: Path, text: str, options: TableOptions | None = None, **more) -> Loaded:
    (folder / "pairs.csv").write_text(text)
    return next(
        iter(load_comparisons(folder / "pairs.csv", options or TableOptions(), **more).values())
    )


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: unicodedata.normalize("NFD", name),
        lambda name: name + " ",
        lambda name: "\u00a0" + name,
        lambda name: f'"{name}\t"',
    ],
)
def test_people_spelled_in_two_ways_have_the_numbers_of_one(tmp_path, spell):
    clean = load(tmp_path, rows())
    for left, right in ((str, spell), (spell, str)):
        other = load(tmp_path, rows(left, right))
        assert other.mated.tolist() == clean.mated.tolist()
        assert other.subject.tolist() == clean.subject.tolist()
    assert clean.mated.sum() == 8


@pytest.mark.parametrize(
    ("spell", "difference"),
    [
        (str.upper, "case"),
        (lambda name: name[0] + " " + name[1:], "blanks"),
        (lambda name: name[:-1] + "0" + name[-1], "leading zeros"),
        (lambda name: name.replace("Z", "\uff3a").replace("N", "\uff2e"), "Unicode form"),
        (lambda name: name.replace("\u00eb", "e").replace("o\u0308", "o"), "accents"),
    ],
)
def test_people_who_may_be_one_are_refused_or_reported(tmp_path, spell, difference):
    with pytest.raises(InputError, match=rf"differ by {difference} alone \(8 such names\)"):
        load(tmp_path, rows(str, spell) + "z_0,z_1,z,z,X,X,0.9\n")
    loaded = load(
        tmp_path, rows(str, spell) + "z_0,z_1,z,z,X,X,0.9\n", TableOptions(names_as_written=True)
    )
    assert any(f"by {difference} alone (8 such subjects)" in s for s in loaded.limits())


def test_people_who_differ_by_an_apostrophe_are_refused_or_reported(tmp_path):
    names = [f"O'Brien{k}" for k in range(8)]
    text = rows(str, lambda name: name.replace("'", "\u2019"), names) + "z_0,z_1,z,z,X,X,0.9\n"
    with pytest.raises(InputError, match=r"by quotes alone \(8 such names\).*--names-as-written"):
        load(tmp_path, text)
    said = load(tmp_path, text, TableOptions(names_as_written=True)).limits()
    assert any("(8 such subjects)" in line and "O\u2019Brien0" in line for line in said)


def test_sides_that_share_no_name_are_told_apart_from_pairs_without_a_mate(tmp_path):
    with pytest.raises(InputError, match="no name in subject1 occurs in subject2"):
        load(tmp_path, rows(str, lambda name: f"gallery/{name}"))


def test_people_on_one_side_only_are_reported(tmp_path):
    text = rows(str, lambda name: f"{name}-b" if name == NAMES[0] else name)
    (said,) = load(tmp_path, text).limits()
    assert "1 person occurs on the left side of the pairs only and 1 on the right only" in said


def test_images_spelled_nearly_alike_are_reported(tmp_path):
    text = rows().replace("1_0,", "A_0,").replace("2_0,", "a_0,")
    (said,) = load(tmp_path, text).limits()
    assert said.startswith("'A_0' and 'a_0' differ by case alone (1 such image)")


def test_windows_and_unix_paths_are_one_image(tmp_path):
    text = rows().replace("0_0,", "a\\0.jpg,")
    people = tmp_path / "images.csv"
    lines = [f"{k}_{i},{'XY'[k % 2]}\n" for k in range(8) for i in (0, 1)]
    people.write_text("filename,race\n" + "".join(lines).replace("0_0,", "a/0.jpg,"))
    loaded = load(tmp_path, text, TableOptions(by=["ethnicity"]), people=load_people(people))
    assert loaded.groups == ("X", "Y")


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "None", "<NA>", "null", "NA", "n/a", "n.a.", "Unknown", "-", "?"]
)
def test_words_for_a_missing_group_are_unknown_unless_named(tmp_path, word):
    text = rows().replace(",X", f",{word}").replace(",Y", ",Y")
    text = text.replace(f"{NAMES[0]},{NAMES[0]},{word},{word}", f"{NAMES[0]},{NAMES[0]},X,X")
    with pytest.raises(
        InputError, match=re.escape(f"is '{word}', which says nothing; --unknown-groups")
    ):
        load(tmp_path, text)
    named = load(
        tmp_path,
        rows().replace(",X", f",{word}"),
        TableOptions(group_names=["Y", word]),
    )
    assert named.groups == ("Y", word)
    kept = load(tmp_path, text, TableOptions(unknown_groups=True, subjects_by_group=True))
    assert kept.groups == ("X", "Y") and (kept.group == UNKNOWN).any()
    many = rows().replace("X", "nan", 1).replace("nan,X", "nan,nan", 1)
    with pytest.raises(InputError, match="'nan', which says nothing"):
        load(tmp_path, many)


def test_a_person_called_null_is_a_person_where_that_is_said(tmp_path):
    names = ["null", *NAMES[1:]]
    with pytest.raises(
        InputError, match=r"subject1 \(subject\) is 'null', which says nothing; --na"
    ):
        load(tmp_path, rows(names=names))
    assert load(tmp_path, rows(names=names), TableOptions(names_as_written=True)).mated.sum() == 8


def test_a_group_that_numpy_called_nan_is_unknown(tmp_path):
    groups = np.array([np.nan, "X"] * 4).astype(str)  # what numpy makes of a missing group
    vectors = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    ids, people = [f"i{k}" for k in range(8)], [f"p{k // 2}" for k in range(8)]
    np.savez(tmp_path / "e.npz", embedding=vectors, id=np.array(ids), subject=people, group=groups)
    (tmp_path / "pairs.csv").write_text("image1,image2\ni0,i1\ni0,i2\n")
    with pytest.raises(InputError, match="the group of 'i0' is"):
        load_embeddings(
            {"e": tmp_path / "e.npz"},
            TableOptions(),
            people=None,
            pairs=tmp_path / "pairs.csv",
            sample=None,
            seed=0,
        )


def test_dates_among_ranges_are_refused_beside_their_range_and_reported_alone(tmp_path):
    text = rows().replace(",X", ",03-Sep").replace(",Y", ",10-19")
    (said,) = load(tmp_path, text).limits()
    assert "'03-Sep' stands among ranges" in said and "'3-9'" in said
    with pytest.raises(InputError, match="'03-Sep' and '3-9' are most likely one"):
        load(tmp_path, text.replace("7_0,7_1", "7_0,7_1").replace("03-Sep", "3-9", 2))


def test_zero_may_mark_one_person(tmp_path):
    marked = "group1,group2,label,score\nX,X,0,0.9\nY,Y,0,0.8\nX,X,1,0.1\nY,Y,1,0.2\n"
    with pytest.raises(InputError, match="use --distance score .*, or --zero-is-same if 0 in 'lab"):
        load(tmp_path, marked)
    loaded = load(tmp_path, marked, TableOptions(zero_is_same=True))
    assert loaded.mated.tolist() == [True, True, False, False]
    assert "2 pairs are mated, 2 are not" in loaded.limits()[0]
    with pytest.raises(InputError, match="If 0 marks one person, say --zero-is-same"):
        load(tmp_path, marked.replace("Y,Y,1", "X,Y,1"))
    with pytest.raises(InputError, match="--zero-is-same needs a column .* --mated COLUMN"):
        load(tmp_path, rows(), TableOptions(zero_is_same=True))


def test_labels_that_contradict_the_people_in_nearly_all_rows_may_be_turned(tmp_path):
    lines = rows().splitlines()
    turned = [f"{line},{int(line.split(',')[2] != line.split(',')[3])}" for line in lines[1:]]
    text = "\n".join([lines[0] + ",same", *turned]) + "\n"
    with pytest.raises(InputError, match="If 0 in 'same' marks one person, say --zero-is-same"):
        load(tmp_path, text)
    assert load(tmp_path, text, TableOptions(zero_is_same=True)).mated.sum() == 8
    few = "\n".join([lines[0] + ",same", *(f"{line[:-1]}{1 - int(line[-1])}" for line in turned)])
    load(tmp_path, few)
    with pytest.raises(InputError, match=r"\(1 such row\)\.$"):
        load(tmp_path, few[:-1] + "0")


def test_a_pair_listed_again_with_another_spelling_of_the_path_is_refused(tmp_path):
    text = rows() + "./0_1,.//0_0," + ",".join([NAMES[0], NAMES[0], "X", "X", "0.8"]) + "\n"
    with pytest.raises(InputError, match="is in data rows 1 and 37"):
        load(tmp_path, text)


def test_a_person_whose_group_differs_by_image_is_refused_and_never_unmated(tmp_path):
    text = HEAD + "a0,a1,a,a,X,Y,0.9\nb0,b1,b,b,Y,Y,0.8\nc0,c1,c,c,X,X,.8\na0,b0,a,b,X,Y,0.1\n"
    with pytest.raises(InputError, match="'a' is in 'Y' here and in 'X' elsewhere"):
        load(tmp_path, text.replace("a0,b0", "a1,b0").replace("a,b,X,Y", "a,b,Y,Y"))
    loaded = load(tmp_path, text, TableOptions(subjects_by_group=True))
    assert loaded.mated.tolist() == [True, True, False]
    assert "1 of 4 pairs show one name in two groups and were left out" in loaded.limits()[0]


def test_rows_that_repeat_without_images_are_reported(tmp_path):
    text = "subject1,subject2,group1,group2,score\na,a,X,X,.9\nb,b,Y,Y,.8\na,b,X,Y,.1\n"
    loaded = load(tmp_path, text + "b,a,Y,X,.1\n" + "a,a,X,X,.9\n")
    assert any("2 of 5 rows repeat the people and the scores" in said for said in loaded.limits())


BOXED = "image,subject,group,x1,y1,x2,y2,e0,e1,e2\ni0,a,X,1,2,3,4,1,0,0\ni1,a,X,1,2,3,4,0,1,0\n"


def test_numbered_columns_are_one_gapless_series_or_a_question(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text(BOXED)
    with pytest.raises(InputError, match="several series of numbered columns: 'x1', 'x2'; 'e0'"):
        load_images(path)
    found = load_images(path, prefix="e")
    assert found.embedding.tolist() == [[1, 0, 0], [0, 1, 0]]
    path.write_text(BOXED.replace("e1", "e3"))
    with pytest.raises(InputError, match="e1 is missing"):
        load_images(path, prefix="e")
    with pytest.raises(InputError, match="has no columns v0, v1"):
        load_images(path, prefix="v")


@pytest.mark.parametrize("scale", [1e3, 1e-3])
def test_half_precision_embeddings_are_compared_in_single_precision(tmp_path, scale):
    rng = np.random.default_rng(0)
    vectors = (scale * rng.normal(size=(4, 64))).astype(np.float16)
    ids, people = ["i0", "i1", "i2", "i3"], ["a", "a", "b", "b"]
    (tmp_path / "pairs.csv").write_text("image1,image2\ni0,i1\ni0,i2\ni2,i3\n")
    np.savez(
        tmp_path / "e.npz", embedding=vectors, id=ids, subject=people, group=["X", "X", "Y", "Y"]
    )
    loaded = load_embeddings(
        {"e": tmp_path / "e.npz"},
        TableOptions(any_direction=True),
        people=None,
        pairs=tmp_path / "pairs.csv",
        sample=None,
        seed=0,
    )["group"]
    whole = vectors.astype(np.float64)
    unit = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    known = [unit[0] @ unit[1], unit[0] @ unit[2], unit[2] @ unit[3]]
    np.testing.assert_allclose(loaded.scores["e"], known, atol=1e-6)


def test_a_hint_names_the_other_spelling_of_a_lost_image(tmp_path):
    np.savez(tmp_path / "e.npz", embedding=np.eye(2), id=["A0.jpg", "a1.jpg"], group=["X", "Y"])
    (tmp_path / "pairs.csv").write_text("same,image1,image2\n1,a0.jpg,a1.jpg\n")
    with pytest.raises(InputError, match="'a0.jpg' is spelled 'A0.jpg' there"):
        load_embeddings(
            {"e": tmp_path / "e.npz"},
            TableOptions(),
            people=None,
            pairs=tmp_path / "pairs.csv",
            sample=None,
            seed=0,
        )


def test_the_audit_of_given_thresholds_alone_takes_no_default_rates(tmp_path, monkeypatch, capsys):
    from fairjax import cli
    from fairjax.core.results import load_results

    (tmp_path / "t.csv").write_text(rows())
    for more, fmrs in (([], []), (["--fmr", "1e-3,1e-4"], [1e-3, 1e-4])):
        line = ["audit", str(tmp_path / "t.csv"), "--threshold", "0.5", "--bootstrap", "5"]
        assert cli.main([*line, *more, "--out", str(tmp_path / "out")]) == 0
        results = load_results(tmp_path / "out" / "results.json")
        assert results.protocol["fmrs"] == fmrs
        assert (results.protocol["threshold_rule"] == "given") == (not fmrs)
        assert {m.at for m in results.measures if m.at} == {
            "threshold 0.5",
            *(f"FMR 1e-{k}" for k in (3, 4) if fmrs),
        }
    assert run.FMRS == (1e-3, 1e-4)


@pytest.mark.parametrize(
    ("lost", "known", "hint"),
    [
        (["x/1.jpg"], ["y/1.jpg"], " 'x/1.jpg' is spelled 'y/1.jpg' there; write names alike."),
        (["1.jpg"], ["1"], " '1.jpg' is spelled '1' there; write names alike."),
        (["1"], ["faces/1.png"], " '1' is spelled 'faces/1.png' there; write names alike."),
        (["Anna"], ["anna"], " 'Anna' is spelled 'anna' there; write names alike."),
        (["q", "Anna"], ["anna"], " 'Anna' is spelled 'anna' there; write names alike."),
        (
            ["a/0"],
            ["a/0.jpg", "b/0.jpg"],
            " 'a/0' is spelled 'a/0.jpg' there; write names alike.",
        ),
        (["c/0"], ["a/0.jpg", "b/0.jpg"], ""),
        (["q"], ["r"], ""),
        ([], ["r"], ""),
    ],
)
def test_another_spelling_of_a_name_that_is_not_there(lost, known, hint):
    assert spelled_nearly(lost, known) == hint
