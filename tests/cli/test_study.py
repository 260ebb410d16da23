"""`fairjax study` on a stored study; how studies are compared is tested in `study`."""

import json
from dataclasses import asdict, replace

import pytest
from study_example import CELLS, CLAIMS, write_study

from fairjax.cli import main


def code(*words):
    """The exit code, returned or raised."""
    try:
        return main(["study", *words])
    except SystemExit as leaving:
        return leaving.code


@pytest.fixture
def stored(tmp_path):
    write_study(tmp_path / "stored")
    return str(tmp_path / "stored")


def test_a_study_agrees_with_itself_from_its_folder_or_its_file(stored, capsys):
    assert code("check", stored, f"{stored}/study.json") == 0
    assert capsys.readouterr().out == "4 numbers and 2 claims agree with the stored study.\n"


def test_numbers_are_counted_over_all_rows(stored, tmp_path, capsys):
    rows = [
        {"name": name, "cells": {title: asdict(cell) for title, cell in line.items()}}
        for name, line in CELLS.items()
    ]
    del rows[0]["cells"]["Spread"]
    write_study(tmp_path / "fewer", rows=rows, claims=[])
    assert code("check", str(tmp_path / "fewer"), str(tmp_path / "fewer")) == 0
    assert capsys.readouterr().out == "3 numbers and 0 claims agree with the stored study.\n"


def test_what_contradicts_is_counted_shown_and_ends_with_one(stored, tmp_path, capsys):
    claims = [replace(CLAIMS[0], verdict="contradicted"), CLAIMS[1]]
    write_study(tmp_path / "new", claims=[asdict(claim) for claim in claims])
    assert code("check", str(tmp_path / "new"), stored) == 1
    said = capsys.readouterr().out
    assert "1 difference among 4 numbers and 2 claims" in said
    line = next(line for line in said.splitlines() if CLAIMS[0].claim.text in line)
    assert line.index("holds") < line.index("contradicted")  # stored, then new
    write_study(tmp_path / "new", claims=[])
    assert code("check", str(tmp_path / "new"), stored) == 1
    assert "2 differences among 4 numbers and 2 claims" in capsys.readouterr().out


def test_spreads_are_printed_as_a_config_takes_them(tmp_path, capsys):
    claims = [replace(CLAIMS[0], spread=(0.21234, 0.1)), CLAIMS[1]]
    write_study(tmp_path / "s", claims=[asdict(claim) for claim in claims])
    assert code("spread", str(tmp_path / "s")) == 0
    assert capsys.readouterr().out == (
        "spreads={\n    'Spread': Spread(0.212, 0.1, 'Fair and plain, 2 seeds'),\n}\n"
    )


def test_a_study_without_a_spread_is_one_line(stored, capsys):
    assert code("spread", stored) == 1
    error = capsys.readouterr().err
    assert error == f"fairjax: {stored}: no claim has two seeds and an interval yet.\n"


def test_a_page_is_written_where_it_is_said(stored, tmp_path, monkeypatch, capsys):
    asked = []

    def write_page(folder, out):
        asked.append((str(folder), str(out)))
        return out

    monkeypatch.setattr("fairjax.study.page.write_page", write_page)
    assert code("page", stored, "--out", "p.md") == 0
    assert asked == [(stored, "p.md")] and capsys.readouterr().out == "Page: p.md\n"


@pytest.mark.parametrize("words", [["check", "NONE", "STORED"], ["check", "STORED", "NONE"]])
def test_a_study_that_is_not_there_is_one_line(stored, tmp_path, capsys, words):
    names = {"NONE": str(tmp_path / "none"), "STORED": stored}
    assert code(*(names.get(word, word) for word in words)) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "none" in error


def test_a_damaged_study_is_one_line(stored, tmp_path, capsys):
    path = tmp_path / "stored" / "study.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "claims": [{}]}))
    assert code("check", stored, stored) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["compare"], ["check", "one"], ["page", "one"], ["spread"]])
def test_an_incomplete_line_ends_with_two(words, capsys):
    assert code(*words) == 2
    assert capsys.readouterr().err.count("\n") == 1
