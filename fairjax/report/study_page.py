"""The page of a study: the verdict, its tables, what became of the claims, and its runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from fairjax.core.results import Table
from fairjax.report.accounts import Listing
from fairjax.report.attributes.summary import Finding
from fairjax.report.page import render
from fairjax.report.sections import Section

# A claim that holds looks like one beyond chance, and so does its contrary: the badge tells.
_STYLE: dict[str, Literal["beyond", "within", "open"]] = {
    "holds": "beyond",
    "contradicted": "beyond",
}


def write_study_page(
    path: Path,
    *,
    title: str,
    source: str,
    notes: Sequence[str],
    tables: Sequence[Table],
    verdict: str,
    claims: Sequence[tuple[str, str, str]],
    test: str,
    runs: Sequence[Mapping[str, object]],
    command: str,
) -> None:
    """Writes one self-contained HTML file, whole or not at all.

    Args:
      path: The file to write; its folder exists.
      title: The page's heading.
      source: Where published numbers are from, or "".
      notes: Sentences for the reader.
      tables: Shown as they are.
      verdict: On the study's claim as a whole, in sentences, or "".
      claims: (verdict, claim, what was found) of each.
      test: How claims are tested.
      runs: Name, row, seed and state of each, and why it failed.
      command: The line that makes the study.
    """
    done = sum(run["state"] == "done" for run in runs)
    lead = f"{verdict}\n{done} of {len(runs)} runs are done."
    if source:
        lead += f" Published numbers: {source}."
    reasons = any(run.get("why") for run in runs)
    states = Table(
        "Runs",
        ["run", "row", "seed", "state", "report", *(["why"] if reasons else [])],
        [
            [
                str(run["name"]),
                str(run["row"]),
                str(run["seed"]),
                str(run["state"]),
                f"{run['name']}/report.html" if run["state"] == "done" else "",
                *([str(run.get("why", ""))] if reasons else []),
            ]
            for run in runs
        ],
    )
    render(
        path,
        title=title,
        lead=lead,
        findings=[
            Finding(_STYLE.get(decision, "open"), text, found, f"{decision} here")
            for decision, text, found in claims
        ],
        sections=[
            Section("tables", "Tables", tables=tables),
            Section("runs", "Runs", tables=[states]),
        ],
        limits=[*notes, *([test] if claims else [])],
        provenance=Listing("", [("command", command)]),
    )
