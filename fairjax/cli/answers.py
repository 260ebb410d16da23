"""How verbs that answer one question keep where numbers come from, print them and write them."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from fairjax.audit.findings import Findings


def command() -> str:
    """The command line, for the provenance."""
    return shlex.join(["fairjax", *sys.argv[1:]])


def console() -> "Console":
    """The terminal, which prints names out of files as they are."""
    from rich.console import Console

    return Console(highlight=False, markup=False)


def facts_of(files: Mapping[str, Path | None]) -> dict[str, Any]:
    """Provenance of an answer.

    Args:
      files: Files by role; None is a file that was not given.

    Raises:
      InputError: If a file is missing.
    """
    from fairjax.audit import run

    paths = {role: path for role, path in files.items() if path is not None}
    return run.provenance(paths, command(), {})


def answer(results: "Findings", out: Path | None, *, most_rows: int = 0) -> None:
    """Prints findings, and writes them to a folder where one is given.

    Args:
      results: Numbers and tables of the answer.
      out: The folder, or None.
      most_rows: Rows of a table that are printed; 0 prints all.
    """
    from fairjax.audit import findings

    findings.show(results, console(), most_rows=most_rows)
    if out:
        findings.write(out, results)
        print(f"Written: {out / 'results.json'}")
