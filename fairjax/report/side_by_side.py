"""Two evaluations on one page, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairjax.core.results import Measure, Results, Table
from fairjax.core.verdict import Answer
from fairjax.report.accounts import Listing
from fairjax.report.cards import card
from fairjax.report.conditions import conditions
from fairjax.report.page import Page, render
from fairjax.report.quantities import Quantity
from fairjax.report.sections import Figure, Section
from fairjax.report.summary import Summary, summarise
from fairjax.report.verification import covariates
from fairjax.report.wording import describe, group_name, is_difference, number, span

_MOST_ROWS = 400
_TAILS = ("_p_value", "_holm", "_bh", "_noise_floor", "_smoothed")


def write_side_by_side(
    path: Path,
    results: tuple[Results, Results],
    names: tuple[str, str],
    differences: Sequence[Table] = (),
) -> None:
    """Writes one self-contained HTML file with both evaluations, whole or not at all.

    Intervals of two evaluations may overlap although a paired test would tell them apart, and the
    page says so: it claims no change.

    Args:
      path: The file to write; its folder exists.
      results: The two evaluations.
      names: What to call each.
      differences: Tables of settings that differ, and of numbers.
    """
    summaries = (summarise(results[0]), summarise(results[1]))
    answer: Answer = "too few data"
    page = Page(
        title=f"{names[0]} beside {names[1]}",
        conditions=list(
            dict.fromkeys(line for audited in results for line in conditions(audited.provenance))
        ),
        summary=Summary(answer, "Two reports side by side", [_caution(results)]),
        sections=[
            _verdicts(results, summaries, names),
            _figures(summaries, names),
            _numbers(results, names),
            Section("differences", "Settings that differ", tables=list(differences)),
            Section(
                "limits-of-both",
                "Limits of each",
                tables=[
                    Table(name, ["limit"], [[limit] for limit in audited.limits])
                    for name, audited in zip(names, results, strict=True)
                    if audited.limits
                ],
                folded=True,
            ),
        ],
        limits=[],
        provenance=Listing("", [(n, _origin(r)) for n, r in zip(names, results, strict=True)]),
    )
    render(path, page)


def _caution(results: tuple[Results, Results]) -> str:
    pairs = [audited.provenance.get("pairs") for audited in results]
    if pairs[0] and pairs[0] == pairs[1]:
        return (
            "Both were measured on the same people. To test what changed, use "
            "fairjax audit BEFORE AFTER --paired: intervals that overlap say little here."
        )
    return (
        "They were measured on different pairs or people: a difference between them may come from "
        "the data alone."
    )


def _origin(results: Results) -> str:
    facts: Any = results.provenance
    parts = [str(facts[key]) for key in ("command", "pairs", "data_hash") if facts.get(key)]
    return "; ".join(parts) or "not stated"


def _verdicts(
    results: tuple[Results, Results], summaries: tuple[Summary, Summary], names: tuple[str, str]
) -> Section:
    rows = [
        ["verdict", *(s.headline or "none" for s in summaries)],
        *[
            [heading, *(_sentence(s, heading) for s in summaries)]
            for heading in dict.fromkeys(q.heading for s in summaries for q in s.compared)
        ],
        ["covariates held", *(" ".join(covariates.sentences(r)) for r in results)],
        ["compared", *(s.scope for s in summaries)],
        ["tolerances", *(" ".join(s.tolerances) for s in summaries)],
    ]
    rows = [row for row in rows if any(row[1:])]
    return Section("verdicts", "Verdicts", tables=[Table("Verdicts", ["", *names], rows)])


def _sentence(summary: Summary, heading: str) -> str:
    return " ".join(text for text in summary.sentences if text.startswith(f"{heading}:"))


def _figures(summaries: tuple[Summary, Summary], names: tuple[str, str]) -> Section:
    """Each rate of one evaluation beside that of the other."""
    parts: list[tuple[str, list[Figure]]] = []
    by_side: list[dict[str, Quantity]] = [{q.heading: q for q in s.compared} for s in summaries]
    for index, heading in enumerate(dict.fromkeys([*by_side[0], *by_side[1]])):
        figures = []
        for side, (by_heading, name) in enumerate(zip(by_side, names, strict=True)):
            if heading in by_heading:
                figure = card(by_heading[heading], f"side-{index}-{side}")
                figures.append(Figure(figure.figure, name, f"{figure.note}; {figure.badge}"))
        parts.append((heading, figures))
    return Section("figures", "Groups", "Bars with their own scale on each side.", parts=parts)


def _numbers(results: tuple[Results, Results], names: tuple[str, str]) -> Section:
    """Every number that both have, in one row."""
    by_key = [{_key(m): m for m in audited.measures if m.value is not None} for audited in results]
    keys = [key for key in by_key[0] if key in by_key[1]]
    keys = [key for key in keys if not by_key[0][key].name.endswith(_TAILS)]
    rows = [
        [
            describe(m.name),
            (f"{m.system}: " if m.system else "")
            + (group_name(m.group) if m.group or not m.across else f"across {m.across}"),
            m.at,
            *(_cell(side[key]) for side in by_key),
        ]
        for key in keys[:_MOST_ROWS]
        for m in [by_key[0][key]]
    ]
    note = "Brackets: interval." + (
        f" The first {_MOST_ROWS} of {len(keys):,} numbers." if len(keys) > _MOST_ROWS else ""
    )
    table = Table("Numbers of both", ["number", "of", "at", *names], rows, note)
    return Section("both", "Numbers side by side", tables=[table] if rows else [], folded=True)


def _key(m: Measure) -> tuple[str, str, str, str, tuple[tuple[str, str], ...]]:
    return m.system, m.name, m.at, m.across, tuple(m.group.items())


def _cell(m: Measure) -> str:
    interval = f" [{span(m.interval, m.unit)}]" if m.interval else ""
    return number(m.value, m.unit, difference=is_difference(m.name)) + interval
