"""README and docs: what they print can be pasted, what they link to is there, and they stay short.

Blocks marked `sh` are run; those marked `console`, whose lines begin with `$`, need data, a cluster
or hours. README's lines that make an environment are run by `.ci/run`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import BLOCK, runnable

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
PAGES = [page for page in PAGES if "api" not in page.parts and page.name != "commands.md"]


def name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name)
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
