"""`fairjax report`: a page again, its figures and tables as files, two reports side by side."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli import answers
from fairjax.core.errors import UsageError

_DESCRIPTION = """\
RUN is the folder of a run, a study or an audit.

Of a run, the numbers are computed again from its saved predictions; results.json and report.html
are written, and the verdict is printed. Of a study, the table and the claims are computed from its
runs. Of an audit, the pages are written again from results.json. Needs no model, no images and no
JAX.

--export writes every figure (svg, png, pdf) and every table (csv, tex for LaTeX) to a folder.
Two folders with --out write one page that shows both side by side.
"""


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    report = verbs.add_parser(
        "report",
        help="write a report again, export its figures and tables, or put two side by side",
        description=_DESCRIPTION,
        epilog="Examples: fairjax report runs/quickstart\n"
        "  fairjax report audit/ --export figures/ --as pdf,tex\n"
        "  fairjax report audit-old/ audit-new/ --out both.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("folder", metavar="RUN", type=Path, help="folder of a run, study or audit")
    report.add_argument(
        "other", metavar="OTHER", type=Path, nargs="?", help="another one, to put beside it"
    )
    report.add_argument(
        "--tables", action="store_true", help="print the protocol's tables before the verdict"
    )
    report.add_argument(
        "--export", metavar="DIR", type=Path, help="write figures and tables to this folder"
    )
    report.add_argument(
        "--as",
        dest="formats",
        metavar="KINDS",
        default="",
        help="kinds of files, comma-separated: svg, png, pdf, csv, tex (default: all)",
    )
    report.add_argument("--out", metavar="FILE.html", type=Path, help="page of two reports")
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> None:
    formats = _formats(arguments)
    if (arguments.other is None) != (arguments.out is None):
        raise UsageError("two reports side by side need two folders and --out FILE.html.")
    if arguments.other is not None:
        if arguments.export or arguments.out.suffix.lower() not in (".html", ".htm"):
            raise UsageError("two reports side by side need --out FILE.html and no --export.")
        return _side_by_side(arguments)
    if (arguments.folder / "study.json").exists() and not arguments.export:
        from rich.console import Console

        from fairjax.study import summarise

        path = summarise(arguments.folder, Console())
        print(f"\nReport: {path}")
        return
    is_run = any((arguments.folder / name).exists() for name in ("config.json", "data.json"))
    if arguments.export:
        return _export(arguments.folder, arguments.export, formats, is_run=is_run)
    if (arguments.folder / "results.json").exists() and not is_run:
        return _of_audit(arguments)
    _of_run(arguments)


def _formats(arguments: argparse.Namespace) -> list[str]:
    """The kinds of files asked for."""
    known = ("svg", "png", "pdf", "csv", "tex")
    if arguments.formats and not arguments.export:
        raise UsageError("--as needs --export DIR.")
    asked = [word.strip().lower() for word in arguments.formats.split(",") if word.strip()]
    if unknown := [word for word in asked if word not in known]:
        raise UsageError(f"--as {unknown[0]}: known kinds are {', '.join(known)}.")
    return asked or list(known)


def _of_run(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from fairjax.run.build import build_scoring
    from fairjax.run.score import report
    from fairjax.run.workdir import read_checked

    scoring = build_scoring(read_checked(arguments.folder / "config.json"))
    path = report(scoring, arguments.folder, Console(), show_tables=arguments.tables)
    print(f"\nReport: {path}")


def _of_audit(arguments: argparse.Namespace) -> None:
    from fairjax.audit import outputs
    from fairjax.report import print_summary, print_tables

    results = _results(arguments.folder)
    console = answers.console()
    if arguments.tables:
        print_tables(outputs.tables(results), console)
    print_summary(results, console)
    outputs.write(arguments.folder, results, title=_title(arguments.folder))
    print(f"\nReport: {arguments.folder / 'report.html'}")


def _export(folder: Path, out: Path, formats: list[str], *, is_run: bool) -> None:
    from fairjax.audit import outputs
    from fairjax.report.export import export

    results = _results(folder)
    tables = _tables_of_run(folder, results) if is_run else outputs.tables(results)
    written = export(out, results, tables, formats)
    print(f"{out}: {len(written)} files ({', '.join(formats)})")


def _tables_of_run(folder: Path, results: Any) -> list[Any]:
    """The tables of a run's own protocol."""
    from fairjax.run.build import build_scoring
    from fairjax.run.score import tables_of
    from fairjax.run.workdir import read_checked

    return tables_of(build_scoring(read_checked(folder / "config.json")), results)


def _side_by_side(arguments: argparse.Namespace) -> None:
    from fairjax.audit import differences
    from fairjax.report.side_by_side import write_side_by_side

    both = _results(arguments.folder), _results(arguments.other)
    names = (str(arguments.folder), str(arguments.other))
    tables = differences.tables(*both, names)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_side_by_side(arguments.out, both, names, [table for table in tables if table.rows])
    print(f"Report: {arguments.out}")


def _results(folder: Path) -> Any:
    """The results of a folder; one line where there are none."""
    from fairjax.audit.tables import InputError
    from fairjax.core.results import load_results

    path = folder / "results.json" if folder.suffix != ".json" else folder
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the folder of a finished run or audit.")
    try:
        results = load_results(path)
    except (ValueError, KeyError) as error:
        raise InputError(str(error).split("\n")[0]) from error
    if results.kind not in ("verification", "attributes", "identification"):
        raise InputError(
            f"{path} holds numbers of another kind ({results.kind}), which have no report; they "
            "stand in measures.csv beside it."
        )
    return results


def _title(folder: Path) -> str:
    """The title that a report of the folder has; its name where there is none."""
    import html
    import re

    page = folder / "report.html"
    text = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
    hit = re.search(r"<title>(.*?)</title>", text, flags=re.S)
    return html.unescape(hit[1]) if hit else folder.resolve().name
