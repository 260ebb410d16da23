"""How many people an audit needs to show a gap, and which gap so many people can show.

The plan is for the primary test of `equality`. It needs the effective independent trials of each
group: pairs over the design effect 1 + rho (dependents - 1), where rho is the correlation of two
errors whose pairs share a person, and `dependents` counts the pairs that share a person with a
pair, itself included. With n people of m images, all pairs within a group are

    mated:      n m (m - 1) / 2 pairs,      dependents = m (m - 1) / 2
    non-mated:  m^2 n (n - 1) / 2 pairs,    dependents = m^2 (2 n - 3)

A random part of them, c of N pairs, has 1 + (dependents - 1) c / N dependents.

Before anything is measured rho follows from an assumption about scores: two scores are normal with
correlation r, and both are errors with probability p each. Then, with Owen's T,

    rho = (P - p^2) / (p (1 - p)),    P = p - 2 T(h, sqrt((1 - r) / (1 + r))),    Q(h) = p

so that errors that are rarer cluster less. An earlier audit's rho, measured at another rate, is
carried over to the planned rate through the same r.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import special

from fairjax.metrics.equality import POWER, RATIOS, Known, first_shown

Rate = Literal["fmr", "fnmr"]
SHARED = 0.3  # share of a score's variance that comes from its people, where nothing is measured
MOST_PEOPLE = 1_000_000  # in a group: a plan for more is no plan
_PEOPLE = np.unique(np.rint(np.geomspace(4, MOST_PEOPLE, 240)))


@dataclass(frozen=True)
class Design:
    """One rate of a planned audit.

    Attributes:
      rate: "fmr" or "fnmr".
      value: The rate over all groups, a fraction in (0, 1).
      correlation: Correlation of two errors whose pairs share a person, in [0, 1].
      images: Images of each person, 2 or more; FMR is served by 1.
      most_pairs: Pairs of each group at most, drawn at random; infinite for all pairs.
    """

    rate: Rate
    value: float
    correlation: int | float
    images: int
    most_pairs: int | float = math.inf

    def pairs(self, people: Float[np.ndarray, " groups"]) -> Float[np.ndarray, " groups"]:
        """Pairs of each group."""
        return np.minimum(self._all_pairs(people), self.most_pairs)

    def design_effect(self, people: Float[np.ndarray, " groups"]) -> Float[np.ndarray, " groups"]:
        """Pairs to one independent trial, in each group."""
        each = self.images**2
        if self.rate == "fnmr":
            dependents = np.full(len(people), self.images * (self.images - 1) / 2)
        else:
            dependents = each * np.maximum(2 * people - 3, 1)
        share = self.pairs(people) / np.maximum(self._all_pairs(people), 1)
        return 1 + self.correlation * (dependents - 1) * share

    def known(self, people: Float[np.ndarray, " groups"]) -> Known:
        """How much an audit of so many people in each group would know."""
        trials = self.pairs(people) / self.design_effect(people)
        return Known(self.value, trials, float(np.maximum(people - 1, 1).sum()))

    def _all_pairs(self, people: np.ndarray) -> np.ndarray:
        if self.rate == "fnmr":
            return people * self.images * (self.images - 1) / 2
        return self.images**2 * people * (people - 1) / 2


def people_needed(
    design: Design,
    ratio: int | float,
    *,
    groups: int,
    alpha: float,
    power: float = POWER,
    seed: int = 0,
) -> int | None:
    """People that each group needs so that a ratio is shown with the power wanted.

    Args:
      design: The planned audit.
      ratio: Rate of one group, whichever it is, over that of the others; above 1.
      groups: How many groups of equal size, 2 or more.
      alpha: Size of the two-sided test, after adjustment for others.
      power: Chance of showing the ratio, a fraction in (0, 1).
      seed: Non-negative; of the draws that stand in where errors are few.

    Returns:
      People in a group, rounded up; None where `MOST_PEOPLE` would not do.
    """

    def at(people: float) -> float:
        return design.known(np.full(groups, people)).power(ratio, alpha=alpha, seed=seed)

    smallest = first_shown(_PEOPLE, at, wanted=power)
    return None if smallest is None else math.ceil(smallest)


def detectable_ratio(
    design: Design,
    people: Float[np.ndarray, " groups"],
    *,
    alpha: float,
    power: float = POWER,
    seed: int = 0,
) -> float | None:
    """Smallest ratio of one group's rate to the others' that so many people show.

    Args:
      design: The planned audit.
      people: People in each group, 2 or more.
      alpha: Size of the two-sided test, after adjustment for others.
      power: Chance of showing the ratio, a fraction in (0, 1).
      seed: Non-negative.

    Returns:
      The ratio; None where even the largest of `equality.RATIOS` would be missed.
    """
    known = design.known(people)
    largest = RATIOS[RATIOS * design.value < 1]
    return first_shown(largest, lambda r: known.power(r, alpha=alpha, seed=seed), wanted=power)


def error_correlation(latent: int | float, rate: float) -> float:
    """Correlation of two errors of one rate whose normal scores correlate.

    Args:
      latent: Correlation of the scores, in [0, 1].
      rate: Chance of each error, a fraction in (0, 1).
    """
    h = -special.ndtri(rate)
    both = rate - 2 * special.owens_t(h, math.sqrt((1 - latent) / (1 + latent)))
    return float(max(both - rate**2, 0.0) / (rate * (1 - rate)))


def latent_correlation(correlation: int | float, rate: float) -> float:
    """Correlation of two normal scores whose errors of one rate correlate so: the inverse.

    Args:
      correlation: Correlation of the errors; what is outside [0, 1] counts as the nearer end.
      rate: Chance of each error, a fraction in (0, 1).
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if error_correlation(middle, rate) < correlation:
            low = middle
        else:
            high = middle
    return low


def assumed_correlation(rate: Rate, value: float, *, shared: int | float = SHARED) -> float:
    """Correlation of two errors whose pairs share a person, before anything is measured.

    Two mated pairs of a person share `shared` of their score's variance, two non-mated pairs with
    one person in common half of it.

    Args:
      rate: "fmr" or "fnmr".
      value: The rate, a fraction in (0, 1).
      shared: Share of a score's variance that comes from the people, in [0, 1].
    """
    return error_correlation(shared if rate == "fnmr" else shared / 2, value)


def carried_correlation(
    correlation: int | float, *, measured_at: float, planned_at: float
) -> float:
    """A measured correlation of errors, carried over to another rate of the same scores.

    Args:
      correlation: Measured, in [0, 1].
      measured_at: The rate it was measured at, a fraction in (0, 1).
      planned_at: The rate that is planned for, a fraction in (0, 1).
    """
    return error_correlation(latent_correlation(correlation, measured_at), planned_at)
