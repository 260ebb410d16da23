"""A finished study, as its `study.json` and its runs' logs say it, without a run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairjax.config.study import Claim, Column, Row, Study, Thesis
from fairjax.study import save_study
from fairjax.study.learned import Training
from fairjax.study.numbers import Cell, ClaimResult, Conclusion

TESTED = Claim("Fair is more even.", "Fair", "Plain", "Spread", "lower")
DESCRIBED = Claim("Fair costs accuracy.", "Fair", "Plain", "Accuracy", "lower", descriptive=True)
STUDY = Study(
    title="Fair and plain",
    source="Doe 2020, Table 2",
    rows=(Row("Plain"), Row("Fair", published={"Spread": 1.5})),
    columns=(Column("Accuracy", "accuracy_mean"), Column("Spread", "accuracy_std")),
    claims=(TESTED, DESCRIBED),
    thesis=Thesis(
        "Fairness is free.", (TESTED.text,), (), holds="Yes.", contradicted="No.", inconclusive="?"
    ),
    seeds=(0, 1),
    notes=("The paper names no seed.",),
    trade_off=("Accuracy", "Spread"),
)
CELLS = {
    "Plain": {
        "Accuracy": Cell((90.0, 92.0), 91.0, 1.4142, (78.3, 103.7), "Student's t", None),
        "Spread": Cell((2.0, 3.0), 2.5, 0.7071, (-3.9, 8.9), "Student's t", None),
    },
    "Fair": {
        "Accuracy": Cell((88.0, 90.0), 89.0, 1.4142, (76.3, 101.7), "Student's t", None),
        "Spread": Cell((1.0, 1.2), 1.1, 0.1414, (-0.2, 2.4), "Student's t", 1.5),
    },
}
CLAIMS = (
    ClaimResult(TESTED, None, -1.4, (-2.0, -0.8), 0.01, 0.01, "holds"),
    ClaimResult(DESCRIBED, None, -2.0, (-4.0, 0.0), verdict="descriptive"),
)
CONCLUSION = Conclusion(STUDY.thesis, "holds", (), {"holds": 1}, {})
TRAINING = {name: [Training(2.0, 1.0, None, None, 1.5)] * 2 for name in CELLS}
RUNS = [
    {"name": f"{name.lower()}-seed{seed}", "row": name, "seed": seed, "state": "done", "why": ""}
    for name in CELLS
    for seed in STUDY.seeds
]


def write_study(folder: Path, study: Study = STUDY, *, command: str = "line", **changes: Any):
    """Writes the folder's `study.json`, with other values under some of its keys."""
    folder.mkdir(parents=True, exist_ok=True)
    save_study(folder, study, command)
    path = folder / "study.json"
    numbers = {
        "runs": RUNS,
        "rows": [
            {"name": name, "cells": {title: asdict(cell) for title, cell in line.items()}}
            for name, line in CELLS.items()
        ],
        "claims": [asdict(claim) for claim in CLAIMS],
        "verdict": asdict(CONCLUSION),
        "training": {name: [t._asdict() for t in several] for name, several in TRAINING.items()},
        "not_converged": {},
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | numbers | changes))
    return path


def write_log(run: Path, losses: dict[int, float], seconds: float | None = None) -> None:
    """Writes a run's log with a training loss at some steps, and how long the run took."""
    run.mkdir(parents=True, exist_ok=True)
    lines = [{"step": step, "kind": "train", "loss": loss} for step, loss in losses.items()]
    lines.append({"step": 99, "kind": "validation", "loss": 50.0})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if seconds is not None:
        (run / "outcome.json").write_text(json.dumps({"seconds_since_resumed": seconds}))
