import io
import json

import numpy as np
import pytest
from PIL import Image

from fairjax import cli


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """Ten noise pictures, two a race, one of them twice with another age; and two bad files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "UTKFace"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for race in range(5):
        for gender in range(2):
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).resize((200, 200)).save(buffer, "JPEG")
            (folder / f"25_{gender}_{race}_20170116.jpg").write_bytes(buffer.getvalue())
    (folder / "31_1_4_20170116.jpg").write_bytes(buffer.getvalue())
    (folder / "61_1_20170109.jpg").write_bytes(buffer.getvalue())
    (folder / "40_1_1_20170109.jpg").write_bytes(buffer.getvalue()[:-500])
    return folder


def test_check_prints_every_count_and_names_every_bad_file(faces, capsys):
    assert cli.main(["data", "check", "utkface", str(faces), "--max-bad", "0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = [line.split() for line in lines]
    assert "13 image files, 11 usable, 2 skipped" in lines[0]
    assert ["Others", "1", "2", "3", "27.3%"] in words
    assert ["all", "5", "6", "11", "100.0%"] in words
    assert ["20-29", "10", "90.9%"] in words
    assert ["same", "picture", "1", "2"] in words
    assert ["in", "age", "1"] in words
    assert any("61_1_20170109.jpg" in line and "no race" in line for line in lines)
    assert any("40_1_1_20170109.jpg" in line and "truncated" in line for line in lines)
    assert "fit to train on" in lines[-1]


def test_check_writes_the_whole_account_as_json(faces, tmp_path, capsys):
    out = tmp_path / "check.json"
    assert cli.main(["data", "check", "utkface", str(faces), "--json", str(out)]) == 1
    account = json.loads(out.read_text())
    assert account["usable"] == 11
    assert account["duplicates"]["members"] == [["25_1_4_20170116.jpg", "31_1_4_20170116.jpg"]]
    assert account["conflicts"]["members"][0]["differ_in"] == ["age"]


def test_what_cannot_be_used_ends_with_one_line_and_a_code(faces, tmp_path, capsys):
    for arguments, words in (
        ([str(faces)], "2 of 13 files are bad"),
        ([str(tmp_path / "none")], "does not exist"),
        ([str(faces), "--max-bad", "1", "--json", str(faces)], "Is a directory"),
    ):
        assert cli.main(["data", "check", "utkface", *arguments]) == 1
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1
        assert errors.startswith("fairjax: ")
        assert words in errors


def test_names_cannot_write_to_the_terminal(faces, capsys):
    (faces / "25_0_0_\x1b[2J[bold].jpg").write_bytes(b"")
    cli.main(["data", "check", "utkface", str(faces), "--max-bad", "1"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"25_0_0_\x1b[2J[bold].jpg" in out


@pytest.mark.parametrize(
    "arguments", [["--help"], ["report", "--help"], ["data", "check", "--help"]]
)
def test_help_says_what_the_verb_does(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0
    assert "usage: fairjax" in capsys.readouterr().out


@pytest.fixture
def people(tmp_path, monkeypatch):
    """Four people with two pictures each, one of them bad, a table, and a list with a bad line."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for person in "abcd":
        (tmp_path / "lfw" / person).mkdir(parents=True)
        for k in (1, 2):
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "lfw" / person / f"{person}_{k:04d}.jpg")
    (tmp_path / "groups.csv").write_text("identity,group\na,x\nb,x\nc,y\n")
    (tmp_path / "pairs.txt").write_text("2 1\na 1 2\na 1 b 1\nc 1 2\nc 2 d 1\n")
    return tmp_path


def test_check_counts_people_by_group_and_images_a_person(people, capsys):
    (people / "lfw" / "d" / "d_0002.jpg").write_bytes(b"no picture")
    arguments = ["identities", str(people / "lfw"), "--groups", str(people / "groups.csv")]
    assert cli.main(["data", "check", *arguments, "--max-bad", "0.2"]) == 0
    out = capsys.readouterr().out
    words = [line.split() for line in out.splitlines()]
    assert "7 images of 4 people, 1 skipped" in out
    assert ["x", "2", "4", "57.1%"] in words
    assert ["unknown", "1", "1", "14.3%"] in words
    assert ["2", "3", "75.0%"] in words
    assert ["d/d_0002.jpg", "unreadable", "not", "a", "JPEG", "or", "PNG", "image"] in words
    assert "fit to train on" in out
    assert cli.main(["data", "check", *arguments]) == 1
    assert "1 of 8 files are bad, more than max_bad=0.01" in capsys.readouterr().err


def test_check_counts_pairs_by_group_part_and_kind(people, capsys):
    arguments = ["lfw", str(people / "lfw"), "--pairs", str(people / "pairs.txt")]
    groups = ["--groups", str(people / "groups.csv")]
    assert cli.main(["data", "check", *arguments, *groups]) == 0
    out = capsys.readouterr().out
    words = [line.split() for line in out.splitlines()]
    assert "8 images of 4 people, 4 pairs, 0 skipped" in out
    assert ["x", "1", "1", "2"] in words and ["y", "1", "1", "2"] in words
    assert ["2", "1", "1"] in words
    assert "fit to test on" in out


def test_check_lists_every_pair_that_cannot_be_used(people, capsys):
    (people / "pairs.txt").write_text("2 1\na 1 2\na 1 b 9\nc 1 1\nc 2 d 1\n")
    out = people / "check.json"
    arguments = ["lfw", str(people / "lfw"), "--pairs", str(people / "pairs.txt")]
    assert cli.main(["data", "check", *arguments, "--json", str(out)]) == 1
    said = capsys.readouterr()
    assert "pairs.txt:3  image 9 of b is not there, or cannot be read" in said.out
    assert "pairs.txt:4  image 1 of c is paired with itself" in said.out
    assert said.err.startswith("fairjax: lfw: 2 of 4 pairs") and said.err.count("\n") == 1
    assert [problem["where"] for problem in json.loads(out.read_text())["problems"]] == [
        "pairs.txt:3",
        "pairs.txt:4",
    ]


@pytest.mark.parametrize("dataset", ["bfw", "bupt", "identities", "lfw", "rfw", "utkface"])
def test_check_of_what_is_not_there_says_where_to_get_it(tmp_path, dataset, capsys):
    assert cli.main(["data", "check", dataset, str(tmp_path / "none")]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(f"fairjax: {dataset}: ") and errors.count("\n") == 1
    assert "does not exist" in errors


@pytest.mark.parametrize(
    ("level", "people_", "images"),
    [("1", 2, 4), ("2", 4, 4), ("path", 4, 4)],
)
def test_the_folder_that_names_the_person_is_said(
    tmp_path, monkeypatch, capsys, level, people_, images
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for person in "ab":
        for video in (f"{person}1", f"{person}2"):
            (tmp_path / "tree" / person / video).mkdir(parents=True)
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "tree" / person / video / "1.png")
    line = ["data", "check", "identities", str(tmp_path / "tree")]
    assert cli.main(line) == 1
    assert "person_folder" in capsys.readouterr().err
    assert cli.main([*line, "--person-folder", level]) == 0
    assert f"{images} images of {people_} people, 0 skipped" in capsys.readouterr().out
    assert cli.main([*line, "--person-folder", "second"]) == 1
    error = capsys.readouterr().err
    assert "--person-folder" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("dataset", "flag", "said"),
    [
        ("identities", "--pairs", "--pairs is for bfw and lfw; identities takes none."),
        ("utkface", "--groups", "--groups is for identities and lfw; utkface takes none."),
        ("lfw", "--person-folder", "--person-folder is for identities; lfw takes none."),
    ],
)
def test_a_flag_of_another_data_set_is_refused(tmp_path, capsys, dataset, flag, said):
    assert cli.main(["data", "check", dataset, str(tmp_path), flag, "2"]) == 2
    assert capsys.readouterr().err == f"fairjax: {said}\n"


def test_groups_are_the_folders_above_the_people(people, capsys):
    for person, group in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")):
        (people / "grouped" / group).mkdir(parents=True, exist_ok=True)
        (people / "lfw" / person).rename(people / "grouped" / group / person)
    line = ["data", "check", "identities", str(people / "grouped"), "--groups", "folder"]
    assert cli.main(line) == 0
    words = [row.split() for row in capsys.readouterr().out.splitlines()]
    assert ["x", "2", "4", "50.0%"] in words and ["y", "2", "4", "50.0%"] in words


def test_long_lists_are_cut_and_the_file_has_them_all(people, capsys):
    for k in range(25):
        (people / "lfw" / "a" / f"bad_{k:04d}.jpg").write_bytes(b"")
    out = people / "check.json"
    line = ["data", "check", "identities", str(people / "lfw"), "--json", str(out)]
    assert cli.main([*line, "--max-bad", "1"]) == 0
    said = capsys.readouterr().out
    assert said.count("empty file") == 20 and "and 5 more; --json FILE lists them all." in said
    assert len(json.loads(out.read_text())["skipped"]) == 25


@pytest.mark.parametrize(
    "arguments",
    [
        ["data"],
        ["data", "look"],
        ["data", "check"],
        ["data", "check", "imdb", "x"],
        ["data", "check", "utkface", "x", "--max-bad", "few"],
    ],
)
def test_a_wrong_line_is_one_line_and_ends_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
