"""The decision rule: whether an evaluation shows that groups are treated differently.

One primary test is named beforehand for each rate at each operating point: the hypothesis that the
rate is the same for all groups. Its p-value is adjusted for all primary tests of the same system.
A difference is shown when the adjusted p-value is at most `ALPHA`; nothing else decides, neither a
noise floor nor an interval nor another summary of the same rates. On a system that treats groups
alike, the chance that anything is called shown is therefore at most `ALPHA`.

The report, the terminal, the model card and the audit's self-test all ask `verdict`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from fairjax.core.results import Measure, Results

Answer = Literal["shown", "not shown", "too few data"]
ALPHA = 0.05  # largest adjusted p-value that shows a difference
LARGEST_RATIO = 10.0  # data that would miss even this ratio between two groups are too few
SETTLED_RATIO = 2.0  # the ratio between two groups that `people_needed` is about
PLANNER_NOTE = (
    "People that each of two groups needs so that a two-sided test finds the ratio between their "
    "rates with 80 % power at the 5 % level, with pairs a person and design effects as measured "
    "here. The verdict plans for another test, of all groups at once and adjusted for other tests; "
    "its number of people differs."
)
# Primary test of a rate: the first of these that the results have. Files written before the test of
# equality existed have the others.
PRIMARY = ("equality", "max_over_min", "max_over_min_smoothed", "difference")
_ADJUSTED = ("p_value_holm", "p_value_bh")
_DESCRIPTIVE = ("base_rate", "positive_rate")  # neither end of these is the worse one


@dataclass(frozen=True)
class Claim:
    """The answer of one primary test: one rate at one operating point.

    Attributes:
      answer: "shown", "not shown", or "too few data": no test, or one that would miss even a ratio
        of `LARGEST_RATIO`.
      measure: Name of the rate: "fmr", "gender_fpr".
      at: Operating point of the rate: "FMR 1e-3"; "" where it has none.
      across: Attribute whose groups are compared: "race".
      system: Name of the audited system; "" where there is one.
      test: Name of the measure that holds the unadjusted p-value.
      worst: The rate of the worst group; None where groups tie or fewer than two have a rate.
      best: The rate of the best group; None likewise.
      p: Unadjusted p-value; None without a test.
      p_adjusted: P-value adjusted for the other primary tests; it alone decides.
      tests: How many primary tests it is adjusted for.
      detectable_ratio: Smallest ratio of one group's rate to the others' that these data would
        show with 80 % power; None where it is unknown or above the largest one tried.
      people: People in the smallest group.
      people_needed: People a group needs so that a ratio of `SETTLED_RATIO` would be shown with
        80 % power; None where it is unknown.
    """

    answer: Answer
    measure: str
    at: str
    across: str
    system: str
    test: str
    worst: Measure | None
    best: Measure | None
    p: float | None
    p_adjusted: float | None
    tests: int
    detectable_ratio: float | None
    people: int | None
    people_needed: int | None

    @property
    def ratio(self) -> float | None:
        """Larger over smaller rate of the worst and the best group; None where one is 0."""
        ends = [m.value for m in (self.worst, self.best) if m is not None and m.value]
        return max(ends) / min(ends) if len(ends) == 2 else None

    @property
    def has_enough_people(self) -> bool:
        """Whether these people settle `SETTLED_RATIO`, in every group or with unequal groups."""
        if self.people_needed is not None and (self.people or 0) >= self.people_needed:
            return True
        return self.detectable_ratio is not None and self.detectable_ratio <= SETTLED_RATIO


@dataclass(frozen=True)
class Verdict:
    """What the first screen says of one system.

    Attributes:
      answer: "shown" if any claim is, else "not shown" if any test could be made, else "too few
        data".
      claims: Every primary test's answer, in the order of the results.
      leading: The claim to name first: the shown one with the smallest adjusted p-value, else the
        one with the smallest p-value at the first operating point; None without a claim.
    """

    answer: Answer
    claims: Sequence[Claim] = field(default_factory=tuple)
    leading: Claim | None = None

    def get(self, measure: str, at: str = "") -> Claim | None:
        """The claim about one rate at one operating point; None where there is none."""
        return next((c for c in self.claims if (c.measure, c.at) == (measure, at)), None)


def verdict(results: Results, *, system: str | None = None) -> Verdict:
    """Whether one system's results show that groups differ.

    Only the attribute that the protocol compares is decided: a benchmark's coarser groups, such as
    the genders of BFW, are shown and not tested again.

    Args:
      results: Results of either kind, just computed or read from a file.
      system: Name of the audited system; None for the first one.
    """
    if system is None:
        system = results.measures[0].system if results.measures else ""
    across = results.protocol.get("attribute" if results.kind == "verification" else "group_by")
    own = [
        m
        for m in results.measures
        if m.system == system and (not m.across or across in (None, m.across))
    ]
    summaries = {(m.name, m.across, m.at): m for m in own if m.across}
    tests = list(_primary_tests(own, summaries))
    adjusted = _adjusted(tests, summaries)
    known = int(np.sum(~np.isnan(adjusted)))
    claims = [
        _claim(base, test, p, known, own, summaries)
        for (base, test), p in zip(tests, adjusted, strict=True)
    ]
    shown = [c for c in claims if c.answer == "shown"]
    tested = [c for c in claims if c.answer == "not shown"]
    answer: Answer = "shown" if shown else "not shown" if tested else "too few data"
    first_at = [c for c in tested or claims if c.at == (tested or claims)[0].at]
    leading = min(shown or first_at, key=_p_order, default=None)
    return Verdict(answer, tuple(claims), leading)


def resample_limits(results: Results) -> list[str]:
    """A sentence where the resamples are too few for any test to show a difference, else nothing.

    A p-value from N resamples is at least 1 / (N + 1), and k tests multiply it by k.

    Args:
      results: Results of either kind.
    """
    resamples = results.protocol.get("resamples") or 0
    tests = max((claim.tests for claim in verdict(results).claims), default=0)
    if not tests or not resamples or tests / (1 + resamples) <= ALPHA:
        return []
    return [
        f"{resamples} resamples cannot show a difference: the smallest p-value of {tests} tests is "
        f"{tests / (1 + resamples):.2g} after adjustment. Use 2,000."
    ]


def is_primary(name: str) -> bool:
    """Whether a measure's name is that of a primary test's p-value."""
    base = name.removesuffix(f"_{PRIMARY[0]}_p_value")
    return base != name and not base.endswith(_DESCRIPTIVE)


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """P-values adjusted so that the chance of any false claim among the tests stays below a level.

    NaN stays NaN and is no test.

    Source: Holm, Scandinavian Journal of Statistics 1979.
    """
    adjusted = np.full(len(p_values), np.nan)
    order = np.argsort(p_values)[: np.sum(~np.isnan(p_values))]
    left = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p_values[order]), 1.0)
    return adjusted


_Summaries = dict[tuple[str, str, str], Measure]


def _primary_tests(own: Sequence[Measure], summaries: _Summaries) -> list[tuple[str, Measure]]:
    """(rate, p-value measure) of each rate and operating point, in the order of the results."""
    tests: dict[tuple[str, str, str], tuple[str, Measure]] = {}
    rates = {m.name for m in own if m.group and not m.across}
    for m in own:
        base = m.name
        if not m.across or not base.endswith("_p_value"):
            continue
        base = next(
            (
                rate
                for kind in PRIMARY
                if (rate := base.removesuffix(f"_{kind}_p_value")) != base and rate in rates
            ),
            "",
        )
        tested = (base, m.across, m.at)
        if not base or base.endswith(_DESCRIPTIVE) or tested in tests:
            continue
        options = [summaries.get((f"{base}_{kind}_p_value", m.across, m.at)) for kind in PRIMARY]
        tests[tested] = base, next(option for option in options if option is not None)
    return list(tests.values())


def _adjusted(tests: Sequence[tuple[str, Measure]], summaries: _Summaries) -> np.ndarray:
    """Adjusted p-values as the results hold them, else by Holm over these tests."""
    held = [
        next(
            (
                twin.value
                for suffix in _ADJUSTED
                if (twin := summaries.get((_twin(m, suffix), m.across, m.at))) is not None
            ),
            None,
        )
        for _, m in tests
    ]
    raw = np.array([np.nan if m.value is None else m.value for _, m in tests], np.float64)
    if any(p is not None for p in held):
        return np.array([np.nan if p is None else p for p in held], np.float64)
    return holm(raw)


def _twin(test: Measure, suffix: str) -> str:
    return f"{test.name.removesuffix('_p_value')}_{suffix}"


def _claim(
    base: str,
    test: Measure,
    p_adjusted: float,
    tests: int,
    own: Sequence[Measure],
    summaries: _Summaries,
) -> Claim:
    by_group = [
        m
        for m in own
        if m.name == base and m.at == test.at and not m.across and list(m.group) == [test.across]
    ]
    worst, best = _ends(by_group, summaries.get((f"{base}_worst", test.across, test.at)))
    detectable = summaries.get((f"{base}_detectable_ratio", test.across, test.at))
    needed = summaries.get((f"{base}_people_needed", test.across, test.at))
    p = None if np.isnan(p_adjusted) else float(p_adjusted)
    answer: Answer = "not shown"
    if p is not None and p <= ALPHA:
        answer = "shown"
    elif p is None or (
        detectable is not None and (detectable.value is None or detectable.value > LARGEST_RATIO)
    ):
        answer = "too few data"
    people = [m.n_clusters for m in by_group if m.n_clusters]
    return Claim(
        answer=answer,
        measure=base,
        at=test.at,
        across=test.across,
        system=test.system,
        test=test.name,
        worst=worst,
        best=best,
        p=test.value,
        p_adjusted=p,
        tests=tests,
        detectable_ratio=None if detectable is None else detectable.value,
        people=min(people, default=None),
        people_needed=None if needed is None or needed.value is None else round(needed.value),
    )


def _ends(
    by_group: Sequence[Measure], worst: Measure | None
) -> tuple[Measure | None, Measure | None]:
    """The worst and the best group's rates; the `_worst` summary says which end is worse."""
    known = sorted((m for m in by_group if m.value is not None), key=lambda m: m.value or 0.0)
    if len(known) < 2 or known[0].value == known[-1].value:
        return None, None
    if worst is not None and worst.value == known[0].value:
        return known[0], known[-1]
    return known[-1], known[0]


def _p_order(claim: Claim) -> tuple[float, float, float]:
    """Smallest adjusted p-value first, then smallest p-value, then largest ratio."""
    return (
        2.0 if claim.p_adjusted is None else claim.p_adjusted,
        2.0 if claim.p is None else claim.p,
        -(claim.ratio or 0.0),
    )
