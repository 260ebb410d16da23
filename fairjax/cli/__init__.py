"""The `fairjax` command: everything besides training, one module a verb."""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import fairjax
from fairjax.cli import (
    align,
    audit,
    calibrate,
    config,
    covariates,
    data,
    diff,
    embed,
    export,
    gradcam,
    identify,
    intersections,
    margins,
    plan,
    predict,
    report,
    similarity,
    study,
    threshold,
)
from fairjax.core.errors import DONE, USAGE, exit_code_of, print_anywhere, report_error

# Each module adds its verb to the parser and keeps what is slow to import inside the function that
# runs.
VERBS = {
    "align": align,
    "audit": audit,
    "calibrate": calibrate,
    "config": config,
    "covariates": covariates,
    "data": data,
    "diff": diff,
    "embed": embed,
    "export": export,
    "gradcam": gradcam,
    "identify": identify,
    "intersections": intersections,
    "margins": margins,
    "plan": plan,
    "predict": predict,
    "report": report,
    "similarity": similarity,
    "study": study,
    "threshold": threshold,
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and which takes a flag by its whole name alone."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        report_error(f"{message}{_how_to_write(message)} (see {self.prog} --help)")
        raise SystemExit(USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: The words behind `fairjax`; None takes those of this process.

    Returns:
      The exit code; `fairjax.core.errors` lists them.
    """
    print_anywhere()
    parser = _parser(sys.argv[1:] if argv is None else argv)
    arguments, more = parser.parse_known_args(argv)
    arguments.overrides = [word for word in more if word.startswith("--config.")]
    unknown = [
        word for word in more if "config" not in arguments or word not in arguments.overrides
    ]
    if unknown:
        arguments.parser.error(_unrecognized(unknown, arguments.parser))
    try:
        arguments.run(arguments)
    except BaseException as error:
        code = exit_code_of(error, f"fairjax {arguments.verb}")
        if code is None:
            raise
        return code
    return DONE


def _parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of the one verb that comes first; of all verbs where the first word is none."""
    first = next(iter(words), "")
    chosen = [VERBS[first]] if first in VERBS else VERBS.values()
    parser = _Parser(
        prog="fairjax",
        description="Train fair face models in JAX and audit any face model.",
        epilog="To train, evaluate and report: python -m fairjax.main --help",
    )
    parser.add_argument("--version", action="version", version=f"fairjax {fairjax.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    for verb in chosen:
        verb.add(verbs)
    for verb_parser in verbs.choices.values():
        verb_parser.set_defaults(parser=verb_parser)
    return parser


def _how_to_write(message: str) -> str:
    """A hint for a number with a decimal comma or in percent; "" for any other message.

    Args:
      message: argparse's, such as "argument --fmr: invalid float value: '0,1'".
    """
    value = re.search(r"invalid \w+ value: '([+-]?\d+(?:[.,]\d+)?) ?(%?)'", message)
    if not value or not ("," in value[1] or value[2]):
        return ""
    number = value[1].replace(",", ".")
    return f"; write {float(number) / 100:g}" if value[2] else f"; write {number}"


def _unrecognized(words: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """The message for words that a verb does not know, with the flag nearest to the first."""
    flags = re.findall(r"--[a-z][a-z-]*", parser.format_usage())
    flag = words[0].partition("=")[0]
    known = [name for name in flags if name != flag]  # it may be one of the verb above
    nearest = difflib.get_close_matches(flag, known, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"unrecognized arguments: {' '.join(words)}{hint}"
