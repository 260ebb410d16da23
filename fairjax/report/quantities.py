"""What is compared between groups, in plain words: the input of the first screen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fairjax.core.results import FEW, Measure
from fairjax.core.verdict import Claim
from fairjax.report.wording import (
    comparisons_per,
    describe,
    group_name,
    listed,
    lower,
    number,
    times,
)


@dataclass(frozen=True)
class Quantity:
    """An error rate, or a mean error, of every group.

    Attributes:
      title: Name of the quantity in plain words: "False matches".
      predicate: What happens to a group, after the group's name: "people are taken for each other".
      trials: What a rate is counted in: "comparisons"; "" for a mean error.
      measures: The number of each group; less is better.
      overall: The number of everyone; None where there is none.
      note: What the number is, and at which threshold.
      claim: The decision on whether the groups differ.
    """

    title: str
    predicate: str
    trials: str
    measures: Sequence[Measure]
    overall: Measure | None
    note: str
    claim: Claim

    @property
    def heading(self) -> str:
        """The title behind the system's name."""
        system = self.claim.system
        return f"{system}: {self.title}" if system else self.title

    @property
    def within_sentence(self) -> str:
        """The title as part of a sentence."""
        return lower(self.title) + (f" of {self.claim.system}" if self.claim.system else "")

    @property
    def known(self) -> list[Measure]:
        """The groups that have a number, highest first; equal ones keep their order."""
        return sorted(
            (m for m in self.measures if m.value is not None), key=lambda m: -(m.value or 0.0)
        )

    def amount(self, m: Measure) -> str:
        """One group's number: "32 times", or "4.21 years"."""
        if not self.trials:
            return number(m.value, m.unit)
        return times(m.value or 0.0, self.per)

    @property
    def per(self) -> int:
        """In how many trials errors are counted."""
        return comparisons_per([m.value or 0.0 for m in self.known])


def as_errors(m: Measure) -> Measure:
    """An accuracy as its error rate; the count of errors stays."""
    value = None if m.value is None else 1 - m.value
    interval = (1 - m.interval[1], 1 - m.interval[0]) if m.interval else None
    return replace(m, value=value, interval=interval)


def untested(measure: str, at: str, across: str, system: str) -> Claim:
    """The claim about a rate that no test was made for, as in a stream."""
    nothing: dict[str, None] = dict.fromkeys(
        ("worst", "best", "p", "p_adjusted", "detectable_ratio", "people", "people_needed")
    )
    return Claim("too few data", measure, at, across, system, test="", tests=0, **nothing)


def too_few(groups: Sequence[Measure], rate: str, *, trial: str) -> list[str]:
    """Which groups have few errors behind a rate, and which have no number; one sentence each.

    Args:
      groups: The rate of each group.
      rate: Name of the rate: "fmr".
      trial: What the rate is over: "pair" or "search".
    """
    thin = [
        f"{group_name(m.group)} ({m.n_errors or 0:,})"
        for m in groups
        if m.value is not None and m.is_thin
    ]
    empty = [group_name(m.group) for m in groups if m.value is None]
    what = f"the {lower(describe(rate))} of"
    sentences = [f"fewer than {FEW} errors stand behind {what} {listed(thin)}."] if thin else []
    return sentences + ([f"no {trial} speaks about {what} {listed(empty)}."] if empty else [])
