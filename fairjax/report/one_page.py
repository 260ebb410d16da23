"""An evaluation on one page, for somebody who decides and knows no statistics."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairjax.core.files import write_whole
from fairjax.core.results import FEW, Measure, Results
from fairjax.core.verdict import SETTLED_RATIO, Answer
from fairjax.report.conditions import conditions
from fairjax.report.drawing.svg import PALETTE
from fairjax.report.page import CONTROLS, template
from fairjax.report.quantities import Quantity
from fairjax.report.summary import people_plan, rounded_up, summarise
from fairjax.report.verification import covariates
from fairjax.report.wording import group_name, listed

_ANSWERS: dict[Answer, str] = {
    "shown": "No. It makes more errors for some groups than for others.",
    "not shown": "No difference between groups was shown.",
    "too few data": "This cannot be said: there are too few data.",
}
_CHANCE: dict[Answer, str] = {
    "shown": "This is more than chance explains.",
    "not shown": "This could be chance.",
    "too few data": "There are too few errors to tell whether this is chance.",
}
_ERRORS = {"fmr": "Two different people are taken for one", "fnmr": "A person is not recognised"}
_ERRORS |= {
    "fpir": "Somebody who is not enrolled is taken for a person who is",
    "fnir": "An enrolled person is not found",
}
_TRIALS = {"verification": "comparisons of two pictures", "identification": "searches"}
_MOST = 4  # lines of a list
_FAILURES = ("fta", "fte", "pair_failure")


class OnePage(NamedTuple):
    """What the page says.

    Attributes:
      question: The question that is answered.
      answer: The answer in one sentence.
      decision: The decision behind it.
      tested: What was tested.
      errors: What goes wrong for whom, one sentence or two each.
      sure: How sure the answer is.
      missing: What was not tested, or too little.
    """

    question: str
    answer: str
    decision: Answer
    tested: Sequence[str]
    errors: Sequence[str]
    sure: Sequence[str]
    missing: Sequence[str]


def one_page(results: Results, *, title: str) -> OnePage:
    """The words of the page.

    Args:
      results: Numbers of a run's evaluation or of an audit.
      title: Name of what was tested.
    """
    summary = summarise(results)
    compared = list(summary.compared)
    return OnePage(
        question=f"{title}: does it work equally well for all groups?",
        answer=_ANSWERS[summary.answer],
        decision=summary.answer,
        tested=_tested(results, compared, summary.scope),
        errors=[_errors(q) for q in compared[:_MOST]],
        sure=[*_sure(compared), *_people(compared)],
        missing=_missing(results, compared),
    )


def write_one_page(path: Path, results: Results, *, title: str, report: str = "") -> None:
    """Writes the page as one self-contained HTML file without a script, whole or not at all.

    Args:
      path: The file to write; its folder exists.
      results: Numbers of a run's evaluation or of an audit.
      title: Name of what was tested.
      report: File name of the whole report, to link to; "" for none.
    """
    page = one_page(results, title=title)
    text = template("one_page.html").render(
        title=f"{title}: summary on one page",
        policy="",
        page=page,
        parts=as_text(page),
        conditions=conditions(results.provenance),
        palette=PALETTE,
        report=report,
        command=str(results.provenance.get("command", "")),
    )
    write_whole(path, CONTROLS.sub("\ufffd", text).encode("utf-8", "backslashreplace"))


def _tested(results: Results, compared: Sequence[Quantity], scope: str) -> list[str]:
    if not compared:
        return [scope] if scope else []
    groups = [group_name(m.group) for m in compared[0].measures]
    attribute = next(iter(compared[0].measures[0].group), "group")
    shown = listed(groups[:8]) + (f" and {len(groups) - 8} more" if len(groups) > 8 else "")
    what = _TRIALS.get(results.kind, "pictures")
    everyone = [q.overall for q in compared if q.overall is not None]
    total = sum({m.name: m.n for m in everyone if m.name in _ERRORS}.values())  # not of images
    if results.kind not in _TRIALS:
        total = max((m.n for m in everyone), default=0)
    people = max((m.n_clusters or 0 for m in everyone), default=0)
    who = f"{people:,} people" if people and results.kind in _TRIALS else "People"
    sentences = [f"{who} in {len(groups)} groups by {attribute}: {shown}."]
    if total:
        sentences.append(f"{total:,} {what}.")
    if results.kind in _TRIALS:
        points = list(dict.fromkeys(q.claim.at for q in compared if q.claim.at))
        sentences.append(
            f"One setting of the system for everybody: {listed([*map(_point, points)])}."
        )
    return sentences


def _point(at: str) -> str:
    """An operating point in plain words."""
    search = re.fullmatch(r"(.+, )FPIR (\S+)", at)
    if search:
        share = f"1 in {1 / float(search[2]):,.0f} is accepted"
        return f"{search[1]}of all searches for people who are not enrolled, {share}"
    rate = re.fullmatch(r"FMR (\S+)", at)
    if not rate:
        return at
    return f"of all comparisons of two different people, 1 in {1 / float(rate[1]):,.0f} is accepted"


def _errors(q: Quantity) -> str:
    what = _ERRORS.get(q.claim.measure, q.title)
    if q.claim.system:
        what = f"{q.claim.system}: {what}"
    if not q.known:
        return f"{what}: nothing was counted."
    high, low = q.known[0], q.known[-1]
    if not high.value:
        return f"{what}: no such error was counted."
    per = f" in {q.per:,} {q.trials}" if q.trials else ""
    most, least = ("most often", "least often") if q.trials else ("largest for", "smallest for")
    if len(q.known) > 1 and high.value == low.value:
        return f"{what}: alike in all groups, {q.amount(high)}{per}."
    return (
        f"{what}: {most} {_whose(q, high)}, {q.amount(high)}{per}; {least} "
        f"{_whose(q, low)}, {q.amount(low)}. {_CHANCE[q.claim.answer]}"
    )


def _whose(q: Quantity, end: Measure) -> str:
    """The group of the highest or the lowest number; groups that tie for it are not ranked."""
    names = [group_name(m.group) for m in q.known if m.value == end.value]
    return listed(names) if len(names) < 3 else f"{len(names)} groups"


def _sure(compared: Sequence[Quantity]) -> list[str]:
    sentences = []
    if any(q.claim.answer == "shown" for q in compared):
        sentences.append(
            "If all groups were alike, an audit would report a difference by bad luck in at most 5 "
            "of 100 cases."
        )
    for q in compared[:2]:
        ranges = (
            [_range(q, m) for m in (q.known[0], q.known[-1])]
            if len(q.known) > 1 and q.known[0].value
            else []
        )
        if all(ranges) and ranges:
            what = _ERRORS.get(q.claim.measure, q.title).lower()
            sentences.append(
                f"True numbers most likely lie in these ranges ({what}): {listed(ranges)}."
            )
        ratio = q.claim.detectable_ratio
        if q.claim.answer == "not shown" and ratio:
            sentences.append(
                f"{q.title}: a group with up to {ratio:.2g} times the errors may be missed."
            )
    return sentences


def _range(q: Quantity, m: Measure) -> str:
    if m.interval is None or not q.trials:
        return ""
    low, high = (q.amount(Measure("", end, m.unit, 0)) for end in m.interval)
    return f"{group_name(m.group)} {low} to {high} in {q.per:,}"


def _people(compared: Sequence[Quantity]) -> list[str]:
    plan = people_plan(compared)
    times = f"{SETTLED_RATIO:g} times the errors"
    if plan is None:
        return []
    if not plan.needed:
        return [
            f"How many people it takes to find a group with {times} ({plan.of}) cannot be told."
        ]
    if plan.enough:
        return [f"Enough people were tested to find a group with {times}."]
    return [
        f"To find a group with {times}, about {rounded_up(plan.needed):,} people a group are "
        f"needed; the smallest group has {plan.now:,}."
    ]


def _missing(results: Results, compared: Sequence[Quantity]) -> list[str]:
    thin = dict.fromkeys(
        group_name(m.group)
        for q in compared
        for m in q.measures
        if m.value is not None and m.is_thin
    )
    sentences = []
    if thin:
        sentences.append(
            f"Few errors (under {FEW}) stand behind the numbers of {listed(list(thin)[:6])}."
        )
    sentences.append(
        f"The cause. Looked at: {listed(results.protocol['covariates']['names'])} of the pictures."
        if covariates.answers(results)
        else "The cause: whether worse pictures explain a difference was not looked at."
    )
    failed = any(m.name in _FAILURES for m in results.measures)
    if results.kind in _TRIALS and not failed:
        sentences.append("People whose picture could not be taken or used at all.")
    return [
        *sentences,
        "People, cameras and light that are unlike those tested.",
        "Attacks with photos or masks; how the pictures were collected and who agreed.",
        "Whether a difference is acceptable: that depends on the use, and on you.",
    ]


def as_text(page: OnePage) -> list[tuple[str, Sequence[str]]]:
    """The parts of the page below the answer, with their headings."""
    parts: list[tuple[str, Any]] = [
        ("What was tested", page.tested),
        ("What goes wrong", page.errors),
        ("How sure is this?", page.sure),
        ("What is missing", page.missing),
    ]
    return [(heading, lines) for heading, lines in parts if lines]
