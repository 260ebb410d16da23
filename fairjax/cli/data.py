"""`fairjax data`: look at data sets on disk."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fairjax.data.files import printable

_LISTED = 20  # names shown of a long list; --json has them all


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    data = verbs.add_parser(
        "data", help="look at data sets on disk", description="Look at data sets on disk."
    )
    deeds = data.add_subparsers(title="verbs", metavar="VERB", required=True)
    check = deeds.add_parser(
        "check",
        help="count labels and find bad files and duplicates",
        description="Reads every file of a data set once and says what is in it: counts by race, "
        "gender and age, names without labels, pictures that occur twice (byte for byte, or at "
        "another size, crop or watermark, or mirrored), copies whose labels contradict each other, "
        "and files that are no picture. Nothing is changed. A second look at the same files is "
        "quick: the outcome is kept in the user's cache folder.",
        epilog="Exit code 0: fit to train on. 1: not, and the last line says why. "
        "Example: fairjax data check utkface ~/data/UTKFace --json check.json",
    )
    check.add_argument("dataset", choices=["utkface"], help="whose names and layout to expect")
    check.add_argument("path", metavar="PATH", help="folder of images (at any depth), or a .tar")
    check.add_argument(
        "--json", metavar="FILE", type=Path, help="also write the whole account here"
    )
    check.add_argument(
        "--max-bad",
        metavar="SHARE",
        type=float,
        default=0.01,
        help="share of files in [0, 1] that may be bad (default: %(default)s)",
    )
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> None:
    from fairjax.data import utkface  # SciPy and Pillow are not every verb's business

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 120
    with console.status(f"Reading {arguments.path} ..."):
        found = utkface.survey(utkface.find(arguments.path))
        account = utkface.account(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(account, indent=1) + "\n")
    _print_account(console, account)
    utkface.refuse(found, on_error="skip", max_bad=arguments.max_bad)
    console.print(f"{account['source']}: fit to train on.", soft_wrap=True)


def _print_account(console: Console, account: Mapping[str, Any]) -> None:
    usable, counts = account["usable"], account["counts"]
    console.print(
        f"{account['source']}: {account['files']:,} image files, {usable:,} usable, "
        f"{len(account['skipped']):,} skipped. Content hash {account['hash']}.\n",
        soft_wrap=True,
    )
    genders = list(counts["gender"])
    _print_table(
        console,
        "Race by gender",
        ["race", *genders, "all", "share"],
        [
            [race, *by_gender.values(), counts["race"][race], _share(counts["race"][race], usable)]
            for race, by_gender in counts["race_gender"].items()
        ]
        + [["all", *counts["gender"].values(), usable, _share(usable, usable)]],
    )
    _print_table(
        console,
        "Age in years",
        ["age", "images", "share"],
        [[age, number, _share(number, usable)] for age, number in counts["age"].items() if number],
    )
    copies, conflicts = account["duplicates"], account["conflicts"]
    _print_table(
        console,
        "Pictures that occur more than once",
        ["what", "groups", "files"],
        [
            ["same picture", copies["groups"], copies["files"]],
            ["  of these, same bytes", copies["exact_groups"], copies["exact_files"]],
            ["  labels contradict each other", conflicts["groups"], ""],
            *([f"    in {key}", conflicts[key], ""] for key in ("age", "gender", "race")),
        ],
        note=f"Same picture: {copies['rule']}. Largest group: {copies['largest']} files.",
    )
    kinds = {"name": "no labels in the name", "label": "label outside its range"}
    _print_table(
        console,
        "Skipped",
        ["file", "kind", "reason"],
        [
            [printable(skip["file"]), kinds.get(skip["kind"], "unreadable"), skip["reason"]]
            for skip in account["skipped"][:_LISTED]
        ],
        note=f"and {len(account['skipped']) - _LISTED:,} more; --json FILE lists them all."
        if len(account["skipped"]) > _LISTED
        else "",
    )


def _print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | int]],
    *,
    note: str = "",
) -> None:
    """Numbers to the right, lines only in a terminal; nothing where there are no rows."""
    if not rows:
        return
    look = box.ROUNDED if console.is_terminal else None
    table = Table(title=title, title_justify="left", title_style="bold", box=look)
    for place, column in enumerate(columns):
        right = any(isinstance(row[place], int) for row in rows) or column == "share"
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    console.print(table)
    console.print(f"{note}\n" if note else "", soft_wrap=True)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
