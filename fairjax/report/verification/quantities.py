"""The error rates of a verification audit that the first screen compares."""

from fairjax.core.results import Results
from fairjax.core.verdict import verdict
from fairjax.report.conditions import is_generated
from fairjax.report.quantities import Quantity, too_few, untested
from fairjax.report.verification.audited import RATES, Audited, as_shown, audited_systems, whence
from fairjax.report.wording import (
    describe,
    is_difference,
    level,
    listed,
    lower,
    number,
    span,
)

_WORDS = {
    "fmr": ("False matches", "people are taken for each other"),
    "fnmr": ("False non-matches", "people are not recognised"),
}
_FAILURES = {
    "fta": ("Failures to acquire", "people's images get no score", "images"),
    "fte": ("Failures to enrol", "people's reference images get no score", "images"),
    "pair_failure": ("Failures", "people's pairs get no score", "pairs"),
}
_TOLERANCES = {
    "exceeds": "▲ Exceeds the tolerance",
    "within": "○ Within the tolerance",
    "inconclusive": "? Inconclusive",
}


def quantities(results: Results) -> list[Quantity]:
    """Both error rates of each system at the point that the screen shows; and failures, if any."""
    rates = [
        shown
        for system in audited_systems(results)
        for rate in RATES
        if (shown := quantity(results, system, rate, shown_point(results, system)))
    ]
    return [*rates, *(shown for name in _FAILURES if (shown := _failures(results, name)))]


def shown_point(results: Results, system: Audited) -> str:
    """The first operating point at which groups differ; else the first that the data resolve."""
    differing = {
        claim.at for claim in verdict(results, system=system.name).claims if claim.answer == "shown"
    }
    points = list(system.thresholds)
    return next((at for at in points if at in differing), points[0] if points else "")


def quantity(results: Results, system: Audited, rate: str, at: str) -> Quantity | None:
    """One rate at one operating point; None where no group has it."""
    measures = system.by_group(rate, at)
    if not measures or at not in system.thresholds:
        return None
    title, predicate = _WORDS[rate]
    threshold, source = system.thresholds[at]
    note = f"{lower(describe(rate))} at threshold {threshold:.4g} ({whence(at, source)})"
    claim = verdict(results, system=system.name).get(rate, at) or untested(
        rate, at, system.attribute, system.name
    )
    overall = system.everyone(rate, at)
    return Quantity(title, predicate, "comparisons", measures, overall, note, claim)


def _failures(results: Results, name: str) -> Quantity | None:
    """How often images or pairs got no score; None where failures were not counted."""
    attribute = results.protocol.get("attribute", "group")
    measures = [m for m in results.measures if m.name == name and list(m.group) == [attribute]]
    if not measures:
        return None
    title, predicate, trials = _FAILURES[name]
    claim = verdict(results, system="").get(name) or untested(name, "", attribute, "")
    overall = next((m for m in results.measures if m.name == name and not m.group), None)
    return Quantity(title, predicate, trials, measures, overall, measures[0].rule, claim)


def scope(results: Results) -> str:
    """How many pairs, people and groups were compared."""
    systems = audited_systems(results)
    if not systems:
        return ""
    system = systems[0]
    at = system.points[0] if system.points else ""
    nonmated, mated = (system.everyone(rate, at) for rate in RATES)
    if nonmated is None or mated is None:
        return ""
    people = max(m.n_clusters or 0 for m in (nonmated, mated))
    of = f" of {people:,} people" if people else ""
    groups = f" in {len(system.groups)} groups ({system.attribute})" if system.groups else ""
    names = [s.name for s in systems]
    scored = f" {len(systems)} systems scored them: {listed(names)}." if names[1:] else ""
    name = results.protocol.get("name", results.kind)
    protocol = "" if is_generated(results.provenance) else f" (protocol {name})"
    return (
        f"{mated.n + nonmated.n:,} pairs of images{of}{groups} were compared{protocol}:"
        f" {mated.n:,} of one person (mated), {nonmated.n:,} of two (non-mated).{scored}"
    )


def tolerances(results: Results) -> list[str]:
    """What each tolerance says of its summary, in the summary's own unit."""
    lines = []
    for system in audited_systems(results):
        for entry in system.arrays.get("verdicts", ()):
            name, at = entry["measure"], entry["at"]
            title = system.titled(describe(name) + (f" at {at}" if at else ""))
            badge = _TOLERANCES[entry["verdict"]]
            m = system.summary(name, at)
            if m is None:
                lines.append(f"{badge}. {title}: {entry['words']}")
                continue
            m = as_shown(m)
            value, tolerance = (
                number(x, m.unit, difference=is_difference(name))
                for x in (m.value, entry["tolerance"])
            )
            interval = f" ({level(m)} {span(m.interval, m.unit)})" if m.interval else ""
            why = f", {m.note}" if m.note and not m.interval else ""
            lines.append(
                f"{badge}. {title}: {value}{interval} against a tolerance of {tolerance}{why}."
            )
    return lines


def unresolved(results: Results) -> list[str]:
    """What the data are too few to answer, one sentence each."""
    lines = []
    for system in audited_systems(results):
        for at in system.points:
            rates = [m for rate in RATES if (m := system.everyone(rate, at))]
            if missing := {m.note.rstrip(".") for m in rates if m.value is None}:
                lines.append(system.titled(f"{at}: {'; '.join(sorted(missing))}."))
                continue
            for rate in RATES:
                groups = system.by_group(rate, at)
                lines += [system.titled(f"{at}: {x}") for x in too_few(groups, rate, trial="pair")]
    return lines
