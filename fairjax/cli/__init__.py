"""The `fairjax` command: everything besides training, one module a verb."""

import argparse
import sys
from collections.abc import Sequence

from fairjax.audit.tables import InputError
from fairjax.cli import audit, data, diff, plan, report, similarity
from fairjax.config import ConfigError
from fairjax.data.dataset import DataError
from fairjax.run.workdir import WorkdirError

# Each adds its verb to the parser and keeps what is slow to import inside the function that runs.
VERBS = (audit, data, diff, plan, report, similarity)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; the exit code is 0 where it did what was asked, else 1 after one line."""
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    arguments.overrides = [word for word in more if word.startswith("--config.")]
    if len(arguments.overrides) < len(more) or (more and "config" not in arguments):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        arguments.run(arguments)
    except (ConfigError, DataError, InputError, OSError, WorkdirError) as error:
        print(f"fairjax: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fairjax",
        description="Train fair face models in JAX and audit any face model.",
        epilog="To train, evaluate and report: python -m fairjax.main --help",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs)
    return parser
