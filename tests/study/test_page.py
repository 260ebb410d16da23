"""A study's page in Markdown, from a finished study's files."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from study_example import CELLS, CLAIMS, RUNS, STUDY, TESTED, write_log, write_study

from fairjax.config.study import Spread
from fairjax.core.results import Table
from fairjax.study.page import _markdown, _mean_curve, plain_command, write_page


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("/opt/env/bin/python3.11 -m fairjax.main", "python -m fairjax.main"),
        ("python --config /home/a/configs/x.py:smoke", "python --config configs/x.py:smoke"),
        ("python --config=/home/a/configs/x.py", "python --config=configs/x.py"),
        ("python --config=configs/x.py", "python --config=configs/x.py"),
        ("python --workdir /tmp/y/z --seed 3", "python --workdir runs/study --seed 3"),
        ("python --workdir=/tmp/y/z", "python --workdir=runs/study"),
        ("python --workdir y", "python --workdir runs/study"),
        ("/usr/bin/fairjax train", "fairjax train"),
        ("python --config.data.root=/data/faces", "python --config.data.root=faces"),
        ("python '/home/a b/two words'", "python 'two words'"),
        ("python --config.data.root /data/python-faces", "python --config.data.root python-faces"),
        ("python -m fairjax.main --config.seed=3", "python -m fairjax.main --config.seed=3"),
    ],
)
def test_a_line_is_shown_without_the_paths_of_a_machine(line, plain):
    assert plain_command(line, "study") == plain


def test_a_curve_is_the_mean_over_seeds_at_the_steps_that_all_have():
    runs = [[(10, 4.0), (20, 2.0), (30, 1.0)], [(10, 2.0), (30, 3.0), (40, 9.0)], []]
    assert _mean_curve(runs) == [[10.0, 3.0], [30.0, 2.0]]
    assert _mean_curve([[], []]) == []
    assert _mean_curve([]) == []


@pytest.mark.parametrize(("steps", "points"), [(100, 100), (101, 51), (250, 84)])
def test_a_long_curve_is_thinned_to_means_of_neighbours(steps, points):
    losses = np.random.default_rng(0).random(steps)
    run = [(step, float(loss)) for step, loss in enumerate(losses)]
    found = np.array(_mean_curve([run, [(step, loss + 2) for step, loss in run]]))
    size = -(-steps // 100)
    assert len(found) == points
    assert found[0] == pytest.approx([(size - 1) / 2, losses[:size].mean() + 1], rel=1e-4)
    rest = steps - size * (points - 1)
    assert found[-1] == pytest.approx([steps - (rest + 1) / 2, losses[-rest:].mean() + 1], rel=1e-4)


def test_a_bar_in_a_cell_does_not_end_it():
    table = Table("T", ["", "a|b"], [["x", "1|2"]], "")
    assert _markdown(table) == "### T\n\n|  | a\\|b |\n| --- | --- |\n| x | 1\\|2 |"
    assert _markdown(replace(table, note="Note.")).endswith("| x | 1\\|2 |\n\nNote.")


def page_of(tmp_path, study=STUDY, **changes):
    """The page's text and the folder beside it, of a study in which each run has a log."""
    folder = tmp_path / "study"
    write_study(folder, study, **changes)
    for run, first, seconds in zip(
        RUNS, (4.0, 2.0, 8.0, 6.0), (3600, 7200, 1800, 1800), strict=True
    ):
        write_log(folder / run["name"], {10: first, 20: 1.0}, seconds)
    page = write_page(folder, tmp_path / "out" / "fair.md")
    return page.read_text(), tmp_path / "out" / "fair"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of the example as it stands, and the folder beside it."""
    line = "/opt/python --config /home/me/configs/x.py --workdir /tmp/y"
    return page_of(tmp_path_factory.mktemp("whole"), command=line)


def test_a_page_has_its_sections_in_order(whole):
    text, _ = whole
    wanted = [
        "# Fair and plain\n\n**Claim**: Fairness is free.\n\n**Holds here.** Yes.\n\n```console",
        "$ python --config configs/x.py --workdir runs/fair\n```",
        "## What was tested\n\n- *Fair is more even.* **Holds.** Spread: Fair minus Plain is -1.40",
        "## Numbers\n\n### Fair and plain\n\n|  | Accuracy | Spread |",
        "| Plain | 91.00 ± 1.41 | 2.50 ± 0.71 |",
        "|   paper | – | 1.50 |",
        "### Claims\n",
        "### Differences, described\n",
        "| Fair | Plain | Accuracy | -2.00 | -4.00 to +0.00 | – |",
        "### Training\n",
        "## Figures\n\n![Differences in Spread](fair/forest-0.svg)",
        "![Differences in Accuracy](fair/forest-1.svg)",
        "![Training loss](fair/loss.svg)\n\nTraining loss, mean over seeds: 1 Plain, 2 Fair.",
        "![Accuracy against Spread](fair/trade-off.svg)",
        "## Setting and limits\n\n- The paper names no seed.\n\nCost: 4.0 hours",
        "Beside this page: [study.json](fair/study.json), [curves](fair/curves.json).\n",
    ]
    places = [text.index(part) for part in wanted]
    assert places == sorted(places) and text.endswith(wanted[-1])
    assert "\n\n\n" not in text and "Unfinished" not in text and "Not converged" not in text


def test_what_is_described_alone_is_not_said_to_be_tested(tmp_path):
    text, _ = page_of(
        tmp_path, replace(STUDY, thesis=None), claims=[asdict(CLAIMS[1])], verdict=None
    )
    assert "### Claims" not in text and "**Claim**" not in text
    assert "### Differences, described" in text
    assert "## What was tested\n\n## Numbers" in text


def test_where_all_is_tested_nothing_is_described(tmp_path):
    text, beside = page_of(tmp_path, claims=[asdict(CLAIMS[0])])
    assert "### Claims" in text and "### Differences, described" not in text
    assert sorted(path.name for path in beside.glob("*.svg")) == [
        "forest-0.svg",
        "loss.svg",
        "trade-off.svg",
    ]


def test_a_claim_without_a_difference_is_in_words_and_in_no_figure(tmp_path):
    bare = replace(CLAIMS[0], difference=None, interval=None, verdict="not tested", why="no seed")
    text, beside = page_of(tmp_path, claims=[asdict(bare)])
    assert "- *Fair is more even.* **Not tested.** No seed." in text
    assert not (beside / "forest-0.svg").exists()


def test_claims_on_a_column_share_a_figure(tmp_path):
    other = replace(CLAIMS[0], claim=replace(TESTED, text="Other.", row="Plain", than="Fair"))
    _, beside = page_of(tmp_path, claims=[asdict(CLAIMS[0]), asdict(other)])
    drawn = (beside / "forest-0.svg").read_text()
    assert "Fair - Plain" in drawn and "Plain - Fair" in drawn
    assert not (beside / "forest-1.svg").exists()


def test_runs_that_are_not_done_and_rows_that_have_not_learned_are_named(tmp_path):
    runs = [{**RUNS[0], "state": "failed"}, *RUNS[1:]]
    text, _ = page_of(tmp_path, runs=runs, not_converged={"Fair": "seed 1: a plateau"})
    assert "Unfinished: 3 of 4 runs are done." in text
    assert "Not converged: Fair (seed 1: a plateau). No claim on it is tested." in text
    assert text.index("Unfinished") < text.index("Not converged") < text.index("```console")
    lines = [line for line in text.splitlines() if line.startswith("| Fair | 2.00 | 1.00")]
    assert len(lines) == 1 and lines[0].endswith("| no |")


def test_what_the_study_could_find_stands_below_what_was_tested(tmp_path):
    rows = (replace(STUDY.rows[0], published={"Spread": 3.0}), STUDY.rows[1])
    spread = {"Spread": Spread(0.5, 0.5, "last year's runs")}
    text, _ = page_of(tmp_path, replace(STUDY, rows=rows, spreads=spread))
    at = text.index("What this study can find")
    assert text.index("## What was tested") < at < text.index("## Numbers")
    assert "(last year's runs)" in text


def test_curves_and_cost_are_means_over_seeds_and_are_kept(whole, tmp_path):
    text, beside = whole
    curves = json.loads((beside / "curves.json").read_text())
    assert curves["rows"]["Plain"]["loss"] == [[10.0, 3.0], [20.0, 1.0]]
    assert curves["rows"]["Fair"] == {
        "loss": [[10.0, 7.0], [20.0, 1.0]],
        "margined_cosine": [],
        "impostor_cosine": [],
    }
    assert curves["seconds"] == {"Plain": 5400.0, "Fair": 1800.0}
    again = write_page(beside, tmp_path / "again" / "fair.md")  # without the runs
    assert again.read_text() == text


def test_runs_without_logs_and_costs_have_neither_curve_nor_cost(tmp_path):
    write_study(tmp_path / "study", replace(STUDY, trade_off=None))
    text = write_page(tmp_path / "study", tmp_path / "fair.md").read_text()
    assert "Cost:" not in text and "![Training loss]" not in text and "trade-off" not in text
    write_study(tmp_path / "study", replace(STUDY, trade_off=None), claims=[])
    text = write_page(tmp_path / "study", tmp_path / "fair.md").read_text()
    assert "## Figures" not in text


def test_at_most_six_rows_have_a_curve(tmp_path):
    rows = [{"name": "Fair", "cells": {t: asdict(c) for t, c in CELLS["Fair"].items()}}]
    names = [f"Row {k}" for k in range(8)]
    training = dict.fromkeys(names, [])
    write_study(tmp_path / "study", rows=rows, training=training)
    for k in range(8):
        write_log(tmp_path / "study" / f"row-{k}-seed0", {} if k == 2 else {10: 1.0, 20: 0.5})
    text = write_page(tmp_path / "study", tmp_path / "fair.md").read_text()
    assert "1 Row 0, 2 Row 1, 3 Row 3, 4 Row 4, 5 Row 5, 6 Row 6." in text


def test_a_page_names_no_machine_and_no_person(whole):
    text, beside = whole
    kept = "".join(path.read_text() for path in beside.iterdir())
    for folder in ("/home", "/opt", "/tmp", str(beside.parent)):
        assert folder not in text + kept
