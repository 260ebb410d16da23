import argparse
import os
from pathlib import Path

import pytest
from results_example import example_results

from fairjax.audit import outputs
from fairjax.audit.tables import InputError
from fairjax.cli import answers, audit_output


def refuse(out, *, after=lambda: None):
    """The message of an audit that fails, after it did something to the folder."""
    with pytest.raises(InputError) as raised, audit_output.naming_earlier_results(out):
        after()
        raise InputError("t.csv: no.")
    return str(raised.value)


def test_a_failure_names_the_results_that_it_left_alone(tmp_path):
    assert refuse(None) == refuse(tmp_path) == "t.csv: no."
    first, second = tmp_path / "results.json", tmp_path / "race" / "results.json"
    second.parent.mkdir()
    first.touch()
    second.touch()
    assert refuse(tmp_path) == (f"t.csv: no. (What is in {second}, {first} is an earlier audit's.)")
    rewritten = refuse(tmp_path, after=lambda: os.utime(first, ns=(1, 1)))
    assert rewritten == f"t.csv: no. (What is in {second} is an earlier audit's.)"


def test_a_failure_of_ours_passes_unchanged(tmp_path):
    (tmp_path / "results.json").touch()
    with pytest.raises(ZeroDivisionError), audit_output.naming_earlier_results(tmp_path):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("by", "title", "folder", "written_title"),
    [("", "", "out", "t.csv"), ("age:18,30", "Mine", "out/age-18,30", "Mine")],
)
def test_each_of_several_audits_has_a_folder_with_a_name_fit_for_any_system(
    monkeypatch, capsys, by, title, folder, written_title
):
    written = []
    monkeypatch.setattr(outputs, "write", lambda *words, **titles: written.append((words, titles)))
    results = example_results()
    arguments = argparse.Namespace(
        tables=False, out=Path("out"), title=title, files=[Path("in/t.csv")]
    )
    audit_output.show(arguments, answers.console(), results, by)
    assert written == [((Path(folder), results), {"title": written_title})]
    printed = capsys.readouterr().out
    assert (f"By {by}:" in printed) is bool(by)
    assert printed.endswith(f"Report: {Path(folder) / 'report.html'}\n")
    assert all(f"Note: {limit}" in printed for limit in results.limits)
