"""A study as a user runs it: what fails is named, what is done is not repeated."""

import importlib
import json
import os
import signal
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from test_main import ROOT, main

from fairjax.config import Column, Row, Study, base_config, study
from fairjax.data.dataset import DataError
from fairjax.run.workdir import WorkdirError, claim
from fairjax.study import expand

# `fairjax.study.conduct` is the function, which the room hands on.
conduct_module = importlib.import_module("fairjax.study.conduct")
STUDY = ROOT / "tests" / "configs" / "tiny_study.py"


@pytest.mark.slow
def test_a_study_names_what_failed_goes_on_and_repeats_nothing(tmp_path):
    done = main(tmp_path, config=f"{STUDY}:broken")
    assert done.returncode == 1, done.stderr
    assert "broken-seed0 failed" in done.stderr
    assert "after-it-seed0 failed: it needs broken-seed0, which failed" in done.stderr
    assert "not finite at step" in done.stderr
    kept = json.loads((tmp_path / "study.json").read_text())
    assert [run["state"] for run in kept["runs"]] == ["done"] * 2 + ["failed"] * 2
    assert kept["rows"][0]["cells"]["Accuracy"]["published"] == 71.0
    assert [claim["verdict"] for claim in kept["claims"]]
    assert kept["verdict"]["verdict"] == kept["claims"][1]["verdict"]
    ((alike,),) = ([pair["cells"]["everyone"]["values"] for pair in kept["similar"]],)
    assert alike[0] > 0.5  # both have hardly moved from the same weights
    assert "Similarity of features" in done.stdout
    assert done.stdout.index("Verdict\n") < done.stdout.index("Going on lowers")
    assert "Going on lowers the error" in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 10_000
    before = (tmp_path / "base-seed0" / "metrics.jsonl").read_bytes()
    again = main(tmp_path, config=STUDY)
    assert again.returncode == 0, again.stderr
    assert "Run 1 of" not in again.stderr
    assert (tmp_path / "base-seed0" / "metrics.jsonl").read_bytes() == before


def test_one_run_of_a_single_run_config_is_refused(tmp_path):
    done = main(tmp_path, "--only=base-seed0")
    assert done.returncode == 2
    assert "--only is for studies" in done.stderr


@pytest.fixture
def conducted(tmp_path, monkeypatch):
    """`(endings) -> (exit status, runs that were started, runs that failed)`; no run is trained.

    The endings are for each run's name what its process ends with: an exit status, minus a signal
    that ended it, or ("stop", signal) where the study was asked to stop.
    """
    rows = (Row("Base"), Row("Plain"), Row("After", needs={"init.run": "Base"}))
    tree = study(
        base_config(), Study("T", "", rows, (Column("Accuracy", "gender_accuracy"),), seeds=(0, 1))
    )
    runs = expand(tree, tmp_path, overrides={})

    def call(endings, done=(), controls=()):
        started, failures = [], []
        noise = (tmp_path, tmp_path)
        conducted = [replace(run, noise=noise) if run.name in controls else run for run in runs]

        def run_apart(run, workdir):
            assert workdir == tmp_path
            started.append(run.name)
            ending = endings.get(run.name, 0)
            return (0, ending[1], "") if isinstance(ending, tuple) else (ending, 0, "")

        def summarise(workdir, console, *, failed):
            failures.extend(failed)  # names, with reasons or without
            return workdir / "report.html"

        for run in runs:
            if run.name in done:
                run.folder.mkdir()
                for name in ("results.json", "report.html"):
                    (run.folder / name).touch()
        monkeypatch.setattr(conduct_module, "_run_apart", run_apart)
        monkeypatch.setattr(conduct_module, "summarise", summarise)
        monkeypatch.setattr(sys, "argv", ["main.py", "--workdir=some where"])
        status = conduct_module.conduct(tree.study, conducted, tmp_path, Console(quiet=True))
        return SimpleNamespace(status=status, started=started, failed=failures)

    return call


ALL = [f"{row}-seed{seed}" for seed in (0, 1) for row in ("base", "plain", "after")]


def test_every_run_is_started_once_in_order(conducted, tmp_path, capsys):
    outcome = conducted({})
    assert (outcome.status, outcome.started, outcome.failed) == (0, ALL, [])
    assert f"Report: {tmp_path / 'report.html'}" in capsys.readouterr().out
    kept = json.loads((tmp_path / "study.json").read_text())
    assert "-m fairjax.main '--workdir=some where'" in json.dumps(kept)


def test_finished_runs_are_not_started_again(conducted):
    outcome = conducted({}, done=("base-seed0", "after-seed1"))
    assert outcome.started == [name for name in ALL if name not in ("base-seed0", "after-seed1")]
    assert outcome.status == 0


def test_a_failed_run_stops_only_those_that_need_it(conducted, caplog):
    outcome = conducted({"base-seed0": 1, "plain-seed1": -9})
    assert outcome.started == [name for name in ALL if name != "after-seed0"]
    assert outcome.failed == ["base-seed0", "after-seed0", "plain-seed1"]
    assert outcome.status == 1
    said = " ".join(caplog.messages)
    assert "base-seed0 failed: exit status 1; its messages stand above. Alone: " in said
    assert "--only=base-seed0" in said
    assert "after-seed0 failed: it needs base-seed0, which failed" in said
    assert "plain-seed1 failed: signal 9 ended it; was there enough memory?" in said


def test_a_control_that_cannot_be_made_is_not_offered_alone(conducted, monkeypatch, caplog):
    def refuse(run, study):
        raise WorkdirError("There are no embeddings.")

    monkeypatch.setattr(conduct_module, "make_control", refuse)
    outcome = conducted({}, controls=("plain-seed0",))
    assert outcome.failed == ["plain-seed0"] and outcome.status == 1
    assert "plain-seed0 failed: There are no embeddings." in caplog.messages
    assert "--only=plain-seed0" not in caplog.text


def test_a_signal_ends_the_study_after_the_run_and_says_how_to_resume(conducted, capsys):
    outcome = conducted({"plain-seed0": ("stop", signal.SIGTERM)})
    assert outcome.started == ALL[:2]
    assert outcome.status == 128 + signal.SIGTERM
    said = capsys.readouterr().out
    assert "Stopped in run 2 of 6 (plain-seed0); all is saved. To resume:" in said
    assert "-m fairjax.main '--workdir=some where'" in said and "Report" not in said


def test_data_that_cannot_be_used_start_no_run(conducted, monkeypatch):
    monkeypatch.setattr(
        conduct_module,
        "unusable_data",
        lambda runs: {run.name: "no such folder." for run in runs if run.row != "Base"},
    )
    with pytest.raises(DataError) as caught:
        conducted({})
    said = str(caught.value)
    assert said.startswith("plain-seed0: no such folder. No run was started (4 runs cannot be tr")
    assert said.endswith("report.html.")


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """`(script) -> outcome of one run`, whose process is that shell script."""
    tree = study(base_config(), Study("T", "", (Row("A"),), (Column("x", "y"),)))
    (run,) = expand(tree, tmp_path, overrides={})

    def call(script):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(conduct_module.sys, "executable", str(program))
        monkeypatch.setattr(sys, "argv", ["main.py", "--config=x.py"])
        return conduct_module._run_apart(run, tmp_path)

    call.folder = run.folder
    return call


def test_a_run_is_this_command_line_with_its_name_and_its_output_is_kept(apart, tmp_path):
    script = 'echo "$@"; echo "$JAX_COMPILATION_CACHE_DIR" >&2; echo "$FAIRJAX_PARENT"'
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    assert apart(script) == (0, 0, "")
    out = (apart.folder / "run.log").read_text().splitlines()
    assert out == ["-m fairjax.main --config=x.py --only=a-seed0", str(os.getpid())]


def test_a_cache_of_compiled_programs_that_is_set_stays(apart, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    apart('echo "$JAX_COMPILATION_CACHE_DIR"')
    assert (apart.folder / "run.log").read_text() == "/elsewhere\n"


def test_the_error_that_ended_a_run_is_handed_on_and_an_older_one_forgotten(apart):
    apart.folder.mkdir()
    (apart.folder / "error.txt").write_text("of last week")
    assert apart("exit 3") == (3, 0, "")
    assert apart('printf "loss is not finite" > "$FAIRJAX_ERROR_FILE"; exit 1') == (
        1,
        0,
        "loss is not finite",
    )


def test_a_process_that_a_signal_ended_has_minus_its_number(apart):
    assert apart("kill -9 $$") == (-9, 0, "")


def test_a_signal_to_the_study_is_passed_on_to_the_run_and_handlers_come_back(apart):
    before = signal.getsignal(signal.SIGTERM)
    stop = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    stop.start()
    status, stopped_by, why = apart("trap 'exit 7' TERM; while :; do sleep 0.05; done")
    assert (status, stopped_by, why) == (7, signal.SIGTERM, "")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_another_process_has_is_waited_for(apart, monkeypatch):
    waits = []
    apart.folder.mkdir()
    hold = claim(apart.folder)
    hold.__enter__()

    def sleep(seconds):
        waits.append(seconds)
        hold.__exit__(None, None, None)

    monkeypatch.setattr(conduct_module.time, "sleep", sleep)
    assert apart("exit 0") == (0, 0, "")
    assert waits == [1.0]
