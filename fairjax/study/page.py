"""A study's page in Markdown, from its `study.json`: verdict, tables, figures, settings, cost.

Beside PAGE.md stands the folder PAGE with all that the page is made from: `study.json`, curves of
the trainings (means over seeds) and the figures. Nothing in it is of a single person.
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.core.files import write_whole
from fairjax.core.results import Table
from fairjax.report.drawing import lines as line_plots
from fairjax.report.drawing import plots
from fairjax.run.progress import read_metrics
from fairjax.run.workdir import read_checked, read_json, write_json
from fairjax.study import power
from fairjax.study.costs import choices_of
from fairjax.study.numbers import LEVEL
from fairjax.study.runs import folder_name
from fairjax.study.stored import Stored, read_stored, spreads_of
from fairjax.study.summary import stuck_lines
from fairjax.study.tables import (
    claim_table,
    difference_table,
    headline,
    main_table,
    reasons,
    training_table,
    words,
)

CURVES = "curves.json"
_POINTS = 100  # of a curve
_WATCHED = ("loss", "margined_cosine", "impostor_cosine")


def write_page(folder: Path, page: Path) -> Path:
    """Writes the page of a study.

    Args:
      folder: The study's folder with its runs, or the stored folder of an earlier page.
      page: The Markdown file to write.

    Returns:
      The page.

    Raises:
      WorkdirError: If the folder holds no study, or a damaged one.
    """
    stored, kept = read_stored(folder), read_checked(folder / "study.json")
    beside = page.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    curves = read_json(folder / CURVES) if (folder / CURVES).exists() else _curves(folder, stored)
    command = plain_command(kept["command"], beside.name)
    write_json(beside / "study.json", {**kept, "command": command})
    write_json(beside / CURVES, curves)
    figures = _figures(beside, stored, curves)
    write_whole(page, _text(stored, command, beside.name, figures, curves["seconds"]))
    return page


def plain_command(command: str, name: str) -> str:
    """The study's line without the paths of the machine that ran it.

    Args:
      command: The line that `study.json` has.
      name: What the study's folder is called instead.
    """
    line: list[str] = []
    for word in shlex.split(command):
        flag, equals, value = word.partition("=")
        if line and line[-1] == "--workdir":
            word = f"runs/{name}"
        elif flag == "--workdir" and equals:
            word = f"--workdir=runs/{name}"
        elif value.startswith("/"):
            word = f"{flag}={_plain_path(value)}"
        elif word.startswith("/"):
            is_python = not line and "python" in Path(word).name
            word = "python" if is_python else _plain_path(word)
        line.append(word)
    return shlex.join(line)


def _plain_path(path: str) -> str:
    """A config's path from `configs/` on; of any other file its name."""
    _, configs, name = path.partition("configs/")
    return configs + name if configs else Path(path).name


def _curves(folder: Path, stored: Stored) -> dict[str, Any]:
    """Means over seeds of what the trainings logged, thinned, and what the runs cost."""
    rows, seconds = {}, {}
    for name in stored.training:
        lines, spent = [], []
        for seed in stored.study.seeds:
            run = folder / folder_name(name, seed)
            lines.append([m for m in read_metrics(run / "metrics.jsonl") if m["kind"] == "train"])
            if (run / "outcome.json").exists():
                spent.append(read_json(run / "outcome.json").get("seconds_since_resumed", 0.0))
        if spent:
            seconds[name] = float(np.mean(spent))
        rows[name] = {
            key: _mean_curve(
                [[(m["step"], m[key]) for m in run_lines if key in m] for run_lines in lines]
            )
            for key in _WATCHED
        }
    return {"rows": rows, "seconds": seconds}


def _mean_curve(runs: Sequence[Sequence[tuple[int, float]]]) -> list[list[float]]:
    """[step, mean over seeds], at the steps that all seeds have, thinned."""
    runs = [run for run in runs if run]
    if not runs:
        return []
    common = sorted(set.intersection(*({step for step, _ in run} for run in runs)))
    size = max(1, -(-len(common) // _POINTS))
    at = [dict(run) for run in runs]
    blocks = [common[start : start + size] for start in range(0, len(common), size)]
    return [
        [float(np.mean(block)), float(f"{np.mean([run[s] for run in at for s in block]):.5g}")]
        for block in blocks
    ]


def _figures(beside: Path, stored: Stored, curves: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(file, alternative text, caption) of each figure that there is something to draw for."""
    figures = []

    def keep(name: str, drawn: str, title: str, caption: str) -> None:
        write_whole(beside / f"{name}.svg", drawn + "\n")
        figures.append((f"{beside.name}/{name}.svg", title, caption))

    measured = [t for t in stored.claims if t.difference is not None and t.interval is not None]
    for number, column in enumerate(dict.fromkeys(t.claim.column for t in measured)):
        rows = [
            (f"{t.claim.row} - {t.claim.than}", t.difference, t.interval)
            for t in measured
            if t.claim.column == column and t.difference is not None
        ]
        title = f"Differences in {column}"
        drawn = plots.differences(f"forest-{number}", title, rows)
        keep(f"forest-{number}", drawn, title, f"{title}, with {LEVEL:.0%} intervals.")
    names = [name for name, of in curves["rows"].items() if of["loss"]][:6]
    lines = [
        line_plots.Line(str(k), *zip(*curves["rows"][name]["loss"], strict=True))
        for k, name in enumerate(names, 1)
    ]
    if lines:
        legend = ", ".join(f"{k} {name}" for k, name in enumerate(names, 1))
        drawn = line_plots.curves("loss", "Training loss", lines, x_axis="step")
        keep("loss", drawn, "Training loss", f"Training loss, mean over seeds: {legend}.")
    if choices := choices_of(stored.study, stored.cells):
        x, y = stored.study.trade_off or ("", "")
        drawn = line_plots.trade_off("trade-off", f"{x} against {y}", choices, x_axis=x, y_axis=y)
        keep("trade-off", drawn, f"{x} against {y}", "The dashed line joins rows no other beats.")
    return figures


def _text(
    stored: Stored,
    command: str,
    name: str,
    figures: Sequence[tuple[str, str, str]],
    seconds: dict[str, float],
) -> str:
    study, conclusion = stored.study, stored.conclusion
    tested = [t for t in stored.claims if not t.claim.descriptive]
    done = sum(run["state"] == "done" for run in stored.runs)
    paragraphs = [f"# {study.title}"]
    if conclusion:
        paragraphs += [f"**Claim**: {conclusion.thesis.text}"]
        paragraphs += [f"**{headline(conclusion)}** {reasons(conclusion)}"]
    if done < len(stored.runs):
        paragraphs.append(f"Unfinished: {done} of {len(stored.runs)} runs are done.")
    paragraphs += stuck_lines(stored.not_converged)
    paragraphs += [f"```console\n$ {command}\n```", "## What was tested"]
    paragraphs += [
        f"- *{t.claim.text}* **{t.verdict.capitalize()}.** {words(study, t)}" for t in tested
    ]
    if study.spreads:
        paragraphs += power.lines(power.forecast(study))
    else:
        known = replace(study, spreads=spreads_of(stored, "their own spread"))
        paragraphs += power.lines(power.forecast(known), since="now that its runs are known")
    paragraphs += ["## Numbers", _markdown(main_table(study, stored.cells))]
    paragraphs += [_markdown(claim_table(study, stored.claims))] if tested else []
    if len(tested) < len(stored.claims):
        paragraphs.append(_markdown(difference_table(study, stored.claims)))
    if stored.training:
        paragraphs.append(_markdown(training_table(stored.training, stored.not_converged)))
    if figures:
        paragraphs.append("## Figures")
        paragraphs += [f"![{alt}]({file})\n\n{caption}" for file, alt, caption in figures]
    paragraphs += ["## Setting and limits", "\n".join(f"- {note}" for note in study.notes)]
    if seconds:
        total = sum(seconds.values()) * len(study.seeds) / 3600
        paragraphs.append(
            f"Cost: {total:.1f} hours by the runs' own clocks, from each run's last start to its "
            "end, on a machine that may have done other work."
        )
    paragraphs.append(
        f"Beside this page: [study.json]({name}/study.json), [curves]({name}/{CURVES})."
    )
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _markdown(table: Table) -> str:
    """A table in Markdown, its title before it and its note after it."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [line(table.columns), line(["---"] * len(table.columns)), *map(line, table.rows)]
    return "\n\n".join(filter(None, [f"### {table.title}", "\n".join(lines), table.note]))
