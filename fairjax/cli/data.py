"""`fairjax data`: look at data sets on disk."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairjax.cli import answers, values
from fairjax.core.errors import UsageError
from fairjax.core.files import naming

if TYPE_CHECKING:
    from rich.console import Console

_LISTED = 20  # names shown of a long list; --json has them all
_KINDS = {
    "name": "the name",
    "label": "label outside its range",
    "image": "unreadable",
    "identity": "people and images",
    "landmarks": "alignment",
}


@dataclass(frozen=True)
class Sheet:
    """A table of an account: cells are text or numbers, the first column names the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int]]
    note: str = ""


@dataclass(frozen=True)
class DataReport:
    """Contents of a data set, and whether it can be used.

    Attributes:
      account: The whole account, JSON-ready, with `source`, `skipped` and `hash`.
      size: Size of the data set in words.
      sheets: Tables to print.
      use: Purpose of the data set: "train" or "test".
      refuse: Function that raises DataError where the data set cannot be used.
    """

    account: Mapping[str, Any]
    size: str
    sheets: Sequence[Sheet]
    use: str
    refuse: Callable[[], object]


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    data = verbs.add_parser(
        "data",
        help="check a data set on disk before you train or test on it",
        description="Checks data sets on disk. `fairjax data check --help` has the options.",
        epilog="Example: fairjax data check utkface utkface.tar",
    )
    actions = data.add_subparsers(title="verbs", metavar="VERB", required=True)
    check = actions.add_parser(
        "check",
        help="count labels, people and pairs, and find bad files",
        description="Reads every file of a data set once, counts what is in it and lists files "
        "that are no picture. Changes nothing. For utkface: counts by race, gender and age, names "
        "without labels, pictures that occur twice, copies with contradicting labels. For people "
        "to train on (identities, bupt): people and images by group, images per person. For pairs "
        "to test on (rfw, bfw, lfw): also pairs by group, fold and kind, and every pair that "
        "cannot be used. Results are cached in your cache folder, so that a second check is quick.",
        epilog="Exit codes: 0 fit for use; 1 not fit, and the last line says why; 2 the command "
        "line is wrong. Examples: "
        "fairjax data check utkface ~/data/UTKFace --json check.json; "
        "fairjax data check lfw ~/data/lfw --pairs ~/data/pairs.txt",
    )
    check.add_argument(
        "dataset", choices=list(REPORTS), help="the data set, whose file names and layout to expect"
    )
    check.add_argument(
        "path", metavar="PATH", help="its folder (images at any depth), .tar or other file"
    )
    check.add_argument(
        "--pairs",
        metavar="PATH",
        default="",
        help="lfw: the list of pairs, or a folder of lists; bfw: the table of pairs",
    )
    check.add_argument(
        "--groups",
        metavar="PATH",
        default="",
        help="identities, lfw: a table with the columns identity and group. identities also takes "
        "the word 'folder' where each group is a folder that holds the folders of its people",
    )
    check.add_argument(
        "--person-folder",
        metavar="NUMBER",
        default="",
        help="identities: which folder below PATH names the person, counted from 1 (1 for "
        "person/video/frame, 2 for train/person/image); 'path' takes the whole path as the person",
    )
    check.add_argument(
        "--json", metavar="FILE", type=Path, help="also write all counts and problems to this file"
    )
    check.add_argument(
        "--max-bad",
        metavar="SHARE",
        type=values.fraction,
        default=0.01,
        help="share of files in [0, 1] that may be bad (default: %(default)s)",
    )
    check.set_defaults(run=_check)


_DATASETS_OF = {  # data sets that a flag is for
    "pairs": ("bfw", "lfw"),
    "groups": ("identities", "lfw"),
    "person_folder": ("identities",),
}


def _check(arguments: argparse.Namespace) -> None:
    for name, datasets in _DATASETS_OF.items():
        if getattr(arguments, name) and arguments.dataset not in datasets:
            raise UsageError(
                f"--{name.replace('_', '-')} is for {' and '.join(datasets)}; "
                f"{arguments.dataset} takes none."
            )
    console = answers.console()
    if not console.is_terminal:
        console.width = 120
    with console.status(f"Reading {arguments.path} ..."):
        report = REPORTS[arguments.dataset](arguments)
    if arguments.json:
        with naming(arguments.json):
            text = json.dumps(report.account, indent=1) + "\n"
            arguments.json.write_text(text, encoding="utf-8")
    _print_report(console, report)
    report.refuse()
    console.print(f"{report.account['source']}: fit to {report.use} on.", soft_wrap=True)


# What reads the data (SciPy, Pillow) is imported by those who do: it is not every verb's business.


def _check_utkface(arguments: argparse.Namespace) -> DataReport:
    from fairjax.data import utkface
    from fairjax.data.dataset import Source

    survey = utkface.survey(utkface.find(arguments.path))
    account = utkface.account(survey)
    return DataReport(
        account,
        f"{account['files']:,} image files, {account['usable']:,} usable",
        _utkface_sheets(account),
        "train",
        lambda: utkface.refuse_bad(survey, Source(max_bad=arguments.max_bad)),
    )


def _check_people(arguments: argparse.Namespace) -> DataReport:
    from fairjax.data import bupt, faces, recognition
    from fairjax.data.dataset import Source
    from fairjax.data.formats import tree

    if arguments.dataset == "bupt":
        images, help_text = bupt.read(arguments.path), bupt.HELP
    else:
        images, help_text = (
            tree.read_tree(arguments.path, arguments.groups, _person_folder(arguments)),
            tree.HELP,
        )
    account = {"name": arguments.dataset, **faces.account(images)}
    return DataReport(
        account,
        f"{len(images):,} images of {len(images.people):,} people",
        _people_sheets(account, images.attribute),
        "train",
        lambda: recognition.refuse_bad(
            arguments.dataset, images, Source(max_bad=arguments.max_bad), help_text=help_text
        ),
    )


def _person_folder(arguments: argparse.Namespace) -> str:
    from fairjax.data.dataset import DataError
    from fairjax.data.identities import IdentitiesSource

    try:
        return IdentitiesSource(person_folder=arguments.person_folder).person_folder
    except ValueError as error:
        raise DataError(f"--{str(error).replace('_', '-')}") from error


def _check_pairs(arguments: argparse.Namespace) -> DataReport:
    from fairjax.data import bfw, faces, lfw, rfw
    from fairjax.data.formats import pairs

    if arguments.dataset == "rfw":
        benchmark = rfw.read(arguments.path, aligned=True)
    elif arguments.dataset == "bfw":
        benchmark = bfw.read(arguments.path, arguments.pairs)
    else:
        benchmark = lfw.read(root=arguments.path, pairs=arguments.pairs, groups=arguments.groups)
    attribute = benchmark.faces.attribute
    account = {
        "name": arguments.dataset,
        **faces.account(benchmark.faces),
        "pairs": pairs.account(benchmark.pairs, benchmark.faces),
        "problems": [problem._asdict() for problem in benchmark.problems],
    }
    return DataReport(
        account,
        f"{len(benchmark.faces):,} images of {len(benchmark.faces.people):,} people, "
        f"{len(benchmark.pairs):,} pairs",
        [*_people_sheets(account, attribute), *_pairs_sheets(account, attribute)],
        "test",
        lambda: pairs.refuse_problems(benchmark, on_error="raise"),
    )


REPORTS: dict[str, Callable[[argparse.Namespace], DataReport]] = {
    "bfw": _check_pairs,
    "bupt": _check_people,
    "identities": _check_people,
    "lfw": _check_pairs,
    "rfw": _check_pairs,
    "utkface": _check_utkface,
}


def _utkface_sheets(account: Mapping[str, Any]) -> list[Sheet]:
    usable, counts = account["usable"], account["counts"]
    copies, conflicts = account["duplicates"], account["conflicts"]
    return [
        Sheet(
            "Race by gender",
            ["race", *counts["gender"], "all", "share"],
            [
                [
                    race,
                    *genders.values(),
                    counts["race"][race],
                    _share(counts["race"][race], usable),
                ]
                for race, genders in counts["race_gender"].items()
            ]
            + [["all", *counts["gender"].values(), usable, _share(usable, usable)]],
        ),
        Sheet(
            "Age in years",
            ["age", "images", "share"],
            [[age, n, _share(n, usable)] for age, n in counts["age"].items() if n],
        ),
        Sheet(
            "Pictures that occur more than once",
            ["what", "groups", "files"],
            [
                ["same picture", copies["groups"], copies["files"]],
                ["  of these, same bytes", copies["exact_groups"], copies["exact_files"]],
                ["  labels contradict each other", conflicts["groups"], ""],
                *([f"    in {key}", conflicts[key], ""] for key in ("age", "gender", "race")),
            ],
            f"Same picture: {copies['rule']}. Largest group: {copies['largest']} files.",
        ),
    ]


def _people_sheets(account: Mapping[str, Any], attribute: str) -> list[Sheet]:
    people, images = account["people"], account["images"]
    return [
        Sheet(
            "Files",
            ["what", "files"],
            [[what, n] for what, n in account["files"].items()],
            "\n".join(account["notes"]),
        ),
        Sheet(
            f"People and images by {attribute}",
            [attribute, "people", "images", "share"],
            [
                [group, n["people"], n["images"], _share(n["images"], images)]
                for group, n in account[f"by_{attribute}"].items()
            ]
            + [["all", people, images, _share(images, images)]],
        ),
        Sheet(
            "Images a person",
            ["images", "people", "share"],
            [[size, n, _share(n, people)] for size, n in account["images_per_person"].items()],
        ),
    ]


def _pairs_sheets(account: Mapping[str, Any], attribute: str) -> list[Sheet]:
    pairs, problems = account["pairs"], account["problems"]
    return [
        Sheet(
            f"Pairs by {attribute}",
            [attribute, "mated", "non-mated", "people"],
            [
                [group, n["mated"], n["nonmated"], n["people"]]
                for group, n in pairs[f"by_{attribute}"].items()
            ],
        ),
        Sheet(
            "Pairs by part",
            ["part", "mated", "non-mated"],
            [[fold, n["mated"], n["nonmated"]] for fold, n in pairs["by_fold"].items()],
        ),
        Sheet(
            "Pairs that cannot be used",
            ["line", "reason"],
            [[problem["where"], problem["reason"]] for problem in problems[:_LISTED]],
            _more(problems),
        ),
    ]


def _print_report(console: "Console", report: DataReport) -> None:
    """The one way in which any data set's account is printed."""
    from fairjax.data.formats.files import printable

    account, skipped = report.account, report.account["skipped"]
    console.print(
        f"{account['source']}: {report.size}, {len(skipped):,} skipped. "
        f"Content hash {account['hash']}.\n",
        soft_wrap=True,
    )
    last = Sheet(
        "Skipped",
        ["file", "kind", "reason"],
        [
            [printable(skip["file"]), _KINDS[skip["kind"]], skip["reason"]]
            for skip in skipped[:_LISTED]
        ],
        _more(skipped),
    )
    for sheet in (*report.sheets, last):
        _print_sheet(console, sheet)


def _print_sheet(console: "Console", sheet: Sheet) -> None:
    """Numbers to the right, lines only in a terminal; nothing where there are no rows."""
    from rich import box
    from rich.table import Table

    if not sheet.rows:
        return
    box_style = box.ROUNDED if console.is_terminal else None
    table = Table(title=sheet.title, title_justify="left", title_style="bold", box=box_style)
    for column_number, column in enumerate(sheet.columns):
        right = column == "share" or any(isinstance(row[column_number], int) for row in sheet.rows)
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in sheet.rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    console.print(table)
    console.print(f"{sheet.note}\n" if sheet.note else "", soft_wrap=True)


def _more(items: Sequence[Any]) -> str:
    left = len(items) - _LISTED
    return f"and {left:,} more; --json FILE lists them all." if left > 0 else ""


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "-"
