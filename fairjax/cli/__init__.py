"""The `fairjax` command: everything besides training, one module a verb."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

import fairjax
from fairjax.audit.tables import InputError
from fairjax.cli import (
    audit,
    calibrate,
    config,
    data,
    diff,
    identify,
    intersections,
    plan,
    report,
    similarity,
    threshold,
)
from fairjax.config import ConfigError
from fairjax.core.errors import DONE, UNUSABLE, USAGE, missing_extra, print_anywhere, report_error
from fairjax.data.dataset import DataError
from fairjax.run.workdir import WorkdirError

# Each adds its verb to the parser and keeps what is slow to import inside the function that runs.
VERBS = (
    audit,
    calibrate,
    config,
    data,
    diff,
    identify,
    intersections,
    plan,
    report,
    similarity,
    threshold,
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as everywhere in FairJAX."""

    def error(self, message: str) -> NoReturn:
        report_error(f"{message} (see {self.prog} --help)")
        raise SystemExit(USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: The words behind `fairjax`; None takes those of this process.

    Returns:
      The exit code; `fairjax.core.errors` lists them.
    """
    print_anywhere()
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    arguments.overrides = [word for word in more if word.startswith("--config.")]
    if len(arguments.overrides) < len(more) or (more and "config" not in arguments):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        arguments.run(arguments)
    except ConfigError as error:
        report_error(error)
        return USAGE
    except (DataError, InputError, OSError, WorkdirError) as error:
        report_error(error)
        return UNUSABLE
    except ModuleNotFoundError as error:
        message = missing_extra(error, f"fairjax {arguments.verb}")
        if not message:
            raise
        report_error(message)
        return UNUSABLE
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fairjax",
        description="Train fair face models in JAX and audit any face model.",
        epilog="To train, evaluate and report: python -m fairjax.main --help",
    )
    parser.add_argument("--version", action="version", version=f"fairjax {fairjax.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for verb in VERBS:
        verb.add(verbs)
    return parser
