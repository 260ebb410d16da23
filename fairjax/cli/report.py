"""`fairjax report`: a run's numbers, tables and page again."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from fairjax.run.workdir import read_checked


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    report = verbs.add_parser(
        "report",
        help="compute the numbers, tables and report of a run or a study again",
        description="Computes results.json and report.html of a finished run again from its saved "
        "predictions, or the table and the claims of a study from its runs, and prints the "
        "verdict. It needs neither the model nor an image.",
        epilog="Example: fairjax report runs/quickstart",
    )
    report.add_argument("folder", metavar="RUN", type=Path, help="the run's or study's folder")
    report.add_argument(
        "--tables", action="store_true", help="print the protocol's tables before the verdict"
    )
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> None:
    if (arguments.folder / "study.json").exists():
        from fairjax.study import summarise

        path = summarise(arguments.folder, Console())
        print(f"\nReport: {path}")
        return
    from fairjax.run.build import build_scoring
    from fairjax.run.score import report  # matplotlib is not every verb's business

    scoring = build_scoring(read_checked(arguments.folder / "config.json"))
    path = report(scoring, arguments.folder, Console(), show_tables=arguments.tables)
    print(f"\nReport: {path}")
