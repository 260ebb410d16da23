import subprocess
import sys
from pathlib import Path

import pytest

from fairjax.core import errors

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("no such thing", "fairjax: no such thing\n"),
        (ValueError("two\nlines"), "fairjax: two lines\n"),
        (FileNotFoundError(2, "No such file", "a.csv"), "fairjax: a.csv: No such file.\n"),
        (OSError(28, "No space left on device"), "fairjax: the output: No space left on device.\n"),
        (OSError(5, "Input/output error"), "fairjax: a file: Input/output error.\n"),
        ("x" * 9000 + "type y.", f"fairjax: {'x' * 1000} [...] {'x' * 993}type y.\n"),
    ],
)
def test_an_error_is_one_line_that_names_its_file(error, line, capsys):
    errors.report_error(error)
    assert capsys.readouterr().err == line


class _TeaError(errors.UserError):
    code = 7


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.UserError("no cups"), 1, "no cups"),
        (errors.UsageError("no words"), 2, "no words"),
        (_TeaError("no tea"), 7, "no tea"),
        (FileNotFoundError(2, "No such file", "a.csv"), 1, "a.csv: No such file."),
        (FloatingPointError("loss is nan"), 1, "loss is nan"),
        (KeyboardInterrupt(), 130, "plan was stopped by Ctrl-C."),
        (ModuleNotFoundError("no", name="jax.numpy"), 1, "fairjax plan needs jax, which is not"),
    ],
)
def test_what_a_user_can_put_right_is_a_line_and_a_code(error, code, line, capsys):
    assert errors.exit_code_of(error, "fairjax plan") == code
    printed = capsys.readouterr().err
    assert printed.startswith(f"fairjax: {line}") and printed.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [ValueError("ours"), ModuleNotFoundError("no", name="turtles"), SystemExit(3), MemoryError()],
)
def test_a_fault_of_ours_has_no_exit_code_and_prints_nothing(error, capsys):
    assert errors.exit_code_of(error, "training") is None
    assert capsys.readouterr().err == ""


def test_a_missing_package_of_an_extra_gives_the_command_that_installs_it():
    error = ModuleNotFoundError("No module named 'orbax.checkpoint'", name="orbax.checkpoint")
    message = errors.missing_extra(error, "fairjax plan")
    assert message.startswith("fairjax plan needs orbax, which is not installed")
    assert message.endswith(f"{sys.executable} -m pip install -e '{ROOT}[train]'")


def test_a_missing_package_of_no_extra_is_not_explained_away():
    assert errors.missing_extra(ModuleNotFoundError("x", name="fairjax.nope"), "training") == ""


def test_every_package_of_an_extra_is_really_in_it():
    pyproject = (ROOT / "pyproject.toml").read_text()
    for extra in set(errors.EXTRAS.values()):
        listed = pyproject.split(f"\n{extra} = [")[1].split("\n]")[0].replace("-", "_")
        for package in (name for name, of in errors.EXTRAS.items() if of == extra):
            # jaxlib comes with jax
            assert f'"{package.removesuffix("lib")}' in listed


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["fairjax.main", "--config", "quickstart:smoke", "--workdir", "run"], "training"),
        (["fairjax.cli", "plan", "--config", "quickstart:smoke"], "fairjax plan"),
    ],
)
def test_without_jax_a_verb_that_needs_it_names_its_extra(tmp_path, command, asked):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('jax', 'flax', 'tensorflow'): sys.modules[name] = None\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{ROOT}", "HOME": str(tmp_path)},
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"fairjax: {asked} needs ") and done.stderr.count("\n") == 1
    assert "the extra 'train'" in done.stderr
    assert not (tmp_path / "run").exists()
