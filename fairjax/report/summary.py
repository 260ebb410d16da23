"""What the first screen, the terminal and the model card say: the verdict and its reasons.

Evaluations of either kind are turned into `Quantity`s, and `core.verdict` decides. This module
alone puts the decisions into words, so that page, terminal and model card cannot disagree.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fairjax.core.results import Results
from fairjax.core.verdict import LARGEST_RATIO, SETTLED_RATIO, Answer, Claim
from fairjax.report.attributes import quantities as attribute_quantities
from fairjax.report.conditions import is_smoke
from fairjax.report.identification import quantities as identification_quantities
from fairjax.report.quantities import Quantity
from fairjax.report.verification import covariates
from fairjax.report.verification import quantities as verification_quantities
from fairjax.report.wording import group_name, listed, lower

MOST_CARDS = 6
_KINDS: Mapping[str, Any] = {
    "verification": verification_quantities,
    "identification": identification_quantities,
}
# Sources of a threshold that is no system's own
_FOUND = ("all non-mated pairs", identification_quantities.FOUND_HERE)
_MOST = 0.5  # share of wrong answers above which a system is no use to anybody
_OF_TABLE = f"{_FOUND[0]} of "  # that of one found on another table, before its name
MOST_NAMED = 5  # groups that a sentence names; of more it names the highest and the lowest
_CHANCE: Mapping[Answer, str] = {
    "shown": "This is more than chance explains.",
    "not shown": "Such a gap could be chance.",
    "too few data": "Too few errors to tell whether this is chance.",
}


class Summary(NamedTuple):
    """The first screen.

    Attributes:
      answer: The decision over everything that was compared.
      headline: The verdict in a few words.
      sentences: The groups' numbers, whether chance explains them, and how many people are needed.
      scope: What was compared, under which protocol.
      compared: The rates that the screen shows, those that differ first.
      tolerances: Whether each gap lies within the tolerance that the user gave.
      unresolved: What the data are too few to answer.
    """

    answer: Answer = "too few data"
    headline: str = ""
    sentences: Sequence[str] = ()
    scope: str = ""
    compared: Sequence[Quantity] = ()
    tolerances: Sequence[str] = ()
    unresolved: Sequence[str] = ()

    @property
    def text(self) -> list[str]:
        """The verdict and its reasons, for a terminal or a model card, one paragraph each."""
        return [sentence for sentence in (self.headline, *self.sentences) if sentence]


def summarise(results: Results) -> Summary:
    """The verdict on an evaluation of any kind, with its reasons."""
    kind = _KINDS.get(results.kind, attribute_quantities)
    compared = kind.quantities(results)
    if not compared:
        return Summary(scope=kind.scope(results), unresolved=kind.unresolved(results))
    compared = sorted(compared, key=lambda q: q.claim.answer != "shown")[:MOST_CARDS]
    answer, headline = _verdict(compared)
    if is_smoke(results.provenance):
        headline = f"Smoke test, no evidence of anything: {lower(headline)}"
    return Summary(
        answer,
        headline,
        [
            *map(_sentence, compared),
            *_mostly_wrong(compared),
            *covariates.sentences(results),
            *_people(compared),
            *_chosen_thresholds(compared),
        ],
        kind.scope(results),
        compared,
        kind.tolerances(results),
        kind.unresolved(results),
    )


def evidence(claim: Claim) -> str:
    """The test behind a decision in a few words; "" where nothing was tested."""
    if claim.p_adjusted is None:
        return ""
    tests = f", adjusted for {claim.tests} tests" if claim.tests > 1 else ""
    ratio = claim.detectable_ratio
    finds = ""
    if ratio is not None:
        finds = f"; these data would show a ratio of {ratio:.2g} or more"
    elif claim.answer == "too few data":  # there is a test
        finds = f"; these data would miss even a ratio of {LARGEST_RATIO:g}"
    return f"p {claim.p_adjusted:.2g}{tests}{finds}"


def _verdict(compared: Sequence[Quantity]) -> tuple[Answer, str]:
    """The decision over everything, and the headline."""
    differing = [q.within_sentence for q in compared if q.claim.answer == "shown"]
    if differing:
        return "shown", f"Shown to differ between groups: {listed(differing)}."
    if any(q.claim.answer == "not shown" for q in compared):
        return "not shown", "Not shown to be unfair."
    if any(q.claim.p_adjusted is not None for q in compared):
        return "too few data", "Too few data to tell."
    return "too few data", "No verdict: no gap between groups was tested."


def _sentence(q: Quantity) -> str:
    """Every group's number, highest first, and whether chance explains the gap."""
    known = q.known
    if not known:
        return f"{q.heading}: no group has anything to count over."
    if not known[0].value:
        return f"{q.heading}: no error was counted in any group."
    trials = f" times in {q.per:,} {q.trials}" if q.trials else ""
    if len(known) > 1 and known[0].value == known[-1].value:
        return f"{q.heading}: alike in all groups, {q.amount(known[0])}{trials}."
    first = f"{group_name(known[0].group)} {q.predicate} {q.amount(known[0])}{trials}"
    others = [f"{group_name(m.group)} {q.amount(m)}" for m in known[1:]]
    if len(known) > MOST_NAMED:
        lowest = [m for m in known if m.value == known[-1].value]
        whose = group_name(lowest[0].group) if len(lowest) == 1 else f"{len(lowest)} groups"
        named = [m for m in known[1:3] if m.value != known[-1].value]
        others = [f"{group_name(m.group)} {q.amount(m)}" for m in named]
        others = [*others, f"at the low end {whose} {q.amount(lowest[0])}"]
    return f"{q.heading}: {', '.join(filter(None, [first, listed(others)]))}. {_chance(q)}".strip()


def _chance(q: Quantity) -> str:
    if q.claim.p_adjusted is None:
        return "Whether this is chance was not tested." if len(q.known) > 1 else ""
    few = any(m.is_thin for m in q.known)
    if q.claim.answer == "not shown" and few:
        return "So few errors could be chance."
    return _CHANCE[q.claim.answer]


class Plan(NamedTuple):
    """How many people a group needs to settle a factor.

    Attributes:
      needed: People a group; 0 where no number is known that would do.
      now: People of the smallest group.
      enough: Whether they settle it.
      of: The quantities that it is about, as parts of a sentence.
    """

    needed: int
    now: int
    enough: bool
    of: str


def people_plan(compared: Sequence[Quantity]) -> Plan | None:
    """The plan for the open question that needs most people; None where there is none."""
    plans = [
        Plan(q.claim.people_needed, q.claim.people, q.claim.has_enough_people, q.within_sentence)
        for q in compared
        if q.claim.people_needed and q.claim.people and _may_double(q) and not _is_shown(q)
    ]
    if not plans:
        return None
    most = max(plans, key=lambda plan: (not plan.enough, plan.needed / plan.now))
    if most.enough and (unknown := [q.within_sentence for q in compared if _lacks_plan(q)]):
        return Plan(0, most.now, False, listed(unknown))
    return most


def _people(compared: Sequence[Quantity]) -> list[str]:
    plan, factor = people_plan(compared), f"a factor of {SETTLED_RATIO:g}"
    if plan is None:
        return []
    if not plan.needed:
        return [f"How many people would settle {factor} in {plan.of} cannot be told."]
    about = f"{rounded_up(plan.needed):,}"
    if not plan.enough:
        return [
            f"To settle {factor} in {plan.of} you need about {about} people a group; the smallest "
            f"has {plan.now:,}."
        ]
    if plan.needed > plan.now:  # other groups have many more
        return [f"These people are enough to settle {factor}."]
    return [
        f"These people are enough to settle {factor}: about {about} a group are needed, and the "
        f"smallest has {plan.now:,}."
    ]


def _is_shown(q: Quantity) -> bool:
    return q.claim.answer == "shown"


def _may_double(q: Quantity) -> bool:
    """Whether a rate can be `SETTLED_RATIO` times as high in one group at all."""
    everyone = q.overall.value if q.overall else None
    return not q.trials or everyone is None or everyone * SETTLED_RATIO < 1


def _mostly_wrong(compared: Sequence[Quantity]) -> list[str]:
    """That a system is wrong more often than right, which being fair does not mend."""
    return [
        f"{q.heading} are {q.amount(q.overall)} in {q.per:,} {q.trials} of everyone: that is most "
        "of them, whatever the groups."
        for q in compared
        if q.trials and q.overall and (q.overall.value or 0) > _MOST
    ]


def _chosen_thresholds(compared: Sequence[Quantity]) -> list[str]:
    """That thresholds were not the system's own, where they were found on the data."""
    shown = [q.measures[0] for q in compared if q.measures]
    found = [m for m in shown if m.at and m.threshold_source.startswith(_FOUND)]
    if not found:
        return []
    points = listed(list(dict.fromkeys(m.at for m in found)))
    tables = {m.threshold_source.partition(_OF_TABLE)[2] or "these data" for m in found}
    return [
        f"These counts are at {points}, a threshold found on {listed(sorted(tables))}; to count at "
        "that of the system, audit it with --threshold."
    ]


def _lacks_plan(q: Quantity) -> bool:
    """Whether a quantity was tested on too few people, and no number is known that would do."""
    open_question = q.claim.p_adjusted is not None and not _is_shown(q)
    return open_question and not q.claim.people_needed and not q.claim.has_enough_people


def rounded_up(people: int) -> int:
    """Up to two significant digits: more would promise what a plan cannot keep."""
    step = 10 ** max(0, math.floor(math.log10(people)) - 1)
    return -(-people // step) * step
