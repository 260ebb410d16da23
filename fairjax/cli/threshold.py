"""`fairjax threshold`: which threshold keeps false matches below a target, for every group."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli.answers import answer, facts_of
from fairjax.cli.table_flags import add_columns, check_one_system, people_of, table_options_of


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    threshold = verbs.add_parser(
        "threshold",
        help="choose a threshold that keeps false matches below a target",
        description="The smallest threshold at which the overall false match rate, or with "
        "--worst-group every group's upper confidence bound, stays below a target; and what it "
        "costs each group in false non-matches. With --check it is tried on other people. Tables "
        "are read as by fairjax audit.",
        epilog="Example: fairjax threshold scores.csv --fmr-max 1e-3 --worst-group "
        "--check other.csv --out threshold/",
    )
    threshold.add_argument("table", metavar="FILE", type=Path, help="scored pairs")
    threshold.add_argument(
        "--fmr-max", metavar="RATE", type=float, required=True, help="largest false match rate"
    )
    threshold.add_argument(
        "--worst-group",
        action="store_true",
        help="every group's upper bound, not the overall rate, stays below it",
    )
    threshold.add_argument(
        "--confidence",
        metavar="SHARE",
        type=float,
        default=0.95,
        help="how sure each group's bound is (default: 0.95)",
    )
    threshold.add_argument(
        "--check", metavar="FILE", type=Path, help="scored pairs of other people, to check it on"
    )
    threshold.add_argument("--out", metavar="DIR", type=Path, help="write the numbers here")
    add_columns(threshold.add_argument_group("columns and groups"))
    threshold.set_defaults(run=_threshold, embedding="", scorer="")


def _threshold(arguments: argparse.Namespace) -> None:
    from fairjax.audit.pairs import load_comparisons
    from fairjax.audit.thresholds import Wish, choose, refuse_shared_people

    wish = Wish(arguments.fmr_max, arguments.worst_group, arguments.confidence)
    facts = facts_of({"scores": arguments.table, "check": arguments.check})
    options, people = table_options_of(arguments), people_of(arguments)
    check_one_system(options, "a threshold is")
    loaded = next(iter(load_comparisons(arguments.table, options, people=people).values()))
    check = None
    if arguments.check:
        check = next(iter(load_comparisons(arguments.check, options, people=people).values()))
        names = (arguments.table.name, arguments.check.name)
        refuse_shared_people(loaded, check, names, "a threshold is checked on people it never saw")
    system = next(iter(loaded.scores))
    choice = choose(loaded, system, wish, check=check, source=arguments.table.name)
    answer(choice.with_facts(facts), arguments.out)
