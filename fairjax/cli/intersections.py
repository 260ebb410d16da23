"""`fairjax intersections`: which combination of attributes fares worst, if that can be told."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli import values
from fairjax.cli.answers import answer, facts_of
from fairjax.cli.table_flags import add_columns, people_of, table_options_of

_PRINTED = 20  # rows of a table
_FMR = 1e-3  # where neither a rate nor a threshold is given


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    verb = verbs.add_parser(
        "intersections",
        help="find the intersection of attributes that fares worst",
        description="All intersections of the attributes given with --by, down to a smallest size: "
        "error rates at one threshold, drawn towards what they have in common, each compared with "
        'everybody else and adjusted for all comparisons. "Too few to say" is an answer.',
        epilog="Example: fairjax intersections scores.csv --groups people.csv --by race "
        "--by gender --by age:18,30,45 --smallest 20",
    )
    verb.add_argument("table", metavar="FILE", type=Path, help="scored pairs")
    point = verb.add_mutually_exclusive_group()
    point.add_argument(
        "--fmr", type=float, help="false match rate over all pairs at the threshold (default: 1e-3)"
    )
    point.add_argument("--threshold", type=values.finite, metavar="SCORE", help="a given threshold")
    verb.add_argument(
        "--smallest",
        type=int,
        default=10,
        metavar="PEOPLE",
        help="fewer people are not compared (default: 10)",
    )
    verb.add_argument("--level", type=float, default=0.95, help="coverage (default: 0.95)")
    verb.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    verb.add_argument("--out", metavar="DIR", type=Path, help="write the numbers here")
    add_columns(verb.add_argument_group("columns and groups"))
    verb.set_defaults(run=_intersections, embedding="", scorer="")


def _intersections(arguments: argparse.Namespace) -> None:
    from fairjax.audit import intersections
    from fairjax.audit.pairs import load_comparisons
    from fairjax.core.errors import UsageError

    for text, ok in (
        (
            "--fmr must be between 0 and 1, as 1e-3.",
            arguments.fmr is None or 0 < arguments.fmr < 1,
        ),
        (f"--smallest {arguments.smallest} must be 2 or more.", arguments.smallest >= 2),
        (f"--level {arguments.level:g} must be between 0 and 1.", 0 < arguments.level < 1),
        (f"--seed {arguments.seed} must be 0 or more.", arguments.seed >= 0),
    ):
        if not ok:
            raise UsageError(text)
    facts = facts_of({"scores": arguments.table, "groups": arguments.groups})
    options, people = table_options_of(arguments), people_of(arguments)
    if len(options.by) < 2 or any("+" in by for by in options.by):
        raise UsageError("name each attribute with a --by of its own: --by race --by gender.")
    if len(options.scores) + len(options.distances) > 1 or options.decision:
        raise UsageError("intersections are for one column of scores.")
    loaded = load_comparisons(arguments.table, options, people=people)
    fmr = arguments.fmr
    if fmr is None and arguments.threshold is None:
        fmr = _FMR
    results = intersections.measure(
        loaded,
        next(iter(next(iter(loaded.values())).scores)),
        fmr=fmr,
        threshold=arguments.threshold,
        smallest=arguments.smallest,
        level=arguments.level,
        seed=arguments.seed,
    )
    answer(results.with_facts(facts), arguments.out, most_rows=_PRINTED)
