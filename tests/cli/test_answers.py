import os

import pytest

from fairjax.audit.tables import InputError
from fairjax.cli import answers
from fairjax.serve.model import ModelError


def test_a_folder_below_one_that_exists_can_be_written_to(tmp_path):
    answers.check_folder(None)
    answers.check_folder(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match=r"a\.csv is not a folder that can be written to"):
        answers.check_folder(tmp_path / "a.csv" / "out")


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="is not a folder that can be written to"):
        answers.check_folder(tmp_path / "out")


def test_a_file_needs_a_folder_that_is_there(tmp_path, monkeypatch):
    answers.check_file(tmp_path / "out.npz")
    with pytest.raises(ModelError, match=r"--out .* is a folder; name a file in it"):
        answers.check_file(tmp_path)
    with pytest.raises(ModelError, match="the folder .*new does not exist; make it first"):
        answers.check_file(tmp_path / "new" / "out.npz")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ModelError, match="cannot be written to"):
        answers.check_file(tmp_path / "out.npz")


def test_lines_for_the_user_leave_the_result_alone(capsys):
    answers.say("one", "two")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "one\ntwo\n")


def test_images_without_a_result_are_counted_and_listed(tmp_path, capsys):
    out = tmp_path / "faces.npz"
    answers.say_unreadable(out, [], 7, "have no crop")
    assert capsys.readouterr().err == "" and list(tmp_path.iterdir()) == []
    answers.say_unreadable(out, [("a.jpg", "no JPEG"), ("b.jpg", "empty")], 1998, "have no crop")
    (path,) = tmp_path.iterdir()
    assert capsys.readouterr().err == (
        f"2 of 2,000 images have no crop; the first, a.jpg: no JPEG. All: {path}\n"
    )
    assert "b.jpg" in path.read_text() and "empty" in path.read_text()


def test_the_command_line_can_be_pasted(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/fairjax", "audit", "my scores.csv", "--by", "race"])
    assert answers.command() == "fairjax audit 'my scores.csv' --by race"


def test_facts_name_the_files_that_were_given(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("score\n0.5\n")
    facts = answers.facts_of({"scores": path, "check": None})
    assert set(facts["files"]) == {"scores"}
    with pytest.raises(InputError, match="does not exist"):
        answers.facts_of({"scores": tmp_path / "none.csv"})


def test_the_terminal_prints_names_as_they_are(capsys):
    answers.console().print("[bold]x[/bold] 12")
    assert capsys.readouterr().out == "[bold]x[/bold] 12\n"
