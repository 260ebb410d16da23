"""Flags that say how a table of pairs or of embeddings is read; several verbs share them."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli import values
from fairjax.core.errors import UsageError


def add_columns(group: Any) -> None:
    """Adds the options that name columns, groups and the kind of score."""
    from fairjax.audit.kinds import KINDS

    group.add_argument(
        "--score",
        metavar="COLUMN",
        action="append",
        default=[],
        help="column of scores, larger = more alike; repeat for several systems",
    )
    group.add_argument(
        "--distance",
        metavar="COLUMN",
        action="append",
        default=[],
        help="column of distances, smaller = more alike; thresholds are then distances, too",
    )
    group.add_argument(
        "--kind",
        choices=list(KINDS),
        default="",
        help="what the scores are; their range is then checked, and scores that can be turned into "
        "cosines get the accuracies that need cosines",
    )
    group.add_argument(
        "--decision",
        metavar="COLUMN",
        default="",
        help="column of decisions, instead of scores; --accept says which words accept a pair",
    )
    group.add_argument(
        "--accept",
        metavar="WORDS",
        type=values.words,
        default=(),
        help="words in the --decision column that accept a pair, comma-separated, such as match",
    )
    group.add_argument(
        "--failures",
        action="store_true",
        help="count a blank score (or NaN) as a failure to acquire or enrol; failures are counted "
        "by group, and error rates are given with and without such pairs",
    )
    group.add_argument(
        "--failure-score",
        metavar="SCORE",
        type=values.score,
        action="append",
        default=[],
        help="a score that stands for such a failure, such as -1 or error; repeat for several",
    )
    group.add_argument(
        "--mated",
        metavar="COLUMN",
        default="",
        help="column of 1 where both sides show the same person, else 0",
    )
    group.add_argument(
        "--zero-is-same",
        action="store_true",
        help="the --mated column has 0 for the same person and 1 for two persons",
    )
    group.add_argument(
        "--subject",
        metavar="NAME",
        default="",
        help="columns of the person on each side, see above",
    )
    group.add_argument(
        "--names-as-written",
        action="store_true",
        help="take names literally: names that differ only by case, blanks, accents, quotes, "
        "look-alike letters, leading zeros or Unicode form are different people, and None, NA "
        "or unknown may be a name",
    )
    group.add_argument(
        "--image", metavar="NAME", default="", help="columns of the image on each side"
    )
    group.add_argument(
        "--fold", metavar="COLUMN", default="", help="column of the benchmark's folds"
    )
    group.add_argument(
        "--groups",
        metavar="TABLE",
        type=Path,
        help="table with the groups: one row per person (subject, race, gender ...) or per image",
    )
    group.add_argument(
        "--groups-subject",
        metavar="COLUMN",
        default="",
        help="column of people in the --groups table",
    )
    group.add_argument(
        "--groups-image",
        metavar="COLUMN",
        default="",
        help="column of images in the --groups table",
    )
    group.add_argument(
        "--by",
        metavar="ATTRIBUTE",
        action="append",
        default=[],
        help="attribute whose groups are compared; A+B is an intersection, A=LEFT,RIGHT names "
        "the two columns, A:18,30,45 puts numbers into bins; repeat for several audits "
        "(default: group)",
    )
    group.add_argument("--many-groups", action="store_true", help="allow more than 20 groups")
    group.add_argument(
        "--group-names",
        metavar="NAMES",
        type=values.words,
        default=(),
        help="names of the groups in the order to show, comma-separated; other names are refused",
    )
    group.add_argument(
        "--unknown-groups",
        action="store_true",
        help="keep people without a group; they count in the rates of everyone only",
    )
    group.add_argument(
        "--subjects-by-group",
        action="store_true",
        help="the same subject name in two groups means two people (RFW); pairs of one name in two "
        "groups are left out and counted",
    )
    group.add_argument(
        "--any-direction",
        action="store_true",
        help="go on although pairs of one person score below pairs of two, or positive labels have "
        "lower probabilities; without this the audit stops, as a column is probably reversed",
    )


def add_pairs(group: Any) -> None:
    """Adds the options that say which pairs of embeddings are compared."""
    from fairjax.core.comparisons import SCORERS

    group.add_argument(
        "--embedding",
        metavar="PREFIX",
        default="",
        help="in a table of embeddings, what the columns begin with: e for e0, e1, ...",
    )
    group.add_argument(
        "--scorer",
        choices=SCORERS,
        default="",
        help="how embeddings are compared: by cosine, or by mutual likelihood (mls), which needs "
        "an .npz with variances or log_variances (default: mls where all files have them)",
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--pairs",
        metavar="TABLE",
        type=Path,
        help="table of the pairs to compare, with columns image1, image2 and optionally fold",
    )
    which.add_argument("--all-pairs", action="store_true", help="compare every pair of images")
    which.add_argument(
        "--sample-pairs",
        metavar="N",
        type=values.positive,
        help="compare at most N pairs of one person and N of two persons in each group, and N "
        "between every two groups",
    )


def table_options_of(arguments: argparse.Namespace) -> Any:
    """What the options say of the columns of a table."""
    from fairjax.audit.layout import TableOptions

    if arguments.accept and not arguments.decision:
        raise UsageError("--accept goes with --decision COLUMN.")
    return TableOptions(
        scores=arguments.score,
        distances=arguments.distance,
        mated=arguments.mated,
        subject=arguments.subject,
        image=arguments.image,
        fold=arguments.fold,
        by=arguments.by,
        group_names=arguments.group_names,
        unknown_groups=arguments.unknown_groups,
        subjects_by_group=arguments.subjects_by_group,
        any_direction=arguments.any_direction,
        zero_is_same=arguments.zero_is_same,
        kind=arguments.kind,
        names_as_written=arguments.names_as_written,
        many_groups=arguments.many_groups,
        failures=arguments.failures,
        failure_scores=arguments.failure_score,
        decision=arguments.decision,
        accept=arguments.accept,
        embedding=arguments.embedding,
        scorer=arguments.scorer,
    )


def people_of(arguments: argparse.Namespace) -> Any:
    """The table of people or images, or None."""
    from fairjax.audit.people import load_people

    if arguments.groups is None:
        for name in ("groups_subject", "groups_image"):
            if getattr(arguments, name):
                raise UsageError(f"--{name.replace('_', '-')} goes with --groups TABLE.")
        return None
    return load_people(
        arguments.groups,
        subject=arguments.subject,
        image=arguments.image,
        own_subject=arguments.groups_subject,
        own_image=arguments.groups_image,
    )


def check_one_system(options: Any, what: str) -> None:
    """Refuses several columns of scores, or of decisions, where a verb takes one.

    Args:
      options: How the table is read.
      what: Start of the message, such as "a threshold is".

    Raises:
      UsageError: Says what the verb takes.
    """
    if len(options.by) > 1 or len(options.scores) + len(options.distances) > 1 or options.decision:
        raise UsageError(f"{what} for one column of scores and one --by.")
