"""The desk's simulations run; their numbers stand in the docs."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_fast_mode_runs_and_says_what_it_counted():
    done = subprocess.run(
        [sys.executable, "benchmarks/desk.py", "plan", "identify", "--fast"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line.get("case") for line in found} == {None, "plan", "identify"}
    assert all(0 <= line["share"] <= 1 and line["of"] == 2 for line in found if "share" in line)
