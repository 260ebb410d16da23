"""The search for margins: an agent that can be stopped, resumed and used."""

import json
from pathlib import Path

import numpy as np
import pytest

from fairjax import config as config_lib
from fairjax.cli import main
from fairjax.models.iresnet import UNITS
from fairjax.models.margin_policy import make_states, read_policy
from fairjax.run.margins import MarginSearch, Moves, fit

CONFIG = Path(__file__).parents[2] / "configs" / "recognition" / "margin.py"
STATES = make_states(
    ("A", "B"),
    reference="A",
    margin="cosface",
    start=0.35,
    lowest=0.2,
    highest=0.6,
    step=0.05,
    edges=(0.05, 0.1),
)


@pytest.fixture(autouse=True)
def one_unit(monkeypatch):
    """A network of one stage of one unit, which compiles in seconds."""
    monkeypatch.setitem(UNITS, 10, (1,))


def planted_moves(*, rows=600):
    """Moves of a world in which margins below 0.4 are best raised and others best lowered."""
    rng = np.random.default_rng(0)
    margin = 0.2 + 0.05 * rng.integers(0, 9, rows)
    action = rng.integers(0, 3, rows)
    moved = np.clip(margin + 0.05 * np.array([0, 1, -1])[action], 0.2, 0.6)
    bias, after = np.abs(margin - 0.4), np.abs(moved - 0.4)
    return Moves(
        group=np.ones(rows, int),
        margin=margin,
        intra=bias,
        inter=bias,
        action=action,
        reward=2 * (bias - after),
        next_margin=moved,
        next_intra=after,
        next_inter=after,
    )


def test_the_q_network_learns_to_lower_a_planted_bias():
    search = MarginSearch(fit_steps=1500, discount=0.5)
    table = fit([planted_moves()], STATES, search)
    assert table.shape == STATES.shape
    margins = 0.2 + 0.05 * np.arange(9)
    for place, margin in enumerate(margins):
        if abs(margin - 0.4) < 0.06:
            continue
        bucket = int(np.searchsorted((0.05, 0.1), abs(margin - 0.4), side="right"))
        best = table[1, place, bucket, bucket].argmax()
        assert best == (1 if margin < 0.4 else 2), margin


def search(folder, *words, episodes=2):
    return main(
        [
            "margins",
            f"--config={CONFIG}:smoke,method=rl_rbn",
            f"--workdir={folder}",
            "--warmup-steps=3",
            f"--episodes={episodes}",
            "--moves=1",
            "--steps=3",
            *words,
        ]
    )


@pytest.mark.exhaustive
def test_a_search_that_is_stopped_resumes_and_its_policy_trains(tmp_path, capsys):
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert search(whole) == 0
    assert f"--config.method.policy={whole / 'policy.json'}" in capsys.readouterr().out
    moves = json.loads((whole / "episode_000.json").read_text())
    assert len(moves["reward"]) == 3  # of four groups the reference does not move
    assert all(np.isfinite(moves["reward"]))
    half.mkdir()
    for name in ("search.json", "episode_000.json"):
        (half / name).write_bytes((whole / name).read_bytes())
    assert search(half) == 0  # trains the warm network anew, and the second episode
    for name in ("episode_001.json", "policy.json"):
        assert json.loads((half / name).read_text()) == json.loads((whole / name).read_text())

    config = config_lib.load(f"{CONFIG}:smoke,method=rl_rbn")
    settings = {key: config.method[key] for key in ("lowest", "highest", "step", "edges")}
    groups = ("amber", "cobalt", "jade", "violet")
    states = make_states(groups, reference="", margin="cosface", start=0.35, **settings)
    assert read_policy(str(whole / "policy.json"), states).shape == states.shape

    assert search(whole, "--config.optim.peak_lr=0.01") == 1
    assert "holds a search with another config" in capsys.readouterr().err


def test_what_cannot_be_searched_is_one_line(tmp_path, capsys):
    assert search(tmp_path / "a", "--explore=2") == 2
    assert "--explore=2.0 must be in [0, 1]" in capsys.readouterr().err
    line = ["margins", f"--config={CONFIG}:smoke", f"--workdir={tmp_path / 'b'}"]
    assert main(line) == 2
    assert "margins are learned for config.method.name='rl_rbn'" in capsys.readouterr().err
