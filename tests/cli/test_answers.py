import os

import pytest

from fairjax.audit.findings import Findings
from fairjax.audit.tables import InputError
from fairjax.cli import answers
from fairjax.core.results import Results, Table, load_results
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


@pytest.fixture
def findings():
    """An answer with a table of three rows and a limit."""
    table = Table("T", ["n"], [["first"], ["second"], ["third"]])
    results = Results("plan", {"name": "x"}, [], {}, ["It is made up."], {})
    return Findings("The answer.", ["A reason."], [table], results)


def test_an_answer_is_printed_and_left_where_it_is_asked_for(findings, tmp_path, capsys):
    answers.answer(findings, None)
    alone = capsys.readouterr().out
    assert alone.startswith("The answer.\nA reason.\n\n") and "third" in alone
    assert alone.endswith("Note: It is made up.\n") and list(tmp_path.iterdir()) == []
    answers.answer(findings, tmp_path / "new")
    assert capsys.readouterr().out == f"{alone}Written: {tmp_path / 'new' / 'results.json'}\n"
    assert load_results(tmp_path / "new" / "results.json").protocol == {"name": "x"}


@pytest.mark.parametrize(("most", "shown"), [(0, 3), (1, 1), (2, 2), (3, 3), (4, 3)])
def test_so_many_rows_are_printed_and_all_are_written(findings, tmp_path, capsys, most, shown):
    answers.answer(findings, tmp_path / "new", most_rows=most)
    said = capsys.readouterr().out
    assert [word in said for word in ("first", "second", "third")].count(True) == shown
    assert ("more rows: --out DIR writes them all." in said) is (shown < 3)
    (table,) = (tmp_path / "new").glob("table-*.csv")
    assert len(table.read_text().splitlines()) == 4


def test_facts_say_the_command_and_the_versions(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fairjax", "threshold", "t.csv"])
    facts = answers.facts_of({})
    assert facts["command"] == "fairjax threshold t.csv" and facts["files"] == {}
    assert set(facts["versions"]) == {"fairjax", "numpy", "python"} and "stated" not in facts
