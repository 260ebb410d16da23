"""`fairjax report` on the folder that a finished run leaves, without model or image."""

import json

import numpy as np
import pytest

from fairjax.cli import main
from fairjax.config import base_config
from fairjax.config.study import Column, Row, Study
from fairjax.core.results import load_results
from fairjax.study import save_study

RACE = {"values": ["A", "B"], "low": 0, "high": 1, "unit": "", "assigned_by": "nobody"}
GENDER = {**RACE, "values": ["male", "female"]}


@pytest.fixture
def folder(tmp_path):
    """A run that decides three of four faces rightly, 200 of them in two races."""
    run = tmp_path / "run"
    run.mkdir()
    n = 200
    gender = np.arange(n) % 2
    right = np.arange(n) % 4 != 3
    np.savez(
        run / "predictions.npz",
        id=np.arange(n).astype(str),
        cluster=np.arange(n),
        race=np.arange(n) // 2 % 2,
        gender=gender,
        prob_gender=np.eye(2)[np.where(right, gender, 1 - gender)] * 0.8 + 0.1,
    )
    config = base_config()
    config.title = "A run"
    config.eval.protocol.update(group_by="race", resamples=9)
    (run / "config.json").write_text(json.dumps(config.to_dict()))
    data = {"name": "utkface", "hash": "0", "attributes": {"race": RACE, "gender": GENDER}}
    (run / "data.json").write_text(json.dumps(data))
    environment = {"fairjax": "0.0", "git_revision": None, "command": "the line"}
    (run / "environment.json").write_text(json.dumps(environment))
    (run / "outcome.json").write_text(json.dumps({"evaluated_step": 3}))
    return run


def test_numbers_and_page_are_made_of_the_predictions(folder, capsys):
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.endswith(f"\nReport: {folder / 'report.html'}\n")
    assert load_results(folder / "results.json").get("gender_accuracy").value == 0.75
    assert "A run" in (folder / "report.html").read_text()


def test_again_gives_the_same_numbers_and_mends_what_is_damaged(folder):
    assert main(["report", str(folder)]) == 0
    before = load_results(folder / "results.json")
    (folder / "results.json").write_text("{")
    (folder / "report.html").unlink()
    assert main(["report", str(folder)]) == 0
    assert load_results(folder / "results.json").measures == before.measures
    assert (folder / "report.html").exists()


def test_tables_are_printed_on_request(folder, capsys):
    assert main(["report", str(folder)]) == 0
    verdict = capsys.readouterr().out
    assert main(["report", str(folder), "--tables"]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) > len(verdict.splitlines()) + 5
    assert "75.0" in said


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("config.json", None, "config.json"),
        ("predictions.npz", None, "predictions.npz is missing"),
        ("predictions.npz", b"PK", "predictions.npz"),
        ("data.json", b"{}", "data.json lacks 'hash'"),
        ("config.json", b"{", "config.json"),
    ],
)
def test_a_folder_that_lacks_a_file_is_one_line(folder, capsys, name, change, said):
    if change is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(change)
    assert main(["report", str(folder)]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and error.startswith("fairjax: ")


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_study_has_its_table_made_again(folder, capsys):
    study = Study("S", "", (Row("Run"),), (Column("Accuracy", "gender_accuracy"),), seeds=(0,))
    main(["report", str(folder)])
    folder.rename(folder.parent / "run-seed0")
    save_study(folder.parent, study, "the line")
    capsys.readouterr()
    assert main(["report", str(folder.parent)]) == 0
    said = capsys.readouterr().out
    assert "75.00" in said and said.endswith(f"Report: {folder.parent / 'report.html'}\n")
    assert "75.00" in (folder.parent / "report.html").read_text()


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    out = tmp_path_factory.mktemp("audited") / "audit"
    assert main(["audit", "--demo", "--bootstrap", "5", "--fmr", "1e-2", "--out", str(out)]) == 0
    return out


def test_figures_and_tables_of_an_audit_are_exported(audited, tmp_path, capsys):
    line = ["report", str(audited), "--export", str(tmp_path / "new"), "--as", "svg,tex"]
    assert main(line) == 0
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".svg", ".tex"}
    assert "(svg, tex)" in capsys.readouterr().out


def test_figures_and_tables_of_a_run_are_exported(folder, tmp_path, capsys):
    assert main(["report", str(folder)]) == 0
    line = ["report", str(folder), "--export", str(tmp_path / "new"), "--as", "svg,csv"]
    assert main(line) == 0
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".svg", ".csv"}
    text = "".join(path.read_text() for path in (tmp_path / "new").glob("*.csv"))
    assert "75.0" in text


def test_the_pages_of_an_audit_are_written_again(audited, capsys):
    before = {name: (audited / name).read_bytes() for name in ("report.html", "summary.html")}
    assert main(["report", str(audited), "--tables"]) == 0
    assert "Error rates" in capsys.readouterr().out
    assert before == {name: (audited / name).read_bytes() for name in before}


def test_two_audits_stand_side_by_side(audited, tmp_path):
    out = tmp_path / "both.html"
    assert main(["report", str(audited), str(audited), "--out", str(out)]) == 0
    assert "Two reports side by side" in out.read_text()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--as", "svg"], 2, "--as needs --export"),
        (["--export", "x", "--as", "bmp"], 2, "known kinds are svg"),
        (["--out", "x.html"], 2, "two folders"),
        (["other", "--out", "x.txt"], 2, "--out FILE.html"),
        (["--export", "x"], 1, "does not exist"),
    ],
)
def test_what_cannot_be_reported_is_said_in_one_line(tmp_path, capsys, more, code, said):
    assert main(["report", str(tmp_path), *more]) == code
    assert said in capsys.readouterr().err
