"""The command's door: verbs, exit codes, and one line for whatever a user can put right."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from fairjax import cli
from fairjax.audit.tables import InputError
from fairjax.cli import diff, report, similarity
from fairjax.config import ConfigError
from fairjax.data.dataset import DataError
from fairjax.run.workdir import WorkdirError

VERBS = (
    "audit",
    "calibrate",
    "config",
    "data",
    "diff",
    "gradcam",
    "identify",
    "intersections",
    "margins",
    "plan",
    "report",
    "similarity",
    "study",
    "threshold",
)


def test_the_help_names_every_verb(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0
    assert [verb for verb in VERBS if f"\n    {verb}" not in said] == []
    assert "To train, evaluate and report: python -m fairjax.main --help" in said


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([verb, "--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0 and said.startswith(f"usage: fairjax {verb}")
    assert "xample" in said or "verbs:" in said  # those of `fairjax data` have their own


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: VERB (see fairjax --help)"),
        (["fly"], "invalid choice: 'fly'"),
        (["diff", "one"], "the following arguments are required: B (see fairjax diff --help)"),
        (["diff", "a", "b", "c"], "unrecognized arguments: c"),
        (["report", "a", "--config.seed=3"], "unrecognized arguments: --config.seed=3"),
        (["audit", "a", "--config.seed=3", "-x"], "unrecognized arguments: "),
        (["audit", "a", "--scor", "x"], "unrecognized arguments: --scor x; did you mean --score?"),
        (
            ["plan", "audit", "--classes", "5"],
            "unrecognized arguments: --classes 5 (see fairjax pl",
        ),
        (["plan", "audit", "--nonmated-pairs", "0"], "--nonmated-pairs: 0 must be 1 or more"),
        (["calibrate", "split", "a", "--out", "b", "--seed", "-1"], "--seed: -1 must be 0 or more"),
        (["data", "check", "lfw", "a", "--max-bad", "5"], "--max-bad: 5 must be between 0 and 1"),
        (["data", "check", "lfw", "a", "--max-bad", "nan"], "nan must be between 0 and 1, as 0.01"),
        (["audit", "a", "--threshold", "55,5"], "'55,5'; write 55.5 (see fairjax audit --help)"),
        (["plan", "audit", "--fmr", "0.1%"], "invalid float value: '0.1%'; write 0.001 (see"),
        (["data", "check", "lfw", "a", "--max-bad", "2,5 %"], "value: '2,5 %'; write 0.025 (see"),
        (["plan", "audit", "--fmr", "much"], "invalid float value: 'much' (see"),
        (["report", "a", "--table"], "did you mean --tables? (see fairjax report --help)"),
        (["data", "check", "lfw", "a", "--pair=b"], "unrecognized arguments: --pair=b"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_ends_with_two(words, said, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert error.startswith("fairjax: ") and error.count("\n") == 1 and said in error


def raising(error):
    def run(arguments):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("wrong key"), 2, "fairjax: wrong key\n"),
        (InputError("t.csv: no"), 1, "fairjax: t.csv: no\n"),
        (DataError("two\nlines"), 1, "fairjax: two lines\n"),
        (WorkdirError("gone"), 1, "fairjax: gone\n"),
        (FileNotFoundError(2, "No such file", "x.npz"), 1, "fairjax: x.npz: No such file.\n"),
    ],
)
def test_what_a_user_can_put_right_is_one_line_and_a_code(monkeypatch, capsys, error, code, said):
    monkeypatch.setattr(diff, "_diff", raising(error))
    assert cli.main(["diff", "a", "b"]) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("error", [ValueError("our fault"), ModuleNotFoundError(name="turtles")])
def test_a_fault_of_ours_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(similarity, "_similarity", raising(error))
    with pytest.raises(type(error)):
        cli.main(["similarity", "a", "b"])


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(diff, "_diff", raising(KeyboardInterrupt()))
    assert cli.main(["diff", "a", "b"]) == 130
    assert capsys.readouterr().err == "fairjax: diff was stopped by Ctrl-C.\n"


def test_a_package_that_an_extra_brings_is_one_line_with_the_command(monkeypatch, capsys):
    monkeypatch.setattr(report, "_report", raising(ModuleNotFoundError("no", name="jax.numpy")))
    assert cli.main(["report", "a"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "fairjax report" in error and "[train]" in error


def test_keys_of_a_config_are_handed_over_to_verbs_that_have_one(monkeypatch):
    seen = {}

    def add(verbs):
        verb = verbs.add_parser("look")
        verb.add_argument("--config")
        verb.set_defaults(run=lambda arguments: seen.update(vars(arguments)))

    monkeypatch.setattr(cli, "VERBS", {"look": argparse.Namespace(add=add)})
    assert cli.main(["look", "--config", "x.py", "--config.seed=3", "--config.train.steps=4"]) == 0
    assert seen["overrides"] == ["--config.seed=3", "--config.train.steps=4"]
    with pytest.raises(SystemExit):
        cli.main(["look", "--config", "x.py", "--config.seed=3", "--other"])


def test_the_parser_of_another_verb_is_not_built(monkeypatch):
    def add(verbs):
        raise AssertionError("built")

    monkeypatch.setitem(cli.VERBS, "study", argparse.Namespace(add=add))
    with pytest.raises(SystemExit):
        cli.main(["threshold", "--help"])
    with pytest.raises(AssertionError, match="built"):
        cli.main(["--help"])  # which lists all verbs


@pytest.mark.parametrize("module", ["fairjax", "fairjax.cli"])
def test_python_m_is_the_same_command(module):
    done = subprocess.run([sys.executable, "-m", module, "fly"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("fairjax: ")
    assert "invalid choice: 'fly'" in done.stderr


def options(verb):
    """Every option of a verb and of the verbs below it."""
    for action in verb._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options(below)


def test_every_option_of_every_verb_is_typed_in_a_test():
    typed = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    missing = [o for o in options(cli._parser()) if f'"{o}"' not in typed and o != "-h"]
    assert missing == []


def test_a_verb_that_fails_in_a_library_of_ours_is_not_hidden_by_its_name(monkeypatch):
    def absent(arguments):
        raise ModuleNotFoundError("no", name="fairjax.nothing")

    monkeypatch.setattr(diff, "_diff", absent)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["diff", "a", "b"])
