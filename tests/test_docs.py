"""README and docs: what they print can be pasted, what they link to is there, and they stay short.

Blocks marked `sh` are run; those marked `console`, whose lines begin with `$`, need data, a cluster
or hours. README's lines that make an environment are run by `.ci/run`.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from blocks import BLOCK, runnable

from fairjax.cli import main
from fairjax.core.results import load_results

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
PAGES = [page for page in PAGES if "api" not in page.parts and page.name != "commands.md"]


def name(page):
    return page.relative_to(ROOT).as_posix()


LIGHT = {"audit_your_scores.md"}  # `.ci/light` pastes its blocks, without JAX
# Pages with trainings of half a minute and more: a job of the workflow runs them at every change.
LONG = {
    "fine_tune_a_public_model.md",
    "models_in_and_out.md",
    "reproduce_a_table.md",
    "train_and_compare.md",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.exhaustive, id=name(page))
        if page.name in LIGHT | LONG
        else pytest.param(page, id=name(page))
        for page in PAGES
        if runnable(page)
    ],
)
def test_the_blocks_of_a_page_run_in_an_empty_folder(page, tmp_path):
    commands = tmp_path / "commands"  # what an activated environment has on its path
    commands.mkdir()
    for command, module in (("python", ""), ("fairjax", " -m fairjax.cli")):
        script = commands / command
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n')
        script.chmod(0o755)
    folder = tmp_path / "empty"
    folder.mkdir()
    script = "set -eu\n" + "\n".join(runnable(page))
    done = subprocess.run(
        [shutil.which("bash"), "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
        },
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_whether_it_runs(page):
    for language, text in BLOCK.findall(page.read_text()):
        assert language, f"{name(page)}: a block without a language: {text[:60]!r}"
        if language == "console":
            assert all(line.startswith(("$", " ")) for line in text.splitlines() if line), text


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_file_leads_to_one(page):
    prose = BLOCK.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", prose):
        if target.startswith(("http", "mailto:")) or "api/" in target:
            continue
        assert (page.parent / target).exists(), f"{name(page)} links to {target}"


def test_readme_fits_eight_kilobytes_and_has_no_long_paragraph():
    text = (ROOT / "README.md").read_text()
    assert len(text.encode()) <= 8192
    for paragraph in BLOCK.sub("", text).split("\n\n"):
        if not paragraph.lstrip().startswith(("|", "-")):
            assert len(paragraph) <= 500, f"over five lines of 100 characters: {paragraph[:60]}"


def test_readme_has_the_lines_that_the_checks_run():
    lines = (ROOT / "README.md").read_text().splitlines()
    setups = [line for line in lines if line.startswith("python3 -m venv .venv")]
    assert len(setups) == 3
    assert "activate" in setups[0] and "fairjax.main" in setups[1] and "pytest" in setups[2]


def test_no_page_names_a_folder_of_one_machine():
    for page in PAGES:
        assert not re.search(r"(?<![\w.~])/(work|tmp|root|home)/", page.read_text()), page


def write_attempts(path):
    """Pairs of a probe and a reference, 12 people in each of two groups, some without a score."""
    rng = np.random.default_rng(0)
    people = [(f"{group}{k}", group) for group in ("amber", "jade") for k in range(12)]
    lines = [
        "probe_image,gallery_image,probe_subject,gallery_subject,probe_group,gallery_group,score"
    ]
    for probe, group in people:
        for reference, other in people:
            score = rng.normal(0.6 if probe == reference else 0.0, 0.25)
            blank = probe == "jade0" or reference == "amber0"
            lines.append(
                f"{probe}_a,{reference}_b,{probe},{reference},{group},{other},"
                + ("" if blank else f"{score:.4f}")
            )
    path.write_text("\n".join(lines) + "\n")


def write_candidates(path):
    """Searches of a gallery, one candidate a row, with the time that each took."""
    rows = ["probe,probe_subject,candidate_subject,score,group,enrolled,seconds"]
    for k in range(8):
        group = ("amber", "jade")[k % 2]
        rows.append(f"p{k},s{k},s{k % 4},0.{9 - k},{group},{int(k < 4)},0.5")
    path.write_text("\n".join(rows) + "\n")


@pytest.mark.slow
def test_the_standards_page_names_what_audits_report(tmp_path):
    write_attempts(tmp_path / "attempts.csv")
    write_candidates(tmp_path / "candidates.csv")
    options = ["--failures", "--fmr", "0.05", "--tolerance", "2", "--bootstrap", "50"]
    for verb, table, flags in (
        ("audit", "attempts", options),
        ("identify", "candidates", ["--fpir", "0.5"]),
    ):
        out = ["--out", str(tmp_path / verb)]
        assert main([verb, str(tmp_path / f"{table}.csv"), *flags, *out]) == 0
    results = [load_results(tmp_path / verb / "results.json") for verb in ("audit", "identify")]
    measures = [measure for result in results for measure in result.measures]
    fields = {field.name for field in dataclasses.fields(measures[0])}
    known = {measure.name for measure in measures} | fields | {"other_group", "arrays"}
    known |= set(results[0].arrays)
    report = "".join(
        (tmp_path / verb / "report.html").read_text() for verb in ("audit", "identify")
    )
    page = (ROOT / "docs" / "standards.md").read_text()
    section = page.split("## From the question to the number")[1].split("Notes:")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 20
    for question, name, across, _, place, _ in rows[2:]:
        for word in re.findall(r"`([^`]+)`", name):
            assert word in known, f"{question} {word}"
            for measure in measures:
                if measure.name == word and across == "group":
                    assert measure.across == "group", question
        if place != "first screen" and not place.startswith("no report"):
            assert f">{place}<" in report, place
