"""The flags of `fairjax audit`, besides those that other verbs share."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairjax.cli import embed, values
from fairjax.core.errors import UsageError

LEVEL = 0.95  # coverage of intervals, where none is asked for
_COMPANY = {  # what flags need: without it they would be passed over
    "label": ("prediction", "probability", "positive", "classes", "no_answer", "regression"),
    "model": ("flip", "landmarks", *embed.INPUT),
}
_MERGE_FLAGS = ("merge", "out", "tables", "title")  # all that --merge takes
_SELF_TEST_FLAGS = ("self_test", "seed")


def add_covariates(group: Any) -> None:
    """Adds the flags of covariates."""
    group.add_argument(
        "--covariates",
        metavar="TABLE",
        type=Path,
        help="table with one row per image (or person) and its covariates, such as brightness, "
        "sharpness, pose or age (fairjax covariates IMAGES measures some): error rates by group "
        "are then also given with covariates held",
    )
    group.add_argument(
        "--covariate",
        metavar="NAME",
        action="append",
        default=[],
        help="covariate to hold; repeat for several (default: every column of numbers in the "
        "--covariates table). Without --covariates: a column of the --groups table, NAME1 and "
        "NAME2 in FILE, or NAME in a table of predictions",
    )


def add_predictions(group: Any) -> None:
    """Adds the flags of attribute models."""
    group.add_argument("--label", metavar="COLUMN", help="column of the true label")
    group.add_argument("--prediction", metavar="COLUMN", help="column of the predicted label")
    group.add_argument(
        "--probability",
        metavar="COLUMN",
        help="column of the probability of the positive label; without --prediction, 0.5 and above "
        "predicts it",
    )
    group.add_argument(
        "--positive",
        metavar="LABEL",
        help="label that counts as positive (default: 1, true or yes)",
    )
    group.add_argument(
        "--classes",
        metavar="LABELS",
        nargs="?",
        type=values.words,
        const=("",),
        default=(),
        help="all classes in order, comma-separated; needed if one never occurs in the table. "
        "Without LABELS the classes in the table are listed",
    )
    group.add_argument(
        "--no-answer",
        metavar="WORDS",
        type=values.words,
        default=(),
        help="words in the prediction column that mean 'no answer', such as 'no face', "
        "comma-separated; a blank counts, too. Such rows are counted by group, and rates are given "
        "with and without them",
    )
    group.add_argument(
        "--regression",
        action="store_true",
        help="label and prediction are numbers, such as ages: mean errors by group",
    )


def add_measuring(group: Any) -> None:
    """Adds the flags that say what is measured."""
    from fairjax.audit.run import ACCURACY_VARIANTS

    group.add_argument(
        "--fmr",
        metavar="RATES",
        type=values.rates,
        default=None,
        help="false match rates, comma-separated; errors are measured at the threshold that "
        "reaches each (default: 1e-3,1e-4)",
    )
    group.add_argument(
        "--threshold",
        metavar="SCORE",
        type=values.finite,
        action="append",
        default=[],
        help="threshold of your system, in the scores' unit: pairs are accepted from it on "
        "(distances: up to it); repeat for several. Without --fmr, only these thresholds are "
        "used",
    )
    group.add_argument(
        "--calibrate-on",
        metavar="TABLE",
        type=Path,
        help="other scored pairs, to find the thresholds on; read like FILE",
    )
    group.add_argument(
        "--protocol",
        choices=list(ACCURACY_VARIANTS),
        help="add the accuracies that the papers on this benchmark report (default: plain; with "
        "--model, its benchmark's)",
    )
    group.add_argument(
        "--tolerance",
        metavar="NAME=GAP",
        type=values.tolerance,
        action="append",
        default=[],
        help="largest gap that you accept, for a verdict: fmr_max_over_min=2 or "
        "fnmr_difference=0.01; repeat for several. A number alone is the largest ratio of both "
        "error rates",
    )
    group.add_argument(
        "--bootstrap",
        metavar="N",
        type=values.positive,
        default=2000,
        help="number of bootstrap resamples of people (default: %(default)s)",
    )
    group.add_argument(
        "--level",
        metavar="SHARE",
        type=values.level,
        help=f"coverage of the confidence intervals (default: {LEVEL})",
    )
    group.add_argument(
        "--seed",
        metavar="N",
        type=values.natural,
        default=0,
        help="seed of all random draws (default: 0)",
    )
    group.add_argument(
        "--paired",
        action="store_true",
        help="two tables (or embeddings) of the same pairs, before and after a change: test what "
        "changed, on the same people",
    )
    group.add_argument(
        "--stream",
        action="store_true",
        help="read the table in passes instead of into memory; tables above 2 GiB always are. "
        "Several files are then parts of one table. Gives rates and intervals, but no noise "
        "floors, verdicts, accuracies or check for pairs listed twice",
    )
    group.add_argument(
        "--stated",
        metavar="KEY=VALUE",
        type=values.key_value,
        action="append",
        default=[],
        help="fact to keep with the results, such as model=v3 or flip=yes; `fairjax diff` "
        "compares it; repeat for several",
    )


def add_model(group: Any) -> None:
    """Adds the flags of a model that makes the embeddings."""
    group.add_argument(
        "--model",
        metavar="MODEL",
        type=Path,
        help="embed with this run or .onnx first; see fairjax embed --help",
    )
    group.add_argument(
        "--data", metavar="IMAGES", help="what it embeds: rfw:DIR, bfw:DIR, lfw:DIR or phantom:"
    )
    group.add_argument(
        "--flip", choices=["none", "sum", "concat"], default="", help="of the mirror image"
    )
    group.add_argument(
        "--landmarks", metavar="TABLE", default="", help="align the images by five points first"
    )
    embed.add_input(group)


def add_partial(group: Any) -> None:
    """Adds the flags of an audit in parts."""
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--partial",
        action="store_true",
        help="write what a later --merge needs of these tables to DIR/partial.npz, instead of an "
        "audit; one process or machine per table or several. It holds names of people and scores "
        "of pairs",
    )
    which.add_argument(
        "--merge",
        metavar="PARTIAL",
        type=Path,
        nargs="+",
        default=[],
        help="audit the tables behind these folders of --partial, as one process would with "
        "--stream; takes --out, --tables and --title, for all else was said with --partial",
    )
    group.add_argument(
        "--keep",
        metavar="SHARE",
        type=values.share,
        help="with --partial: share of the non-mated pairs, the largest scores first, that are "
        "kept one by one, so that thresholds are exact (default: 64 times the largest --fmr, and "
        "at least 65,536 pairs). A merge that needs more says how many",
    )


def add_trial(group: Any) -> None:
    """Adds the flags of audits of made-up scores."""
    group.add_argument(
        "--demo",
        nargs="?",
        const="gap",
        choices=["gap", "fair", "picture"],
        help="audit made-up scores with a known gap, with none (fair), or with a gap that comes "
        "from blurred pictures (picture); with --out the table is left in DIR/comparisons.csv, and "
        "with picture the covariates in DIR/images.csv",
    )
    group.add_argument(
        "--self-test",
        metavar="REPEATS",
        nargs="?",
        const=100,
        type=values.positive,
        help="check the audit itself: REPEATS audits of made-up scores with a planted gap and "
        "REPEATS without one; prints how often the gap is found and how often a false one is "
        "claimed (default: 100)",
    )


def check_company(arguments: argparse.Namespace) -> None:
    """Refuses flags that say nothing without another one."""
    for needed, names in _COMPANY.items():
        if getattr(arguments, needed):
            continue
        for name in names:
            if getattr(arguments, name) != arguments.parser.get_default(name):
                raise UsageError(f"--{name.replace('_', '-')} goes with --{needed}.")


def check_alone(arguments: argparse.Namespace) -> None:
    """Refuses options beside --self-test, which would be passed over."""
    if option := _beside(arguments, _SELF_TEST_FLAGS):
        raise UsageError(f"--self-test draws its own scores and takes --seed; leave out {option}.")


def _beside(arguments: argparse.Namespace, allowed: Sequence[str]) -> str:
    """The first option given that is not among the allowed ones; "" where there is none."""
    for action in arguments.parser._actions:
        value = getattr(arguments, action.dest, action.default)
        if action.dest not in allowed and value not in (action.default, [], ()):
            return action.option_strings[0] if action.option_strings else "FILE"
    return ""


def check_partial(arguments: argparse.Namespace) -> None:
    """Refuses options that do not go with --partial, --merge or --keep."""
    if arguments.keep is not None and not arguments.partial:
        raise UsageError("--keep goes with --partial.")
    if arguments.merge and (option := _beside(arguments, _MERGE_FLAGS)):
        raise UsageError(
            f"--merge takes --out, --tables and --title; {option} is fixed when the partial files "
            "are made."
        )
    if arguments.partial:
        if not arguments.files or not arguments.out:
            raise UsageError("--partial needs one table or more, and --out DIR.")
        if arguments.title or arguments.tables:
            raise UsageError("--partial makes no report: say --title and --tables with --merge.")
        if arguments.demo or arguments.model or arguments.data:
            raise UsageError("--partial takes tables of scored pairs: no --demo, --model, --data.")
