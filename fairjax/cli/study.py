"""`fairjax study`: a study's page for the docs, and a new run beside a stored one."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli.answers import console


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    study = verbs.add_parser(
        "study",
        help="check a study against a stored one, or write its page",
        description="Compares a new run of a study with the stored one, or writes a study's page "
        "in Markdown. Needs no model, no images and no JAX.",
    )
    parts = study.add_subparsers(title="verbs", metavar="VERB", required=True)
    check = parts.add_parser(
        "check",
        help="say in what a new run contradicts a stored study",
        description="Compares the numbers of two study.json files within their intervals, widened "
        "for the number of cells, and the verdicts on the claims.",
        epilog="Exit codes: 0 they agree; 1 they do not, or a file can't be read; 2 the command "
        "line is wrong. Example: fairjax study check runs/consistency docs/results/fpr_penalty",
    )
    check.add_argument("new", metavar="NEW", type=Path, help="a study.json, or its folder")
    check.add_argument("stored", metavar="STORED", type=Path, help="the stored one, or its folder")
    check.set_defaults(run=_check)
    page = parts.add_parser(
        "page",
        help="write a study's page in Markdown, with what it is made from beside it",
        description="Writes PAGE.md from the study.json of a study's folder, and beside it a "
        "folder PAGE with study.json, the training curves and the figures. The page of a stored "
        "folder is the same again.",
        epilog="Example: fairjax study page runs/consistency --out docs/results/fpr_penalty.md",
    )
    page.add_argument("folder", metavar="STUDY", type=Path, help="folder of the study")
    page.add_argument("--out", metavar="PAGE.md", type=Path, required=True, help="the page")
    page.set_defaults(run=_page)
    spread = parts.add_parser(
        "spread",
        help="say how far a study's differences moved by chance",
        description="Prints, for each column that claims are about, the standard deviation of a "
        "difference over trainings and over the test's people, as a study's config takes them: "
        "with them it says before its first run what it can find.",
        epilog="Example: fairjax study spread runs/consistency",
    )
    spread.add_argument("folder", metavar="STUDY", type=Path, help="a study.json, or its folder")
    spread.set_defaults(run=_spread)


def _check(arguments: argparse.Namespace) -> None:
    from fairjax.core.names import counted
    from fairjax.core.results import Table
    from fairjax.report import print_tables
    from fairjax.study.stored import differences, read_stored

    new, stored = (read_stored(path) for path in (arguments.new, arguments.stored))
    changed = differences(new, stored)
    cells = sum(len(line) for line in stored.cells.values())
    if not changed:
        print(f"{cells} numbers and {len(stored.claims)} claims agree with the stored study.")
        return
    rows = [list(difference) for difference in changed]
    many = counted(len(changed), "difference")
    title = f"{many} among {cells} numbers and {len(stored.claims)} claims"
    table = Table(title, ["", "stored", "new"], rows)
    print_tables([table], console())
    raise SystemExit(1)


def _spread(arguments: argparse.Namespace) -> None:
    from fairjax.audit.tables import InputError
    from fairjax.study.stored import read_stored, spreads_of

    stored = read_stored(arguments.folder)
    source = f"{stored.study.title}, {len(stored.study.seeds)} seeds"
    spreads = spreads_of(stored, source)
    if not spreads:
        raise InputError(f"{arguments.folder}: no claim has two seeds and an interval yet.")
    print("spreads={")
    for title, one in spreads.items():
        print(f"    {title!r}: Spread({one.seeds:.3g}, {one.people:.3g}, {source!r}),")
    print("}")


def _page(arguments: argparse.Namespace) -> None:
    from fairjax.study.page import write_page

    print(f"Page: {write_page(arguments.folder, arguments.out)}")
