"""How both commands report a user's mistake: one line on standard error, and an exit code.

`python -m fairjax.main` and `fairjax VERB` use the same codes: 0 done; 1 an input, the data or a
run's folder cannot be used, or the answer of a check is no; 2 the command line or the config is
wrong; 3 `fairjax audit --self-test` failed; 128 plus the signal's number where a signal ended it.
"""

import errno
import io
import json
import os
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import fairjax

DONE = 0
UNUSABLE = 1
USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT


class UserError(Exception):
    """What a user can put right. The commands print it as one line and exit with `code`.

    Attributes:
      code: Exit code of the command: `UNUSABLE` or `USAGE`.
    """

    code = UNUSABLE


class UsageError(UserError, ValueError):
    """A command line that asks for nothing, or for what does not go together."""

    code = USAGE


# Files that are written are named, so without a name these are about what is printed.
_ERRNOS_OF_OUTPUT = (errno.ENOSPC, errno.EPIPE)
_LONGEST = 2000  # characters of a message
ERROR_FILE = "FAIRJAX_ERROR_FILE"  # environment variable: where the line is written, too

# Packages that `pip install .` leaves out, by the extra that brings them.
EXTRAS = {
    "flax": "train",
    "huggingface_hub": "hub",
    "importlib_resources": "train",
    "jax": "train",
    "jaxlib": "train",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openpyxl": "xlsx",
    "optax": "train",
    "orbax": "train",
    "safetensors": "train",
    "mlflow": "track",
    "tensorboard": "train",
    "tensorflow": "train",
    "tensorflow_datasets": "train",
    "wandb": "track",
}


def report_error(error: object) -> None:
    """Prints `fairjax: ...` on standard error, as one line.

    Args:
      error: A message, or the exception that carries it. An OSError names its file.
    """
    if isinstance(error, OSError) and error.strerror:
        unnamed = "the output" if error.errno in _ERRNOS_OF_OUTPUT else "a file"
        error = f"{error.filename or unnamed}: {error.strerror}."
    line = " ".join(str(error).split("\n"))
    # A name out of a file may hold codes that a terminal would obey.
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if len(safe) > _LONGEST:  # a message may quote what a damaged file holds
        safe = f"{safe[: _LONGEST // 2]} [...] {safe[-_LONGEST // 2 :]}"
    print(f"fairjax: {safe}", file=sys.stderr)
    if path := os.environ.get(ERROR_FILE):
        with suppress(OSError):
            Path(path).write_text(safe, encoding="utf-8")


def exit_code_of(error: BaseException, command: str) -> int | None:
    """Reports what a user can put right, and gives the exit code of the command that it ended.

    Args:
      error: What ended the command.
      command: What the user asked for, such as "fairjax plan" or "training".

    Returns:
      The exit code; None where the fault is ours: the caller raises the error again.
    """
    message: object = error
    code = UNUSABLE
    if isinstance(error, UserError):
        code = error.code
    elif isinstance(error, KeyboardInterrupt):
        message = f"{command.removeprefix('fairjax ')} was stopped by Ctrl-C."
        code = INTERRUPTED
    elif isinstance(error, ModuleNotFoundError):
        message = missing_extra(error, command)
        if not message:
            return None
    elif not isinstance(error, OSError | FloatingPointError):
        return None
    report_error(message)
    return code


def missing_extra(error: ModuleNotFoundError, what: str) -> str:
    """The message for a package that only an extra of FairJAX installs.

    Args:
      error: What the import raised.
      what: What the user asked for, such as "fairjax plan".

    Returns:
      One line with the command that installs the extra; "" where the package is in no extra.
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return ""
    extra = EXTRAS[package]
    return (
        f"{what} needs {package}, which is not installed; it comes with the extra {extra!r}: "
        f"{install_line(extra)}"
    )


def install_line(extra: str) -> str:
    """The command that adds an extra to this FairJAX, ready to be pasted."""
    return f"{sys.executable} -m pip install {_requirement(extra)}"


def _requirement(extra: str) -> str:
    """What pip takes to install this FairJAX with an extra: its checkout, where there is one."""
    checkout = Path(fairjax.__file__).parents[1]
    if (checkout / "pyproject.toml").exists():
        return f"-e '{checkout}[{extra}]'"
    try:
        origin = json.loads(metadata.distribution("fairjax").read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        origin = {}
    if origin.get("url"):  # a folder or a wheel that pip was given
        return f"'fairjax[{extra}] @ {origin['url']}'"
    return f"'fairjax[{extra}]'"


def print_anywhere() -> None:
    """Lets a terminal that is not UTF-8 show "?" for what it cannot write, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
