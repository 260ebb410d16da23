"""What verbs share: where numbers come from, what is printed, and where files may be written."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
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


def say(*lines: str) -> None:
    """Prints lines for the user on standard error, apart from the command's result."""
    for line in lines:
        print(line, file=sys.stderr)


def say_unreadable(out: Path, unreadable: Sequence[tuple[str, str]], done: int, what: str) -> None:
    """Says how many images have no result and writes all of them beside it; nothing where none.

    Args:
      out: File of the result; the list is called after it.
      unreadable: Name of each image and the reason.
      done: How many images have a result.
      what: What is said of the others, such as "have no crop".
    """
    from fairjax.serve.output import write_unreadable

    if not unreadable:
        return
    path = write_unreadable(out, unreadable)
    name, reason = unreadable[0]
    say(
        f"{len(unreadable):,} of {done + len(unreadable):,} images {what}; the first, "
        f"{name}: {reason}. All: {path}"
    )


def check_file(out: Path) -> None:
    """Refuses a file that cannot be written, before anything is computed.

    Raises:
      ModelError: Says why.
    """
    from fairjax.serve.model import ModelError

    folder = out.absolute().parent
    if out.is_dir():
        raise ModelError(f"--out {out} is a folder; name a file in it.")
    if not folder.is_dir():
        raise ModelError(f"--out {out}: the folder {folder} does not exist; make it first.")
    if not os.access(folder, os.W_OK):
        raise ModelError(f"--out {out}: the folder {folder} cannot be written to.")


def check_folder(out: Path | None) -> None:
    """Refuses a folder that can't be made, before anything is measured; None is no folder.

    Raises:
      InputError: Names the nearest folder that exists.
    """
    from fairjax.audit.tables import InputError

    if out is None:
        return
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"--out {out}: {nearest} is not a folder that can be written to.")
