"""Config flags on a command line: names, words where numbers stand, and mistakes."""

from pathlib import Path

import pytest
from absl import flags

from fairjax.config import command_line

TINY = str(Path(__file__).parents[1] / "configs" / "tiny_faces.py")
PENALTY = "recognition/margin:smoke,method=fpr_penalty"


@pytest.mark.parametrize(
    ("words", "error", "line"),
    [
        (["--config.train.epoch=1"], KeyError(), "train.epoch cannot be set; did you mean"),
        (
            ["--config.seed=1", "--config.train.batch_size=1e3"],
            flags.IllegalFlagValueError("flag"),
            "--config.train.batch_size='1e3' is not a valid int; write for example",
        ),
        (["--wrokdir=x"], flags.Error("Unknown flag\nand more"), "Unknown flag"),
        ([], ValueError(), "ValueError"),
    ],
)
def test_a_mistake_is_explained_in_one_line(words, error, line):
    explained = command_line.explain(error, ["main", f"--config={TINY}", *words])
    assert line in explained and "\n" not in explained


def test_a_missing_config_is_what_is_explained_whatever_follows():
    argv = ["main", "--config", "missing.py", "--config.train.epoch=1"]
    assert "'missing.py' is not there" in command_line.explain(KeyError("x"), argv)


def test_a_shipped_configs_name_becomes_its_path_in_both_spellings():
    for argv in (["main", "--config", "quickstart:smoke"], ["main", "--config=quickstart:smoke"]):
        path = command_line.with_config_files(argv)[-1].removeprefix("--config=")
        assert path.endswith("configs/quickstart.py:smoke") and Path(path.split(":")[0]).is_file()
    words = ["main", "--workdir", "quickstart", "--config=own.py"]
    assert command_line.with_config_files(words) == words


def test_settings_that_take_numbers_and_words_are_taken_out_and_the_rest_stays():
    argv = ["main", f"--config={PENALTY}", "--workdir=x"]
    argv += ["--config.method.gamma_u=auto", "--config.seed=3"]
    rest, words = command_line.take_words(argv)
    assert rest == ["main", f"--config={PENALTY}", "--workdir=x", "--config.seed=3"]
    assert words == {"method.gamma_u": "auto"}
    rest = ["main", "--config", PENALTY]
    split = [*rest, "--config.method.gamma_u", "0.5"]
    assert command_line.take_words(split) == (rest, {"method.gamma_u": 0.5})
    for untouched in (["main", "--workdir=x"], ["main", "--config=missing.py", "--config.seed=1"]):
        assert command_line.take_words(untouched) == (untouched, {})
