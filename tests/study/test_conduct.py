"""A study as a user runs it: what fails is named, what is done is not repeated."""

import json

import pytest
from test_main import ROOT, main

STUDY = ROOT / "tests" / "configs" / "tiny_study.py"


@pytest.mark.slow
def test_a_study_names_what_failed_goes_on_and_repeats_nothing(tmp_path):
    done = main(tmp_path, config=f"{STUDY}:broken")
    assert done.returncode == 1, done.stderr
    assert "broken-seed0 failed" in done.stderr
    assert "after-it-seed0 failed: it needs broken-seed0, which failed" in done.stderr
    assert "not finite at step" in done.stderr
    kept = json.loads((tmp_path / "study.json").read_text())
    assert [run["state"] for run in kept["runs"]] == ["done"] * 3 + ["failed"] * 2
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
