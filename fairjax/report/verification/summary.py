"""What a verification audit says in words: who pays, beyond chance or tolerance or not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from fairjax.core.results import FEW, Measure, Results
from fairjax.report.attributes.summary import BADGES, Card, Finding, worst_to_best
from fairjax.report.verification.audited import Audited, audited_systems, changes, whence
from fairjax.report.wording import (
    describe,
    digits,
    excludes_zero,
    group_name,
    is_difference,
    level,
    listed,
    lower,
    more_is_better,
    number,
    parts_of,
    sentence,
    span,
)

MOST_GROUPS = 8  # a card names the worst group where there are at most so many
RATES = ("fmr", "fnmr")
_INDICES = ("gini", "garbe", "fairness_discrepancy_rate")
_THRESHOLD_FREE = ("accuracy", "eer", "auc", "d_prime")
P_VALUES = {
    "p_value": " unadjusted",
    "p_value_holm": " after Holm",
    "p_value_bh": " after Benjamini-Hochberg",
}
_VERDICTS: dict[str, tuple[Literal["beyond", "within", "open"], str]] = {
    "exceeds": ("beyond", "▲ Exceeds the tolerance"),
    "within": ("within", "○ Within the tolerance"),
    "inconclusive": ("open", "? Inconclusive"),
}


def cards(results: Results) -> list[Card]:
    """Each system's rates at its first operating point, then what needs no threshold.

    A number that nobody has over everyone, such as a centred accuracy, is its mean over groups.
    """
    made = []
    for system in audited_systems(results):
        at = system.points[0] if system.points else ""
        for name, point in [*((rate, at) for rate in RATES), *((n, "") for n in _THRESHOLD_FREE)]:
            m = system.everyone(name, point) or system.summary(f"{name}_mean", point)
            if m is None:
                continue
            order = worst_to_best(system.by_group(name, point))
            ends = []
            if order and len(system.groups) <= MOST_GROUPS:
                worst, best = (
                    f"{group_name(m.group)} {digits(m.value, m.unit)}"
                    for m in (order[0], order[-1])
                )
                ends = [(system.attribute, worst, best)]
            interval = f"{level(m)} {span(m.interval, m.unit)}" if m.interval else "no interval"
            title = system.titled(describe(m.name) + (f" at {point}" if point else ""))
            made.append(Card(title, number(m.value, m.unit), interval, f"{m.n:,}", ends))
    return made


def findings(results: Results) -> list[Finding]:
    """The verdicts on tolerances, then who has the highest rates at each operating point."""
    systems = audited_systems(results)
    found = []
    for system in systems:
        for verdict in system.arrays.get("verdicts", ()):
            found.append(_verdict(system, verdict))
    for system in systems:
        for at in system.points:
            for rate in RATES:
                order = worst_to_best(system.by_group(rate, at))
                if order:
                    found.append(_rate_finding(system, rate, at, order))
    return found


def lead(results: Results) -> str:
    """What was compared, at which threshold, and who pays: a paragraph a line."""
    systems = audited_systems(results)
    if not systems:
        return ""
    said = [_compared(systems[0], results.protocol.get("name", results.kind))]
    if len(systems) > 1:
        said[0] += f" {len(systems)} systems scored them: {listed([s.name for s in systems])}."
    for system in systems:
        at = system.points[0] if system.points else ""
        said.append(
            " ".join(
                filter(
                    None,
                    [_at_threshold(system, at), *(_who_pays(system, rate, at) for rate in RATES)],
                )
            )
        )
    for pair, measures in changes(results).items():
        clear = sum(excludes_zero(m) for m in measures)
        said.append(f"{pair}: of {len(measures)} changes, {clear} have an interval without zero.")
    return "\n".join(filter(None, said))


def unresolved(results: Results) -> list[str]:
    """What the data are too few to answer, one sentence each."""
    said = []
    for system in audited_systems(results):
        for at in system.points:
            rates = [m for rate in RATES if (m := system.everyone(rate, at))]
            if missing := {m.note.rstrip(".") for m in rates if m.value is None}:
                said.append(system.titled(f"{at}: {'; '.join(sorted(missing))}."))
                continue
            for rate in RATES:
                groups = system.by_group(rate, at)
                thin = [
                    f"{group_name(m.group)} ({m.n_errors or 0:,})"
                    for m in groups
                    if m.value is not None and m.is_thin
                ]
                empty = [group_name(m.group) for m in groups if m.value is None]
                what = f"the {lower(describe(rate))} of"
                if thin:
                    text = f"fewer than {FEW} errors stand behind {what} {listed(thin)}."
                    said.append(system.titled(f"{at}: {text}"))
                if empty:
                    text = f"no pair speaks about {what} {listed(empty)}."
                    said.append(system.titled(f"{at}: {text}"))
    return said


def judged_against_chance(m: Measure, floor: Measure | None) -> bool | None:
    """Whether a summary lies beyond its noise floor, on the side that its direction calls bad."""
    if floor is None or m.value is None or floor.value is None:
        return None
    return m.value < floor.value if more_is_better(m.name) else m.value > floor.value


def as_shown(m: Measure) -> Measure:
    """A summary in the unit that it is told in: indices are pure numbers, never percent."""
    base, summary, _ = parts_of(m.name)
    return replace(m, unit="index") if (summary or base) in _INDICES else m


def _verdict(system: Audited, verdict: Mapping[str, Any]) -> Finding:
    """What a tolerance says of a summary, in the summary's own unit."""
    name, at = verdict["measure"], verdict["at"]
    style, badge = _VERDICTS[verdict["verdict"]]
    title = system.titled(describe(name) + (f" at {at}" if at else ""))
    m = system.summary(name, at)
    if m is None:
        return Finding(style, title, verdict["words"], badge)
    m = as_shown(m)
    value, tolerance = (
        number(x, m.unit, difference=is_difference(name)) for x in (m.value, verdict["tolerance"])
    )
    ends = f" ({level(m)} {span(m.interval, m.unit)})" if m.interval else ""
    why = f" {sentence(m.note)}." if m.note and not m.interval else ""
    return Finding(style, title, f"{value}{ends} against a tolerance of {tolerance}.{why}", badge)


def _compared(system: Audited, protocol: str) -> str:
    """What was compared: pairs, people, groups."""
    at = system.points[0] if system.points else ""
    nonmated, mated = (system.everyone(rate, at) for rate in RATES)
    if nonmated is None or mated is None:
        return ""
    people = max(m.n_clusters or 0 for m in (nonmated, mated))
    of = f" of {people:,} people" if people else ""
    groups = f" in {len(system.groups)} groups ({system.attribute})" if system.groups else ""
    return (
        f"{mated.n + nonmated.n:,} pairs of images{of}{groups} were compared under the protocol "
        f"{protocol}: {mated.n:,} show one person (mated), {nonmated.n:,} two (non-mated)."
    )


def _at_threshold(system: Audited, at: str) -> str:
    """What everyone gets at an operating point."""
    fmr, fnmr = (system.everyone(rate, at) for rate in RATES)
    if at not in system.thresholds or fmr is None or fnmr is None:
        return ""
    threshold, source = system.thresholds[at]
    takes = [
        f"{number(m.value, m.unit)} of {kind}"
        for m, kind in (
            (fmr, "non-mated pairs for one person"),
            (fnmr, "mated pairs for two people"),
        )
        if m.value is not None
    ]
    return (
        f"{system.name or 'The system'} accepts a pair whose score is at least {threshold:.4g} "
        f"({whence(at, source)}): it takes {listed(takes)}."
    )


def _who_pays(system: Audited, rate: str, at: str) -> str:
    """The ends of a rate, their factor, and whether chance explains it."""
    order = worst_to_best(system.by_group(rate, at))
    if not order:
        return ""
    verdict = {
        True: "more than chance explains",
        False: "no more than chance could give",
        None: "chance is not ruled out",
    }[judged_against_chance(*_judge(system, rate, at))]
    few = [group_name(m.group) for m in (order[0], order[-1]) if m.is_thin]
    caution = f" (few errors behind {listed(few)})" if few else ""
    what = {"fmr": "False matches", "fnmr": "False non-matches"}[rate]
    return f"{what} fall most on {_ends(order[0], order[-1])}: {verdict}{caution}."


def _ends(worst: Measure, best: Measure) -> str:
    """The worst and the best group with their numbers and the factor between them."""
    factor = "against"
    if worst.value and best.value:
        factor = f"{worst.value / best.value:.2g} times the rate of"
    return (
        f"{group_name(worst.group)} ({_rate_text(worst)}), {factor} {group_name(best.group)} "
        f"({_rate_text(best)})"
    )


def _rate_finding(system: Audited, rate: str, at: str, order: Sequence[Measure]) -> Finding:
    """One rate at one operating point: ends, factor, chance."""
    summary, floor = _judge(system, rate, at)
    beyond = judged_against_chance(summary, floor)
    verdict: Literal["beyond", "within", "open"] = (
        "open" if beyond is None else "beyond" if beyond else "within"
    )
    worst, best = order[0], order[-1]
    text = [f"Highest for {_ends(worst, best)}."]
    if floor is None or floor.value is None:
        text.append("No noise floor was computed: chance is not ruled out.")
    else:
        text.append(_against_chance(system, summary, floor, at, rate))
    if verdict == "within":
        text.append("These data can't tell this gap from none.")
    few = [group_name(m.group) for m in (worst, best) if m.is_thin]
    if few:
        text.append(f"Few errors stand behind the number of {listed(few)}.")
    title = system.titled(f"{describe(rate)} by {system.attribute} at {at}")
    return Finding(verdict, title, " ".join(text), BADGES[verdict])


def _against_chance(system: Audited, summary: Measure, floor: Measure, at: str, rate: str) -> str:
    """A summary, its noise floor and its p-values in words."""
    what = sentence(describe(summary.name).removeprefix(describe(rate) + ": "))
    said, chance = (
        number(m.value, m.unit, difference=is_difference(summary.name)) for m in (summary, floor)
    )
    ends = f" ({level(summary)} {span(summary.interval, summary.unit)})" if summary.interval else ""
    p = [
        f"p {m.value:.2g}{how}"
        for suffix, how in P_VALUES.items()
        if (m := system.summary(f"{summary.name}_{suffix}", at)) and m.value is not None
    ]
    return (
        f"{what}: {said}{ends}. Equal groups of these sizes show up to {chance} by chance"
        f"{'; ' + ', '.join(p) if p else ''}."
    )


def _judge(system: Audited, rate: str, at: str) -> tuple[Measure, Measure | None]:
    """The summary that the verdict on a rate's spread rests on, and its noise floor.

    The largest over the smallest where that is defined, else it smoothed, else the difference.
    """
    nothing = Measure(f"{rate}_difference", None, "fraction", 0, across=system.attribute, at=at)
    found = [
        (m, system.summary(f"{m.name}_noise_floor", at))
        for end in ("max_over_min", "max_over_min_smoothed", "difference")
        if (m := system.summary(f"{rate}_{end}", at)) and m.value is not None
    ]
    return next(
        (pair for pair in found if pair[1] and pair[1].value is not None),
        found[0] if found else (nothing, None),
    )


def _rate_text(m: Measure) -> str:
    """A rate and its interval: "0.52%, 95% interval 0.31 to 0.80"."""
    interval = f", {level(m)} {span(m.interval, m.unit)}" if m.interval else ""
    return f"{number(m.value, m.unit)}{interval}"
