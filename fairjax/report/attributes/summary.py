"""What the results say: headline numbers, the worst and best groups, gaps against chance."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from fairjax.core.results import Measure, Results
from fairjax.report.wording import (
    beyond_chance,
    describe,
    digits,
    group_name,
    level,
    lower,
    metric_of,
    more_is_better,
    number,
    parts_of,
    span,
)

MOST_GROUPS = 8  # a card names the worst group of an attribute that has at most so many
MOST_CARDS = 8
BADGES = {
    "beyond": "▲ Gap exceeds its noise floor",
    "within": "○ Gap does not exceed its noise floor",
    "open": "– No noise floor to compare with",
}


class Card(NamedTuple):
    """A headline number; `ends` are (attribute, worst group and value, best group and value)."""

    name: str
    value: str
    interval: str
    n: str
    ends: Sequence[tuple[str, str, str]]


class Finding(NamedTuple):
    """A finding in words, and the verdict on it: a sign with a few words, and a style.

    A gap lies beyond what chance gives, within it, or nobody knows.
    """

    verdict: Literal["beyond", "within", "open"]
    title: str
    text: str
    badge: str


def overall(results: Results) -> list[Measure]:
    """The measures over everyone, accuracies and errors in years first, unknown ones last."""

    def rank(m: Measure) -> int:
        if metric_of(m.name) in ("mae", "accuracy"):
            return 0
        return 1 if more_is_better(m.name) is not None else 2

    return sorted((m for m in results.measures if not m.group and not m.across), key=rank)


def by_attributes(results: Results) -> dict[tuple[str, ...], dict[str, list[Measure]]]:
    """{attributes: {measure's name: measures by group}}, in order of appearance."""
    found: dict[tuple[str, ...], dict[str, list[Measure]]] = {}
    for m in results.measures:
        if m.group and not m.across:
            found.setdefault(tuple(m.group), {}).setdefault(m.name, []).append(m)
    return found


def across_groups(results: Results) -> dict[str, dict[str, dict[str, Measure]]]:
    """{attribute: {base name: {summary: measure}}}; an unknown summary is its own base, as ""."""
    found: dict[str, dict[str, dict[str, Measure]]] = {}
    for m in results.measures:
        if m.across:
            base, summary, tail = parts_of(m.name)
            suffix = "_".join(filter(None, (summary, tail)))
            found.setdefault(m.across, {}).setdefault(base, {})[suffix] = m
    return found


def worst_to_best(measures: Sequence[Measure]) -> list[Measure]:
    """The defined ones in order; empty where fewer than two are, or no direction is known."""
    better = more_is_better(measures[0].name) if measures else None
    known = [(m.value, place) for place, m in enumerate(measures) if m.value is not None]
    if better is None or len(known) < 2:
        return []
    order = sorted(known, key=lambda pair: pair[0] if better else -pair[0])
    return [measures[place] for _, place in order]


def cards(results: Results) -> list[Card]:
    """The headline numbers whose direction is known, each with its worst and best groups."""
    groups = {a[0]: names for a, names in by_attributes(results).items() if len(a) == 1}
    made: list[Card] = []
    for m in overall(results):
        if more_is_better(m.name) is None or len(made) == MOST_CARDS:
            continue
        ends = []
        for attribute, names in groups.items():
            order = worst_to_best(names.get(m.name, []))
            if order and len(names[m.name]) <= MOST_GROUPS:
                worst, best = (
                    f"{group_name(end.group)} {digits(end.value, end.unit)}"
                    for end in (order[0], order[-1])
                )
                ends.append((attribute, worst, best))
        interval = f"{level(m)} {span(m.interval, m.unit)}" if m.interval else "no interval"
        made.append(Card(describe(m.name), number(m.value, m.unit), interval, f"{m.n:,}", ends))
    return made


def findings(results: Results) -> list[Finding]:
    """The differences between groups in words, the clearest first.

    Where some have a noise floor, those without one are left to the plots and tables.
    """
    groups = by_attributes(results)
    found = []
    for across, bases in across_groups(results).items():
        for base, summaries in bases.items():
            order = worst_to_best(groups.get((across,), {}).get(base, []))
            if order and "difference" in summaries and summaries["difference"].value is not None:
                floor = summaries.get("difference_noise_floor")
                clear = summaries["difference"].value / (floor and floor.value or float("inf"))
                found.append((clear, _finding(base, order[0], order[-1], summaries)))
    ordered = [finding for _, finding in sorted(found, key=lambda pair: -pair[0])]
    return [finding for finding in ordered if finding.verdict != "open"] or ordered


def lead(results: Results) -> str:
    """The sentences that a reader in a hurry needs."""
    said = [m for m in overall(results) if more_is_better(m.name) is not None]
    found = findings(results)
    name = results.protocol.get("name", results.kind)
    split = f", {results.protocol['split']} split" if "split" in results.protocol else ""
    parts = []
    if said:
        numbers = ", ".join(
            f"{lower(describe(m.name))} {number(m.value, m.unit)}" for m in said[:3]
        )
        parts.append(
            f"Over {max(m.n for m in said):,} examples (protocol {name}{split}): {numbers}."
        )
    decided = [f for f in found if f.verdict != "open"]
    if decided:
        beyond = sum(f.verdict == "beyond" for f in decided)
        gaps = "gap" if len(decided) == 1 else "gaps"
        parts.append(
            f"Of {len(decided)} {gaps} between groups, {beyond} exceed the noise floor (what "
            f"chance alone gives groups of these sizes) and {len(decided) - beyond} do not."
        )
        if beyond:
            parts.append(f"The clearest is {lower(decided[0].title)}.")
    return " ".join(parts)


def _finding(base: str, worst: Measure, best: Measure, summaries: Mapping[str, Measure]) -> Finding:
    gap = summaries["difference"]
    floor = summaries.get("difference_noise_floor")
    p = summaries.get("difference_p_value")
    size = number(gap.value, gap.unit, difference=True)
    interval = f" ({level(gap)} {span(gap.interval, gap.unit)})" if gap.interval else ""
    few = [group_name(m.group) for m in (worst, best) if m.is_thin]
    caution = f" Few errors stand behind the number of {' and '.join(few)}." if few else ""
    chance = number(floor.value if floor else None, gap.unit, difference=True)
    p_value = f", p {p.value:.2g} unadjusted" if p and p.value is not None else ""
    beyond = beyond_chance(gap.value, floor.value if floor else None)
    verdict: Literal["beyond", "within", "open"]
    if beyond is None:
        verdict, reason = "open", "No noise floor was computed: chance is not ruled out."
    elif beyond:
        verdict = "beyond"
        reason = f"Equal groups of these sizes show up to {chance} by chance{p_value}."
    else:
        verdict = "within"
        reason = (
            f"Equal groups of these sizes show up to {chance} by chance{p_value}: these data "
            "can't tell this gap from none."
        )
    text = (
        f"Worst for {group_name(worst.group)} ({number(worst.value, worst.unit)}), best for "
        f"{group_name(best.group)} ({number(best.value, best.unit)}): a gap of {size}{interval}. "
        f"{reason}{caution}"
    )
    return Finding(verdict, f"{describe(base)} by {gap.across}", text, BADGES[verdict])
