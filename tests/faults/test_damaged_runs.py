"""The files of a run that a report is made of, each damaged in every way: one line, or a report."""

import errno
import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fairjax.cli import main
from fairjax.config import load
from fairjax.core import files
from fairjax.core.results import load_results
from fairjax.run.workdir import is_finished

DAMAGES = (b"", b"{", b"[]", b"null", b"7", b"{}", b'"x"', b"\xff\xfe\x00", b"PK\x03\x04" * 9)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder as training leaves it, without a training."""
    folder = tmp_path_factory.mktemp("run")
    config = load(str(Path(__file__).parents[1] / "configs" / "tiny.py"))
    draw, n = np.random.default_rng(0), 40
    race, gender = draw.integers(0, 4, n), draw.integers(0, 2, n)
    age = draw.integers(1, 90, n)
    np.savez_compressed(
        folder / "predictions.npz",
        id=np.arange(n).astype(str),
        cluster=np.arange(n),
        group=race,
        gender=gender,
        age=age,
        pred_age=age + draw.normal(size=n),
        prob_group=np.full((n, 4), 0.25),
        prob_gender=np.stack([1 - gender, gender], 1) * 0.8 + 0.1,
    )
    known = dict(low=0, unit="", assigned_by="nobody")
    attributes = {
        "group": {**known, "values": ["A", "B", "C", "D"], "high": 3},
        "gender": {**known, "values": ["f", "m"], "high": 1},
        "age": {**known, "values": [], "high": 116, "unit": "years"},
    }
    for name, tree in {
        "config.json": config.to_dict(),
        "data.json": {"hash": "0", "splits_hash": "0", "attributes": attributes},
        "environment.json": {"fairjax": "1", "git_revision": "0", "command": "c"},
        "outcome.json": {"step": 2, "evaluated_step": 2, "seconds_since_resumed": 1.0},
    }.items():
        (folder / name).write_text(json.dumps(tree))
    (folder / "metrics.jsonl").write_text('{"step": 1, "kind": "train", "loss": 2.0}\n')
    return folder


def test_a_whole_folder_is_reported(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    assert main(["report", str(tmp_path / "run")]) == 0
    assert load_results(tmp_path / "run" / "results.json").measures


def test_a_run_is_finished_when_its_last_file_is_there(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    assert is_finished(folder)
    (folder / "outcome.json").unlink()  # killed between the predictions and it
    assert not is_finished(folder)


def test_a_full_disk_at_any_write_is_one_line_and_loses_nothing(
    finished, tmp_path, capsys, monkeypatch
):
    whole = shutil.copytree(finished, tmp_path / "whole")
    count, sync = itertools.count(), os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: (next(count), sync(descriptor)))
    assert main(["report", str(whole)]) == 0
    writes = next(count)
    assert writes >= 2, "results and report"
    folder = shutil.copytree(finished, tmp_path / "run")
    for write in range(writes):
        calls = itertools.count()

        def full(descriptor, calls=calls, write=write):
            if next(calls) >= write:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        monkeypatch.setattr(files.os, "fsync", full)
        capsys.readouterr()
        assert main(["report", str(folder)]) == 1
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("fairjax: ") and "No space left on device" in said
        assert str(folder) in said and not list(folder.glob("*.partial"))
    monkeypatch.setattr(files.os, "fsync", sync)
    assert main(["report", str(folder)]) == 0
    assert (folder / "results.json").read_bytes() == (whole / "results.json").read_bytes()


@pytest.mark.parametrize(
    "name", ["config.json", "data.json", "environment.json", "outcome.json", "predictions.npz"]
)
def test_a_damaged_file_is_one_line_that_names_it(finished, tmp_path, capsys, name):
    for number, content in enumerate(DAMAGES):
        folder = shutil.copytree(finished, tmp_path / str(number))
        (folder / name).write_bytes(content)
        assert main(["report", str(folder)]) == 1, content
        said = capsys.readouterr().err
        assert said.startswith("fairjax: ") and said.count("\n") == 1
        assert name in said


def test_damaged_results_and_logs_stop_no_report(finished, tmp_path):
    for number, content in enumerate((b"[]", b"\xff\xfe\x00")):
        folder = shutil.copytree(finished, tmp_path / str(number))
        (folder / "results.json").write_bytes(content)
        (folder / "metrics.jsonl").write_bytes(content)
        assert main(["report", str(folder)]) == 0, content


def test_damaged_results_are_one_line_where_two_are_compared(finished, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "run")
    assert main(["report", str(folder)]) == 0
    capsys.readouterr()
    for content in DAMAGES:
        (tmp_path / "results.json").write_bytes(content)
        assert main(["diff", str(folder), str(tmp_path / "results.json")]) == 1
        said = capsys.readouterr().err
        assert said.startswith("fairjax: ") and said.count("\n") == 1
