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
