"""What `fairjax audit` prints and writes."""

import argparse
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # in the name of a folder, on some system


def show(arguments: argparse.Namespace, console: Any, results: Any, by: str) -> None:
    """Prints the verdict and writes the files: in a folder of its own where `by` is not empty."""
    from fairjax.audit import outputs, paired
    from fairjax.report import print_summary, print_tables

    if arguments.tables:
        print_tables(outputs.tables(results), console)
    for limit in results.limits:
        console.print(f"Note: {limit}", soft_wrap=True)
    if by:
        console.print(f"\nBy {by}:", soft_wrap=True)
    print_summary(results, console)
    for sentence in paired.sentences(results):
        console.print(sentence, soft_wrap=True)
    if arguments.out:
        folder = arguments.out / _UNFIT.sub("-", by)
        outputs.write(folder, results, title=arguments.title or arguments.files[0].name)
        console.print(f"\nReport: {folder / 'report.html'}", soft_wrap=True)


@contextlib.contextmanager
def naming_earlier_results(out: Path | None) -> Iterator[None]:
    """Adds to an InputError which results in the folder are an earlier audit's."""
    from fairjax.audit.tables import InputError

    before = _results_in(out)
    try:
        yield
    except InputError as error:
        after = _results_in(out)
        old = [str(path) for path, written in before.items() if after.get(path) == written]
        if not old:
            raise
        raise InputError(f"{error} (What is in {', '.join(old)} is an earlier audit's.)") from error


def _results_in(out: Path | None) -> dict[Path, int]:
    """The results that a folder holds, and when each was written."""
    if out is None:
        return {}
    paths = [*out.glob("results.json"), *out.glob("*/results.json")]
    return {path: path.stat().st_mtime_ns for path in sorted(paths)}
