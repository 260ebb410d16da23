"""`fairjax diff`: why two results disagree."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli.answers import console


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    diff = verbs.add_parser(
        "diff",
        help="say why two results disagree",
        description="Compares two results.json files. It first lists the settings that differ, the "
        "ones that usually move numbers most at the top: pairs, data, groups, protocol, centring, "
        "preprocessing, flip, operating points, threshold rule and source, ddof, and last what "
        "moves intervals alone. It then lists the numbers that differ. Results with several "
        "accuracies (fairjax audit --protocol rfw on embeddings) are shown side by side.",
        epilog="Exit codes: 0 nothing that is written down differs; 1 something does, or a file "
        "can't be read; 2 the command line is wrong. "
        "Example: fairjax diff audit-ours/ audit-theirs/",
    )
    diff.add_argument("first", metavar="A", type=Path, help="a results.json, or its folder")
    diff.add_argument("second", metavar="B", type=Path, help="another results.json, or its folder")
    diff.set_defaults(run=_diff)


def _diff(arguments: argparse.Namespace) -> None:
    from fairjax.audit import differences
    from fairjax.report import print_tables

    paths = [_file(path) for path in (arguments.first, arguments.second)]
    first, second = (_load(path) for path in paths)
    names = (str(arguments.first), str(arguments.second))
    tables = differences.tables(first, second, names)
    print_tables(tables, console())
    if len(tables) > 1 or tables[0].rows:
        raise SystemExit(1)


def _file(path: Path) -> Path:
    return path / "results.json" if path.is_dir() else path


def _load(path: Path) -> Any:
    from fairjax.audit.tables import InputError
    from fairjax.core.results import load_results

    try:
        return load_results(path)
    except (ValueError, KeyError) as error:
        message = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise InputError(message.split("\n")[0]) from error
