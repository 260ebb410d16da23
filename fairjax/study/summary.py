"""A study's numbers, tables, words and page, from the folders of its runs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fairjax.plan import Claim, Column, Row, Study
from fairjax.report import print_tables
from fairjax.report.study_page import write_study_page
from fairjax.results import Results, Table, load_results
from fairjax.study.numbers import (
    LEVEL,
    Cell,
    Tested,
    cell,
    combined,
    judge,
    published_difference,
)
from fairjax.study.paired import fingerprint, resampled_values
from fairjax.study.runs import folder_name
from fairjax.workdir import WorkdirError, read_json, write_json

SCHEMA_VERSION = "1.0"
TEST = (
    "Each difference is a mean over seeds, paired by seed. Its interval covers both other people "
    f"in the test ({{resamples}} paired resamples of them) and, with two seeds or more, other "
    f"trainings: Student's t with Welch and Satterthwaite's degrees of freedom, {LEVEL:.0%}, not "
    "adjusted for the number of claims. A claim holds here where the whole interval lies on its "
    "side of 0, is contradicted where it lies on the other, and is inconclusive else."
)


def summarise(workdir: Path, console: Console, *, failed: Sequence[str] = ()) -> Path:
    """Writes `study.json` and `report.html`, prints the tables, and returns the page's path.

    Args:
      workdir: The study's folder, which holds its plan and its runs.
      console: Where the tables go.
      failed: Names of runs that failed just now.

    Raises:
      WorkdirError: If the folder holds no study.
    """
    kept = read_json(workdir / "study.json")
    study = plan_of(kept)
    results = {row.name: _results(workdir, row, study) for row in study.rows}
    shown = [row for row in study.rows if row.shown]
    cells = {
        row.name: {c.title: cell(c, row, results[row.name]) for c in study.columns} for row in shown
    }
    claims = test_claims(workdir, study, results)
    tables = [main_table(study, cells), *([claim_table(study, claims)] if claims else [])]
    runs = [
        {"name": name, "row": row.name, "seed": seed, "state": state(found, name in failed)}
        for row in study.rows
        for seed, found in zip(study.seeds, results[row.name], strict=True)
        for name in [folder_name(row.name, seed)]
    ]
    write_json(
        workdir / "study.json",
        {
            **kept,
            "runs": runs,
            "rows": [
                {"name": name, "cells": {title: _cell(c) for title, c in line.items()}}
                for name, line in cells.items()
            ],
            "claims": [
                {**asdict(t), "test": TEST.format(resamples=study.resamples)} for t in claims
            ],
        },
    )
    path = workdir / "report.html"
    write_study_page(
        path, title=study.title, source=study.source, notes=study.notes, tables=tables,
        claims=[(t.verdict, t.claim.text, words(t)) for t in claims],
        test=TEST.format(resamples=study.resamples), runs=runs, command=kept["command"],
    )  # fmt: skip
    print_tables(tables, console)
    return path


def save_plan(workdir: Path, study: Study, command: str) -> None:
    """Writes what `summarise` starts from; the numbers come later."""
    plan = asdict(study)
    for row in plan["rows"]:
        row["changes"] = {key: _plain(value) for key, value in row["changes"].items()}
    write_json(
        workdir / "study.json",
        {"schema_version": SCHEMA_VERSION, "command": command, "plan": plan},
    )


def plan_of(kept: dict[str, Any]) -> Study:
    """The plan that `save_plan` wrote.

    Raises:
      WorkdirError: If it was written under another schema.
    """
    try:
        plan = kept["plan"]
        return Study(
            **{
                **plan,
                "rows": tuple(Row(**row) for row in plan["rows"]),
                "columns": tuple(Column(**column) for column in plan["columns"]),
                "claims": tuple(Claim(**claim) for claim in plan["claims"]),
                "seeds": tuple(plan["seeds"]),
                "notes": tuple(plan["notes"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise WorkdirError(
            f"study.json is not of schema {SCHEMA_VERSION} ({error}); run the study's line again."
        ) from None


def test_claims(
    workdir: Path, study: Study, results: dict[str, list[Results | None]]
) -> list[Tested]:
    """Every claim on the seeds for which both of its rows are done."""
    titles = {claim.column for claim in study.claims}
    columns = [column for column in study.columns if column.title in titles]
    rows = {row.name: row for row in study.rows}
    resampled: dict[Path, dict[str, np.ndarray]] = {}

    def values(folder: Path) -> dict[str, np.ndarray]:
        if folder not in resampled:
            resampled[folder] = resampled_values(folder, columns, resamples=study.resamples)
        return resampled[folder]

    tested = []
    for claim in study.claims:
        published = published_difference(claim, rows)
        column = next(column for column in columns if column.title == claim.column)
        one, other = (
            cell(column, rows[name], results[name]).values for name in (claim.row, claim.than)
        )
        pairs = [
            (seed, a - b)
            for seed, a, b in zip(study.seeds, one, other, strict=True)
            if a is not None and b is not None
        ]
        folders = [
            [workdir / folder_name(name, seed) for name in (claim.row, claim.than)]
            for seed, _ in pairs
        ]
        if not pairs:
            why = "no seed has both numbers"
        elif any(fingerprint(a) != fingerprint(b) for a, b in folders):
            why = "the two were tested on different people, images or pairs"
        else:
            why = ""
        if why:
            tested.append(Tested(claim, None, None, published, "not tested", why))
            continue
        moved = np.array([values(a)[claim.column] - values(b)[claim.column] for a, b in folders])
        mean, interval = combined([d for _, d in pairs], moved)
        if len(pairs) == 1:
            why = "one seed: how much another training would change is not in the interval"
        tested.append(Tested(claim, mean, interval, published, judge(claim, mean, interval), why))
    return tested


def words(tested: Tested) -> str:
    """The verdict in a sentence or two."""
    if tested.difference is None or tested.interval is None:
        return f"Not tested: {tested.why}."
    low, high = tested.interval
    claim = tested.claim
    said = (
        f"{claim.column}: {claim.row} minus {claim.than} is {tested.difference:+.2f} "
        f"({LEVEL:.0%} interval {low:+.2f} to {high:+.2f})"
    )
    if tested.published is not None:
        said += f"; the paper's difference is {tested.published:+.2f}"
    return f"{said}. {tested.why[:1].upper()}{tested.why[1:]}{'.' if tested.why else ''}".strip()


def main_table(study: Study, cells: dict[str, dict[str, Cell]]) -> Table:
    """Our numbers, and under each row the paper's and the difference."""
    seeds = len(study.seeds)
    lines = []
    for name, line in cells.items():
        lines.append([name, *(_ours(c) for c in line.values())])
        if any(c.interval for c in line.values()):
            lines.append([f"  {LEVEL:.0%} interval", *(_span(c.interval) for c in line.values())])
        if any(c.published is not None for c in line.values()):
            lines.append(["  paper", *(_number(c.published) for c in line.values())])
            lines.append(["  ours - paper", *(_number(c.difference, "+") for c in line.values())])
    note = (
        f"Mean over {seeds} seeds ± standard deviation over seeds (ddof 1); interval: Student's t "
        "over seeds. "
        if seeds > 1
        else "One seed; interval: over the test's people. "
    )
    note += "Fractions in percent."
    if study.source:
        note += f" Paper: {study.source}."
    return Table(study.title, ["", *(c.title for c in study.columns)], lines, note)


def claim_table(study: Study, claims: Sequence[Tested]) -> Table:
    """One line a claim."""
    return Table(
        "Claims",
        ["claim", "column", "ours", f"{LEVEL:.0%} interval", "paper", "verdict"],
        [
            [
                t.claim.text, t.claim.column, _number(t.difference, "+"), _span(t.interval, "+"),
                _number(t.published, "+"), t.verdict,
            ]
            for t in claims
        ],
        TEST.format(resamples=study.resamples),
    )  # fmt: skip


def state(results: Results | None, failed: bool) -> str:
    """What a run's line says of it."""
    if failed:
        return "failed"
    return "missing" if results is None else "done"


def _results(workdir: Path, row: Row, study: Study) -> list[Results | None]:
    paths = [workdir / folder_name(row.name, seed) / "results.json" for seed in study.seeds]
    return [load_results(path) if path.exists() else None for path in paths]


def _ours(c: Cell) -> str:
    return _number(c.mean) + (f" ± {c.std:.2f}" if c.std is not None else "")


def _number(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.2f}"


def _span(interval: tuple[float, float] | None, sign: str = "") -> str:
    return "–" if interval is None else " to ".join(_number(end, sign) for end in interval)


def _cell(c: Cell) -> dict[str, Any]:
    return {**asdict(c), "difference": c.difference, "level": LEVEL, "ddof": 1}


def _plain(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else value
