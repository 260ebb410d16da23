"""`fairjax report`: a run's numbers, tables and page again."""

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    report = verbs.add_parser(
        "report",
        help="write the numbers and the report of a run or a study again, without training",
        description="Computes the numbers of a finished run again from its saved predictions, "
        "writes results.json and report.html, and prints the verdict. For a study it computes the "
        "table and the claims from the study's runs. Needs no model, no images and no JAX.",
        epilog="Example: fairjax report runs/quickstart",
    )
    report.add_argument("folder", metavar="RUN", type=Path, help="folder of the run or the study")
    report.add_argument(
        "--tables", action="store_true", help="print the protocol's tables before the verdict"
    )
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    if (arguments.folder / "study.json").exists():
        from fairjax.study import summarise

        path = summarise(arguments.folder, Console())
        print(f"\nReport: {path}")
        return
    from fairjax.run.build import build_scoring
    from fairjax.run.score import report
    from fairjax.run.workdir import read_checked

    scoring = build_scoring(read_checked(arguments.folder / "config.json"))
    path = report(scoring, arguments.folder, Console(), show_tables=arguments.tables)
    print(f"\nReport: {path}")
