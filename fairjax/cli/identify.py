"""`fairjax identify`: 1:N searches of a gallery, and how their errors differ by group."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli import values
from fairjax.cli.answers import check_folder, console, facts_of

_DESCRIPTION = """\
How often do searches of a gallery miss an enrolled person (FNIR) or name somebody for a person who
is not enrolled (FPIR), and how does that differ between groups?

FILE is one of
  embeddings (.npz with 'embedding', 'id', 'subject' and groups): one image a person is enrolled,
    some people are left out, and all other images search galleries of several sizes;
  a table of candidate lists, one candidate a row:
      probe,probe_subject,candidate_subject,score,group,enrolled
      a_2.jpg,anna,anna,0.71,Asian,1
      a_2.jpg,anna,berta,0.32,Asian,1
      c_1.jpg,cleo,,,Black,0
    A search without a candidate has one row with both left blank. Optional columns: gallery (the
    name of one of several), seconds (how long the search took), failed (1 where it gave no answer);
  the candidate lists that NIST's driver of 1:N evaluations writes, with --groups.
"""


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    identify = verbs.add_parser(
        "identify",
        help="audit 1:N identification by group",
        description=_DESCRIPTION,
        epilog="Example: fairjax identify faces.npz --by race --gallery 100,1000 --fpir 0.01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    identify.add_argument("table", metavar="FILE", type=Path, help="embeddings or candidate lists")
    identify.add_argument("--by", default="group", help="attribute of the groups (default: group)")
    identify.add_argument(
        "--groups",
        metavar="TABLE",
        type=Path,
        help="one row an image or a person, with its groups; for candidate lists that name images "
        "(probe, candidate_image), one row an image with its person and groups",
    )
    identify.add_argument(
        "--gallery",
        metavar="N[,N...]",
        type=values.whole_numbers,
        default=(),
        help="gallery sizes, for embeddings (default: all that can be enrolled, and a tenth)",
    )
    identify.add_argument(
        "--unenrolled",
        metavar="SHARE",
        type=float,
        default=0.3,
        help="share of people who are not enrolled, for embeddings (default: 0.3)",
    )
    identify.add_argument(
        "--gallery-table",
        metavar="TABLE",
        type=Path,
        help="the people enrolled, one a row, for candidate lists without a column 'enrolled'",
    )
    identify.add_argument(
        "--column",
        metavar="WHAT=NAME",
        action="append",
        default=[],
        help="a column that is called otherwise: score=similarity; repeat",
    )
    identify.add_argument(
        "--fpir",
        metavar="RATE[,RATE...]",
        type=values.numbers,
        default=None,
        help="false positive identification rates, each with its threshold (default: 0.1,0.01)",
    )
    identify.add_argument(
        "--threshold",
        metavar="SCORE",
        type=values.finite,
        action="append",
        default=[],
        help="threshold of your system, in the scores' unit: candidates are accepted from it on "
        "(distances: up to it); repeat for several. Without --fpir, only these thresholds are used",
    )
    identify.add_argument(
        "--distance",
        action="store_true",
        help="the scores of candidate lists are distances, smaller = more alike; thresholds are "
        "then distances, too",
    )
    identify.add_argument(
        "--rank", metavar="R", type=int, default=1, help="candidates looked at (default: 1)"
    )
    identify.add_argument("--level", type=float, default=0.95, help="coverage (default: 0.95)")
    identify.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    identify.add_argument(
        "--out", metavar="DIR", type=Path, help="write report.html, results.json and CSV files here"
    )
    identify.add_argument("--title", default="", help="title of the report (default: file name)")
    identify.set_defaults(run=_identify)


def _identify(arguments: argparse.Namespace) -> None:
    from fairjax.audit import findings, galleries, identification, outputs
    from fairjax.audit.people import load_people
    from fairjax.core.errors import UsageError

    for flag, ok in (
        (f"--rank {arguments.rank} must be 1 or more.", arguments.rank >= 1),
        (f"--level {arguments.level:g} must be between 0 and 1.", 0 < arguments.level < 1),
        (f"--seed {arguments.seed} must be 0 or more.", arguments.seed >= 0),
        ("--gallery: sizes are 2 or more.", all(size >= 2 for size in arguments.gallery)),
    ):
        if not ok:
            raise UsageError(flag)
    check_folder(arguments.out)
    roles = {"searches": arguments.table, "groups": arguments.groups}
    facts = facts_of({**roles, "gallery_table": arguments.gallery_table})
    people = load_people(arguments.groups) if arguments.groups else None
    if arguments.table.suffix in (".npz", ".npy"):
        if arguments.distance:
            raise UsageError(
                "--distance is for candidate lists; embeddings are compared by cosine."
            )
        loaded = galleries.from_embeddings(
            arguments.table,
            arguments.by,
            people=people,
            sizes=arguments.gallery,
            unenrolled=arguments.unenrolled,
            seed=arguments.seed,
        )
    else:
        try:
            columns = dict(values.key_value(text) for text in arguments.column)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--column {error}.") from error
        loaded = galleries.from_candidates(
            arguments.table,
            arguments.by,
            columns=columns,
            gallery=arguments.gallery_table,
            people=people,
            distance=arguments.distance,
        )
    fpirs = arguments.fpir
    if fpirs is None:
        fpirs = () if arguments.threshold else identification.FPIRS
    found = identification.measure(
        loaded,
        fpirs=fpirs,
        thresholds=arguments.threshold,
        rank=arguments.rank,
        level=arguments.level,
        seed=arguments.seed,
    )
    found = found.with_facts(facts)
    findings.show(found, console())
    if arguments.out:
        title = arguments.title or arguments.table.name
        outputs.write(arguments.out, found.results, title=title)
        print(f"Report: {arguments.out / 'report.html'}")
