"""The page of a study: the verdict first, the paper's claims marked as claims, tables and runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from fairjax.core.results import Table
from fairjax.report.accounts import Listing
from fairjax.report.conditions import conditions
from fairjax.report.drawing.lines import Choice, trade_off
from fairjax.report.page import Page, TestedClaim, render
from fairjax.report.sections import Figure, Section
from fairjax.report.summary import Summary


@dataclass(frozen=True, kw_only=True)
class StudyPage:
    """What the page of a study shows.

    Attributes:
      title: Heading of the page.
      source: Where published numbers are from, or "".
      notes: Sentences for the reader.
      tables: Tables that are shown as they are.
      headline: Verdict on the study's claim as a whole, in a few words, or "".
      thesis: The paper's claim as a whole, or "".
      reasons: Why the verdict is what it is, in sentences, or "".
      claims: (verdict, claim, evidence) of each claim.
      test: How claims are tested.
      runs: Name, row, seed and state of each run, and why it failed.
      provenance: Line that makes the study as "command", and its data as "dataset".
      choices: Points of the plot of two columns against each other; none draws no plot.
      axes: Titles of these columns: better the higher, better the lower.
    """

    title: str
    source: str
    notes: Sequence[str]
    tables: Sequence[Table]
    headline: str
    thesis: str
    reasons: str
    claims: Sequence[tuple[str, str, str]]
    test: str
    runs: Sequence[Mapping[str, object]]
    provenance: Mapping[str, str]
    choices: Sequence[Choice] = ()
    axes: tuple[str, str] = ("", "")


def write_study_page(path: Path, study: StudyPage) -> None:
    """Writes one self-contained HTML file, whole or not at all.

    Args:
      path: The file to write; its folder exists.
      study: What is shown.
    """
    figures = []
    if study.choices:
        title_of_plot = f"{study.axes[0]} against {study.axes[1]}"
        drawn = trade_off(
            "trade-off", title_of_plot, study.choices, x_axis=study.axes[0], y_axis=study.axes[1]
        )
        note = (
            "Better to the right and below. The dashed line joins the rows that no other beats in "
            "one number while it is as good in the other; hollow points are beaten. Lines through "
            "a point are its 95 % intervals: where they overlap, the order may be chance."
        )
        figures.append(Figure(Markup(drawn), title_of_plot, note, wide=True))
    done = sum(run["state"] == "done" for run in study.runs)
    scope = f"{done} of {len(study.runs)} runs are done."
    if study.source:
        scope += f" Published numbers: {study.source}."
    reasons_of_runs = any(run.get("why") for run in study.runs)
    states = Table(
        "Runs",
        ["run", "row", "seed", "state", "report", *(["why"] if reasons_of_runs else [])],
        [
            [
                str(run["name"]),
                str(run["row"]),
                str(run["seed"]),
                str(run["state"]),
                f"{run['name']}/report.html" if run["state"] == "done" else "",
                *([str(run.get("why", ""))] if reasons_of_runs else []),
            ]
            for run in study.runs
        ],
    )
    page = Page(
        title=study.title,
        conditions=conditions(study.provenance),
        summary=Summary(
            "too few data", study.headline, [study.reasons] if study.reasons else [], scope
        ),
        thesis=study.thesis,
        tested=[TestedClaim(*claim) for claim in study.claims],
        sections=[
            Section("trade-off", "Trade-off", parts=[("", figures)]),
            Section("tables", "Tables", tables=study.tables),
            Section("runs", "Runs", tables=[states], folded=True),
        ],
        limits=[*study.notes, *([study.test] if study.claims else [])],
        provenance=Listing("", list(study.provenance.items())),
    )
    render(path, page)
